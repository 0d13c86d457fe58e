"""The answers of BatchMeterUsage, and the cases in which they are incomplete."""

from concurrent.futures import ThreadPoolExecutor

from stage import LEGACY, NOON, beyond_the_rate, expect, hours
from suite import rule, titled


def a_result_echoes_its_record_with_an_id_and_a_status(s):
    record = s.record(s.buys(), QuantityAsDecimal="1.50", Quantity=None)
    [result] = s.meter(record)["Results"]
    assert result["UsageRecord"] == record, result
    assert result["MeteringRecordId"] == s.slots()[0]["metering_record_id"], result
    assert result["Status"] == "Success", result


def results_may_come_in_another_order(s):
    buyer = s.buys()
    records = [s.record(buyer, Timestamp=hours(-n - 1), Quantity=n) for n in range(10)]
    s.fault("reorder")
    answer = s.meter(*records)["Results"]
    got = [result["UsageRecord"]["Timestamp"] for result in answer]
    wanted = [record["Timestamp"] for record in records]
    assert got != wanted and sorted(got) == sorted(wanted), got
    assert all(result["UsageRecord"] in records for result in answer)


def a_record_may_be_in_neither_list(s):
    buyer = s.buys()
    s.fault("missing-record")
    answer = s.meter(s.record(buyer), s.record(buyer, Dimension="gb"))
    assert (len(answer["Results"]), answer["UnprocessedRecords"]) == (1, [])
    assert s.billed() == ["1", "1"], "the missing record was metered, too"


def a_status_may_be_missing_or_unknown(s):
    buyer = s.buys()
    s.fault("missing-status")
    [result] = s.meter(s.record(buyer))["Results"]
    assert "Status" not in result, result
    s.fault("unknown-status")
    [status] = s.statuses(s.record(buyer, Dimension="gb"))
    known = s.clients.session.get_service_model("meteringmarketplace").shape_for("UsageRecordResultStatus").enum
    assert status not in known, status


def unprocessed_records_are_not_billed_until_they_are_sent_again(s):
    buyer = s.buys()
    records = [s.record(buyer, Timestamp=hours(-n - 1)) for n in range(5)]
    s.fault("unprocessed", records=2)
    answer = s.meter(*records)
    left = answer["UnprocessedRecords"]
    assert (len(answer["Results"]), len(left), len(s.slots())) == (3, 2, 3)
    assert answer["ResponseMetadata"]["RetryAttempts"] == 0, "the SDK does not retry them"
    assert s.statuses(*left) == ["Success", "Success"] and len(s.slots()) == 5


def an_unknown_customer_is_not_subscribed(s):
    buyer = s.buys(LEGACY)
    records = [s.legacy(buyer, CustomerIdentifier="nobody"), s.legacy(buyer)]
    assert s.statuses(*records, product=LEGACY) == ["CustomerNotSubscribed", "Success"]


def a_customer_is_not_subscribed_until_the_license_is_updated(s):
    s.settings(license_updated_delay_s=62)
    buyer = s.buys_now()
    assert s.statuses(s.record(buyer, Timestamp=NOON)) == ["CustomerNotSubscribed"]
    s.advance("62s")
    assert s.statuses(s.record(buyer, Timestamp=NOON)) == ["Success"]


def a_suspended_account_is_not_subscribed_until_it_is_resumed(s):
    buyer = s.buys()
    s.does(buyer, "suspend")
    assert s.statuses(s.record(buyer)) == ["CustomerNotSubscribed"]
    s.does(buyer, "resume")
    assert s.statuses(s.record(buyer)) == ["Success"]


def an_ended_agreement_is_not_subscribed_after_its_final_hour(s):
    buyer = s.buys()
    s.cancels(buyer)
    s.advance("2h")
    assert s.statuses(s.record(buyer)) == ["CustomerNotSubscribed"]
    assert s.billed() == []


def another_quantity_is_a_duplicate_and_the_first_stays(s):
    buyer = s.buys()
    assert s.statuses(s.record(buyer, Quantity=5)) == ["Success"]
    for quantity in (6, 4, 0, None):
        assert s.statuses(s.record(buyer, Quantity=quantity)) == ["DuplicateRecord"]
    assert s.billed() == ["5"]


def one_of_many_records_at_the_same_time_is_billed(s):
    buyer = s.buys()
    # The client must exist before the threads share it.
    s.metering()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda quantity: s.statuses(s.record(buyer, Quantity=quantity)), range(1, 25)))
    assert answers.count(["Success"]) == 1 and answers.count(["DuplicateRecord"]) == 23, answers
    assert len(s.slots()) == 1


