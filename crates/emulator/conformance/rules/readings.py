"""The behavior that AWS does not document: each switch with each of its settings."""

import json
import re
from datetime import timedelta
from urllib.error import HTTPError

from stage import LEGACY, NOON, expect, hours, text
from suite import rule, titled

from .lifecycle import CREATED, ENDED, UPDATED, messages, skip_purchase_messages, types


def under(name, value, case):
    """The case with one reading in force, under a title of its own."""

    def under_it(s):
        s.reading(**{name: value})
        case(s)

    return titled(f"{name} {value}: {case.__name__.replace('_', ' ')}", under_it)


def repeated(s):
    """Sends an identical record twice. Returns both results."""
    record = s.record(s.buys())
    return [s.meter(record)["Results"][0] for _ in range(2)]


# 1


def an_identical_record_is_a_success(s):
    first, second = repeated(s)
    assert second["Status"] == "Success" and s.billed() == ["1"]


def an_identical_record_is_a_duplicate(s):
    first, second = repeated(s)
    assert first["Status"] == "Success" and second["Status"] == "DuplicateRecord" and s.billed() == ["1"]


def its_id_is_the_first_records_id(s):
    first, second = repeated(s)
    assert first["MeteringRecordId"] == second["MeteringRecordId"]


def its_id_is_a_new_one(s):
    first, second = repeated(s)
    assert first["MeteringRecordId"] != second["MeteringRecordId"]
    assert [slot["metering_record_id"] for slot in s.slots()] == [first["MeteringRecordId"]]


# 2


def by_account(s):
    """A license record and a legacy record with the empty identifier that the Rust SDK sends."""
    legacy = s.buys(LEGACY)
    named = s.legacy(legacy, CustomerIdentifier="", CustomerAWSAccountId=legacy["account_id"])
    return s.record(s.buys(), CustomerIdentifier=""), named


def an_empty_identifier_counts_as_absent(s):
    licensed, legacy = by_account(s)
    assert s.statuses(licensed) + s.statuses(legacy, product=LEGACY) == ["Success", "Success"]


def an_empty_identifier_is_refused(s):
    licensed, legacy = by_account(s)
    s.refuses("InvalidCustomerIdentifierException", licensed)
    s.refuses("InvalidCustomerIdentifierException", legacy, product=LEGACY)


# 3


def slots_after_a_bad_record(s):
    buyer = s.buys()
    good = [s.record(buyer, Timestamp=hours(-1 - n)) for n in range(3)]
    after = s.record(buyer, Dimension="gb")
    expect("InvalidUsageDimensionException", s.meter, *good, s.record(buyer, Dimension="users"), after)
    return len(s.slots())


def nothing_is_recorded_before_an_exception(s):
    assert slots_after_a_bad_record(s) == 0


def the_records_before_the_bad_one_are_recorded(s):
    assert slots_after_a_bad_record(s) == 3


# 4


def zero_then_usage(s):
    buyer = s.buys()
    assert s.statuses(s.record(buyer, Quantity=0)) == ["Success"]
    return s.statuses(s.record(buyer, Quantity=5)), s.billed()


def a_zero_spends_its_slot(s):
    assert zero_then_usage(s) == (["DuplicateRecord"], ["0"])


def a_zero_leaves_its_slot_free(s):
    assert zero_then_usage(s) == (["Success"], ["5"])


# 5


def outside(s):
    """A record before the activation, and a record after the end."""
    young, gone = s.buys(start=text(hours(-2))), s.buys()
    s.cancels(gone)
    s.advance("40m")
    return s.record(young, Timestamp=hours(-3)), s.record(gone, Timestamp=NOON.replace(minute=30))


def stamps_outside_are_refused(s):
    for record in outside(s):
        s.refuses("InvalidLicenseException", record)


def stamps_outside_are_accepted(s):
    assert s.statuses(*outside(s)) == ["Success", "Success"]


# 6


def in_two_regions(s):
    buyer = s.buys()
    records = {"us-east-1": s.record(buyer), "eu-west-1": s.record(buyer, Quantity=2)}
    return [s.statuses(record, region=region)[0] for region, record in records.items()]


def each_region_has_its_own_slots(s):
    assert in_two_regions(s) == ["Success", "Success"] and s.billed() == ["1", "2"]


def slots_are_global(s):
    assert in_two_regions(s) == ["Success", "DuplicateRecord"] and s.billed() == ["1"]


# 7


def nobody(s):
    return s.legacy(s.buys(LEGACY), CustomerIdentifier="nobody")


def an_invalid_customer_is_a_status(s):
    assert s.statuses(nobody(s), product=LEGACY) == ["CustomerNotSubscribed"]


def an_invalid_customer_is_an_exception(s):
    s.refuses("InvalidCustomerIdentifierException", nobody(s), product=LEGACY)


# 8


