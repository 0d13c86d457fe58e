"""Runs the code of docs/registration.md that verifies tickets offline, in Python and JavaScript,
against `metering local` with a sign-up of the seller's own.

    python tickets.py path/to/metering

Needs PyJWT of requirements.txt, and node in PATH. The exit code is 0 if every ticket is judged right.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from local_stack import Stack

DOCUMENT = pathlib.Path(__file__).parent / "../../docs/registration.md"
# What stands in the document for the seller's own addresses.
HOST = "https://FULFILLMENT_HOST"
AUDIENCE = "https://app.example.com"
SIGN_UP_URL = f"{AUDIENCE}/sign-up?plan=aws"
# A ticket is not followed to the seller's site, which does not exist.
NOT_FOLLOWED = urllib.request.build_opener(
    type("NoRedirect", (urllib.request.HTTPRedirectHandler,), {"redirect_request": lambda *_: None})
)


class RedirectingStack(Stack):
    """A running `metering local` whose seller has a sign-up of its own."""

    def address(self, name):
        if name == "AWS Marketplace":
            self.http = super().address("register").removesuffix("/register")
        return super().address(name)

    def ticket(self):
        """Subscribes a new buyer, who registers. Returns the agreement and the ticket."""
        agreement = self.control("POST", "agreements", {"product_code": "sold"})
        form = {"x-amzn-marketplace-token": agreement["registration_token"]}
        body = urllib.parse.urlencode(form).encode()
        try:
            NOT_FOLLOWED.open(f"{self.http}/register", body, timeout=30)
        except urllib.error.HTTPError as answer:
            assert answer.code == 303, answer.read()
            location = answer.headers["location"]
            assert location.startswith(f"{SIGN_UP_URL}&ticket="), location
            return agreement, location.split("ticket=")[1]
        raise AssertionError("the browser was not sent on")


def example(language, host):
    """The first block of code in a language, with the address of the stack."""
    text = DOCUMENT.read_text(encoding="utf-8")
    _, rest = text.split(f"```{language}\n", 1)
    code, _ = rest.split("```\n", 1)
    assert HOST in code and AUDIENCE in code, code
    return code.replace(HOST, host)


def by_python(host):
    """The claims of a ticket as the example in Python returns them, or None."""
    import jwt

    names = {}
    exec(example("python", host), names)

    def claims_of(ticket):
        try:
            return names["claims_of"](ticket)
        except (jwt.PyJWTError, ValueError):
            return None

    return claims_of


def by_node(host, folder):
    """The claims of a ticket as the example in JavaScript returns them, or None."""
    node = shutil.which("node")
    assert node, "node is not in PATH"
    script = pathlib.Path(folder) / "ticket.mjs"
    show = "console.log(JSON.stringify(claimsOf(process.argv[2])));\n"
    script.write_text(example("js", host) + show, encoding="utf-8")

    def claims_of(ticket):
        ran = subprocess.run([node, script, ticket], capture_output=True, text=True, timeout=60)
        return json.loads(ran.stdout) if ran.returncode == 0 else None

    return claims_of


def check(stack, name, claims_of):
    """Checks that a ticket is accepted, and that a changed one is not."""
    agreement, ticket = stack.ticket()
    claims = claims_of(ticket)
    assert claims, f"{name} accepts no ticket"
    assert claims["subscription"] == claims["licenseArn"] == agreement["license_arn"], claims
    assert claims["customerAWSAccountId"] == agreement["account_id"], claims
    signed, signature = ticket.rsplit(".", 1)
    _, other = stack.ticket()
    changed = "A" if signature[0] != "A" else "B"
    for forged in (f"{other.rsplit('.', 1)[0]}.{signature}", f"{signed}.{changed}{signature[1:]}"):
        assert claims_of(forged) is None, f"{name} accepts {forged}"


def main():
    stack = RedirectingStack(sys.argv[1], "--sign-up-url", SIGN_UP_URL)
    try:
        product = {"code": "sold", "dimensions": ["gb"], "identity": "license"}
        stack.control("POST", "products", product)
        with tempfile.TemporaryDirectory() as folder:
            check(stack, "Python", by_python(stack.http))
            check(stack, "JavaScript", by_node(stack.http, folder))
    finally:
        code = stack.stop()
    assert code == 0, f"the stack ended with {code}"
    print("tickets are verified offline in Python and JavaScript as docs/registration.md shows")


if __name__ == "__main__":
    main()
