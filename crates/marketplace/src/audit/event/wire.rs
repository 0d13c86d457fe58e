//! The JSON of an event, as serde reads it, and its conversion into a [`Call`].

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Call, RecordResult, SentRecord};
use crate::audit::printed_time;
use crate::hour::UsageHour;
use crate::ids::{LicenseArn, ProductCode};
use crate::quantity::Quantity;
use crate::slot::Slot;
use crate::subscription::Subscription;

/// The members of an event's JSON that the audit needs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireEvent {
    #[serde(default, rename = "eventID")]
    pub event_id: String,
    event_time: Option<Box<RawValue>>,
    #[serde(default)]
    pub event_source: String,
    #[serde(default)]
    pub event_name: String,
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

impl WireEvent {
    /// When the call was made; `None` if that cannot be read.
    pub fn time(&self) -> Option<Timestamp> {
        self.event_time.as_deref().and_then(read_time)
    }

    /// Converts the event into the call that it shows.
    pub fn into_call(self, at: Timestamp) -> Call {
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
            .map(|read| read.slot)
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
            slot: Slot {
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
