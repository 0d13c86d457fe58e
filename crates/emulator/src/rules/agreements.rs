//! The read operations of the Agreement API: `SearchAgreements`, `DescribeAgreement` and
//! `ListAgreementInvoiceLineItems`.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde_json::{Value, json};
use thiserror::Error;

use super::page;
use crate::limits::AGREEMENTS_PAGE_MAX;
use crate::model::{InvoiceLineItemsRequest, SearchAgreementsRequest};
use crate::world::{Bill, Parts, World};

/// The end of pay-as-you-go agreements, in the year 9999.
const NO_END_S: i64 = 253_370_764_800;
const CATALOG: &str = "AWSMarketplace";

/// Why agreements cannot be read.
#[derive(Clone, Debug, Error, PartialEq)]
pub(crate) enum AgreementsError {
    #[error("The catalog '{0}' does not exist; use AWSMarketplace")]
    Catalog(String),
    #[error("The filter '{0}' does not exist")]
    FilterName(String),
    #[error("The value '{value}' of filter {name} is not {wanted}")]
    FilterValue {
        name: String,
        value: String,
        wanted: &'static str,
    },
    #[error("The filter PartyType is required: Proposer for the seller, Acceptor for the buyer")]
    NoPartyType,
    #[error("The filter AgreementType is required: PurchaseAgreement")]
    NoAgreementType,
    #[error("Agreements are sorted by EndTime only, not by '{0}'")]
    SortBy(String),
    #[error("The nextToken is not from an answer to this request")]
    NextToken,
    #[error("The agreement '{0}' does not exist")]
    NoSuchAgreement(String),
}

impl AgreementsError {
    /// The name of the exception in the API model.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            AgreementsError::NoSuchAgreement(_) => "ResourceNotFoundException",
            _ => "ValidationException",
        }
    }
}

/// Returns one page of the seller's agreements, sorted by their end times.
pub(crate) fn search(
    world: &World,
    request: &SearchAgreementsRequest,
) -> Result<Value, AgreementsError> {
    if let Some(catalog) = &request.catalog
        && catalog != CATALOG
    {
        return Err(AgreementsError::Catalog(catalog.clone()));
    }
    if let Some(by) = &request.sort_by
        && by != "EndTime"
    {
        return Err(AgreementsError::SortBy(by.clone()));
    }
    let filters = Filters::read(&request.filters)?;
    let mut found: Vec<usize> = (0..world.agreements.len())
        .filter(|number| {
            world
                .parts(*number)
                .is_some_and(|parts| filters.pass(&parts))
        })
        .collect();
    let end = |number: &usize| world.parts(*number).map_or(NO_END_S, |parts| end_s(&parts));
    match request.ascending {
        true => found.sort_by_key(end),
        false => found.sort_by_key(|number| Reverse(end(number))),
    }
    let summaries: Vec<Value> = found
        .iter()
        .filter_map(|number| world.parts(*number))
        .map(|parts| summary(world, &parts))
        .collect();
    let question = (&request.filters, request.ascending);
    let (page, next) = cut(summaries, request.page, &request.next_token, &question)?;
    let mut answer = json!({"agreementViewSummaries": page});
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    Ok(answer)
}

/// Returns one page of a list, and the token of the next page if there is one.
fn cut(
    list: Vec<Value>,
    size: Option<usize>,
    token: &Option<String>,
    question: &impl std::hash::Hash,
) -> Result<(Vec<Value>, Option<String>), AgreementsError> {
    let start = match token {
        None => 0,
        Some(token) => page::position(token, question).ok_or(AgreementsError::NextToken)?,
    };
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    let size = size.unwrap_or(AGREEMENTS_PAGE_MAX);
    let end = start.saturating_add(size);
    let next = (end < list.len()).then(|| page::token(end as u64, question));
    Ok((list.into_iter().skip(start).take(size).collect(), next))
}

/// The filters of a search. Each has exactly one value.
#[derive(Default)]
struct Filters<'a> {
    acceptor: bool,
    equal: Vec<(&'static str, &'a str)>,
    ends_before: Option<i64>,
    ends_after: Option<i64>,
}

impl<'a> Filters<'a> {
    fn read(given: &'a [(String, String)]) -> Result<Filters<'a>, AgreementsError> {
        let mut filters = Filters::default();
        let (mut party, mut kind) = (false, false);
        for (name, value) in given {
            let wrong = |wanted| AgreementsError::FilterValue {
                name: name.clone(),
                value: value.clone(),
                wanted,
            };
            let moment = || {
                let moment: Timestamp = value
                    .parse()
                    .map_err(|_| wrong("a timestamp such as 2026-11-21T00:00:00Z"))?;
                Ok(Some(moment.as_second()))
            };
            match name.as_str() {
                "PartyType" => {
                    party = true;
                    filters.acceptor = match value.as_str() {
                        "Proposer" => false,
                        "Acceptor" => true,
                        _ => return Err(wrong("Proposer or Acceptor")),
                    };
                }
                "AgreementType" if value == "PurchaseAgreement" => kind = true,
                "AgreementType" => return Err(wrong("PurchaseAgreement")),
                "ResourceIdentifier" => filters.equal.push(("product", value)),
                "ResourceType" => filters.equal.push(("type", value)),
                "AcceptorAccountId" => filters.equal.push(("account", value)),
                "OfferId" => filters.equal.push(("offer", value)),
                "OfferSetId" => filters.equal.push(("offer set", value)),
                "Status" => filters.equal.push(("status", value)),
                "BeforeEndTime" => filters.ends_before = moment()?,
                "AfterEndTime" => filters.ends_after = moment()?,
                _ => return Err(AgreementsError::FilterName(name.clone())),
            }
        }
        match (party, kind) {
            (false, _) => Err(AgreementsError::NoPartyType),
            (_, false) => Err(AgreementsError::NoAgreementType),
            _ => Ok(filters),
        }
    }

    fn pass(&self, parts: &Parts<'_>) -> bool {
        let end = end_s(parts);
        // The caller is the seller, who is never the acceptor.
        !self.acceptor
            && self.ends_before.is_none_or(|before| end < before)
            && self.ends_after.is_none_or(|after| end > after)
            && self.equal.iter().all(|(what, value)| match *what {
                "product" => parts.product.product_id == *value,
                "type" => *value == "SaaSProduct",
                "account" => parts.customer.account_id == *value,
                "offer" => parts.agreement.offer_id == *value,
                "status" => status(parts) == *value,
                _ => false,
            })
    }
}

fn status<'a>(parts: &Parts<'a>) -> &'a str {
    let state = parts.agreement;
    match state.ended {
        None => "ACTIVE",
        Some(_) => state.status_at_end.as_deref().unwrap_or("CANCELLED"),
    }
}

