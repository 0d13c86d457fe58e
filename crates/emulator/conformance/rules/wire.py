"""The protocol of the metering API and its errors."""

import socket

from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError

from program import PATIENCE_S
from stage import NOON, epoch, expect, hours
from suite import rule, titled


def a_boto3_call_reaches_the_operation_of_its_target(s):
    answer = s.meter(s.record(s.buys()))
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "application/x-amz-json-1.1", headers
    assert answer["ResponseMetadata"]["RequestId"], answer


def an_unknown_target_is_an_unknown_operation(s):
    for target in ("AWSMPMeteringService.Unknown", "Other.BatchMeterUsage", "", "AWSMPMeteringService"):
        answer = s.raw("BatchMeterUsage", {"UsageRecords": []}, target=target)
        assert (answer.status, answer.error()) == (400, "UnknownOperationException"), (target, answer)


def another_method_or_path_is_not_found(s):
    for how in ({"method": "PUT"}, {"method": "DELETE"}, {"path": "/usage"}, {"path": "/usage", "method": "GET"}):
        answer = s.raw("BatchMeterUsage", {"UsageRecords": []}, **how)
        assert (answer.status, answer.error()) == (404, "UnknownOperationException"), (how, answer)


def every_operation_has_its_own_target_and_protocol_version(s):
    for operation in ("SearchAgreements", "LookupEvents", "GetEntitlements"):
        answer = s.raw(operation, {"maxResults": "x", "MaxResults": "x"})
        assert answer.error() == "SerializationException", answer
        version = "1.0" if operation == "SearchAgreements" else "1.1"
        assert answer.headers["content-type"] == f"application/x-amz-json-{version}", answer


def a_request_without_a_signature_is_refused(s):
    answer = s.raw("BatchMeterUsage", {"UsageRecords": []}, signed=False)
    assert answer.error() == "MissingAuthenticationTokenException", answer


def half_a_signature_is_refused(s):
    for header in ("AWS4-HMAC-SHA256", "Bearer x", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0"):
        answer = s.raw("BatchMeterUsage", {"UsageRecords": []}, signed=False, headers={"authorization": header})
        assert answer.error() == "IncompleteSignatureException", (header, answer)


def a_signature_for_another_service_is_refused(s):
    answer = s.raw("BatchMeterUsage", {"UsageRecords": []}, signing_name="dynamodb")
    assert answer.error() == "InvalidSignatureException", answer


def a_verified_signature_needs_the_right_secret(s):
    buyer = s.buys()
    s.settings(secret_access_key="right")
    answer = s.metering(secret="right").batch_meter_usage(UsageRecords=[s.record(buyer)])
    assert answer["Results"][0]["Status"] == "Success"
    expect("InvalidSignatureException", s.metering(secret="wrong").batch_meter_usage, UsageRecords=[s.record(buyer)])


def timestamps_are_epoch_seconds_as_numbers(s):
    buyer = s.buys()
    record = {**s.record(buyer), "Timestamp": epoch(hours(-1))}
    assert s.raw("BatchMeterUsage", {"UsageRecords": [record]}).status == 200
    record["Timestamp"] = epoch(hours(-1)) + 0.25
    assert s.raw("BatchMeterUsage", {"UsageRecords": [record]}).status == 200
    for stamp in ("2026-11-21T11:00:00Z", str(epoch(NOON)), 1e300, True):
        record["Timestamp"] = stamp
        answer = s.raw("BatchMeterUsage", {"UsageRecords": [record]})
        assert answer.error() == "SerializationException", (stamp, answer)


def a_body_that_is_not_the_requests_json_is_a_serialization_error(s):
    nested = b'{"UsageRecords":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    bodies = [b"", b"{", b"[]", b'"x"', b"null", b"\xff\xfe\x00", b'{"UsageRecords": "\xff"}', nested]
    bodies += [b'{"UsageRecords": 1}', b'{"UsageRecords": [1e999]}', b'{"UsageRecords": [' + b"9" * 5_000 + b"]}"]
    for body in bodies:
        answer = s.raw("BatchMeterUsage", body)
        assert (answer.status, answer.error()) == (400, "SerializationException"), (body[:40], answer)


def unknown_members_and_nulls_are_ignored(s):
    buyer = s.buys()
    record = {**s.record(buyer), "Timestamp": epoch(hours(-1)), "CustomerIdentifier": None, "Colour": "red"}
    answer = s.raw("BatchMeterUsage", {"UsageRecords": [record], "ProductCode": None, "Shape": {}})
    assert answer.status == 200 and answer.json["Results"][0]["Status"] == "Success", answer


def a_request_that_is_not_http_ends_only_its_own_connection(s):
    host, port = s.clients.url.removeprefix("http://").split(":")
    head = b"POST / HTTP/1.1\r\nhost: x\r\n"
    sent = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
        b"\x00" * 1_000 + b"\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        head + b"content-length: -1\r\n\r\n",
        head + b"content-length: 10\r\ncontent-length: 20\r\n\r\n",
        head + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
        head + b"x: " + b"y" * 1_000_000 + b"\r\n\r\n",
        head + b"content-length: 1000\r\n\r\n{",
        head + b"x-amz-target: \xff\xfe\r\nauthorization: \xff\r\ncontent-length: 0\r\n\r\n",
    ]
    for request in sent:
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(65_536)
            except (BrokenPipeError, ConnectionResetError):
                continue
            assert not answer or answer.startswith(b"HTTP/1.1 4"), (request[:40], answer)
    assert s.statuses(s.record(s.buys())) == ["Success"]


