"""Metered pricing models, entitlements, and the price of a month."""

from stage import LEGACY, expect, hours, text
from suite import rule

CONTRACT = "contractproduct1"


def contract(s, pricing="contract", identity="license"):
    s.product(CONTRACT, pricing=pricing, identity=identity)


def entitled(s, dimension="gb", value=5, **more):
    return s.buys(CONTRACT, entitlements=[{"dimension": dimension, "value": value}], **more)


def page(s, **request):
    return s.entitlement().get_entitlements(**{"ProductCode": CONTRACT, **request})


def values(s, **filters):
    return sorted(e["Value"]["IntegerValue"] for e in page(s, Filter=filters)["Entitlements"])


# Pricing models.


def a_pure_contract_meters_nothing(s):
    contract(s)
    s.refuses("InvalidUsageDimensionException", s.record(entitled(s), Dimension="gb"))


def a_contract_with_consumption_meters_further_usage(s):
    contract(s, pricing="contract-with-consumption")
    assert s.statuses(s.record(entitled(s), Dimension="gb")) == ["Success"]


def a_zero_is_a_record_like_any_other(s):
    assert s.statuses(s.record(s.buys(), Quantity=0)) == ["Success"]
    assert s.billed() == ["0"]


def a_free_trial_is_metered_and_costs_nothing(s):
    trial, paid = s.buys(free_trial=True), s.buys()
    assert s.statuses(s.record(trial, Quantity=7), s.record(paid, Quantity=7)) == ["Success", "Success"]
    amounts = {i["account_id"]: i["amount"] for i in s.control("GET", "invoices?month=2026-11")}
    assert amounts == {trial["account_id"]: "0.00", paid["account_id"]: "7.00"}, amounts


def a_product_id_is_not_a_product_code(s):
    buyer = s.buys(LEGACY)
    s.refuses("InvalidProductCodeException", s.legacy(buyer), product="prod-abcdefghijklm")


# GetEntitlements.


def an_entitlement_says_who_what_and_until_when(s):
    contract(s)
    buyer = entitled(s, start=text(hours(-24)))
    [entitlement] = page(s)["Entitlements"]
    expires = entitlement.pop("ExpirationDate")
    assert expires == hours(364 * 24), expires
    assert entitlement == {
        "ProductCode": CONTRACT,
        "Dimension": "gb",
        "CustomerAWSAccountId": buyer["account_id"],
        "LicenseArn": buyer["license_arn"],
        "Value": {"IntegerValue": 5},
    }, entitlement


def filters_narrow_and_exclude(s):
    contract(s, identity="customer")
    one, other = entitled(s, "gb", 1), entitled(s, "requests", 2)
    assert values(s) == [1, 2]
    assert values(s, CUSTOMER_AWS_ACCOUNT_ID=[one["account_id"]]) == [1]
    assert values(s, CUSTOMER_IDENTIFIER=[other["customer_identifier"]]) == [2]
    assert values(s, LICENSE_ARN=[one["license_arn"], other["license_arn"]]) == [1, 2]
    assert values(s, DIMENSION=["requests"], LICENSE_ARN=[one["license_arn"]]) == []
    both = {"CUSTOMER_IDENTIFIER": ["a"], "CUSTOMER_AWS_ACCOUNT_ID": ["1"]}
    expect("InvalidParameterException", page, s, Filter=both)


def there_are_25_on_a_page(s):
    contract(s)
    for value in range(60):
        entitled(s, value=value)
    paginator = s.entitlement().get_paginator("get_entitlements").paginate(ProductCode=CONTRACT)
    pages = [[e["Value"]["IntegerValue"] for e in page["Entitlements"]] for page in paginator]
    assert [len(page) for page in pages] == [25, 25, 10], pages
    assert sum(pages, []) == list(range(60))


def an_empty_page_still_has_a_next_token(s):
    contract(s)
    for _ in range(30):
        entitled(s, value=1)
    last = entitled(s, value=9)
    filters = {"LICENSE_ARN": [last["license_arn"]]}
    first = page(s, Filter=filters)
    assert first["Entitlements"] == [] and first["NextToken"], first
    second = page(s, Filter=filters, NextToken=first["NextToken"])
    assert [e["Value"]["IntegerValue"] for e in second["Entitlements"]] == [9] and "NextToken" not in second


def a_token_belongs_to_its_question(s):
    contract(s)
    for _ in range(2):
        entitled(s)
    token = page(s, MaxResults=1)["NextToken"]
    expect("InvalidParameterException", page, s, MaxResults=1, NextToken=token, Filter={"DIMENSION": ["gb"]})
    expect("InvalidParameterException", page, s, NextToken="made-up")


def they_are_empty_until_the_license_is_updated(s):
    contract(s)
    s.settings(license_updated_delay_s=62)
    buyer = s.buys_now(CONTRACT, entitlements=[{"dimension": "gb", "value": 5}])
    s.metering().resolve_customer(RegistrationToken=buyer["registration_token"])
    assert page(s)["Entitlements"] == []
    s.advance("62s")
    assert values(s) == [5]


def an_ended_or_expired_contract_entitles_to_nothing(s):
    contract(s)
    s.cancels(entitled(s, value=1))
    expiring = [{"dimension": "gb", "value": 2, "expires": text(hours(1))}]
    s.buys(CONTRACT, entitlements=expiring)
    assert values(s) == [2]
    s.advance("1h")
    assert values(s) == []


def the_other_refusals_of_get_entitlements(s):
    expect("InvalidParameterException", page, s, ProductCode="unknown")
    for kind, code in (("throttling", "ThrottlingException"), ("internal-error", "InternalServiceErrorException")):
        s.fault(kind, operation="GetEntitlements")
        expect(code, page, s)


RULES = (
    rule(
        "M65.1",
        "7 Rules for the seller",
        "Contracts meter nothing. Contracts with consumption meter the usage beyond the entitlement.",
        a_pure_contract_meters_nothing,
        a_contract_with_consumption_meters_further_usage,
    ),
    rule("M65.2", "7 Rules for the seller", "Zeros are recommended and accepted.", a_zero_is_a_record_like_any_other),
    rule(
        "M65.3",
        "7 Rules for the seller",
        "A free trial is metered as usual, and its invoice amounts to 0.",
        a_free_trial_is_metered_and_costs_nothing,
    ),
    rule(
        "M66",
        "7 Rules for the seller",
        "A product's id is not its code.",
        a_product_id_is_not_a_product_code,
    ),
    rule(
        "M48.1",
        "7 GetEntitlements",
        "Entitlements are filtered by customer, account, license and dimension.",
        an_entitlement_says_who_what_and_until_when,
        filters_narrow_and_exclude,
        an_ended_or_expired_contract_entitles_to_nothing,
    ),
    rule(
        "M48.2",
        "7 GetEntitlements",
        "A page has up to 25 entitlements. An empty page may still have a NextToken.",
        there_are_25_on_a_page,
        an_empty_page_still_has_a_next_token,
        a_token_belongs_to_its_question,
    ),
    rule(
        "M48.3",
        "7 GetEntitlements",
        "There may be no entitlements right after ResolveCustomer. They appear with License Updated.",
        they_are_empty_until_the_license_is_updated,
    ),
    rule(
        "M48.4",
        "7 GetEntitlements",
        "The refusals: an unknown product, throttled, broken.",
        the_other_refusals_of_get_entitlements,
    ),
)
