"""CloudTrail's event history, the only way to read back what was metered."""

import json
from datetime import timedelta

from stage import LEGACY, NOON, beyond_the_rate, expect, hours
from suite import rule, titled

LATER = "15m"


def looks_up(s, region="us-east-1", **request):
    return s.cloudtrail(region=region).lookup_events(**request)["Events"]


def unthrottled(s, **more):
    s.settings(lookup_events_per_s=0, **more)


def by(key, value):
    return [{"AttributeKey": key, "AttributeValue": value}]


def whole_event(event):
    return json.loads(event["CloudTrailEvent"])


def metered(s):
    """Meters one record at noon. Returns the buyer, the answer and CloudTrail's event."""
    unthrottled(s)
    buyer = s.buys()
    answer = s.meter(s.record(buyer, Quantity=3))
    s.advance(LATER)
    [event] = looks_up(s, LookupAttributes=by("EventName", "BatchMeterUsage"))
    return buyer, answer, event


def an_event_names_its_source_and_its_call(s):
    _, answer, event = metered(s)
    assert event["EventSource"] == "metering-marketplace.amazonaws.com", event
    assert event["EventName"] == "BatchMeterUsage" and event["EventTime"] == NOON, event
    whole = whole_event(event)
    assert whole["eventTime"] == "2026-11-21T12:00:00Z" and whole["awsRegion"] == "us-east-1", whole
    assert whole["requestID"] == answer["ResponseMetadata"]["RequestId"], whole
    assert whole["eventID"] == event["EventId"] and whole["eventName"] == "BatchMeterUsage", whole


def parameters_and_response_are_in_lower_camel_case(s):
    buyer, answer, event = metered(s)
    whole = whole_event(event)
    [record] = whole["requestParameters"]["usageRecords"]
    assert record["licenseArn"] == buyer["license_arn"] and record["dimension"] == "requests", record
    assert record["quantity"] == 3 and buyer["account_id"] in record.values(), record
    [result] = whole["responseElements"]["results"]
    assert result["usageRecord"] == record and result["status"] == "Success", result
    assert result["meteringRecordId"] == answer["Results"][0]["MeteringRecordId"], result
    assert whole["responseElements"]["unprocessedRecords"] == [], whole


def product_codes_and_unprocessed_records_are_in_the_event(s):
    unthrottled(s)
    buyer = s.buys(LEGACY)
    s.fault("unprocessed")
    s.meter(s.legacy(buyer), product=LEGACY)
    s.advance(LATER)
    whole = whole_event(looks_up(s)[0])
    assert whole["requestParameters"]["productCode"] == LEGACY, whole
    assert len(whole["responseElements"]["unprocessedRecords"]) == 1, whole


def a_failure_has_a_code_and_no_response(s):
    unthrottled(s)
    s.refuses("InvalidUsageDimensionException", s.record(s.buys(), Dimension="users"))
    s.advance(LATER)
    whole = whole_event(looks_up(s)[0])
    assert whole["errorCode"] == "InvalidUsageDimensionException" and whole["errorMessage"], whole
    assert whole["responseElements"] is None and whole["requestParameters"]["usageRecords"], whole


def a_lost_answer_has_an_event_and_a_lost_request_has_none(s):
    unthrottled(s)
    buyer = s.buys()
    for kind in ("drop-before", "drop-after"):
        s.fault(kind)
        try:
            s.meter(s.record(buyer))
        except Exception as error:
            assert "Connection" in type(error).__name__, error
    s.advance(LATER)
    [event] = looks_up(s)
    assert whole_event(event)["responseElements"]["results"][0]["status"] == "Success"


def other_operations_are_not_in_the_sellers_history(s):
    unthrottled(s)
    s.metering().resolve_customer(RegistrationToken=s.buys()["registration_token"])
    s.advance(LATER)
    assert looks_up(s) == []


