"""The rules for a request of BatchMeterUsage."""

import json
from datetime import timedelta

from stage import LEGACY, LICENSED, NOON, changed, epoch, hours, text
from suite import rule, titled


def accepts(title, change, billed):
    """A case: a record by license with this change is accepted and billed with this quantity."""

    def case(s):
        buyer = s.buys()
        assert s.statuses(s.record(buyer, **change)) == ["Success"]
        assert s.billed() == [billed], s.billed()

    return titled(title, case)


def refuses(title, code, change):
    """A case: a record by license with this change makes the whole request fail."""

    def case(s):
        s.refuses(code, s.record(s.buys(), **change))

    return titled(title, case)


def refuses_legacy(title, code, change, product=LEGACY):
    def case(s):
        s.refuses(code, s.legacy(s.buys(LEGACY), **change), product=product)

    return titled(title, case)


def invalid(title, change):
    """A case: the API model refuses the record. It is sent without botocore's own check."""

    def case(s):
        record = changed({**s.record(s.buys()), "Timestamp": epoch(hours(-1))}, change)
        answer = s.raw("BatchMeterUsage", {"UsageRecords": [record]})
        assert answer.error() == "ValidationException", answer
        assert s.billed() == []

    return titled(title, case)


# Records and requests.


def no_records_are_answered_with_no_results(s):
    answer = s.meter()
    assert (answer["Results"], answer["UnprocessedRecords"]) == ([], [])


