"""The AWS CLI and boto3 against `metering local`, from registration token to bill.

    python local_stack.py path/to/metering

Needs the packages of requirements.txt. The exit code is 0 if every step has the expected result.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from decimal import Decimal

import boto3
from botocore.exceptions import ClientError

HOUR = "2026-11-10T09"
ROWS = 600
REPEATS = 50
# The longest wait for a result of the stack in real seconds. The stack needs a few.
PATIENCE_S = 120

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    # The AWS profiles of the user are not read.
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


class Stack:
    """A running `metering local` on free ports, with more arguments."""

    def __init__(self, binary, *arguments):
        self.binary = binary
        ports = ["--http", "127.0.0.1:0", "--aws", "127.0.0.1:0", "--dynamodb", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [binary, "local", *ports, *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.aws = self.address("AWS Marketplace")
        self.dynamodb = self.address("DynamoDB")

    def address(self, name):
        for line in self.process.stdout:
            if line.strip().startswith(name):
                return "http://" + line.split("http://")[1].split()[0].rstrip("/")
        raise AssertionError(f"the stack printed no address of {name}")

    def control(self, method, path, body=None):
        request = urllib.request.Request(
            f"{self.aws}/_emulator/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def advance(self, hours):
        """Moves the clock in steps of ten minutes, and waits a little after each for due work."""
        for _ in range(hours * 6):
            self.control("PUT", "clock", {"advance": "10m"})
            time.sleep(0.3)

    def billed(self, dimension):
        """The quantities in AWS Marketplace's own slots, by hour."""
        slots = self.control("GET", "metered")
        return {
            slot["hour"][:13]: Decimal(slot["quantity"])
            for slot in slots
            if slot["dimension"] == dimension
        }

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


def eventually(what, ask):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.2)
    raise AssertionError(f"{what} did not appear; the last answer was {ask()!r}")


def aws_cli(stack, *arguments):
    """Runs the AWS CLI as a user does, and returns its output."""
    environment = dict(os.environ, **CREDENTIALS)
    environment["AWS_ENDPOINT_URL_MARKETPLACE_METERING"] = stack.aws
    environment["AWS_PAGER"] = ""
    ran = subprocess.run(
        [sys.executable, "-m", "awscli", "meteringmarketplace", *arguments, "--output", "json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def row(license_arn, number, quantity, time_of_day):
    return {
        "subscription_hour": f"{license_arn}@{HOUR}",
        "dimension_event": f"gb#event-{number}",
        "quantity": quantity,
        "time": f"{HOUR}:{time_of_day}Z",
    }


def put(table, item):
    """Writes a row. Returns True if it was stored, and False if it existed already."""
    try:
        table.put_item(Item=item, ConditionExpression="attribute_not_exists(subscription_hour)")
        return True
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ConditionalCheckFailedException", error
        return False


def show(stack):
    stack.control("PUT", "clock", {"now": f"{HOUR}:05:00Z", "speed": 0})
    stack.control("POST", "products", {"code": "clients", "dimensions": ["gb", "requests", "users"], "identity": "license"})
    agreement = stack.control("POST", "agreements", {"product_code": "clients"})
    license_arn = agreement["license_arn"]

    resolved = aws_cli(stack, "resolve-customer", "--registration-token", agreement["registration_token"])
    assert resolved["LicenseArn"] == license_arn, resolved
    assert resolved["ProductCode"] == "clients", resolved

    # The stack does not meter these dimensions: the AWS CLI meters one, and boto3 one with decimals.
    record = {
        "LicenseArn": license_arn,
        "CustomerAWSAccountId": agreement["account_id"],
        "Dimension": "requests",
        # The timestamp must not be before the activation of the license.
        "Timestamp": f"{HOUR}:05:00Z",
        "Quantity": 12,
    }
    answer = aws_cli(stack, "batch-meter-usage", "--usage-records", json.dumps([record]))
    assert [result["Status"] for result in answer["Results"]] == ["Success"], answer
    assert stack.billed("requests") == {HOUR: Decimal(12)}
    session = boto3.Session("local", "local", region_name="us-east-1")
    metering = session.client("meteringmarketplace", endpoint_url=stack.aws)
    del record["Quantity"]
    record.update(Dimension="users", QuantityAsDecimal="0.5")
    answer = metering.batch_meter_usage(UsageRecords=[record])
    assert [result["Status"] for result in answer["Results"]] == ["Success"], answer
    assert stack.billed("users") == {HOUR: Decimal("0.5")}

    table = session.resource("dynamodb", endpoint_url=stack.dynamodb).Table("metering-UsageEvents")
    expected = Decimal(0)
    for number in range(ROWS):
        quantity = Decimal(number * 7_919 + 1) / 1_000_000
        item = row(license_arn, number, quantity, f"{number % 60:02}:{number // 60:02}")
        assert put(table, item)
        expected += quantity
        if number < REPEATS:
            assert not put(table, item), "a repeated row was stored twice"
    assert put(table, row(license_arn, "malformed", "a lot", "30:00"))

    stack.advance(hours=2)
    billed = eventually("the bill", lambda: stack.billed("gb"))
    assert billed == {HOUR: expected}, (billed, expected)

    # One more row of the sealed hour is billed with the running hour.
    late = Decimal("0.75")
    assert put(table, row(license_arn, "late", late, "59:59"))
    stack.advance(hours=2)
    billed = eventually("the late row's bill", lambda: stack.billed("gb") if len(stack.billed("gb")) == 2 else None)
    later = {hour: quantity for hour, quantity in billed.items() if hour != HOUR}
    assert billed[HOUR] == expected, billed
    assert list(later.values()) == [late] and min(later) > HOUR, billed
    assert stack.billed("requests") == {HOUR: Decimal(12)}
    print(f"{ROWS} rows, {REPEATS} repeats, 1 malformed: billed {expected}, and {late} late in {min(later)}")


def main():
    stack = Stack(sys.argv[1])
    try:
        show(stack)
    finally:
        code = stack.stop()
    assert code == 0, f"the stack ended with {code}"


if __name__ == "__main__":
    main()