fn end_s(parts: &Parts<'_>) -> i64 {
    parts.agreement.ended.map_or(NO_END_S, Timestamp::as_second)
}

fn summary(world: &World, parts: &Parts<'_>) -> Value {
    json!({
        "agreementId": parts.agreement.agreement_id,
        "acceptanceTime": parts.agreement.accepted.as_second(),
        "startTime": parts.agreement.start.as_second(),
        "endTime": end_s(parts),
        "agreementType": "PurchaseAgreement",
        "acceptor": {"accountId": parts.customer.account_id},
        "proposer": {"accountId": world.settings.seller_account_id},
        "proposalSummary": {
            "resources": [{"id": parts.product.product_id, "type": "SaaSProduct"}],
            "offerId": parts.agreement.offer_id,
        },
        "status": status(parts),
    })
}

/// Describes one agreement, by its id.
pub(crate) fn describe(world: &World, agreement_id: &str) -> Result<Value, AgreementsError> {
    let (_, parts) = find(world, agreement_id)?;
    let mut described = summary(world, &parts);
    described["estimatedCharges"] = json!({"currencyCode": "USD", "agreementValue": "0.00"});
    Ok(described)
}

fn find<'a>(world: &'a World, id: &str) -> Result<(usize, Parts<'a>), AgreementsError> {
    let missing = || AgreementsError::NoSuchAgreement(id.to_owned());
    let number = *world.agreement_by_id.get(id).ok_or_else(missing)?;
    Ok((number, world.parts(number).ok_or_else(missing)?))
}

/// Returns one page of an agreement's invoices and credit memos, newest first.
pub(crate) fn invoice_line_items(
    world: &World,
    request: &InvoiceLineItemsRequest,
    now: Timestamp,
) -> Result<Value, AgreementsError> {
    let (number, _) = find(world, &request.agreement_id)?;
    let mut items = Vec::new();
    for bill in world.bills() {
        if bill.agreement == number && bill.issued <= now {
            items.push(Item::invoice(&bill));
            items.extend(
                world
                    .adjustments
                    .iter()
                    .filter(|adjustment| adjustment.invoice_id == bill.invoice_id)
                    .map(|adjustment| Item {
                        invoice_id: adjustment.id.clone(),
                        amount: adjustment.amount.to_string(),
                        left: "0.00".to_owned(),
                        month: bill.month,
                        issued: adjustment.created,
                        kind: "CREDIT_MEMO",
                    }),
            );
        }
    }
    items.retain(|item| item.passes(request));
    items.sort_by_key(|item| Reverse(item.issued));
    let summaries = items
        .iter()
        .map(|item| item.print(&request.agreement_id))
        .collect();
    let question = (
        (&request.agreement_id, &request.invoice_id, request.kind),
        request.month,
        request.issued_before.map(Timestamp::as_nanosecond),
        request.issued_after.map(Timestamp::as_nanosecond),
    );
    let (page, next) = cut(summaries, request.page, &request.next_token, &question)?;
    let mut answer = json!({"agreementInvoiceLineItemGroupSummaries": page});
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    Ok(answer)
}

struct Item {
    invoice_id: String,
    amount: String,
    left: String,
    month: crate::month::Month,
    issued: Timestamp,
    kind: &'static str,
}

impl Item {
    fn invoice(bill: &Bill) -> Item {
        Item {
            invoice_id: bill.invoice_id.clone(),
            amount: bill.amount.to_string(),
            left: bill.amount.minus(bill.adjusted).to_string(),
            month: bill.month,
            issued: bill.issued,
            kind: "INVOICE",
        }
    }

    fn passes(&self, request: &InvoiceLineItemsRequest) -> bool {
        let invoice = request.invoice_id.as_deref();
        invoice.is_none_or(|id| id == self.invoice_id)
            && request.kind.is_none_or(|kind| kind == self.kind)
            && request.month.is_none_or(|month| month == self.month)
            && request.issued_before.is_none_or(|end| self.issued < end)
            && request.issued_after.is_none_or(|start| self.issued > start)
    }

    fn print(&self, agreement_id: &str) -> Value {
        json!({
            "agreementId": agreement_id,
            "invoiceId": self.invoice_id,
            "pricingCurrencyAmount": {
                "amount": self.amount,
                "maxAdjustmentAmount": self.left,
                "currencyCode": "USD",
            },
            "invoiceBillingPeriod": {"month": self.month.month, "year": self.month.year},
            "issuedTime": self.issued.as_second(),
            "invoiceType": self.kind,
            "invoicingEntity": {"legalName": "Amazon Web Services, Inc."},
        })
    }
}
