//! Reads the text of one CloudTrail event.
//!
//! Members are optional, printed times have several forms, names differ in case, and an event of
//! more than 100 KB is cut off. Parts that cannot be read are reported, and they prevent every
//! conclusion that they might change.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Span, printed_time};
use crate::error_table::{About, about};
use crate::hour::UsageHour;
use crate::ids::{LicenseArn, ProductCode};
use crate::quantity::Quantity;
use crate::record::RecordKey;
use crate::subscription::Subscription;

const SOURCE: &str = "metering-marketplace.amazonaws.com";
const NAME: &str = "BatchMeterUsage";

/// Error codes of calls that certainly recorded nothing. AWS refuses such a call before it reads a
/// record, or the API reference says that the entire batch is not processed. CloudTrail prints some
/// codes without `Exception`.
const NOTHING_RECORDED: [&str; 24] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "DisabledApiException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TimestampOutOfBounds",
    "TimestampOutOfBoundsException",
    "TooManyRequestsException",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
];

/// One event, as far as the audit needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A call of BatchMeterUsage.
    Call(Call),
    /// An event of another operation, with its name and source. It says nothing about metering
    /// records.
    Foreign(String),
    /// An event that may be a call of BatchMeterUsage and cannot be read.
    Unreadable {
        /// The period in which the call was made, if it is known.
        at: Option<Span>,
        /// Why the event cannot be read.
        problem: String,
    },
}

/// A call of BatchMeterUsage as CloudTrail shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// CloudTrail's id of the event.
    pub event_id: String,
    /// When the call was made, in whole seconds.
    pub at: Timestamp,
    /// The Region that was called.
    pub region: String,
    /// The error code, if the request failed as a whole.
    pub error: Option<String>,
    /// The `productCode` of the request; `None` if its records name licenses.
    pub product: Option<ProductCode>,
    /// The records of the request, as far as they can be read.
    pub sent: Vec<SentRecord>,
    /// Whether `sent` has all records of the request: nothing was cut off, and each can be read.
    pub is_sent_complete: bool,
    /// The answers for single records, as far as they can be read.
    pub results: Vec<RecordResult>,
    /// Records listed as unprocessed.
    pub unprocessed: Vec<RecordKey>,
    /// Whether CloudTrail cut something off.
    pub is_truncated: bool,
}

/// A record of a request, or its repetition in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentRecord {
    /// The slot of the record.
    pub key: RecordKey,
    /// The quantity; `None` if an answer does not repeat it.
    pub quantity: Option<Quantity>,
}

/// One member of `results`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordResult {
    /// The record that the answer is about.
    pub record: SentRecord,
    /// The status: `Success`, `CustomerNotSubscribed`, `DuplicateRecord`, or one that AWS added
    /// later.
    pub status: Option<String>,
    /// The `meteringRecordId`, if the event has it.
    pub metering_record_id: Option<String>,
}

/// The effect of one call on one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The call certainly recorded nothing in the slot.
    Nothing,
    /// The answer was DuplicateRecord: the slot was taken before.
    Duplicate,
    /// The call may have recorded one of these quantities. An empty list means any quantity.
    Doubtful(Vec<Quantity>),
    /// The answer was Success.
    Success {
        /// The quantity that AWS Marketplace holds and bills.
        quantity: Quantity,
        /// The metering record id that AWS gave it, if the event has it.
        metering_record_id: Option<String>,
    },
}

impl Call {
    /// Whether the call certainly recorded nothing, in whichever slot.
    pub fn recorded_nothing(&self) -> bool {
        self.results.is_empty()
            && self.error.as_deref().is_some_and(|code| {
                NOTHING_RECORDED.contains(&code) || self.was_refused_alone(code)
            })
    }

    /// Whether its only record was refused because of the record's content. If a batch is refused,
    /// the records before the bad one may have been recorded. A single record has none before it.
    fn was_refused_alone(&self, code: &str) -> bool {
        self.is_sent_complete && self.sent.len() == 1 && about(code) != About::Request
    }

    /// Whether the call may have recorded a slot that the event does not show.
    pub fn is_opaque(&self) -> bool {
        !self.is_sent_complete && !self.recorded_nothing()
    }

