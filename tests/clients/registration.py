"""Registers buyers of `metering local` in Chromium, in English and in German, on the stack's own
pages and on a seller's own sign-up page. The browser comes from another site, as it does from AWS.

    python registration.py path/to/metering

Needs selenium, axe-playwright-python and PyJWT of requirements.txt, chromium and chromedriver. Every
page is checked with axe-core, and must not be wider than the screen of a phone. With
METERING_SCREENSHOTS=DIR each page is saved in that folder, as a phone and as a desktop show it. The
exit code is 0 if every step has the expected result.
"""

import base64
import html
import http.server
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request

import jwt
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from console import LocalStack, Walk
from local_stack import eventually

LANGUAGES = ("en", "de")
PRODUCT, OTHER_PRODUCT = "walked", "walkedtoo"
LOOKS = {"desktop": (1280, 900), "phone": (390, 844)}
# The narrowest screen on which the pages must be readable without scrolling sideways (WCAG 2.2, 1.4.10).
NARROWEST = (320, 640)
AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {preload: false}).then(
  (results) => done(results.violations.map((rule) => `${rule.id}: ${rule.nodes.map((node) => node.html).join(" ")}`)),
  (error) => done([String(error)]),
);
"""
LOGO = """<svg xmlns="http://www.w3.org/2000/svg" width="96" height="32">
<rect width="96" height="32" rx="8" fill="#8fd3ff"/>
</svg>"""
DESIGN = """
logo = "data:image/svg+xml;base64,{logo}"
sign_in_url = "{sign_in_url}"
[colors]
text = "#f4f7fa"
background = "#14202b"
accent = "#8fd3ff"
[languages.en]
turnaround = "one business day"
[languages.de]
turnaround = "einen Werktag"
"""


def axe_core():
    """The source of axe-core. The package that contains it is not imported, because it needs a
    browser of its own."""
    folder = importlib.util.find_spec("axe_playwright_python").submodule_search_locations[0]
    return pathlib.Path(folder, "axe.min.js").read_text(encoding="utf-8")


class Sites:
    """Two small sites on one port. The one at localhost posts a registration token to the fulfillment
    URL, as the AWS console does. The one at 127.0.0.1 is a seller's software, which exchanges
    tickets."""

    def __init__(self):
        self.stack = None
        self.token = None
        self.offer_type = None
        self.tickets = []
        self.referrers = []
        sites = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                page = sites.continue_page() if url.path == "/continue" else sites.sign_up_page(url, self.headers)
                body = page.encode()
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        port = self.server.server_address[1]
        self.aws = f"http://localhost:{port}"
        self.seller = f"http://127.0.0.1:{port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def continue_page(self):
        fields = {"x-amzn-marketplace-token": self.token, "x-amzn-marketplace-offer-type": self.offer_type}
        inputs = "".join(
            f'<input type="hidden" name="{name}" value="{html.escape(value)}">'
            for name, value in fields.items()
            if value is not None
        )
        form = f'<form method="post" action="{self.stack.http}/register">{inputs}<button>Continue</button></form>'
        return small_page("Another site", form)

    def sign_up_page(self, url, headers):
        query = urllib.parse.parse_qs(url.query)
        self.referrers.append(headers["referer"])
        if "ticket" not in query:
            return small_page("Seller", "")
        self.tickets.append(query["ticket"][0])
        status, answer = self.exchange(self.tickets[-1])
        if status != 200:
            return small_page("Refused", f"<p>{status} {html.escape(answer['error'])}</p>")
        plan = query.get("plan", ["none"])[0]
        facts = f"{answer['licenseArn']} {answer['status']} plan {plan}"
        return small_page("Welcome", f"<p>{html.escape(facts)}</p>")

    def exchange(self, ticket):
        request = urllib.request.Request(
            f"{self.stack.http}/tickets/exchange",
            data=json.dumps({"ticket": ticket, "audience": self.seller}).encode(),
            headers={"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def stop(self):
        self.server.shutdown()


def small_page(title, body):
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<link rel="icon" href="data:,"></head><body><h1>{title}</h1>{body}</body></html>'
    )


class Buyer(Walk):
    """A browser of a buyer who reads one language."""

    def __init__(self, stack, sites, profile, language):
        super().__init__(stack, profile, language)
        self.sites = sites
        self.page_language = language
        self.axe = axe_core()
        self.texts = pages(stack, "show", "--json")["texts"][language]

    def come(self, agreement, token=None, offer_type=None):
        """Comes to the fulfillment URL from another site, as from the AWS console."""
        self.sites.token = token or self.fresh_token(agreement)
        self.sites.offer_type = offer_type
        self.browser.get(f"{self.sites.aws}/continue")
        self.click("Continue")
        assert self.sites.token not in self.browser.current_url, self.browser.current_url

    def fresh_token(self, agreement):
        path = f"agreements/{agreement['agreement_id']}/registration-token"
        return self.stack.control("POST", path)["registration_token"]

    def come_from_console(self, account, agreement):
        """Presses "Set up your account" in the console of the emulated AWS, at another site than the
        stack's pages."""
        aws = self.stack.aws.replace("127.0.0.1", "localhost")
        self.browser.get(f"{aws}/_emulator/console/purchases?account={account}")
        button = self.browser.find_element(
            By.CSS_SELECTOR,
            f"form[action$='/console/set-up']:has(input[value='{agreement['agreement_id']}']) button",
        )
        self.leave_by(button.click)
        self.click("Continue to the seller's site")

    def says(self, key, **values):
        return self.texts[key].format_map({"seller": "Example Seller", **values})

    def is_at(self, key, *statuses):
        """Checks that this page is shown, and everything that every page must have. Chromium logs the
        status of a page that refuses something as an error, so such statuses are expected."""
        assert self.heading() == self.says(key), (key, self.heading(), self.text())
        root = self.browser.find_element(By.TAG_NAME, "html")
        assert root.get_attribute("lang") == self.page_language, root.get_attribute("lang")
        assert "support@example.com" in self.text(), self.text()
        self.logs_only(*statuses)

    def logs_only(self, *statuses):
        logged = [entry for entry in self.browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        expected = [f"status of {status} " for status in statuses]
        others = [entry for entry in logged if not any(words in entry["message"] for words in expected)]
        assert not others, others

    def looks_right(self, name):
        """Checks the page with axe-core on two screens, and its width on the narrowest one."""
        for look, (width, height) in {**LOOKS, "narrowest": NARROWEST}.items():
            self.measured(width, height)
            wide = self.browser.execute_script("return document.documentElement.scrollWidth")
            assert wide <= width, f"{name} is {wide} pixels wide on a screen of {width} pixels"
            self.browser.execute_script(self.axe)
            violations = self.browser.execute_async_script(AXE)
            assert not violations, f"{name}, {look}: {violations}"
            if self.screenshots and look in LOOKS:
                self.screenshots.mkdir(parents=True, exist_ok=True)
                tall = self.browser.execute_script("return document.documentElement.scrollHeight")
                self.measured(width, max(height, tall))
                path = self.screenshots / f"registration-{self.page_language}-{name}-{look}.png"
                self.browser.save_screenshot(str(path))
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.logs_only()

    def has(self, key, **values):
        assert self.says(key, **values) in self.text(), (key, self.text())

    def has_not(self, key):
        assert self.says(key) not in self.text(), (key, self.text())

    def sign_up(self, name):
        self.fill("company", "Bücher & Söhne <GmbH>")
        self.fill("name", name)
        self.fill("email", "buyer@example.com")
        self.leave_by(lambda: self.field("email").send_keys(Keys.ENTER))
        self.is_at("thanks.title")
        assert self.browser.current_url == f"{self.stack.http}/thanks", self.browser.current_url

    def cookies(self):
        return [cookie for cookie in self.browser.get_cookies() if "registration-" in cookie["name"]]


def pages(stack, *arguments, file=None):
    """Runs `metering pages` for this stack. Returns its JSON, if it prints any."""
    ran = subprocess.run(
        [stack.binary, "pages", *arguments, "--dynamodb-endpoint", stack.dynamodb],
        input=file,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout) if "--json" in arguments else None


def statuses(stack):
    """The status of each subscription."""
    ran = subprocess.run(
        [stack.binary, "subscriptions", "list", "--json", "--dynamodb-endpoint", stack.dynamodb],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return {profile["subscription"]: profile["status"] for profile in json.loads(ran.stdout)}


def buy(stack, account, product=PRODUCT, free_trial=False):
    new = {"product_code": product, "account_id": account, "free_trial": free_trial}
    return stack.control("POST", "agreements", new)


def first_registration(buyer, account):
    """A free trial is registered, after mistakes in the form."""
    agreement = buy(buyer.stack, account, free_trial=True)
    buyer.come_from_console(account, agreement)
    buyer.is_at("sign_up.title")
    assert buyer.browser.current_url == f"{buyer.stack.http}/sign-up", buyer.browser.current_url
    buyer.has("sign_up.free_trial")
    buyer.has_not("sign_up.same_product")
    buyer.looks_right("sign-up")
    [cookie] = buyer.cookies()
    assert cookie["name"].startswith("__Host-") and cookie["secure"] and cookie["httpOnly"], cookie
    assert cookie["sameSite"] == "Lax" and cookie["path"] == "/", cookie

    buyer.click(buyer.says("sign_up.submit"))
    buyer.is_at("sign_up.title", 422)
    alert = buyer.browser.find_element(By.CSS_SELECTOR, "[role='alert']")
    assert buyer.says("problem.title") in alert.text, alert.text
    links = alert.find_elements(By.TAG_NAME, "a")
    assert len(links) == 3, alert.text
    buyer.looks_right("mistakes")
    links[0].click()
    focused = buyer.browser.switch_to.active_element
    assert focused.get_attribute("name") == "company", focused.get_attribute("outerHTML")
    assert focused.get_attribute("aria-invalid") == "true", focused.get_attribute("outerHTML")

    buyer.fill("company", "Bücher & Söhne <GmbH>")
    buyer.fill("name", "王小明")
    buyer.fill("email", "nobody")
    buyer.field("note").send_keys("Two\nlines")
    buyer.click(buyer.says("sign_up.submit"))
    buyer.is_at("sign_up.title", 422)
    assert buyer.field("name").get_attribute("value") == "王小明"
    assert buyer.field("company").get_attribute("value") == "Bücher & Söhne <GmbH>"
    assert buyer.field("note").get_attribute("value") == "Two\nlines"
    problems = buyer.browser.find_elements(By.CSS_SELECTOR, ".problem")
    assert [problem.text for problem in problems] == [buyer.says("problem.email")], buyer.text()
    buyer.sign_up("王小明")
    buyer.looks_right("thanks")
    assert buyer.cookies() == []

    # The cookie is gone, so the form cannot be sent again.
    buyer.browser.get(f"{buyer.stack.http}/sign-up")
    buyer.is_at("no_cookie.title", 400)
    buyer.looks_right("no-cookie")
    return agreement


def two_tabs(buyer, account):
    """Two licenses are opened in two tabs. Each form is for its own license only."""
    first, second = buy(buyer.stack, account), buy(buyer.stack, account)
    buyer.come(first)
    buyer.is_at("sign_up.title")
    buyer.has("sign_up.same_product")
    buyer.looks_right("same-product")
    first_tab = buyer.browser.current_window_handle
    buyer.browser.switch_to.new_window("tab")
    buyer.come(second)
    second_tab = buyer.browser.current_window_handle
    buyer.is_at("sign_up.title")

    buyer.browser.switch_to.window(first_tab)
    buyer.fill("company", "Written in the wrong tab")
    buyer.click(buyer.says("sign_up.submit"))
    buyer.is_at("wrong_form.title", 400, 422)
    buyer.looks_right("wrong-form")
    buyer.browser.switch_to.window(second_tab)
    buyer.sign_up("Second")
    buyer.browser.close()

    buyer.browser.switch_to.window(first_tab)
    buyer.come(first)
    buyer.is_at("sign_up.unfinished_title")
    buyer.looks_right("unfinished")
    buyer.sign_up("First")
    buyer.come(first)
    buyer.is_at("sign_up.finished_title")
    buyer.looks_right("finished")
    buyer.come(second)
    buyer.is_at("sign_up.finished_title")


def another_product(buyer, account):
    buyer.come(buy(buyer.stack, account, OTHER_PRODUCT))
    buyer.is_at("sign_up.title")
    buyer.has("sign_up.other_products")
    buyer.has_not("sign_up.same_product")
    buyer.looks_right("other-product")


def cancelled(buyer, agreement):
    """Cancels a subscription, and waits until the stack knows it."""
    buyer.stack.control("DELETE", f"agreements/{agreement['agreement_id']}")
    license_arn = agreement["license_arn"]
    eventually("the end", lambda: statuses(buyer.stack)[license_arn] in ("ending", "ended"))


def no_registration(buyer, agreement):
    """Visitors without a valid token are told the way back."""
    stack = buyer.stack
    for path, key, status in (
        ("/", "welcome.title", 200),
        ("/register", "welcome.title", 200),
        ("/nothing", "not_found.title", 404),
    ):
        buyer.browser.get(f"{stack.http}{path}")
        buyer.is_at(key, status)
        buyer.has("page.way_back")
        buyer.looks_right(key.split(".")[0])
    buyer.come(agreement, token="no-such-token")
    buyer.is_at("set_up_again.title", 400)
    buyer.looks_right("set-up-again")
    buyer.come(agreement, token="two words")
    buyer.is_at("malformed.title", 400)
    buyer.has("malformed.invalid_token")
    buyer.looks_right("malformed")
    stack.control("PUT", "faults", {"faults": [{"operation": "ResolveCustomer", "kind": "throttling", "rate": 1.0}]})
    buyer.come(agreement)
    buyer.is_at("try_again.title", 503)
    buyer.looks_right("try-again")
    stack.control("PUT", "faults", {"faults": []})


def design(buyer, account):
    """The pages are shown in the seller's design, with a link for buyers who have an account."""
    stack, sites = buyer.stack, buyer.sites
    logo = base64.b64encode(LOGO.encode()).decode()
    file = DESIGN.format(logo=logo, sign_in_url=f"{sites.seller}/sign-in?plan=2")
    pages(stack, "apply", "-", file=file)

    def is_shown():
        buyer.browser.get(f"{stack.http}/register")
        return buyer.browser.find_elements(By.CSS_SELECTOR, "header img")

    [logo] = eventually("the logo", is_shown)
    assert logo.get_attribute("alt") == "Example Seller", logo.get_attribute("outerHTML")
    assert buyer.browser.execute_script("return arguments[0].naturalWidth", logo) == 96
    buyer.looks_right("design-welcome")
    agreement = buy(stack, account)
    buyer.come(agreement)
    buyer.is_at("sign_up.title")
    turnaround = {"en": "one business day", "de": "einen Werktag"}[buyer.page_language]
    buyer.has("sign_up.turnaround", turnaround=turnaround)
    buyer.looks_right("design-sign-up")
    buyer.click(buyer.says("sign_up.sign_in"))
    arrived(buyer, agreement, "/sign-in", "plan 2")


def arrived(buyer, agreement, path, plan):
    """Checks that the buyer is at the seller's own page, with a ticket for this license."""
    url = urllib.parse.urlsplit(buyer.browser.current_url)
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{buyer.sites.seller}{path}", buyer.browser.current_url
    assert buyer.heading() == "Welcome", buyer.text()
    assert agreement["license_arn"] in buyer.text() and plan in buyer.text(), buyer.text()
    assert buyer.sites.referrers[-1] is None, buyer.sites.referrers
    verified_offline(buyer, agreement)
    # A ticket is exchanged once.
    buyer.browser.refresh()
    assert "409 TicketUsed" in buyer.text(), buyer.text()
    buyer.logs_only()


def verified_offline(buyer, agreement):
    with urllib.request.urlopen(f"{buyer.stack.http}/.well-known/jwks.json", timeout=30) as answer:
        keys = jwt.PyJWKSet.from_dict(json.loads(answer.read()))
    ticket = buyer.sites.tickets[-1]
    key = keys[jwt.get_unverified_header(ticket)["kid"]]
    claims = jwt.decode(ticket, key.key, algorithms=["EdDSA"], audience=buyer.sites.seller)
    assert claims["licenseArn"] == agreement["license_arn"], claims
    assert 0 < claims["exp"] - claims["iat"] <= 300, claims
    assert buyer.sites.token not in json.dumps(claims), claims


def own_pages(buyer):
    """The stack shows its own sign-up page."""
    account = {"en": "111122223333", "de": "444455556666"}[buyer.page_language]
    agreement = first_registration(buyer, account)
    no_registration(buyer, agreement)
    two_tabs(buyer, account)
    another_product(buyer, account)
    cancelled(buyer, agreement)
    buyer.come(agreement)
    buyer.is_at("sign_up.finished_title")
    assert buyer.says("sign_up.ending") in buyer.text() or buyer.says("sign_up.ended") in buyer.text()
    buyer.looks_right("cancelled")
    design(buyer, account)


def sellers_page(buyer):
    """The seller has a sign-up page of its own, and the stack redirects to it."""
    account = {"en": "111122223333", "de": "444455556666"}[buyer.page_language]
    agreement = buy(buyer.stack, account)
    buyer.come(agreement)
    arrived(buyer, agreement, "/sign-up", "plan 1")
    assert buyer.cookies() == []
    buyer.come(agreement)
    arrived(buyer, agreement, "/sign-up", "plan 1")
    cancelled(buyer, agreement)
    buyer.come(agreement)
    arrived(buyer, agreement, "/sign-up", "plan 1")


def walk_through(stack, sites, story):
    sites.stack = stack
    for product in (PRODUCT, OTHER_PRODUCT):
        stack.control("POST", "products", {"code": product, "dimensions": ["gb"], "identity": "license"})
    for language in LANGUAGES:
        # The design of the walk before is removed.
        pages(stack, "reset", "--yes")
        eventually("the default pages", lambda: "<img" not in page_of(stack))
        with tempfile.TemporaryDirectory() as profile:
            buyer = Buyer(stack, sites, profile, language)
            try:
                story(buyer)
            except WebDriverException as error:
                # The stack trace of the driver is long, so the message would be hard to see.
                error.stacktrace = None
                raise
            finally:
                buyer.stop()
        print(f"{story.__name__} in {language}: every page is accessible and fits a phone")


def page_of(stack):
    with urllib.request.urlopen(f"{stack.http}/register", timeout=30) as answer:
        return answer.read().decode()


def main():
    sites = Sites()
    stories = (((), own_pages), (("--sign-up-url", f"{sites.seller}/sign-up?plan=1"), sellers_page))
    for arguments, story in stories:
        stack = LocalStack(sys.argv[1], *arguments)
        try:
            walk_through(stack, sites, story)
        finally:
            code = stack.stop()
        assert code == 0, f"the stack ended with {code}"
    sites.stop()


if __name__ == "__main__":
    main()