def events_come_a_quarter_of_an_hour_late(s):
    unthrottled(s)
    s.meter(s.record(s.buys()))
    s.advance("14m59s")
    assert looks_up(s) == []
    s.advance("1s")
    assert len(looks_up(s)) == 1


def many(s, count):
    """Makes `count` calls, one in each second. Returns their request ids in order."""
    unthrottled(s)
    record = s.record(s.buys())
    ids = []
    for _ in range(count):
        ids.append(s.meter(record)["ResponseMetadata"]["RequestId"])
        s.advance("1s")
    s.advance(LATER)
    return ids


def there_are_50_on_a_page_newest_first(s):
    ids = many(s, 120)
    pages = [page["Events"] for page in s.cloudtrail().get_paginator("lookup_events").paginate()]
    assert [len(page) for page in pages] == [50, 50, 20]
    assert [whole_event(event)["requestID"] for event in sum(pages, [])] == list(reversed(ids))


def new_events_do_not_shift_the_pages(s):
    ids = many(s, 60)
    first = s.cloudtrail().lookup_events(MaxResults=50)
    s.meter(s.record(s.buys()))
    s.advance(LATER)
    second = s.cloudtrail().lookup_events(MaxResults=50, NextToken=first["NextToken"])
    got = [whole_event(event)["requestID"] for event in first["Events"] + second["Events"]]
    assert got == list(reversed(ids))


def pages_are_of_1_to_50(s):
    many(s, 3)
    assert len(looks_up(s, MaxResults=1)) == 1
    for size in (0, 51, -1):
        answer = s.raw("LookupEvents", {"MaxResults": size})
        assert answer.error() == "InvalidMaxResultsException", (size, answer)


def a_token_belongs_to_its_question(s):
    many(s, 3)
    client = s.cloudtrail()
    token = client.lookup_events(MaxResults=1)["NextToken"]
    wrong = {"NextToken": token, "LookupAttributes": by("EventName", "BatchMeterUsage")}
    expect("InvalidNextTokenException", client.lookup_events, **wrong)
    expect("InvalidNextTokenException", client.lookup_events, NextToken="made-up")


def one_attribute_narrows_and_two_are_refused(s):
    _, _, event = metered(s)
    for key, value, count in (
        ("EventSource", "metering-marketplace.amazonaws.com", 1),
        ("EventId", event["EventId"], 1),
        ("ReadOnly", "false", 1),
        ("ReadOnly", "true", 0),
        ("AccessKeyId", "AKIDEXAMPLE", 1),
        ("EventName", "ResolveCustomer", 0),
        ("ResourceName", "anything", 0),
    ):
        assert len(looks_up(s, LookupAttributes=by(key, value))) == count, (key, value)
    two = by("EventName", "BatchMeterUsage") + by("ReadOnly", "false")
    expect("InvalidLookupAttributesException", looks_up, s, LookupAttributes=two)


def start_and_end_narrow(s):
    many(s, 10)
    window = {"StartTime": NOON + timedelta(seconds=3), "EndTime": NOON + timedelta(seconds=5)}
    assert len(looks_up(s, **window)) == 3
    swapped = {"StartTime": window["EndTime"], "EndTime": window["StartTime"]}
    expect("InvalidTimeRangeException", looks_up, s, **swapped)


def an_event_is_only_in_the_called_region(s):
    unthrottled(s)
    s.meter(s.record(s.buys()), region="eu-west-1")
    s.advance(LATER)
    assert looks_up(s) == [] and len(looks_up(s, region="eu-west-1")) == 1


def the_history_reaches_back_ninety_days(s):
    unthrottled(s)
    s.meter(s.record(s.buys()))
    s.clock(NOON + timedelta(days=90))
    assert len(looks_up(s)) == 1
    s.advance("1s")
    assert looks_up(s) == []