    /// Whether the event looks like a request with one record that is too large for CloudTrail: it
    /// is cut off, and has no record left. An event of this stack is cut off in no other way.
    pub fn is_of_one_large_record(&self) -> bool {
        self.is_truncated && self.sent.is_empty() && self.results.len() <= 1
    }

    /// The slots that the call names in its request or its answer.
    pub fn slots(&self) -> BTreeSet<&RecordKey> {
        self.sent
            .iter()
            .map(|sent| &sent.key)
            .chain(self.results.iter().map(|result| &result.record.key))
            .chain(&self.unprocessed)
            .collect()
    }

    /// The effect of the call on a slot that it names.
    pub fn effect(&self, key: &RecordKey) -> Effect {
        let sent: BTreeSet<Quantity> = self
            .sent
            .iter()
            .filter(|sent| sent.key == *key)
            .filter_map(|sent| sent.quantity)
            .collect();
        let results = || self.results.iter().filter(|r| r.record.key == *key);
        let doubtful = || Effect::Doubtful(sent.iter().copied().collect());
        if let Some(success) = results().find(|r| r.status.as_deref() == Some("Success")) {
            let only = (sent.len() == 1).then(|| sent.first().copied()).flatten();
            // If the answer does not repeat the quantity, it is the one that was sent, if only one
            // was.
            return match success.record.quantity.or(only) {
                Some(quantity) => Effect::Success {
                    quantity,
                    metering_record_id: success.metering_record_id.clone(),
                },
                None => doubtful(),
            };
        }
        if self.recorded_nothing() {
            return Effect::Nothing;
        }
        if self.error.is_some() {
            return doubtful();
        }
        let unprocessed = self.unprocessed.iter().filter(|slot| *slot == key);
        let named = self.sent.iter().filter(|sent| sent.key == *key).count();
        if results().count().saturating_add(unprocessed.count()) < named {
            // A record is in neither list of the answer, or its result was cut off.
            return doubtful();
        }
        let mut taken = false;
        for result in results() {
            match result.status.as_deref() {
                Some("DuplicateRecord") => taken = true,
                Some("CustomerNotSubscribed") => {}
                _ => return doubtful(),
            }
        }
        match taken {
            true => Effect::Duplicate,
            false => Effect::Nothing,
        }
    }
}

impl Event {
    /// Reads the text of one event. With LookupEvents it is the member `CloudTrailEvent`, and
    /// `listed_at` is the `EventTime` of the same list entry.
    pub fn read(text: &str, listed_at: Option<Timestamp>) -> Self {
        let wire: Wire = match serde_json::from_str(text) {
            Ok(wire) => wire,
            Err(error) => {
                return Self::Unreadable {
                    at: listed_at.map(Span::at),
                    problem: error.to_string(),
                };
            }
        };
        if wire.event_source != SOURCE || wire.event_name != NAME {
            return Self::Foreign(format!("{} of {}", wire.event_name, wire.event_source));
        }
        let at = wire.event_time.as_deref().and_then(read_time).or(listed_at);
        match at {
            Some(at) => Self::Call(wire.into_call(at)),
            None => Self::Unreadable {
                at: None,
                problem: format!("event {} has no readable time", wire.event_id),
            },
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default, rename = "eventID")]
    event_id: String,
    event_time: Option<Box<RawValue>>,
    #[serde(default)]
    event_source: String,
    #[serde(default)]
    event_name: String,
    #[serde(default)]
    aws_region: String,
    error_code: Option<String>,
    request_parameters: Option<Request>,
    response_elements: Option<Response>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Request {
    product_code: Option<String>,
    usage_records: Option<Vec<Record>>,
    omitted: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Response {
    results: Option<Vec<Answer>>,
    unprocessed_records: Option<Vec<Record>>,
    omitted: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    usage_record: Option<Record>,
    status: Option<String>,
    metering_record_id: Option<String>,
}

/// A usage record. Its member names are those of AWS's example, and those of the API model in lower
/// camel case, which differ.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Record {
    timestamp: Option<Box<RawValue>>,
    dimension: Option<String>,
    customer_identifier: Option<String>,
    #[serde(
        rename = "customerAWSAccountId",
        alias = "customerAWSAccountID",
        alias = "customerAwsAccountId"
    )]
    account: Option<String>,
    license_arn: Option<String>,
    quantity: Option<Value>,
    quantity_as_decimal: Option<Value>,
}

