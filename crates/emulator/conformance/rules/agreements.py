"""The Agreement API, and refunds of over-billing."""

from stage import expect, hours, text
from suite import rule

SELLER = [{"name": "PartyType", "values": ["Proposer"]}, {"name": "AgreementType", "values": ["PurchaseAgreement"]}]


def searched(s, *filters, **request):
    more = [{"name": name, "values": [value]} for name, value in filters]
    answer = s.agreement().search_agreements(catalog="AWSMarketplace", filters=SELLER + more, **request)
    return [found["agreementId"] for found in answer["agreementViewSummaries"]]


def agreements_are_found_by_their_filters(s):
    one, other = s.buys(), s.buys()
    s.cancels(other)
    ids = {one["agreement_id"], other["agreement_id"]}
    assert set(searched(s)) == ids
    assert searched(s, ("AcceptorAccountId", one["account_id"])) == [one["agreement_id"]]
    assert searched(s, ("Status", "CANCELLED")) == [other["agreement_id"]]
    assert searched(s, ("ResourceType", "SaaSProduct"), ("Status", "ACTIVE")) == [one["agreement_id"]]
    assert searched(s, ("BeforeEndTime", text(hours(1)))) == [other["agreement_id"]]


def agreements_are_paged_and_sorted_by_their_end(s):
    buyers = [s.buys() for _ in range(5)]
    for buyer in buyers[:3]:
        s.cancels(buyer)
        s.advance("1h")
    sort = {"sortBy": "EndTime", "sortOrder": "ASCENDING"}
    first = s.agreement().search_agreements(filters=SELLER, sort=sort, maxResults=3)
    assert [a["agreementId"] for a in first["agreementViewSummaries"]] == [b["agreement_id"] for b in buyers[:3]]
    rest = s.agreement().search_agreements(filters=SELLER, sort=sort, maxResults=3, nextToken=first["nextToken"])
    assert len(rest["agreementViewSummaries"]) == 2 and "nextToken" not in rest


def a_search_without_its_two_filters_is_refused(s):
    for filters in (SELLER[:1], SELLER[1:]):
        expect("ValidationException", s.agreement().search_agreements, filters=filters)
    for name, value in (("Colour", "red"), ("BeforeEndTime", "soon"), ("PartyType", "Nobody")):
        expect("ValidationException", searched, s, (name, value))


def an_agreement_is_described_with_year_9999_as_its_end(s):
    buyer = s.buys()
    described = s.agreement().describe_agreement(agreementId=buyer["agreement_id"])
    assert described["status"] == "ACTIVE" and described["endTime"].year == 9999, described
    assert described["acceptor"] == {"accountId": buyer["account_id"]}, described
    assert described["proposer"] == {"accountId": "222222222222"}, described
    [resource] = described["proposalSummary"]["resources"]
    assert resource["id"].startswith("prod-") and resource["type"] == "SaaSProduct", described


def an_unknown_agreement_is_not_found(s):
    expect("ResourceNotFoundException", s.agreement().describe_agreement, agreementId="agmt-unknown")
    expect("ResourceNotFoundException", items, s, {"agreement_id": "agmt-unknown"})


def overbilled(s):
    """Closes a month with 15000 units although 150 were used. Returns the buyer and the invoice."""
    buyer = s.buys()
    s.meter(s.record(buyer, Quantity=15_000))
    s.clock("2026-12-01T06:00:00Z")
    [invoice] = items(s, buyer)
    return buyer, invoice


def items(s, buyer, **request):
    request = {"agreementId": buyer["agreement_id"], "groupBy": "INVOICE_ID", **request}
    return s.agreement().list_agreement_invoice_line_items(**request)["agreementInvoiceLineItemGroupSummaries"]


def entry(buyer, invoice, amount="14850.00", token="t-1", **more):
    return {
        "agreementId": buyer["agreement_id"],
        "originalInvoiceId": invoice["invoiceId"],
        "adjustmentAmount": amount,
        "currencyCode": "USD",
        "adjustmentReasonCode": "INCORRECT_METERING",
        "clientToken": token,
        **more,
    }


def adjusts(s, *entries):
    return s.agreement().batch_create_billing_adjustment_request(billingAdjustmentRequestEntries=list(entries))


def the_month_is_invoiced_when_it_closes(s):
    buyer = s.buys()
    s.meter(s.record(buyer, Quantity=3))
    s.clock("2026-12-01T05:59:59Z")
    assert items(s, buyer) == []
    s.advance("1s")
    [invoice] = items(s, buyer)
    assert invoice["invoiceBillingPeriod"] == {"month": 11, "year": 2026}, invoice
    assert invoice["pricingCurrencyAmount"]["amount"] == "3.00", invoice
    assert invoice["invoiceType"] == "INVOICE" and invoice["invoiceId"], invoice


