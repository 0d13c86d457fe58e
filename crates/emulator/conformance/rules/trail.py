"""CloudTrail's trail: the events of the history in gzipped files of a bucket."""

import gzip
import json

from stage import expect
from suite import rule

BUCKET = "example-trail"
FOLDER = "AWSLogs/222222222222/CloudTrail/us-east-1/"
# By then the events have appeared and the file of their five minutes is complete.
LATER = "20m"


def keys(s, prefix=FOLDER, **more):
    pages = s.s3().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix, **more)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def metered_events(s, key):
    body = s.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    records = json.loads(gzip.decompress(body))["Records"]
    return [event for event in records if event["eventName"] == "BatchMeterUsage"]


def a_file_has_the_calls_of_five_minutes(s):
    answer = s.meter(s.record(s.buys()))
    assert keys(s, FOLDER + "2026/11/21/") == []
    s.advance(LATER)
    [key] = keys(s, FOLDER + "2026/11/21/")
    assert "222222222222_CloudTrail_us-east-1_20261121T1220Z_" in key and key.endswith(".json.gz"), key
    [event] = metered_events(s, key)
    assert event["requestID"] == answer["ResponseMetadata"]["RequestId"], event
    assert event["responseElements"]["results"][0]["status"] == "Success", event


def a_list_comes_in_pages(s):
    for _ in range(6):
        s.meter(s.record(s.buys()))
        s.advance("10m")
    s.advance(LATER)
    whole = keys(s)
    assert len(whole) == 7 and whole == sorted(whole), whole
    assert keys(s, PaginationConfig={"PageSize": 2}) == whole
    assert keys(s, StartAfter=whole[3]) == whole[4:]
    assert s.s3().list_objects_v2(Bucket=BUCKET, Prefix=FOLDER, MaxKeys=3)["IsTruncated"]


def a_missing_key_is_refused(s):
    client = s.s3()
    expect("NoSuchKey", client.get_object, Bucket=BUCKET, Key="nothing")
    expect("NoSuchBucket", client.list_objects_v2, Bucket="another-bucket")
    s.fault("access-denied", operation="GetObject")
    expect("AccessDenied", client.get_object, Bucket=BUCKET, Key="nothing")


RULES = (
    rule(
        "8.12",
        "8 CloudTrail",
        "A trail writes the same events into gzipped files in S3.",
        a_file_has_the_calls_of_five_minutes,
    ),
    rule("8.13", "8 CloudTrail", "A bucket is listed in pages, in the order of its keys.", a_list_comes_in_pages),
    rule("8.14", "8 CloudTrail", "A missing key or bucket is refused with S3's codes.", a_missing_key_is_refused),
)