def a_third_lookup_in_a_second_is_throttled(s):
    beyond_the_rate(s, 2, lambda: looks_up(s))
    looks_up(s, region="eu-west-1")
    s.advance("1s")
    looks_up(s)


def only_the_event_category_insight_is_accepted(s):
    unthrottled(s)
    assert looks_up(s, EventCategory="insight") == []
    answer = s.raw("LookupEvents", {"EventCategory": "management"})
    assert answer.error() == "InvalidEventCategoryException", answer


def cut_off(field):
    """A case: 25 records with long allocations exceed the limit of a field."""

    def case(s):
        unthrottled(s)
        buyer = s.buys()
        shares = [{"AllocatedUsageQuantity": 1, "Tags": [{"Key": "k" * 100, "Value": f"{n:0256}"}]} for n in range(20)]
        usage = {"Quantity": 20, "UsageAllocations": shares}
        places = [{"Timestamp": hours(-1 - n % 23), "Dimension": ("requests", "gb")[n // 23]} for n in range(25)]
        records = [s.record(buyer, **place, **usage) for place in places]
        assert s.statuses(*records) == ["Success"] * 25
        s.advance(LATER)
        whole = whole_event(looks_up(s)[0])
        kept = whole[field]["usageRecords" if field == "requestParameters" else "results"]
        assert 0 < len(kept) < 25 and whole[field]["omitted"] is True, (len(kept), whole[field].get("omitted"))
        assert len(json.dumps(whole[field])) < 130_000

    return titled(f"a large {field} is cut off", case)


def a_small_batch_is_not_cut_off(s):
    _, _, event = metered(s)
    for field in ("requestParameters", "responseElements"):
        assert "omitted" not in whole_event(event)[field]


RULES = (
    rule(
        "M50.1",
        "8 CloudTrail",
        "Events have the source metering-marketplace.amazonaws.com and the name BatchMeterUsage.",
        an_event_names_its_source_and_its_call,
        other_operations_are_not_in_the_sellers_history,
    ),
    rule(
        "M50.2",
        "8 CloudTrail",
        "requestParameters and responseElements contain request and answer, with keys in lower camel case.",
        parameters_and_response_are_in_lower_camel_case,
        product_codes_and_unprocessed_records_are_in_the_event,
    ),
    rule(
        "M55",
        "8 CloudTrail",
        "A failure has an errorCode and null responseElements.",
        a_failure_has_a_code_and_no_response,
    ),
    rule(
        "M50.3",
        "8 CloudTrail",
        "A call whose answer was lost has an event. A request that never arrived has none.",
        a_lost_answer_has_an_event_and_a_lost_request_has_none,
    ),
    rule("M52", "8 CloudTrail", "Events are about 15 minutes behind.", events_come_a_quarter_of_an_hour_late),
    rule(
        "M53.1",
        "8 CloudTrail",
        "A page has up to 50 events, newest first.",
        there_are_50_on_a_page_newest_first,
        new_events_do_not_shift_the_pages,
        pages_are_of_1_to_50,
        a_token_belongs_to_its_question,
    ),
    rule(
        "M53.2",
        "8 CloudTrail",
        "A request has at most one lookup attribute. It may also have a start and an end.",
        one_attribute_narrows_and_two_are_refused,
        start_and_end_narrow,
        only_the_event_category_insight_is_accepted,
    ),
    rule("M50.4", "8 CloudTrail", "Events stand in the Region called.", an_event_is_only_in_the_called_region),
    rule("M51", "8 CloudTrail", "The history reaches back 90 days.", the_history_reaches_back_ninety_days),
    rule("M53.3", "8 CloudTrail", "LookupEvents takes 2 requests a second.", a_third_lookup_in_a_second_is_throttled),
    rule(
        "M54",
        "8 CloudTrail",
        "requestParameters and responseElements are cut off at 100 KB each.",
        cut_off("requestParameters"),
        cut_off("responseElements"),
        a_small_batch_is_not_cut_off,
    ),
)