def records_of_hours(s, buyer, count):
    """Records with different slots. Each dimension has at most 23 hours."""
    places = ((-1 - n % 23, ("requests", "gb")[n // 23]) for n in range(count))
    return [s.record(buyer, Timestamp=hours(hour), Dimension=dimension) for hour, dimension in places]


def twenty_five_records_are_accepted(s):
    assert s.statuses(*records_of_hours(s, s.buys(), 25)) == ["Success"] * 25


def a_twenty_sixth_record_is_too_many(s):
    buyer = s.buys()
    records = [{**record, "Timestamp": epoch(record["Timestamp"])} for record in records_of_hours(s, buyer, 26)]
    answer = s.raw("BatchMeterUsage", {"UsageRecords": records})
    assert answer.error() == "ValidationException" and "25" in answer.json["message"], answer
    assert s.billed() == []


def sized(s, size):
    """A request of exactly this size in bytes, filled up with blanks."""
    record = {**s.record(s.buys()), "Timestamp": epoch(hours(-1))}
    body = json.dumps({"UsageRecords": [record]}).encode()
    return body + b" " * (size - len(body))


def a_body_just_below_a_megabyte_is_read(s):
    assert s.raw("BatchMeterUsage", sized(s, 999_999)).status == 200


def a_body_of_a_megabyte_is_too_large(s):
    for size in (1_000_000, 3_999_999, 5_000_000):
        answer = s.raw("BatchMeterUsage", sized(s, size))
        assert (answer.status, answer.error()) == (413, "RequestEntityTooLargeException"), answer
    assert s.billed() == []


def licenses_of_two_products_never_share_a_request(s):
    s.product("licensedproduct2")
    one, other = s.buys(), s.buys("licensedproduct2")
    s.refuses("InvalidLicenseException", s.record(one), s.record(other))
    assert s.statuses(s.record(one)) + s.statuses(s.record(other)) == ["Success", "Success"]


def two_licenses_of_one_product_share_a_request(s):
    assert s.statuses(s.record(s.buys()), s.record(s.buys())) == ["Success", "Success"]


def an_unknown_product_code_is_refused(s):
    s.refuses("InvalidProductCodeException", s.legacy(s.buys(LEGACY)), product="unknown")


def a_product_code_with_a_license_is_refused(s):
    s.refuses("InvalidProductCodeException", s.record(s.buys(LEGACY)), product=LEGACY)


def a_licensed_product_is_not_metered_by_its_code(s):
    buyer = s.buys()
    s.refuses("InvalidProductCodeException", s.record(buyer, LicenseArn=None), product=LICENSED)


def neither_product_code_nor_license_is_refused(s):
    s.refuses("InvalidProductCodeException", s.legacy(s.buys(LEGACY)))


# Timestamps.


def usage_of_exactly_24_hours_ago_is_accepted(s):
    assert s.statuses(s.record(s.buys(), Timestamp=hours(-24))) == ["Success"]


def a_second_more_than_24_hours_is_too_old(s):
    s.refuses("TimestampOutOfBoundsException", s.record(s.buys(), Timestamp=hours(-24) - timedelta(seconds=1)))


def usage_of_this_second_is_accepted(s):
    assert s.statuses(s.record(s.buys(), Timestamp=NOON)) == ["Success"]


def usage_of_the_next_second_is_refused(s):
    s.refuses("TimestampOutOfBoundsException", s.record(s.buys(), Timestamp=NOON + timedelta(seconds=1)))


def window(count):
    def case(s):
        buyer = s.buys()
        s.settings(window_hours=count)
        assert s.statuses(s.record(buyer, Timestamp=hours(-count))) == ["Success"]
        s.refuses("TimestampOutOfBoundsException", s.record(buyer, Timestamp=hours(-count) - timedelta(seconds=1)))

    return titled(f"a window of {count} hours", case)


def the_previous_month_is_accepted_until_the_last_second(s):
    buyer = s.buys()
    s.clock("2026-12-01T05:59:59Z")
    stamps = [NOON.replace(day=30, hour=23), NOON.replace(day=30, hour=12), NOON.replace(month=12, day=1, hour=5)]
    assert s.statuses(*(s.record(buyer, Timestamp=stamp) for stamp in stamps)) == ["Success"] * 3


def the_previous_month_is_refused_from_six_on(s):
    buyer = s.buys()
    for now in ("2026-12-01T06:00:00Z", "2026-12-01T09:30:00Z"):
        s.clock(now)
        s.refuses("TimestampOutOfBoundsException", s.record(buyer, Timestamp=NOON.replace(day=30, hour=23)))
    assert s.statuses(s.record(buyer, Timestamp=NOON.replace(month=12, day=1, hour=0))) == ["Success"]


def december_closes_like_any_month(s):
    buyer = s.buys()
    stamp = NOON.replace(month=12, day=31, hour=23)
    s.clock("2027-01-01T05:59:59Z")
    assert s.statuses(s.record(buyer, Timestamp=stamp)) == ["Success"]
    s.clock("2027-01-01T06:00:00Z")
    s.refuses("TimestampOutOfBoundsException", s.record(buyer, Timestamp=stamp, Dimension="gb"))


def usage_before_the_license_is_refused(s):
    buyer = s.buys(start=text(hours(-3)))
    s.refuses("InvalidLicenseException", s.record(buyer, Timestamp=hours(-3) - timedelta(seconds=1)))
    assert s.statuses(s.record(buyer, Timestamp=hours(-3))) == ["Success"]


def usage_before_a_legacy_subscription_is_refused(s):
    buyer = s.buys(LEGACY, start=text(hours(-3)))
    s.refuses("TimestampOutOfBoundsException", s.legacy(buyer, Timestamp=hours(-4)), product=LEGACY)
    assert s.statuses(s.legacy(buyer, Timestamp=hours(-3)), product=LEGACY) == ["Success"]


def a_clamped_stamp_stays_in_the_slot_of_its_hour(s):
    activated = hours(-2) + timedelta(minutes=24)
    buyer = s.buys(start=text(activated))
    s.refuses("InvalidLicenseException", s.record(buyer, Timestamp=hours(-2)))
    assert s.statuses(s.record(buyer, Timestamp=activated)) == ["Success"]
    again = s.record(buyer, Timestamp=activated + timedelta(minutes=30), Quantity=2)
    assert s.statuses(again) == ["DuplicateRecord"]
    assert s.billed() == ["1"]


# Dimensions.


def a_dimension_of_any_characters_is_accepted(s):
    odd = ["Ä ß 🙂 \"'\\/", "x" * 255, "\t"]
    s.product("odd", dimensions=odd)
    buyer = s.buys("odd")
    assert s.statuses(*(s.record(buyer, Dimension=dimension) for dimension in odd)) == ["Success"] * 3


def dimensions_that_differ_in_case_are_two(s):
    buyer = s.buys()
    assert s.statuses(s.record(buyer), s.record(buyer, Dimension="Requests", Quantity=2)) == ["Success"] * 2
    assert s.billed() == ["1", "2"]


# Customers and licenses.


def a_legacy_customer_is_named_either_way(s):
    one, other = s.buys(LEGACY), s.buys(LEGACY)
    by_account = s.legacy(other, CustomerIdentifier=None, CustomerAWSAccountId=other["account_id"])
    assert s.statuses(s.legacy(one), by_account, product=LEGACY) == ["Success", "Success"]


def both_names_exclude_each_other(s):
    buyer = s.buys(LEGACY)
    record = s.legacy(buyer, CustomerAWSAccountId=buyer["account_id"])
    s.refuses("InvalidCustomerIdentifierException", record, product=LEGACY)


def a_license_of_another_account_is_refused(s):
    s.refuses("InvalidLicenseException", s.record(s.buys(), CustomerAWSAccountId=s.buys()["account_id"]))


def an_unknown_license_is_refused(s):
    arn = "arn:aws:license-manager::294406891311:license:l-0000"
    s.refuses("InvalidLicenseException", s.record(s.buys(), LicenseArn=arn))


def a_license_arn_is_checked_against_the_models_pattern_only(s):
    resource = "y" * 1_024
    for arn, code in (
        (f"arn:aws:x:::{resource}", "InvalidLicenseException"),
        (f"arn:aws-us-gov:{'v' * 63}:{'r' * 63}:{'a' * 63}:r/:+=,@.-", "InvalidLicenseException"),
        (f"arn:aws:x:::{resource}y", "ValidationException"),
        (f"arn:aws:{'v' * 64}:::y", "ValidationException"),
        ("aws:license-manager::294406891311:license:l-1", "ValidationException"),
        ("arn:aws::::y", "ValidationException"),
    ):
        record = {**s.record(s.buys()), "Timestamp": epoch(hours(-1)), "LicenseArn": arn}
        assert s.raw("BatchMeterUsage", {"UsageRecords": [record]}).error() == code, arn


# Quantities.


def amounts(integer, decimal):
    return {"Quantity": integer, "QuantityAsDecimal": decimal}


def invalid_decimal(text_given):
    return invalid(f"'{text_given}' is not a quantity", amounts(None, text_given))


def decimal(given, billed):
    return accepts(f"'{given}' is {billed}", amounts(None, given), billed)


# Allocations and tags.


def share(quantity, *tags, member="AllocatedUsageQuantity"):
    allocation = {member: quantity}
    if tags:
        allocation["Tags"] = [{"Key": key, "Value": value} for key, value in tags]
    return allocation


def decimal_share(quantity, *tags):
    return share(quantity, *tags, member="AllocatedUsageQuantityAsDecimal")


def allocated(quantity, *shares):
    return {"Quantity": quantity, "UsageAllocations": list(shares)}


def the_allocations_are_kept_with_the_slot(s):
    s.statuses(s.record(s.buys(), **allocated(5, share(3, ("team", "a"), ("env", "x")), share(2))))
    [slot] = s.slots()
    assert sorted(a["quantity"] for a in slot["allocations"]) == ["2", "3"], slot


def up_to_2500_allocations_are_accepted(s):
    shares = [share(1, ("n", str(n))) for n in range(2_500)]
    assert s.statuses(s.record(s.buys(), **allocated(2_500, *shares))) == ["Success"]


def allocation_number_2501_is_too_many(s):
    shares = [share(1, ("n", str(n))) for n in range(2_501)]
    record = {**s.record(s.buys(), **allocated(2_501, *shares)), "Timestamp": epoch(hours(-1))}
    assert s.raw("BatchMeterUsage", {"UsageRecords": [record]}).error() == "ValidationException"


def tag(key="k", value="v"):
    return allocated(1, share(1, (key, value)))


def tags(count):
    return allocated(1, share(1, *((f"k{n}", "v") for n in range(count))))


ALLOCATIONS = "InvalidUsageAllocationsException"

RULES = (
    rule(
        "M1",
        "2 Request",
        "A request carries 0 to 25 usage records.",
        no_records_are_answered_with_no_results,
        twenty_five_records_are_accepted,
        a_twenty_sixth_record_is_too_many,
    ),
    rule(
        "M2",
        "2 Request",
        "The body stays below 1 MB, counted as JSON.",
        a_body_just_below_a_megabyte_is_read,
        a_body_of_a_megabyte_is_too_large,
    ),
    rule(
        "M3.1",
        "2 Request",
        "One request is for one product, even if its records name licenses instead of the product.",
        licenses_of_two_products_never_share_a_request,
        two_licenses_of_one_product_share_a_request,
    ),
    rule(
        "M3.2",
        "2 Request",
        "ProductCode belongs to the legacy identity. It must be absent if a record has a LicenseArn.",
        an_unknown_product_code_is_refused,
        a_product_code_with_a_license_is_refused,
        a_licensed_product_is_not_metered_by_its_code,
        neither_product_code_nor_license_is_refused,
    ),
    rule(
        "M4.1",
        "2 Request",
        "Timestamp is required, not older than the window of 24 hours and not in the future.",
        usage_of_exactly_24_hours_ago_is_accepted,
        a_second_more_than_24_hours_is_too_old,
        usage_of_this_second_is_accepted,
        usage_of_the_next_second_is_refused,
        invalid("a record without a timestamp is refused", {"Timestamp": None}),
    ),
    rule(
        "M4.2",
        "1 What changed lately",
        "The window has been 1, 6 and 24 hours, so it is a setting.",
        window(1),
        window(6),
        window(24),
        window(48),
    ),
    rule(
        "M5",
        "1 What changed lately",
        "The previous month can be metered only before 06:00 UTC on the 1st.",
        the_previous_month_is_accepted_until_the_last_second,
        the_previous_month_is_refused_from_six_on,
        december_closes_like_any_month,
    ),
    rule(
        "M7",
        "2 Request",
        "Timestamp is not before the software usage started.",
        usage_before_the_license_is_refused,
        usage_before_a_legacy_subscription_is_refused,
    ),
    rule(
        "M23.1",
        "2 Stamps",
        "A stamp that is moved to the activation stays in the slot of its hour.",
        a_clamped_stamp_stays_in_the_slot_of_its_hour,
    ),
    rule(
        "M8",
        "2 Request",
        "Dimension is required, 1 to 255 of any characters, case-sensitive, and one of the product's.",
        a_dimension_of_any_characters_is_accepted,
        dimensions_that_differ_in_case_are_two,
        refuses("an unknown dimension", "InvalidUsageDimensionException", {"Dimension": "users"}),
        refuses("another case is another dimension", "InvalidUsageDimensionException", {"Dimension": "GB"}),
        invalid("an empty dimension", {"Dimension": ""}),
        invalid("no dimension", {"Dimension": None}),
    ),
    rule(
        "M9.1",
        "2 Request",
        "CustomerAWSAccountId is digits; with a license it is the account the license belongs to.",
        invalid("an account with a letter", {"CustomerAWSAccountId": "1111222233x"}),
        a_license_of_another_account_is_refused,
        refuses("a license without a customer", "InvalidCustomerIdentifierException", {"CustomerAWSAccountId": None}),
    ),
    rule(
        "M9.2",
        "2 Request",
        "LicenseArn must match the model's pattern, and the license must exist.",
        an_unknown_license_is_refused,
        a_license_arn_is_checked_against_the_models_pattern_only,
    ),
    rule(
        "M10",
        "2 Request",
        "CustomerIdentifier is legacy only and excludes CustomerAWSAccountId.",
        a_legacy_customer_is_named_either_way,
        both_names_exclude_each_other,
        refuses_legacy("no customer at all", "InvalidCustomerIdentifierException", {"CustomerIdentifier": None}),
        refuses("an identifier with a license", "InvalidCustomerIdentifierException", {"CustomerIdentifier": "c"}),
    ),
    rule(
        "M12.1",
        "2 Request",
        "Quantity is an integer of 0 to 2147483647, and 0 when absent.",
        accepts("the largest quantity", {"Quantity": 2_147_483_647}, "2147483647"),
        accepts("a zero", {"Quantity": 0}, "0"),
        accepts("an absent quantity is zero", {"Quantity": None}, "0"),
        invalid("a negative quantity", {"Quantity": -1}),
    ),
    rule(
        "M12.2",
        "2 Request",
        "QuantityAsDecimal is a plain number of 1 to 17 characters with up to six decimals. It is billed exactly.",
        decimal("0.000001", "0.000001"),
        decimal("9999999999.999999", "9999999999.999999"),
        decimal("0.1", "0.1"),
        decimal("17.0", "17"),
        *(
            invalid_decimal(given)
            for given in ("", "1.", ".5", "01", "1e3", "-1", "+1", "0.1234567", "12345678901", " 1", "1,5", "١")
        ),
    ),
    rule(
        "M12.3",
        "2 Request",
        "QuantityAsDecimal and Quantity exclude each other.",
        refuses("both quantities", "ValidationException", amounts(1, "1")),
        refuses("both shares", "ValidationException", allocated(1, {**share(1), **decimal_share("1")})),
    ),
    rule(
        "M13.1",
        "2 Request",
        "The allocations of a record sum up to its quantity, in the record's own kind.",
        the_allocations_are_kept_with_the_slot,
        accepts("integers", allocated(5, share(3, ("t", "a")), share(2, ("t", "b"))), "5"),
        accepts(
            "decimals",
            {**amounts(None, "0.3"), "UsageAllocations": [decimal_share("0.1", ("t", "a")), decimal_share("0.2")]},
            "0.3",
        ),
        refuses("a sum too small", ALLOCATIONS, allocated(5, share(4))),
        refuses("a sum too large", ALLOCATIONS, allocated(5, share(6))),
        refuses("a decimal share of an integer", ALLOCATIONS, allocated(1, decimal_share("1"))),
        refuses("an integer share of a decimal", ALLOCATIONS, {**amounts(None, "1"), "UsageAllocations": [share(1)]}),
        refuses("a share without a quantity", ALLOCATIONS, allocated(1, {"Tags": [{"Key": "k", "Value": "v"}]})),
    ),
    rule(
        "M13.2",
        "2 Request",
        "A record has 1 to 2500 allocations with distinct tag sets. Usage without tags is untagged.",
        up_to_2500_allocations_are_accepted,
        allocation_number_2501_is_too_many,
        invalid("an empty list", {"UsageAllocations": []}),
        accepts("one untagged share", allocated(1, share(1)), "1"),
        refuses("two untagged shares", ALLOCATIONS, allocated(2, share(1), share(1))),
        refuses("a tag set twice", ALLOCATIONS, allocated(2, share(1, ("t", "a")), share(1, ("t", "a")))),
        refuses(
            "a tag set twice in another order",
            ALLOCATIONS,
            allocated(2, share(1, ("t", "a"), ("u", "b")), share(1, ("u", "b"), ("t", "a"))),
        ),
    ),
    rule(
        "M15",
        "2 Request",
        "A tag's key has 1 to 100, its value 1 to 256 characters of a class in which `+ -=` is a range.",
        accepts("the longest tag", tag("k" * 100, "v" * 256), "1"),
        accepts("the range from blank to equals sign", tag("a !\"#$%&'()*+,-./:;<=@_", "!"), "1"),
        *(invalid(f"a key of {key!r}", tag(key=key)) for key in ("", "k" * 101, "ä", "?", "[", "a\nb")),
        *(invalid(f"a value of {value[:9]!r}", tag(value=value)) for value in ("", "v" * 257, "ß", "~")),
    ),
    rule(
        "M14",
        "2 Request",
        "An allocation has 1 to 5 tags, no key twice.",
        accepts("five tags", tags(5), "1"),
        invalid("six tags", tags(6)),
        invalid("an empty list of tags", allocated(1, {**share(1), "Tags": []})),
        refuses("a key twice", "InvalidTagException", allocated(1, share(1, ("k", "a"), ("k", "b")))),
    ),
)