def statuses_at_the_end(s, gone_after_s):
    """The statuses a second before and at the end of the hour that starts `gone_after_s` after noon."""
    s.settings(license_deprovisioned_delay_s=1_800)
    buyer = s.buys()
    s.cancels(buyer)
    end = NOON + timedelta(seconds=gone_after_s + 3_600)
    s.clock(end - timedelta(seconds=1))
    before = s.statuses(s.record(buyer))
    s.clock(end)
    return before + s.statuses(s.record(buyer, Dimension="gb"))


def the_final_hour_counts_from_deprovisioned(s):
    assert statuses_at_the_end(s, 1_800) == ["Success", "CustomerNotSubscribed"]


def the_final_hour_counts_from_ended(s):
    assert statuses_at_the_end(s, 0) == ["Success", "CustomerNotSubscribed"]


# 9


def renewed(s):
    buyer = s.buys()
    return buyer, s.does(buyer, "renew")


def the_license_survives(s):
    buyer, after = renewed(s)
    assert after["license_arn"] == buyer["license_arn"] and after["agreement_id"] != buyer["agreement_id"]
    s.advance("5h")
    assert s.statuses(s.record(buyer)) == ["Success"]


def the_license_is_replaced(s):
    buyer, after = renewed(s)
    assert after["license_arn"] != buyer["license_arn"]
    s.advance("5h")
    assert s.statuses(s.record(buyer)) == ["CustomerNotSubscribed"]
    assert s.statuses(s.record(after, Timestamp=NOON)) == ["Success"]


# 10


def printed(s):
    """The usage records of 16:05:09 and of 00:05:09 as CloudTrail prints them."""
    s.settings(cloudtrail_delay_s=0)
    buyer = s.buys()
    stamps = [NOON.replace(day=20, hour=16, minute=5, second=9), NOON.replace(hour=0, minute=5, second=9)]
    s.meter(*(s.record(buyer, Timestamp=stamp) for stamp in stamps))
    [event] = s.cloudtrail().lookup_events()["Events"]
    return json.loads(event["CloudTrailEvent"])["requestParameters"]["usageRecords"]


def timestamps_are_printed_like_in_the_example(s):
    records = printed(s)
    assert [r["timestamp"] for r in records] == ["Nov 20, 2026 4:05:09 PM", "Nov 21, 2026 12:05:09 AM"], records
    assert "customerAWSAccountID" in records[0], records


def timestamps_are_iso_8601(s):
    records = printed(s)
    assert [r["timestamp"] for r in records] == ["2026-11-20T16:05:09Z", "2026-11-21T00:05:09Z"], records
    assert "customerAWSAccountId" in records[0], records


# 11


def six_keys_over_two_allocations(s):
    shares = [{"AllocatedUsageQuantity": 1, "Tags": [{"Key": f"{a}{n}", "Value": "v"} for n in range(3)]} for a in "ab"]
    return s.record(s.buys(), Quantity=2, UsageAllocations=shares)


def five_tags_for_each_allocation(s):
    assert s.statuses(six_keys_over_two_allocations(s)) == ["Success"]


def five_tags_for_the_whole_record(s):
    s.refuses("InvalidTagException", six_keys_over_two_allocations(s))
    shares = [{"AllocatedUsageQuantity": 1, "Tags": [{"Key": "k", "Value": v}]} for v in "abcdefg"]
    assert s.statuses(s.record(s.buys(), Quantity=7, UsageAllocations=shares)) == ["Success"]


# 12


def two_stamps_of_an_hour(s):
    buyer = s.buys()
    return s.statuses(s.record(buyer), s.record(buyer, Timestamp=hours(-1) + timedelta(seconds=1), Quantity=2))


def a_slot_is_an_hour(s):
    assert two_stamps_of_an_hour(s) == ["Success", "DuplicateRecord"]


def a_slot_is_an_exact_timestamp(s):
    assert two_stamps_of_an_hour(s) == ["Success", "Success"] and s.billed() == ["1", "2"]


# 13


def messages_of_a_renewal(s, count):
    """The types of a renewal's messages, sorted. An amendment shows that no more messages of the renewal come."""
    buyer = s.buys()
    skip_purchase_messages(s, buyer)
    after = s.does(buyer, "renew")
    got = messages(s, count)
    s.does(after, "amend")
    amended = messages(s, count + 2)[count:]
    assert all(event["detail"]["agreement"]["id"] == after["agreement_id"] for event in amended), amended
    return sorted(types(got))


def a_renewal_reports_the_end_of_the_old_agreement(s):
    assert messages_of_a_renewal(s, 3) == [UPDATED, CREATED, ENDED]


def a_renewal_reports_no_end(s):
    assert messages_of_a_renewal(s, 2) == [UPDATED, CREATED]