def invoices_are_narrowed(s):
    buyer, invoice = overbilled(s)
    assert items(s, buyer, invoiceId=invoice["invoiceId"]) == [invoice]
    assert items(s, buyer, invoiceType="CREDIT_MEMO") == []
    assert items(s, buyer, invoiceBillingPeriod={"month": 10, "year": 2026}) == []
    assert items(s, buyer, beforeIssuedTime=invoice["issuedTime"]) == []


def a_record_is_never_lowered(s):
    buyer = s.buys()
    s.meter(s.record(buyer, Quantity=15_000))
    assert s.statuses(s.record(buyer, Quantity=150)) == ["DuplicateRecord"]
    assert s.billed() == ["15000"]


def an_adjustment_becomes_a_credit_memo(s):
    buyer, invoice = overbilled(s)
    answer = adjusts(s, entry(buyer, invoice))
    assert answer["errors"] == [] and answer["items"][0]["clientToken"] == "t-1", answer
    [memo] = items(s, buyer, invoiceType="CREDIT_MEMO")
    assert memo["pricingCurrencyAmount"]["amount"] == "14850.00", memo
    [after] = items(s, buyer, invoiceType="INVOICE")
    assert after["pricingCurrencyAmount"]["maxAdjustmentAmount"] == "150.00", after


def the_client_token_makes_it_idempotent(s):
    buyer, invoice = overbilled(s)
    first = adjusts(s, entry(buyer, invoice))["items"]
    assert adjusts(s, entry(buyer, invoice))["items"] == first
    [error] = adjusts(s, entry(buyer, invoice, amount="1.00"))["errors"]
    assert error["code"] == "CONFLICT_EXCEPTION", error
    assert len(items(s, buyer, invoiceType="CREDIT_MEMO")) == 1


def each_entry_is_judged_for_itself(s):
    buyer, invoice = overbilled(s)
    answer = adjusts(
        s,
        entry(buyer, invoice, token="too-much", amount="15000.01"),
        entry(buyer, invoice, token="nothing", amount="0"),
        entry(buyer, invoice, token="currency", currencyCode="EUR"),
        entry(buyer, {"invoiceId": "unknown"}, token="invoice"),
        entry(buyer, invoice, token="good", amount="0.01"),
    )
    assert [item["clientToken"] for item in answer["items"]] == ["good"], answer
    codes = {error["clientToken"]: error["code"] for error in answer["errors"]}
    assert codes.pop("invoice") == "RESOURCE_NOT_FOUND_EXCEPTION", codes
    assert set(codes.values()) == {"VALIDATION_EXCEPTION"} and len(codes) == 3, codes


def a_request_for_two_agreements_is_refused(s):
    buyer, invoice = overbilled(s)
    other = entry(s.buys(), invoice, token="t-2")
    expect("ValidationException", adjusts, s, entry(buyer, invoice), other)
    expect("ValidationException", adjusts, s, entry(buyer, invoice), entry(buyer, invoice))
    expect("ValidationException", adjusts, s)


CALLS = {
    "SearchAgreements": lambda s: searched(s),
    "DescribeAgreement": lambda s: s.agreement().describe_agreement(agreementId="agmt-1"),
    "ListAgreementInvoiceLineItems": lambda s: items(s, {"agreement_id": "agmt-1"}),
    "BatchCreateBillingAdjustmentRequest": lambda s: adjusts(s),
}


def each_operation_may_be_denied_throttled_or_broken(s):
    for operation, call in CALLS.items():
        for kind, code in (
            ("access-denied", "AccessDeniedException"),
            ("throttling", "ThrottlingException"),
            ("internal-error", "InternalServerException"),
        ):
            s.fault(kind, operation=operation)
            expect(code, call, s)


RULES = (
    rule(
        "M42.4",
        "6 Lifecycle",
        "SearchAgreements finds the seller's agreements; PartyType and AgreementType are required.",
        agreements_are_found_by_their_filters,
        agreements_are_paged_and_sorted_by_their_end,
        a_search_without_its_two_filters_is_refused,
    ),
    rule(
        "M42.5",
        "6 Lifecycle",
        "DescribeAgreement describes one agreement. Pay-as-you-go agreements end in the year 9999.",
        an_agreement_is_described_with_year_9999_as_its_end,
        an_unknown_agreement_is_not_found,
    ),
    rule(
        "M28.1",
        "2 Corrections",
        "A metered record can never be changed or lowered.",
        a_record_is_never_lowered,
    ),
    rule(
        "M28.2",
        "2 Corrections",
        "Invoices are listed by agreement once their month has closed.",
        the_month_is_invoiced_when_it_closes,
        invoices_are_narrowed,
    ),
    rule(
        "M49.1",
        "2 Corrections",
        "Over-billing is refunded in money, for one invoice at a time. A client token makes the request idempotent.",
        an_adjustment_becomes_a_credit_memo,
        the_client_token_makes_it_idempotent,
        each_entry_is_judged_for_itself,
        a_request_for_two_agreements_is_refused,
    ),
    rule(
        "M49.2",
        "2 Corrections",
        "Each operation of the Agreement API may be denied, throttled or broken.",
        each_operation_may_be_denied_throttled_or_broken,
    ),
)
