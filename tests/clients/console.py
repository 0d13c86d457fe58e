"""Walks through the console of `metering local` in Chromium: subscribes, registers, uses the product,
advances the clock and sees the bill. Every step is a click, except the usage, which the seller's
software reports.

    python console.py path/to/metering

Needs selenium of requirements.txt, chromium and chromedriver. With METERING_SCREENSHOTS=DIR each
page is saved in that folder: light, dark, and as a phone shows it. The exit code is 0 if every step
has the expected result.
"""

import json
import os
import pathlib
import sys
import tempfile
import urllib.request

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from local_stack import PATIENCE_S, Stack, eventually

ACCOUNT = "111122223333"
HOUR = "2026-11-10T09"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZES = {"light": (1440, 900), "dark": (1440, 900), "phone": (390, 844)}
# The pages that must not be wider than the screen of a phone.
PAGES = ("", "products", "subscribe?product=clicked", "purchases", f"purchases?account={ACCOUNT}",
         "agreements", "metered", "calls", "calls?verdict=refusal", "clock", "faults", "readings")


class LocalStack(Stack):
    """A running `metering local`, with the address of its landing page."""

    def address(self, name):
        if name == "AWS Marketplace":
            self.http = super().address("register").removesuffix("/register")
        return super().address(name)


