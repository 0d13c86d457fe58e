"""Ordinary calls of the AWS CLI, one or two for each operation."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from program import PATIENCE_S
from stage import LEGACY, NOON, text
from suite import rule

# The program that belongs to this Python comes before any other program of that name.
AWS = shutil.which("aws", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "conformance",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "1",
    "AWS_PAGER": "",
}


def aws(s, *arguments):
    """Runs the AWS CLI. Returns its exit code, and the printed JSON or the text of the error."""
    assert AWS, "there is no aws program in the PATH"
    ran = subprocess.run(
        [AWS, "--endpoint-url", s.clients.url, "--output", "json", *arguments],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 3,
    )
    return ran.returncode, json.loads(ran.stdout) if ran.returncode == 0 else ran.stderr


def answers(s, *arguments):
    code, answer = aws(s, *arguments)
    assert code == 0, answer
    return answer


def refused(s, error, operation, *arguments):
    code, answer = aws(s, *arguments)
    assert code != 0 and f"({error}) when calling the {operation} operation" in answer, (code, answer)


def records(*listed):
    """The records as JSON, with timestamps as text."""
    return json.dumps([{**record, "Timestamp": text(record["Timestamp"])} for record in listed])


def batch_meter_usage(s):
    buyer = s.buys()
    call = ("meteringmarketplace", "batch-meter-usage", "--usage-records")
    answer = answers(s, *call, records(s.record(buyer), s.record(buyer, Quantity=2)))
    assert [result["Status"] for result in answer["Results"]] == ["Success", "DuplicateRecord"], answer
    shares = [{"AllocatedUsageQuantity": 5, "Tags": [{"Key": "team", "Value": "a"}]}]
    allocated = s.record(buyer, Dimension="gb", Quantity=5, UsageAllocations=shares)
    assert answers(s, *call, records(allocated))["Results"][0]["Status"] == "Success"
    assert s.billed() == ["1", "5"]


def batch_meter_usage_of_a_legacy_listing_in_shorthand(s):
    buyer = s.buys(LEGACY)
    record = f"Timestamp={text(NOON)},Dimension=gb,CustomerIdentifier={buyer['customer_identifier']},Quantity=4"
    call = ("meteringmarketplace", "batch-meter-usage", "--product-code", LEGACY, "--usage-records")
    assert answers(s, *call, record)["Results"][0]["Status"] == "Success"
    assert s.billed() == ["4"]


def a_refused_batch(s):
    unknown = records(s.record(s.buys(), Dimension="users"))
    call = ("meteringmarketplace", "batch-meter-usage", "--usage-records", unknown)
    refused(s, "InvalidUsageDimensionException", "BatchMeterUsage", *call)


def meter_usage(s):
    s.buys(LEGACY)
    call = ["meteringmarketplace", "meter-usage", "--product-code", LEGACY, "--timestamp", text(NOON)]
    call += ["--usage-dimension", "gb"]
    assert answers(s, *call, "--usage-quantity", "3")["MeteringRecordId"]
    refused(s, "DuplicateRequestException", "MeterUsage", *call, "--usage-quantity", "4")


def register_usage(s):
    s.buys(LEGACY)
    call = ("meteringmarketplace", "register-usage", "--product-code", LEGACY, "--public-key-version")
    assert answers(s, *call, "1")["Signature"].count(".") == 2
    refused(s, "InvalidPublicKeyVersionException", "RegisterUsage", *call, "9")


def resolve_customer(s):
    buyer = s.buys()
    call = ("meteringmarketplace", "resolve-customer", "--registration-token")
    assert answers(s, *call, buyer["registration_token"])["LicenseArn"] == buyer["license_arn"]
    refused(s, "InvalidTokenException", "ResolveCustomer", *call, "made-up")


def get_entitlements(s):
    s.product("contract1", pricing="contract")
    buyer = s.buys("contract1", entitlements=[{"dimension": "gb", "value": 5}])
    call = ("marketplace-entitlement", "get-entitlements", "--product-code")
    filters = ("--filter", f"LICENSE_ARN={buyer['license_arn']}")
    [entitlement] = answers(s, *call, "contract1", *filters)["Entitlements"]
    assert entitlement["Value"] == {"IntegerValue": 5}, entitlement
    refused(s, "InvalidParameterException", "GetEntitlements", *call, "unknown")


def lookup_events(s):
    s.settings(lookup_events_per_s=0)
    s.meter(s.record(s.buys()))
    s.advance("15m")
    call = ("cloudtrail", "lookup-events", "--lookup-attributes")
    by_name = "AttributeKey=EventName,AttributeValue=BatchMeterUsage"
    assert len(answers(s, *call, by_name)["Events"]) == 1
    refused(s, "InvalidLookupAttributesException", "LookupEvents", *call, by_name, by_name)


def search_and_describe_agreements(s):
    buyer = s.buys()
    filters = ("name=PartyType,values=Proposer", "name=AgreementType,values=PurchaseAgreement")
    found = answers(s, "marketplace-agreement", "search-agreements", "--filters", *filters)
    assert [a["agreementId"] for a in found["agreementViewSummaries"]] == [buyer["agreement_id"]], found
    call = ("marketplace-agreement", "describe-agreement", "--agreement-id")
    assert answers(s, *call, buyer["agreement_id"])["status"] == "ACTIVE"
    refused(s, "ResourceNotFoundException", "DescribeAgreement", *call, "agmt-unknown")


def invoices_and_their_adjustment(s):
    buyer = s.buys()
    s.meter(s.record(buyer, Quantity=100))
    s.clock("2026-12-02T00:00:00Z")
    call = ("marketplace-agreement", "list-agreement-invoice-line-items", "--group-by", "INVOICE_ID", "--agreement-id")
    [invoice] = answers(s, *call, buyer["agreement_id"])["agreementInvoiceLineItemGroupSummaries"]
    entry = {
        "agreementId": buyer["agreement_id"],
        "originalInvoiceId": invoice["invoiceId"],
        "adjustmentAmount": "99.00",
        "currencyCode": "USD",
        "adjustmentReasonCode": "INCORRECT_METERING",
        "clientToken": "t-1",
    }
    call = ("marketplace-agreement", "batch-create-billing-adjustment-request", "--billing-adjustment-request-entries")
    answer = answers(s, *call, json.dumps([entry]))
    assert len(answer["items"]) == 1 and answer["errors"] == [], answer


RULES = (
    rule(
        "M62.5",
        "2 BatchMeterUsage",
        "The AWS CLI meters a batch, by license and by product code.",
        batch_meter_usage,
        batch_meter_usage_of_a_legacy_listing_in_shorthand,
        a_refused_batch,
    ),
    rule("M31.4", "4 MeterUsage", "The AWS CLI meters and registers a container.", meter_usage, register_usage),
    rule("M39.3", "5 Registration", "The AWS CLI resolves a registration token.", resolve_customer),
    rule("M48.5", "7 GetEntitlements", "The AWS CLI reads entitlements.", get_entitlements),
    rule("M53.4", "8 CloudTrail", "The AWS CLI looks events up.", lookup_events),
    rule(
        "M49.3",
        "6 Lifecycle",
        "The AWS CLI reads agreements and their invoices, and asks for adjustments.",
        search_and_describe_agreements,
        invoices_and_their_adjustment,
    ),
)
