"""The binary protocol that some SDKs prefer, and a member that the Rust SDK always sends."""

from datetime import datetime, timezone

from botocore.awsrequest import AWSRequest
from botocore.auth import SigV4Auth
from botocore.credentials import Credentials
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from clients import SECRET
from stage import NOON, hours, text
from suite import rule

CBOR = "smithy-rpc-v2-cbor"


def speaks_cbor(s, operation, **parameters):
    """Makes a call in Smithy RPC v2 CBOR with botocore. Returns the status and the parsed answer."""
    model = s.clients.model(operation)
    assert CBOR in model.service_model.metadata["protocols"], operation
    wanted = create_serializer(CBOR).serialize_to_request(parameters, model)
    url = s.clients.url + wanted["url_path"]
    request = AWSRequest("POST", url, headers=wanted["headers"], data=wanted["body"])
    SigV4Auth(Credentials("AKIDEXAMPLE", SECRET), model.service_model.signing_name, "us-east-1").add_auth(request)
    got = s.clients.http.send(request.prepare())
    answer = {"status_code": got.status_code, "headers": got.headers, "body": got.content}
    assert got.headers["smithy-protocol"] == "rpc-v2-cbor", got.headers
    return got.status_code, create_parser(CBOR).parse(answer, model.output_shape)


def entitlements_are_read_in_cbor(s):
    s.product("contract1", pricing="contract")
    buyer = s.buys("contract1", entitlements=[{"dimension": "gb", "value": 5, "expires": text(hours(24))}])
    filters = {"LICENSE_ARN": [buyer["license_arn"]]}
    status, answer = speaks_cbor(s, "GetEntitlements", ProductCode="contract1", Filter=filters)
    [entitlement] = answer["Entitlements"]
    assert status == 200 and entitlement["Value"] == {"IntegerValue": 5}, answer
    assert entitlement["ExpirationDate"] == hours(24), entitlement


def agreements_are_read_in_cbor(s):
    buyer = s.buys(start=text(hours(-5)))
    s.meter(s.record(buyer))
    status, answer = speaks_cbor(s, "DescribeAgreement", agreementId=buyer["agreement_id"])
    assert status == 200 and answer["agreementId"] == buyer["agreement_id"], answer
    assert answer["startTime"] == hours(-5) and answer["endTime"].year == 9999, answer
    s.clock("2026-12-02T00:00:00Z")
    wanted = {"agreementId": buyer["agreement_id"], "groupBy": "INVOICE_ID", "afterIssuedTime": NOON}
    status, answer = speaks_cbor(s, "ListAgreementInvoiceLineItems", **wanted)
    [invoice] = answer["agreementInvoiceLineItemGroupSummaries"]
    assert status == 200 and invoice["issuedTime"] == datetime(2026, 12, 1, 6, tzinfo=timezone.utc), answer


def errors_come_in_cbor_too(s):
    status, answer = speaks_cbor(s, "GetEntitlements", ProductCode="unknown")
    assert (status, answer["Error"]["Code"]) == (400, "InvalidParameterException"), answer
    status, answer = speaks_cbor(s, "DescribeAgreement", agreementId="agmt-unknown")
    assert (status, answer["Error"]["Code"]) == (400, "ResourceNotFoundException"), answer


def a_whole_record_of_the_rust_sdk_is_metered(s):
    record = s.record(s.buys(), CustomerIdentifier="", QuantityAsDecimal="0.25", Quantity=None)
    assert s.statuses(record) == ["Success"] and s.billed() == ["0.25"]


RULES = (
    rule(
        "M62.4",
        "3 The Rust SDK",
        "If an API's model lists Smithy RPC v2 CBOR first, some SDKs use it and others use JSON.",
        entitlements_are_read_in_cbor,
        agreements_are_read_in_cbor,
        errors_come_in_cbor_too,
    ),
    rule(
        "M11",
        "3 The Rust SDK",
        "The Rust SDK always sends an empty CustomerIdentifier. Decimals are put into the body before signing.",
        a_whole_record_of_the_rust_sdk_is_metered,
    ),
)