def struck(kind, code, status):
    def case(s):
        buyer = s.buys()
        s.fault(kind)
        response = expect(code, s.meter, s.record(buyer))
        assert response["ResponseMetadata"]["HTTPStatusCode"] == status, response
        assert s.billed() == []
        assert s.statuses(s.record(buyer)) == ["Success"], "the next call succeeds"

    return titled(f"{kind} answers {code}", case)


def a_proxys_page_is_not_an_aws_error(s):
    buyer = s.buys()
    s.fault("bad-gateway")
    try:
        s.meter(s.record(buyer))
        raise AssertionError("a proxy's page was accepted as an answer")
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 502, error
    assert s.billed() == []


def lost(kind, billed):
    def case(s):
        buyer = s.buys()
        s.fault(kind)
        try:
            answer = s.meter(s.record(buyer))
            raise AssertionError(f"the answer was not lost: {answer}")
        except (ConnectionClosedError, HTTPClientError):
            pass
        assert s.billed() == billed
        assert s.statuses(s.record(buyer)) == ["Success"], "the identical record is idempotent"
        assert s.billed() == ["1"]

    return titled(f"{kind} leaves {len(billed)} slots behind", case)


def the_sdk_itself_sends_a_lost_request_again(s):
    buyer = s.buys()
    s.fault("drop-after")
    answer = s.meter(s.record(buyer), retries={"total_max_attempts": 3, "mode": "standard"})
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1, answer
    assert s.billed() == ["1"]


def a_delayed_answer_still_comes(s):
    buyer = s.buys()
    s.fault("delay", delay_ms=30)
    assert s.statuses(s.record(buyer)) == ["Success"]


RULES = (
    rule(
        "M62.1",
        "2 Wire",
        "The metering API speaks AWS JSON 1.1: POST /, the operation in X-Amz-Target.",
        a_boto3_call_reaches_the_operation_of_its_target,
        an_unknown_target_is_an_unknown_operation,
        another_method_or_path_is_not_found,
        every_operation_has_its_own_target_and_protocol_version,
    ),
    rule(
        "M62.2",
        "2 Wire",
        "Requests carry Signature Version 4 for the service aws-marketplace.",
        a_request_without_a_signature_is_refused,
        half_a_signature_is_refused,
        a_signature_for_another_service_is_refused,
        a_verified_signature_needs_the_right_secret,
    ),
    rule(
        "M62.3",
        "2 Wire",
        "Timestamps travel as epoch seconds in JSON numbers.",
        timestamps_are_epoch_seconds_as_numbers,
    ),
    rule(
        "M63.1",
        "2 Errors",
        "A body that is not the request's JSON is refused with an error of AWS's shape. Unknown members are ignored.",
        a_body_that_is_not_the_requests_json_is_a_serialization_error,
        unknown_members_and_nulls_are_ignored,
        a_request_that_is_not_http_ends_only_its_own_connection,
    ),
    rule(
        "M63.2",
        "2 Errors",
        "Every error has status 400, except the internal one, which has 500; none of these records anything.",
        struck("throttling", "ThrottlingException", 400),
        struck("internal-error", "InternalServiceErrorException", 500),
        struck("disabled-api", "DisabledApiException", 400),
    ),
    rule(
        "M63.3",
        "2 Errors",
        "A caller also meets errors that no model lists: denied access, expired credentials, clock skew and plain 5xx.",
        struck("access-denied", "AccessDeniedException", 400),
        struck("expired-credentials", "ExpiredTokenException", 400),
        struck("clock-skew", "InvalidSignatureException", 400),
        struck("unknown-error", "ServiceUnavailableException", 503),
        a_proxys_page_is_not_an_aws_error,
    ),
    rule(
        "M63.4",
        "2 Errors",
        "After a lost answer the caller does not know if the work was done. The same request again is billed once.",
        lost("drop-before", []),
        lost("drop-after", ["1"]),
        the_sdk_itself_sends_a_lost_request_again,
        a_delayed_answer_still_comes,
    ),
)
