"""A first minute with the emulator, which needs only boto3.

    cargo run -p emulator -- --listen 127.0.0.1:8081
    python first_minute.py http://127.0.0.1:8081

Shows the answers that cost sellers money: usage that is billed, usage that is refused, and usage whose
answer was lost. Moves the emulator's clock, and sets it back at the end.
"""

import json
import sys
import urllib.request
from datetime import datetime, timedelta, timezone

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8081"
NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


def emulator(method, path, body=None):
    """Calls the emulator's control interface, which does what only AWS and buyers can do in reality."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{URL}/_emulator/{path}", data, method=method)) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def says(what, got, wanted):
    """Prints a result. Ends the script if another result was wanted."""
    print(f"{what}: {got}")
    if got != wanted:
        sys.exit(f"expected {wanted}")


def client(**retries):
    return boto3.client(
        "meteringmarketplace",
        endpoint_url=URL,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries=retries),
    )


def status(metering, *records, **request):
    """The status of the first record, or the error of the whole request."""
    try:
        answer = metering.batch_meter_usage(UsageRecords=list(records), **request)
        return answer["Results"][0]["Status"]
    except ClientError as error:
        return error.response["Error"]["Code"]


def usage(buyer, stamp, quantity):
    return {
        "Timestamp": stamp,
        "Dimension": "requests",
        "LicenseArn": buyer["LicenseArn"],
        "CustomerAWSAccountId": buyer["CustomerAWSAccountId"],
        "Quantity": quantity,
    }


def subscribe(metering, product):
    """Subscribes a buyer to a new product. Returns the buyer that the token names, and the agreement's id."""
    emulator("POST", "products", {"code": product, "dimensions": ["requests"], "identity": "license"})
    agreement = emulator("POST", "agreements", {"product_code": product, "start": "2026-01-01T00:00:00Z"})
    buyer = metering.resolve_customer(RegistrationToken=agreement["registration_token"])
    return buyer, agreement["agreement_id"]


def billed(buyer):
    """The billed quantity of each of the buyer's hours."""
    return {s["hour"]: s["quantity"] for s in emulator("GET", "metered") if s["license_arn"] == buyer["LicenseArn"]}


def show():
    emulator("PUT", "clock", {"now": NOON.isoformat(), "speed": 0})
    metering = client(total_max_attempts=1)
    buyer, agreement_id = subscribe(metering, "firstminute1")
    other, _ = subscribe(metering, "firstminute2")
    eleven = NOON - timedelta(hours=1)

    says("usage of an hour", status(metering, usage(buyer, eleven, 3)), "Success")
    says("the same again", status(metering, usage(buyer, eleven, 3)), "Success")
    says("another quantity for that hour", status(metering, usage(buyer, eleven, 4)), "DuplicateRecord")
    says("billed so far", billed(buyer), {"2026-11-21T11:00:00Z": "3"})

    day = NOON - timedelta(hours=24)
    says("usage 24 hours old", status(metering, usage(buyer, day, 1)), "Success")
    too_old = usage(buyer, day - timedelta(seconds=1), 1)
    says("a second older", status(metering, too_old), "TimestampOutOfBoundsException")
    both = [usage(buyer, NOON, 1), usage(other, NOON, 1)]
    says("two products in one request", status(metering, *both), "InvalidLicenseException")

    # The connection is dropped after the work was done. Then the identical request is sent again:
    # first by this script, and for the second buyer by boto3 itself.
    drop = {"operation": "BatchMeterUsage", "kind": "drop-after", "next": 1}
    emulator("PUT", "faults", {"faults": [drop]})
    try:
        status(metering, usage(buyer, NOON, 50))
        sys.exit("the answer was not lost")
    except HTTPClientError as error:
        print(f"usage whose answer is lost: {type(error).__name__}")
    says("an identical retry", status(metering, usage(buyer, NOON, 50)), "Success")
    emulator("PUT", "faults", {"faults": [drop]})
    says("boto3's own retry", status(client(total_max_attempts=3), usage(other, NOON, 7)), "Success")
    says("billed once", (billed(buyer)["2026-11-21T12:00:00Z"], billed(other)), ("50", {"2026-11-21T12:00:00Z": "7"}))

    # November is closed on the 1st of December at 06:00 UTC.
    november = datetime(2026, 11, 30, 23, tzinfo=timezone.utc)
    emulator("PUT", "clock", {"now": "2026-12-01T05:59:59Z"})
    says("November at 05:59:59", status(metering, usage(buyer, november, 5)), "Success")
    emulator("PUT", "clock", {"now": "2026-12-01T06:00:00Z"})
    late = usage(buyer, november - timedelta(hours=1), 5)
    says("November at 06:00:00", status(metering, late), "TimestampOutOfBoundsException")

    emulator("DELETE", f"agreements/{agreement_id}")
    emulator("PUT", "clock", {"advance": "2h"})
    gone = usage(buyer, datetime(2026, 12, 1, 5, tzinfo=timezone.utc), 1)
    says("two hours after the buyer cancelled", status(metering, gone), "CustomerNotSubscribed")


def main():
    clock = emulator("GET", "clock")
    try:
        show()
    finally:
        emulator("PUT", "clock", clock)


if __name__ == "__main__":
    main()
