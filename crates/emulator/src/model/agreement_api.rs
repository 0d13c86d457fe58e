//! The requests of the Agreement API.

use jiff::Timestamp;

use super::reader::{Members, Pattern, ShapeError, StringShape};
use super::usage::Stamp;
use crate::limits::{AGREEMENTS_PAGE_MAX, RESOURCE_ID_CHARS_MAX};
use crate::month::Month;

const CATALOG: StringShape = shape(1, 64, "[a-zA-Z0-9.-]+", |b| {
    b.is_ascii_alphanumeric() || b == b'.' || b == b'-'
});
const FILTER_NAME: StringShape = shape(1, 32, "[A-Za-z_]+", |b| {
    b.is_ascii_alphabetic() || b == b'_'
});
const FILTER_VALUE: StringShape = shape(1, 256, "[A-Za-z0-9.,+:/_-]+", |b| {
    b.is_ascii_alphanumeric() || b".,+:/_-".contains(&b)
});
const SORT_BY: StringShape = shape(1, 255, "[A-Za-z_]+", |b| {
    b.is_ascii_alphabetic() || b == b'_'
});
const RESOURCE_ID: StringShape = shape(1, RESOURCE_ID_CHARS_MAX, "[A-Za-z0-9_/-]+", |b| {
    b.is_ascii_alphanumeric() || b"_/-".contains(&b)
});
const INVOICE_ID: StringShape = StringShape {
    min: 0,
    max: 1_024,
    pattern: None,
};
const NEXT_TOKEN: StringShape = shape(0, 8_192, "[a-zA-Z0-9+/=_-]+", |b| {
    b.is_ascii_alphanumeric() || b"+/=_-".contains(&b)
});
const CURRENCY: StringShape = shape(3, 3, "[A-Z]+", |b| b.is_ascii_uppercase());
const AMOUNT: StringShape = StringShape {
    min: 0,
    max: usize::MAX,
    pattern: Some(Pattern::Whole {
        text: r"[0-9]*(\.[0-9]{0,8})?",
        matches: is_amount,
    }),
};
const DESCRIPTION: StringShape = StringShape {
    min: 1,
    max: 500,
    pattern: None,
};
const CLIENT_TOKEN: StringShape = shape(1, 64, "[a-zA-Z0-9-]+", |b| {
    b.is_ascii_alphanumeric() || b == b'-'
});

const REASONS: &[&str] = &[
    "INCORRECT_TERMS_ACCEPTED",
    "INCORRECT_METERING",
    "TEST_ENVIRONMENT_CHARGES",
    "ALTERNATIVE_PROCUREMENT_CHANNEL",
    "UNINTENDED_RENEWAL",
    "BUYER_DISSATISFACTION",
    "OTHER",
];

/// Makes a string shape whose pattern is a class of bytes.
const fn shape(min: usize, max: usize, text: &'static str, bytes: fn(u8) -> bool) -> StringShape {
    StringShape {
        min,
        max,
        pattern: Some(Pattern::Bytes { text, bytes }),
    }
}

fn is_amount(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    match text.split_once('.') {
        None => digits(text),
        Some((whole, fraction)) => digits(whole) && digits(fraction) && fraction.len() <= 8,
    }
}

/// The request of `SearchAgreements`: one page of agreements.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SearchAgreementsRequest {
    pub(crate) catalog: Option<String>,
    pub(crate) filters: Vec<(String, String)>,
    pub(crate) sort_by: Option<String>,
    pub(crate) ascending: bool,
    pub(crate) page: Option<usize>,
    pub(crate) next_token: Option<String>,
}

impl SearchAgreementsRequest {
    pub(crate) fn read(members: &mut Members<'_>) -> Result<Self, ShapeError> {
        let catalog = members.string("catalog", &CATALOG)?;
        let filters = members.list("filters", 1, 10, |filter| {
            let name = filter.string("name", &FILTER_NAME)?;
            let values = filter.strings("values", 1, 1, &FILTER_VALUE)?;
            let value = values.and_then(|values| values.into_iter().next());
            Ok((name.unwrap_or_default(), value.unwrap_or_default()))
        })?;
        let sort = members.structure("sort", |sort| {
            let by = sort.string("sortBy", &SORT_BY)?;
            let order = sort.one_of("sortOrder", &["ASCENDING", "DESCENDING"])?;
            Ok((by, order == Some("ASCENDING")))
        })?;
        let (sort_by, ascending) = sort.unwrap_or_default();
        Ok(SearchAgreementsRequest {
            catalog,
            filters: filters.unwrap_or_default(),
            sort_by,
            ascending,
            page: page(members)?,
            next_token: members.string("nextToken", &NEXT_TOKEN)?,
        })
    }
}