def the_first_of_two_records_in_one_request_is_billed(s):
    buyer = s.buys()
    assert s.statuses(s.record(buyer), s.record(buyer, Quantity=2)) == ["Success", "DuplicateRecord"]
    assert s.billed() == ["1"]


# Whole-request exceptions.


def one_bad_record(code, by_license=True, **change):
    """A case with 24 good records and a bad record at the end. None of them is recorded."""

    def case(s):
        buyer = s.buys() if by_license else s.buys(LEGACY)
        one, product = (s.record, None) if by_license else (s.legacy, LEGACY)
        good = [one(buyer, Timestamp=hours(-1 - n % 23), Dimension=("requests", "gb")[n // 23]) for n in range(24)]
        bad = one(buyer, **{"Dimension": "Requests", **change})
        s.refuses(code, *good, bad, product=product)
        assert s.slots() == []
        assert s.statuses(*good, product=product) == ["Success"] * 24, "alone, the good ones are accepted"

    return titled(f"one {code} costs 24 good records", case)


def a_bad_product_code_costs_the_request(s):
    s.refuses("InvalidProductCodeException", s.legacy(s.buys(LEGACY)), product="unknown")
    assert s.slots() == []


# Slots.


def two_slots(title, change):
    """A case with two records that differ in this change. Each has its own slot."""

    def case(s):
        buyer = s.buys()
        assert s.statuses(s.record(buyer), s.record(buyer, Quantity=2, **change)) == ["Success", "Success"]
        assert s.billed() == ["1", "2"]

    return titled(title, case)


def two_licenses_of_one_account_are_two_slots(s):
    one = s.buys()
    other = s.buys(account_id=one["account_id"])
    assert s.statuses(s.record(one), s.record(other, Quantity=2)) == ["Success", "Success"]


def two_stamps_of_one_hour_are_one_slot(s):
    buyer = s.buys()
    late = hours(-1).replace(hour=11, minute=59, second=59)
    assert s.statuses(s.record(buyer), s.record(buyer, Timestamp=late, Quantity=2)) == ["Success", "DuplicateRecord"]


def both_names_of_a_legacy_customer_are_one_slot(s):
    buyer = s.buys(LEGACY)
    named = s.legacy(buyer, CustomerIdentifier=None, CustomerAWSAccountId=buyer["account_id"], Quantity=2)
    assert s.statuses(s.legacy(buyer), named, product=LEGACY) == ["Success", "DuplicateRecord"]


def equal(first, second):
    def case(s):
        buyer = s.buys()
        [one] = s.meter(s.record(buyer, **first))["Results"]
        [two] = s.meter(s.record(buyer, **second))["Results"]
        assert (one["Status"], two["Status"]) == ("Success", "Success")
        assert one["MeteringRecordId"] == two["MeteringRecordId"]
        assert len(s.slots()) == 1

    return titled(f"{first} is {second}", case)


def integer(value):
    return {"Quantity": value}


def decimal(value):
    return {"Quantity": None, "QuantityAsDecimal": value}


def a_lost_batch_repeated_as_it_was_bills_once(s):
    buyer = s.buys()
    records = [s.record(buyer, Timestamp=hours(-n - 1), Quantity=n) for n in range(20)]
    s.fault("drop-after")
    assert s.statuses(*records, retries={"total_max_attempts": 2, "mode": "standard"}) == ["Success"] * 20
    assert len(s.slots()) == 20


def code_and_license_both_bill(s):
    buyer = s.buys(LEGACY)
    assert s.statuses(s.legacy(buyer), product=LEGACY) == ["Success"]
    assert s.statuses(s.record(buyer)) == ["Success"]
    assert s.billed() == ["1", "1"]


def a_stamp_of_now_takes_the_running_hours_slot(s):
    buyer = s.buys()
    s.advance("20m")
    late = s.record(buyer, Timestamp=NOON.replace(minute=20), Quantity=3)
    assert s.statuses(late) == ["Success"]
    s.advance("40m")
    assert s.statuses(s.record(buyer, Timestamp=NOON, Quantity=50)) == ["DuplicateRecord"]
    assert s.billed() == ["3"]


def ten_calls_a_second_and_region(s):
    s.settings(batch_meter_usage_per_s=10)
    record = s.record(s.buys())
    beyond_the_rate(s, 10, lambda: s.meter(record))
    assert s.statuses(record, region="eu-west-1") == ["Success"]
    s.advance("1s")
    assert s.statuses(record) == ["Success"]


def a_region_that_is_not_enabled_is_disabled(s):
    buyer = s.buys()
    s.fault("disabled-api")
    expect("DisabledApiException", s.meter, s.record(buyer), region="ap-south-1")
    assert s.statuses(s.record(buyer)) == ["Success"]


ALLOCATED = {"UsageAllocations": [{"AllocatedUsageQuantity": 9}]}
REPEATED_KEY = {
    "UsageAllocations": [
        {"AllocatedUsageQuantity": 1, "Tags": [{"Key": "k", "Value": "a"}, {"Key": "k", "Value": "b"}]}
    ]
}

RULES = (
    rule(
        "M16.1",
        "2 Response",
        "Each result carries its usage record, a metering record id and a status.",
        a_result_echoes_its_record_with_an_id_and_a_status,
    ),
    rule(
        "M16.2",
        "2 Response",
        "The results may come in any order.",
        results_may_come_in_another_order,
    ),
    rule(
        "M16.3",
        "2 Response",
        "Every member of the answer is optional. A record or its status may be missing, or the status may be unknown.",
        a_record_may_be_in_neither_list,
        a_status_may_be_missing_or_unknown,
    ),
    rule(
        "M18",
        "2 Response",
        "CustomerNotSubscribed: an unknown customer, no active agreement or a suspended account; it can pass.",
        an_unknown_customer_is_not_subscribed,
        a_customer_is_not_subscribed_until_the_license_is_updated,
        a_suspended_account_is_not_subscribed_until_it_is_resumed,
        an_ended_agreement_is_not_subscribed_after_its_final_hour,
    ),
    rule(
        "M19",
        "2 Response",
        "DuplicateRecord: the slot holds another quantity, and the first one stays billed.",
        another_quantity_is_a_duplicate_and_the_first_stays,
        the_first_of_two_records_in_one_request_is_billed,
        one_of_many_records_at_the_same_time_is_billed,
    ),
    rule(
        "M17",
        "2 Response",
        "UnprocessedRecords are a temporary failure. The SDK does not send them again.",
        unprocessed_records_are_not_billed_until_they_are_sent_again,
    ),
    rule(
        "M20",
        "2 Errors",
        "An exception answers the whole request: one bad record costs up to 24 good ones.",
        one_bad_record("TimestampOutOfBoundsException", Timestamp=hours(-25)),
        one_bad_record("InvalidUsageDimensionException", Dimension="unknown"),
        one_bad_record("InvalidUsageAllocationsException", **ALLOCATED),
        one_bad_record("InvalidTagException", **REPEATED_KEY),
        one_bad_record("InvalidLicenseException", LicenseArn="arn:aws:x:::y"),
        one_bad_record("InvalidCustomerIdentifierException", by_license=False, CustomerIdentifier=None),
        a_bad_product_code_costs_the_request,
    ),
    rule(
        "M23.2",
        "2 De-duplication",
        "A slot is product or license, customer, dimension and hour.",
        two_slots("another hour", {"Timestamp": hours(-2)}),
        two_slots("another dimension", {"Dimension": "gb"}),
        two_licenses_of_one_account_are_two_slots,
        two_stamps_of_one_hour_are_one_slot,
        both_names_of_a_legacy_customer_are_one_slot,
    ),
    rule(
        "M24",
        "2 De-duplication",
        "The same quantity again is idempotent, compared by value and never added.",
        equal(integer(17), integer(17)),
        equal(integer(17), decimal("17.0")),
        equal(decimal("0.50"), decimal("0.5")),
        equal(integer(None), decimal("0.000000")),
        a_lost_batch_repeated_as_it_was_bills_once,
    ),
    rule(
        "M26",
        "2 De-duplication",
        "A record by ProductCode and one by LicenseArn for the same customer and hour are both billed.",
        code_and_license_both_bill,
    ),
    rule(
        "M23.3",
        "2 Late usage",
        "Late usage stamped with the present takes the running hour's slot. The hour's own record is then a duplicate.",
        a_stamp_of_now_takes_the_running_hours_slot,
    ),
    rule(
        "M29.1",
        "2 Quotas",
        "BatchMeterUsage takes 10 requests a second for each account and Region.",
        ten_calls_a_second_and_region,
    ),
    rule(
        "M30",
        "2 Quotas",
        "A Region that is not enabled answers DisabledApiException.",
        a_region_that_is_not_enabled_is_disabled,
    ),
)