def every_switch_is_listed_and_nothing_else_is_accepted(s):
    switches = s.control("GET", "readings")
    assert switches == {name: values[0] for name, values in SWITCHES.items()}, switches
    for change in ({"colour": "red"}, {"slot_scope": "galaxy"}):
        try:
            s.reading(**change)
            raise AssertionError(f"{change} was accepted")
        except HTTPError as error:
            assert error.code == 400 and re.search("colour|galaxy", error.read().decode()), error
    assert s.control("GET", "readings") == switches


SWITCHES = {
    "identical_resubmission": ("success", "duplicate-record"),
    "identical_record_id": ("same", "new"),
    "empty_customer_identifier": ("tolerated", "refused"),
    "before_exception": ("nothing-recorded", "earlier-recorded"),
    "zero_quantity": ("spends-slot", "leaves-slot-free"),
    "stamp_outside_agreement": ("refused", "accepted"),
    "slot_scope": ("region", "global"),
    "invalid_customer": ("customer-not-subscribed", "exception"),
    "final_hour_from": ("deprovisioned", "ended"),
    "license_on_renewal": ("survives", "replaced"),
    "ended_on_renewal": ("sent", "not-sent"),
    "cloudtrail_timestamps": ("printed", "iso8601"),
    "five_tags": ("per-allocation", "per-record"),
    "slot_granularity": ("hour", "exact-timestamp"),
}


def reading(id, text, name, *cases):
    """Makes a rule with one case for each setting of the switch, in the switch's order."""
    settings = zip(SWITCHES[name], cases, strict=True)
    return rule(id, "10 Readings", text, *(under(name, value, case) for value, case in settings))


RULES = (
    rule(
        "10.00",
        "10 Readings",
        "Every undocumented behavior has a switch. Its default is the more likely reading.",
        every_switch_is_listed_and_nothing_else_is_accepted,
    ),
    reading(
        "M24.2",
        "An identical resubmission is a Success or a DuplicateRecord.",
        "identical_resubmission",
        an_identical_record_is_a_success,
        an_identical_record_is_a_duplicate,
    ),
    reading(
        "M24.3",
        "An identical resubmission repeats the MeteringRecordId or gets a new one.",
        "identical_record_id",
        its_id_is_the_first_records_id,
        its_id_is_a_new_one,
    ),
    reading(
        "M11.2",
        "An empty CustomerIdentifier together with an account is tolerated or refused.",
        "empty_customer_identifier",
        an_empty_identifier_counts_as_absent,
        an_empty_identifier_is_refused,
    ),
    reading(
        "M20.2",
        "If one record makes the request fail, the records before it are not recorded, or they are.",
        "before_exception",
        nothing_is_recorded_before_an_exception,
        the_records_before_the_bad_one_are_recorded,
    ),
    reading(
        "M27",
        "A zero spends its slot or leaves it free.",
        "zero_quantity",
        a_zero_spends_its_slot,
        a_zero_leaves_its_slot_free,
    ),
    reading(
        "M7.2",
        "Stamps before the activation or after the end are refused or accepted.",
        "stamp_outside_agreement",
        stamps_outside_are_refused,
        stamps_outside_are_accepted,
    ),
    reading(
        "M25",
        "A slot belongs to one Region or to all Regions.",
        "slot_scope",
        each_region_has_its_own_slots,
        slots_are_global,
    ),
    reading(
        "M22",
        "An unknown customer is answered with a status of its record or with an exception.",
        "invalid_customer",
        an_invalid_customer_is_a_status,
        an_invalid_customer_is_an_exception,
    ),
    reading(
        "M45.2",
        "The final hour counts from License Deprovisioned or from Purchase Agreement Ended.",
        "final_hour_from",
        the_final_hour_counts_from_deprovisioned,
        the_final_hour_counts_from_ended,
    ),
    reading(
        "M44",
        "A license survives its agreement's renewal or is replaced.",
        "license_on_renewal",
        the_license_survives,
        the_license_is_replaced,
    ),
    reading(
        "M43.3",
        "A renewal sends Purchase Agreement Ended for the old agreement, or it does not.",
        "ended_on_renewal",
        a_renewal_reports_the_end_of_the_old_agreement,
        a_renewal_reports_no_end,
    ),
    reading(
        "M56",
        "CloudTrail prints timestamps as in AWS's example, 12 hours and no zone, or in ISO 8601.",
        "cloudtrail_timestamps",
        timestamps_are_printed_like_in_the_example,
        timestamps_are_iso_8601,
    ),
    reading(
        "M14.2",
        "Five tags are the limit of an allocation or of a whole record.",
        "five_tags",
        five_tags_for_each_allocation,
        five_tags_for_the_whole_record,
    ),
    reading(
        "M23.4",
        "A slot is an hour or an exact timestamp.",
        "slot_granularity",
        a_slot_is_an_hour,
        a_slot_is_an_exact_timestamp,
    ),
)