impl Wire {
    fn into_call(self, at: Timestamp) -> Call {
        let request = self.request_parameters.unwrap_or_default();
        let response = self.response_elements.unwrap_or_default();
        let cut = is_set(request.omitted.as_ref());
        let product_readable = request
            .product_code
            .as_ref()
            .is_none_or(|code| code.is_empty() || code.parse::<ProductCode>().is_ok());
        let product: Option<ProductCode> = request.product_code.and_then(|code| code.parse().ok());
        let given = request.usage_records;
        let listed = given.is_some();
        let given = given.unwrap_or_default();
        let sent: Vec<SentRecord> = given
            .iter()
            .filter_map(|record| {
                let read = record.read(product.as_ref())?;
                // A request without a quantity meters zero.
                let quantity = match record.has_quantity() {
                    true => Some(read.quantity?),
                    false => Some(Quantity::ZERO),
                };
                Some(SentRecord { quantity, ..read })
            })
            .collect();
        let is_sent_complete = listed && !cut && product_readable && sent.len() == given.len();
        let results = response
            .results
            .unwrap_or_default()
            .into_iter()
            .filter_map(|answer| {
                Some(RecordResult {
                    record: answer.usage_record?.read(product.as_ref())?,
                    status: answer.status,
                    metering_record_id: answer.metering_record_id,
                })
            })
            .collect();
        let unprocessed = response
            .unprocessed_records
            .unwrap_or_default()
            .iter()
            .filter_map(|record| record.read(product.as_ref()))
            .map(|read| read.key)
            .collect();
        Call {
            event_id: self.event_id,
            at,
            region: self.aws_region,
            error: self.error_code.filter(|code| !code.is_empty()),
            product,
            sent,
            is_sent_complete,
            results,
            unprocessed,
            is_truncated: cut || is_set(response.omitted.as_ref()),
        }
    }
}

impl Record {
    /// The slot and quantity; `None` if the slot cannot be read.
    fn read(&self, product: Option<&ProductCode>) -> Option<SentRecord> {
        let time = self.timestamp.as_deref().and_then(read_time)?;
        Some(SentRecord {
            key: RecordKey {
                subscription: self.subscription(product)?,
                hour: UsageHour::of(time),
                dimension: self.dimension.as_ref()?.parse().ok()?,
            },
            quantity: self.quantity(),
        })
    }

    fn subscription(&self, product: Option<&ProductCode>) -> Option<Subscription> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(arn) = given(&self.license_arn) {
            return LicenseArn::from_message(&arn)
                .ok()
                .map(Subscription::License);
        }
        let product = product?.clone();
        if let Some(customer) = given(&self.customer_identifier) {
            return Some(Subscription::Customer(product, customer.parse().ok()?));
        }
        let account = given(&self.account)?.parse().ok()?;
        Some(Subscription::Account(product, account))
    }

    fn has_quantity(&self) -> bool {
        let is_given = |value: &Option<Value>| value.as_ref().is_some_and(|v| !v.is_null());
        is_given(&self.quantity) || is_given(&self.quantity_as_decimal)
    }

    fn quantity(&self) -> Option<Quantity> {
        [&self.quantity_as_decimal, &self.quantity]
            .into_iter()
            .flatten()
            .find(|value| !value.is_null())
            .and_then(|value| match value {
                Value::String(text) => Quantity::from_number(text).ok(),
                Value::Number(number) => Quantity::from_number(&number.to_string()).ok(),
                _ => None,
            })
    }
}

fn read_time(value: &RawValue) -> Option<Timestamp> {
    printed_time::read_json(value.get())
}

fn is_set(flag: Option<&Value>) -> bool {
    flag.is_some_and(|value| {
        !matches!(value, Value::Null | Value::Bool(false))
            && *value != Value::String("false".into())
    })
}

#[cfg(test)]
mod tests;