fn page(members: &mut Members<'_>) -> Result<Option<usize>, ShapeError> {
    let max = i64::try_from(AGREEMENTS_PAGE_MAX).unwrap_or(i64::MAX);
    let size = members.integer("maxResults", 1, max)?;
    Ok(size.and_then(|size| usize::try_from(size).ok()))
}

/// Reads the id of one agreement.
pub(crate) fn read_agreement_id(members: &mut Members<'_>) -> Result<String, ShapeError> {
    required(members, "agreementId", &RESOURCE_ID)
}

fn required(
    members: &mut Members<'_>,
    name: &'static str,
    shape: &StringShape,
) -> Result<String, ShapeError> {
    let text = members.string(name, shape)?;
    if text.is_none() {
        members.missing(name);
    }
    Ok(text.unwrap_or_default())
}

/// The request of `ListAgreementInvoiceLineItems`: one page of an agreement's invoices.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InvoiceLineItemsRequest {
    pub(crate) agreement_id: String,
    pub(crate) invoice_id: Option<String>,
    pub(crate) kind: Option<&'static str>,
    pub(crate) month: Option<Month>,
    pub(crate) issued_before: Option<Timestamp>,
    pub(crate) issued_after: Option<Timestamp>,
    pub(crate) page: Option<usize>,
    pub(crate) next_token: Option<String>,
}

impl InvoiceLineItemsRequest {
    pub(crate) fn read(members: &mut Members<'_>) -> Result<Self, ShapeError> {
        let agreement_id = read_agreement_id(members)?;
        if members.one_of("groupBy", &["INVOICE_ID"])?.is_none() {
            members.missing("groupBy");
        }
        let month = members.structure("invoiceBillingPeriod", read_month)?;
        Ok(InvoiceLineItemsRequest {
            agreement_id,
            invoice_id: members.string("invoiceId", &RESOURCE_ID)?,
            kind: members.one_of("invoiceType", &["INVOICE", "CREDIT_MEMO"])?,
            month,
            issued_before: Stamp::read_optional(members, "beforeIssuedTime")?.map(|s| s.at),
            issued_after: Stamp::read_optional(members, "afterIssuedTime")?.map(|s| s.at),
            page: page(members)?,
            next_token: members.string("nextToken", &NEXT_TOKEN)?,
        })
    }
}

fn read_month(period: &mut Members<'_>) -> Result<Month, ShapeError> {
    let month = period.integer("month", 1, 12)?;
    let year = period.integer("year", 2023, 2050)?;
    if month.is_none() {
        period.missing("month");
    }
    if year.is_none() {
        period.missing("year");
    }
    Ok(Month {
        year: year.and_then(|n| i16::try_from(n).ok()).unwrap_or(2023),
        month: month.and_then(|n| i8::try_from(n).ok()).unwrap_or(1),
    })
}

/// One entry of `BatchCreateBillingAdjustmentRequest`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AdjustmentEntry {
    pub(crate) agreement_id: String,
    pub(crate) invoice_id: String,
    pub(crate) amount: String,
    pub(crate) currency: String,
    pub(crate) reason: String,
    pub(crate) client_token: String,
}

/// Reads all adjustments of one request.
pub(crate) fn read_adjustments(
    members: &mut Members<'_>,
) -> Result<Vec<AdjustmentEntry>, ShapeError> {
    const NAME: &str = "billingAdjustmentRequestEntries";
    let entries = members.list(NAME, 0, usize::MAX, |entry| {
        let reason = entry.one_of("adjustmentReasonCode", REASONS)?;
        if reason.is_none() {
            entry.missing("adjustmentReasonCode");
        }
        entry.string("description", &DESCRIPTION)?;
        Ok(AdjustmentEntry {
            agreement_id: required(entry, "agreementId", &RESOURCE_ID)?,
            invoice_id: required(entry, "originalInvoiceId", &INVOICE_ID)?,
            amount: required(entry, "adjustmentAmount", &AMOUNT)?,
            currency: required(entry, "currencyCode", &CURRENCY)?,
            reason: reason.unwrap_or_default().to_owned(),
            client_token: required(entry, "clientToken", &CLIENT_TOKEN)?,
        })
    })?;
    if entries.is_none() {
        members.missing(NAME);
    }
    Ok(entries.unwrap_or_default())
}
