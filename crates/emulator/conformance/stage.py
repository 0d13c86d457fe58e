"""The stage of the cases: a fresh world for each case, and functions with short names to act in it."""

import time
from datetime import datetime, timedelta, timezone

from botocore.exceptions import ClientError

from clients import ONE_ATTEMPT, Clients
from program import PATIENCE_S, START

NOON = datetime.fromisoformat(START)
LICENSED = "licensedproduct1"
LEGACY = "legacyproduct1"
DIMENSIONS = ["requests", "gb", "Requests"]
# Long before the metering window, so that the whole window is within the agreement.
LONG_AGO = "2026-10-01T00:00:00Z"


def hours(count):
    """The time that many hours after the start of the case."""
    return NOON + timedelta(hours=count)


def epoch(moment):
    return int(moment.timestamp())


def text(moment):
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def changed(record, changes):
    """The record with changed members. A member that is changed to None is left out."""
    return {name: value for name, value in {**record, **changes}.items() if value is not None}


def expect(code, call, *arguments, **parameters):
    """Checks that the call is refused with this code. Returns the parsed error."""
    try:
        answer = call(*arguments, **parameters)
    except ClientError as error:
        got = error.response["Error"]["Code"]
        assert got == code, f"{got} instead of {code}: {error}"
        return error.response
    raise AssertionError(f"{code} was expected, but the answer is {answer}")


def eventually(what, ask):
    """Asks until the answer is true. Fails if that takes longer than PATIENCE_S."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"{what} did not arrive in time")


def beyond_the_rate(s, limit, call):
    """Checks that one call more than the limit is throttled. Tries again if the calls took more than a second."""
    for last in (False, False, False, True):
        s.advance("1s")
        started = time.monotonic()
        for _ in range(limit):
            call()
        try:
            expect("ThrottlingException", call)
            return
        except AssertionError:
            if last or time.monotonic() - started < 1:
                raise


class Stage:
    """One emulator, emptied before each case."""

    def __init__(self, program):
        self.program = program
        self.clients = Clients(program.url)

    def begin(self):
        """Empties the world, sets the clock to noon, and lists a product of each identity."""
        self.control("POST", "reset")
        self.product(LICENSED)
        self.product(LEGACY, identity="customer")

    # The world.

    def control(self, method, path, body=None):
        return self.program.control(method, path, body)

    def product(self, code, dimensions=DIMENSIONS, identity="license", **more):
        self.control("POST", "products", {"code": code, "dimensions": list(dimensions), "identity": identity, **more})

    def buys(self, product=LICENSED, start=LONG_AGO, **more):
        """Makes a purchase. By default it is older than the whole metering window."""
        return self.control("POST", "agreements", {"product_code": product, "start": start, **more})

    def buys_now(self, product=LICENSED, **more):
        return self.control("POST", "agreements", {"product_code": product, **more})

    def cancels(self, buyer):
        self.control("DELETE", f"agreements/{buyer['agreement_id']}")

    def does(self, buyer, what, body=None):
        """Changes an agreement: renew, amend, suspend, resume, registration-token."""
        return self.control("POST", f"agreements/{buyer['agreement_id']}/{what}", body or {})

    def clock(self, moment):
        self.control("PUT", "clock", {"now": moment if isinstance(moment, str) else text(moment)})

    def advance(self, by):
        self.control("PUT", "clock", {"advance": by})

    def reading(self, **switches):
        self.control("PUT", "readings", switches)

    def settings(self, **changes):
        self.control("PUT", "settings", {**self.control("GET", "settings"), **changes})

    def fault(self, kind, operation="BatchMeterUsage", **more):
        """Sets a fault for the operation's next call."""
        fault = {"operation": operation, "kind": kind, "next": 1, **more}
        self.control("PUT", "faults", {"seed": 7, "faults": [fault]})

    def slots(self):
        return self.control("GET", "metered")

    def billed(self):
        """The printed quantities of all slots, sorted."""
        return sorted(slot["quantity"] for slot in self.slots())

    # The clients.

    def metering(self, **how):
        return self.clients.boto3("meteringmarketplace", **how)

    def entitlement(self):
        return self.clients.boto3("marketplace-entitlement")

    def cloudtrail(self, **how):
        return self.clients.boto3("cloudtrail", **how)

    def s3(self, **how):
        return self.clients.boto3("s3", **how)

    def agreement(self):
        return self.clients.boto3("marketplace-agreement")

    # Usage.

    def record(self, buyer, **changes):
        """An hour's usage of a license: one request, at 11:00."""
        return changed(
            {
                "Timestamp": hours(-1),
                "Dimension": "requests",
                "LicenseArn": buyer["license_arn"],
                "CustomerAWSAccountId": buyer["account_id"],
                "Quantity": 1,
            },
            changes,
        )

    def legacy(self, buyer, **changes):
        """The same usage by a legacy customer identifier."""
        return changed(
            {
                "Timestamp": hours(-1),
                "Dimension": "requests",
                "CustomerIdentifier": buyer["customer_identifier"],
                "Quantity": 1,
            },
            changes,
        )

    def meter(self, *records, product=None, region="us-east-1", retries=ONE_ATTEMPT):
        """Calls BatchMeterUsage with boto3. Returns the whole answer."""
        code = {} if product is None else {"ProductCode": product}
        return self.metering(region=region, retries=retries).batch_meter_usage(UsageRecords=list(records), **code)

    def statuses(self, *records, **how):
        """Calls BatchMeterUsage with boto3. Returns the statuses in the order of the results."""
        return [result["Status"] for result in self.meter(*records, **how)["Results"]]

    def refuses(self, code, *records, **how):
        """Checks that the whole request is refused and that none of its records is metered."""
        before = self.billed()
        response = expect(code, self.meter, *records, **how)
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 400, response
        assert self.billed() == before, "a refused request changed the slots"
        return response

    def raw(self, operation, body, **how):
        """Sends a request that botocore signs but does not check."""
        return self.clients.send(operation, body, **how)