class Walk:
    """A browser that acts as one person, who reads this language."""

    def __init__(self, stack, profile, language="en-US"):
        options = Options()
        for flag in (*FLAGS, f"--lang={language}", f"--accept-lang={language}"):
            options.add_argument(flag)
        options.add_experimental_option("prefs", {"intl.accept_languages": language})
        options.add_argument(f"--user-data-dir={profile}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        options.binary_location = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        service = Service(os.environ.get("CHROMEDRIVER", "/usr/bin/chromedriver"))
        self.browser = webdriver.Chrome(options=options, service=service)
        self.browser.set_window_size(*SIZES["light"])
        self.stack = stack
        screenshots = os.environ.get("METERING_SCREENSHOTS")
        self.screenshots = pathlib.Path(screenshots) if screenshots else None

    def open(self, path=""):
        self.browser.get(f"{self.stack.aws}{path}")

    def heading(self):
        return self.browser.find_element(By.TAG_NAME, "h1").text

    def text(self):
        return self.browser.find_element(By.TAG_NAME, "body").text

    def field(self, name):
        return self.browser.find_element(By.CSS_SELECTOR, f"[name='{name}']:not([type='hidden'])")

    def click(self, words):
        """Clicks the first link or button whose name begins with `words`, and waits for the page."""
        for element in self.browser.find_elements(By.CSS_SELECTOR, "a, button"):
            if element.accessible_name.startswith(words):
                self.leave_by(element.click)
                return
        raise AssertionError(f"nothing to click says {words!r} on {self.heading()!r}")

    def leave_by(self, action):
        """Does something that leads to another page, and waits until the old page is gone. Before
        that, an element that is found may belong to either page."""
        old = self.browser.find_element(By.TAG_NAME, "html")
        action()
        WebDriverWait(self.browser, PATIENCE_S).until(lambda _: is_gone(old))

    def fill(self, name, text):
        field = self.field(name)
        field.clear()
        field.send_keys(text)

    def quiet(self, refused=None):
        """Checks that no page logged an error, such as a missing file or a violation of the content
        security policy. Chromium also logs the status 400 of a form as an error. It is allowed for
        the path `refused`, whose form is expected to fail."""
        logged = [entry for entry in self.browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        others = [entry for entry in logged if not (refused and refused in entry["message"] and "400" in entry["message"])]
        assert not others, others

    def shot(self, name):
        if not self.screenshots:
            return
        self.screenshots.mkdir(parents=True, exist_ok=True)
        for look, (width, height) in SIZES.items():
            scheme = "dark" if look == "dark" else "light"
            media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
            self.measured(width, height)
            tall = self.browser.execute_script("return document.documentElement.scrollHeight")
            self.measured(width, max(height, tall))
            self.browser.save_screenshot(str(self.screenshots / f"{name}-{look}.png"))
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def measured(self, width, height):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def stop(self):
        self.browser.quit()


def is_gone(element):
    try:
        element.is_enabled()
    except Exception:  # The driver raises different exceptions for an element of an old page.
        return True
    return False


def report(stack, http, license_arn, number, dimension, quantity, time):
    event = {"id": f"event-{number}", "subscription": license_arn, "dimension": dimension, "quantity": quantity, "time": time}
    request = urllib.request.Request(
        f"{http}/usage",
        data=json.dumps({"events": [event]}).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.loads(answer.read())["stored"] == 1


def subscribe(walk):
    walk.open()
    assert walk.heading() == "Overview", walk.heading()
    walk.click("Clock")
    walk.fill("now", f"{HOUR}:10:00Z")
    walk.fill("speed", "0")
    walk.click("Set the clock")
    assert "2026-11-10 09:10:00 UTC, frozen" in walk.text(), walk.text()

    walk.click("Products")
    walk.fill("code", "clicked")
    walk.fill("dimensions", "gb\nrequests")
    walk.click("List the product")
    assert "The product is listed." in walk.text()
    walk.shot("products")
    walk.click("Subscribe to clicked")
    walk.shot("subscribe")
    walk.fill("account_id", "1234")
    walk.click("Subscribe")
    assert "`account_id` is `1234`, but an AWS account id has 12 digits" in walk.text(), walk.text()
    walk.shot("subscribe-refused")
    walk.fill("account_id", ACCOUNT)
    walk.click("Subscribe")
    assert walk.heading() == f"Purchases of account {ACCOUNT}", walk.heading()
    walk.shot("purchases")
    walk.quiet(refused="/_emulator/console/subscribe")


def register(walk, http):
    walk.click("Set up your account")
    assert walk.heading() == "You are leaving for the seller's site", walk.heading()
    walk.shot("leaving")
    walk.click("Continue to the seller's site")
    assert walk.browser.current_url == f"{http}/sign-up", walk.browser.current_url
    assert walk.heading() == "Complete your registration", walk.text()
    walk.shot("landing")
    walk.fill("name", "Ada Buyer")
    walk.fill("company", "Example Company")
    walk.fill("email", "ada@example.com")
    walk.click("Complete the registration")
    assert walk.browser.current_url == f"{http}/thanks", walk.browser.current_url
    assert "Your registration is complete." in walk.text(), walk.text()
    walk.shot("registered")
    walk.quiet()


def use_and_advance(walk, stack, http):
    agreement = stack.control("GET", "agreements")[0]
    license_arn = agreement["license_arn"]
    report(stack, http, license_arn, 1, "gb", "1.5", f"{HOUR}:10:00Z")
    report(stack, http, license_arn, 2, "gb", "0.75", f"{HOUR}:10:00Z")
    report(stack, http, license_arn, 3, "requests", "12000", f"{HOUR}:10:00Z")
    walk.open()
    walk.click("Clock")
    for _ in range(2):
        walk.click("Advance one hour")
    walk.shot("clock")
    assert "2026-11-10 11:10:00 UTC" in walk.text(), walk.text()
    eventually("the bill", lambda: len(stack.control("GET", "metered")) == 2)


def see(walk, stack):
    walk.click("Metered hours")
    cells = walk.browser.find_elements(By.CSS_SELECTOR, "td.metered")
    assert sorted(cell.text.split() for cell in cells) == [["12000", "metered"], ["2.25", "metered"]], walk.text()
    walk.click("Agreements")
    assert "clicked" in walk.text() and ACCOUNT in walk.text(), walk.text()
    walk.click("Calls")
    kinds = walk.browser.find_elements(By.CSS_SELECTOR, "tbody td:nth-of-type(2)")
    operations = {kind.text.split()[0] for kind in kinds}
    # The reconciler also reads CloudTrail once an hour.
    assert operations - {"LookupEvents"} == {"ResolveCustomer", "BatchMeterUsage"}, operations
    walk.quiet()


def trouble(walk, stack, http):
    """Adds faults, more usage and a suspension, so that the pages show refusals and more content."""
    walk.click("Faults")
    Select(walk.field("kind")).select_by_value("throttling")
    Select(walk.field("operation")).select_by_value("BatchMeterUsage")
    walk.fill("next", "1")
    walk.click("Switch it on")
    Select(walk.field("kind")).select_by_value("delay")
    walk.fill("rate", "0.1")
    walk.fill("delay_ms", "20")
    walk.click("Switch it on")
    assert "0.1 of the calls" in walk.text(), walk.text()
    walk.shot("faults")
    license_arn = stack.control("GET", "agreements")[0]["license_arn"]
    for number in range(10, 16):
        hour = f"2026-11-10T{number + 1}"
        report(stack, http, license_arn, number, "gb", str(number * number - 90), f"{hour}:10:00Z")
        walk.click("Clock")
        walk.click("Advance one hour")
    slots = 2 + 4
    eventually("the later hours", lambda: len(stack.control("GET", "metered")) >= slots)
    walk.click("Faults")
    walk.click("Clear all faults")
    assert "No fault is in force" in walk.text(), walk.text()
    walk.click("Calls")
    Select(walk.field("verdict")).select_by_value("refusal")
    walk.click("Show")
    assert "ThrottlingException" in walk.text() and "Wait, with jitter" in walk.text(), walk.text()
    walk.click("Purchases")
    walk.click(ACCOUNT)
    walk.click("Suspend")
    walk.click("Resume")
    walk.click("Cancel")
    assert "Cancelled – usage is still accepted" in walk.text(), walk.text()
    walk.quiet()


def by_keyboard(walk):
    """Checks that the first stop of the Tab key skips the navigation, and that Enter presses buttons."""
    walk.open("/_emulator/console/clock")
    walk.browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    focused = walk.browser.switch_to.active_element
    assert focused.text == "Skip to the content", focused.text
    focused.send_keys(Keys.ENTER)
    assert walk.browser.current_url.endswith("#main"), walk.browser.current_url
    before = now_shown(walk)
    walk.browser.switch_to.active_element.send_keys(Keys.TAB)
    focused = walk.browser.switch_to.active_element
    assert focused.text == "Advance one hour", focused.text
    walk.leave_by(lambda: focused.send_keys(Keys.ENTER))
    assert now_shown(walk) != before, before


def now_shown(walk):
    return walk.browser.find_element(By.CSS_SELECTOR, "main time").text


def fits_a_phone(walk):
    for page in PAGES:
        walk.open(f"/_emulator/console/{page}".rstrip("/"))
        walk.measured(*SIZES["phone"])
        widths = "return [document.documentElement.scrollWidth, window.innerWidth]"
        wide, screen = walk.browser.execute_script(widths)
        assert wide <= screen, f"{page or 'overview'} is {wide} pixels wide on a screen of {screen} pixels"
        name = page.split("?")[0] or "overview"
        walk.shot(f"page-{name}-refusals" if "verdict" in page else f"page-{name}")
    walk.quiet()


def show(walk, stack, http):
    subscribe(walk)
    register(walk, http)
    use_and_advance(walk, stack, http)
    see(walk, stack)
    trouble(walk, stack, http)
    by_keyboard(walk)
    fits_a_phone(walk)
    print("subscribed, registered, used, advanced, metered: all by clicking, and no page logged an error")


def main():
    stack = LocalStack(sys.argv[1])
    code = None
    try:
        with tempfile.TemporaryDirectory() as profile:
            walk = Walk(stack, profile)
            try:
                show(walk, stack, stack.http)
            except WebDriverException as error:
                # The stack trace of the driver is long, so the message would be hard to see.
                error.stacktrace = None
                raise
            finally:
                walk.stop()
    finally:
        code = stack.stop()
    assert code == 0, f"the stack ended with {code}"


if __name__ == "__main__":
    main()
