"""ResolveCustomer, which identifies the buyer."""

from stage import LEGACY, LICENSED, NOON, expect
from suite import rule


def resolves(s, token):
    answer = s.metering().resolve_customer(RegistrationToken=token)
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def refused(s, code, token):
    expect(code, s.metering().resolve_customer, RegistrationToken=token)


def a_token_of_a_licensed_product_names_account_license_and_agreement(s):
    buyer = s.buys()
    assert resolves(s, buyer["registration_token"]) == {
        "CustomerIdentifier": "",
        "CustomerAWSAccountId": buyer["account_id"],
        "ProductCode": LICENSED,
        "LicenseArn": buyer["license_arn"],
        "Metadata": {"AgreementId": buyer["agreement_id"]},
    }


def a_token_of_a_legacy_product_names_the_customer_too(s):
    buyer = s.buys(LEGACY)
    resolved = resolves(s, buyer["registration_token"])
    assert resolved["CustomerIdentifier"] == buyer["customer_identifier"] != "", resolved
    assert resolved["ProductCode"] == LEGACY, resolved


def a_resolved_buyer_can_be_metered_at_once(s):
    resolved = resolves(s, s.buys()["registration_token"])
    record = {"Timestamp": NOON, "Dimension": "requests", "Quantity": 1}
    record.update({name: resolved[name] for name in ("LicenseArn", "CustomerAWSAccountId")})
    assert s.statuses(record) == ["Success"]


def a_token_resolves_repeatedly_to_the_same(s):
    token = s.buys()["registration_token"]
    first = resolves(s, token)
    s.advance("3h59m59s")
    assert resolves(s, token) == first


def a_token_expires(s):
    for lifetime_s in (4 * 3_600, 3_600, 1_800):
        s.begin()
        s.settings(token_lifetime_s=lifetime_s)
        token = s.buys()["registration_token"]
        s.advance(f"{lifetime_s - 1}s")
        resolves(s, token)
        s.advance("1s")
        refused(s, "ExpiredTokenException", token)


def a_made_up_token_is_invalid(s):
    for token in ("x", "x" * 5_000, s.buys()["registration_token"] + "x"):
        refused(s, "InvalidTokenException", token)


def an_empty_token_violates_the_model(s):
    assert s.raw("ResolveCustomer", {"RegistrationToken": ""}).error() == "ValidationException"


def throttled_disabled_or_broken(s):
    token = s.buys()["registration_token"]
    for kind, code in (
        ("throttling", "ThrottlingException"),
        ("disabled-api", "DisabledApiException"),
        ("internal-error", "InternalServiceErrorException"),
    ):
        s.fault(kind, operation="ResolveCustomer")
        refused(s, code, token)
    resolves(s, token)


def resolving_comes_before_the_license(s):
    s.settings(license_updated_delay_s=62)
    buyer = s.buys_now()
    resolves(s, buyer["registration_token"])
    assert s.statuses(s.record(buyer, Timestamp=NOON)) == ["CustomerNotSubscribed"]


def a_second_license_of_an_account_has_its_own_token(s):
    one = s.buys()
    other = s.buys(account_id=one["account_id"])
    first, second = resolves(s, one["registration_token"]), resolves(s, other["registration_token"])
    assert first["CustomerAWSAccountId"] == second["CustomerAWSAccountId"]
    assert first["LicenseArn"] != second["LicenseArn"]
    assert first["Metadata"] != second["Metadata"]


def a_fresh_token_leads_to_the_same_agreement(s):
    buyer = s.buys()
    s.advance("5h")
    refused(s, "ExpiredTokenException", buyer["registration_token"])
    fresh = s.does(buyer, "registration-token")["registration_token"]
    assert resolves(s, fresh)["Metadata"] == {"AgreementId": buyer["agreement_id"]}
    assert len(s.control("GET", "agreements")) == 1


RULES = (
    rule(
        "M39.1",
        "5 Registration",
        "ResolveCustomer answers account, product code, license and agreement.",
        a_token_of_a_licensed_product_names_account_license_and_agreement,
        a_resolved_buyer_can_be_metered_at_once,
    ),
    rule(
        "M39.2",
        "5 Registration",
        "CustomerIdentifier is empty for today's products and filled for legacy listings.",
        a_token_of_a_licensed_product_names_account_license_and_agreement,
        a_token_of_a_legacy_product_names_the_customer_too,
    ),
    rule(
        "M37.1",
        "5 Registration",
        "A token resolves repeatedly to the same answer until it expires.",
        a_token_resolves_repeatedly_to_the_same,
        a_token_expires,
    ),
    rule(
        "M37.2",
        "5 Registration",
        "The refusals: an invalid or expired token, throttled, disabled, broken.",
        a_made_up_token_is_invalid,
        an_empty_token_violates_the_model,
        throttled_disabled_or_broken,
    ),
    rule(
        "M40",
        "5 Registration",
        "Resolving proves identity, not payment: usage waits for License Updated.",
        resolving_comes_before_the_license,
    ),
    rule(
        "M64",
        "5 Registration",
        "A returning buyer may bring a second license on the same account.",
        a_second_license_of_an_account_has_its_own_token,
    ),
    rule(
        "M37.3",
        "5 Registration",
        "After the expiry, the buyer sets up the account again without another subscription.",
        a_fresh_token_leads_to_the_same_agreement,
    ),
)
