"""boto3's clients, and requests that botocore signs but does not check.

Every error is checked against AWS's shape and counted. After the last case, model/errors.py names the
modelled errors that no case met.
"""

import json
import socket
from dataclasses import dataclass

import boto3
import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session

from program import PATIENCE_S

SECRET = "conformance"
# The emulator's operations, each with botocore's name of its API.
OPERATIONS = {
    "BatchMeterUsage": "meteringmarketplace",
    "MeterUsage": "meteringmarketplace",
    "RegisterUsage": "meteringmarketplace",
    "ResolveCustomer": "meteringmarketplace",
    "GetEntitlements": "marketplace-entitlement",
    "LookupEvents": "cloudtrail",
    "SearchAgreements": "marketplace-agreement",
    "DescribeAgreement": "marketplace-agreement",
    "ListAgreementInvoiceLineItems": "marketplace-agreement",
    "BatchCreateBillingAdjustmentRequest": "marketplace-agreement",
}
# One attempt, so that a case sees the first answer.
ONE_ATTEMPT = {"total_max_attempts": 1}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer. `json` is None if the body is not JSON."""

    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def error(self):
        """The error code. Fails if the answer does not have the shape of an AWS JSON error."""
        problem = shape_problem(self.status, self.headers, self.body)
        assert problem is None, problem
        return self.json["__type"]


def shape_problem(status, headers, body):
    """The reason why an answer is not an AWS JSON error. None if it is one."""
    try:
        members = json.loads(body)
    except ValueError:
        return f"status {status} with a body that is not JSON: {body[:200]!r}"
    code = members.get("__type")
    message = members.get("message") or members.get("Message")
    if not 400 <= status <= 599:
        return f"status {status} is no error: {members}"
    if not code or not message:
        return f"an error without __type or message: {members}"
    if headers.get("x-amzn-errortype") != code:
        return f"x-amzn-errortype is {headers.get('x-amzn-errortype')!r}, __type {code!r}"
    if not headers.get("x-amzn-requestid"):
        return f"{code} without a request id"
    if not headers.get("content-type", "").startswith("application/x-amz-json-1."):
        return f"{code} with the content type {headers.get('content-type')!r}"
    return None


class Clients:
    """The clients of one emulator."""

    def __init__(self, url):
        self.url = url
        self.session = botocore.session.get_session()
        # Without this, the body of a small request waits until its head is acknowledged.
        at_once = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        self.http = URLLib3Session(timeout=PATIENCE_S, socket_options=at_once)
        self.kept = {}
        # (operation, error code) -> number of such answers.
        self.met = {}

    def model(self, operation):
        """botocore's model of an operation."""
        return self.session.get_service_model(OPERATIONS[operation]).operation_model(operation)

    def boto3(self, api, region="us-east-1", key="AKIDEXAMPLE", secret=SECRET, retries=ONE_ATTEMPT):
        """A boto3 client of an API, made in the way in which a seller makes it."""
        wanted = (api, region, key, secret, json.dumps(retries))
        if wanted not in self.kept:
            client = boto3.Session(key, secret, region_name=region).client(
                api,
                endpoint_url=self.url,
                config=Config(retries=retries, read_timeout=PATIENCE_S, connect_timeout=PATIENCE_S),
            )
            client.meta.events.register("after-call", self.remember)
            self.kept[wanted] = client
        return self.kept[wanted]

    def remember(self, http_response, parsed, model, **_):
        if http_response.status_code < 300:
            return
        headers = {name.lower(): value for name, value in http_response.headers.items()}
        if headers.get("content-type", "").startswith("text/html"):
            return  # A case asked for a proxy's page.
        if headers.get("content-type", "") == "application/xml":
            assert headers.get("x-amz-request-id") and parsed["Error"]["Message"], parsed
            return  # S3's errors are XML.
        problem = shape_problem(http_response.status_code, headers, http_response.content)
        assert problem is None, f"{model.name}: {problem}"
        self.count(model.name, parsed["Error"]["Code"])

    def count(self, operation, code):
        self.met[operation, code] = self.met.get((operation, code), 0) + 1

    def target(self, operation):
        """The X-Amz-Target of an operation."""
        return f"{self.session.get_service_model(OPERATIONS[operation]).metadata['targetPrefix']}.{operation}"

    def send(
        self, operation, body, *, target=None, signing_name=None, path="/", method="POST", headers=(), signed=True
    ):
        """Sends one request, which botocore signs but does not check."""
        api = self.session.get_service_model(OPERATIONS[operation])
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        request = AWSRequest(
            method=method,
            url=self.url + path,
            data=body,
            headers={
                "content-type": f"application/x-amz-json-{api.metadata['jsonVersion']}",
                "x-amz-target": self.target(operation) if target is None else target,
                **dict(headers),
            },
        )
        if signed:
            credentials = Credentials("AKIDEXAMPLE", SECRET)
            SigV4Auth(credentials, signing_name or api.signing_name, "us-east-1").add_auth(request)
        got = self.http.send(request.prepare())
        headers = {name.lower(): value for name, value in got.headers.items()}
        answer = Answer(got.status_code, headers, got.content)
        if answer.status >= 400 and isinstance(answer.json, dict):
            self.count(operation, answer.json.get("__type"))
        return answer
