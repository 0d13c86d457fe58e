//! A metering call as CloudTrail shows it. Long `requestParameters` and `responseElements` are
//! truncated.

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Map, Value, json};

use super::lookup_events::{USERNAME, event_id};
use crate::limits::CLOUDTRAIL_FIELD_BYTES_MAX;
use crate::model::{GivenQuantity, UsageAllocation, UsageRecord};
use crate::readings::CloudTrailTimestamps;
use crate::world::{CallEntry, RecordOutcome, RecordStatus, World};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The whole event. A failed call has an `errorCode` and null `responseElements`.
pub(super) fn whole(world: &World, entry: &CallEntry, source: &str) -> Value {
    let account = &world.settings.seller_account_id;
    let reading = world.readings.cloudtrail_timestamps;
    let mut event = json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": "AIDAEXAMPLE",
            "arn": format!("arn:aws:iam::{account}:user/{USERNAME}"),
            "accountId": account,
            "accessKeyId": entry.access_key_id,
            "userName": USERNAME,
        },
        "eventTime": Timestamp::from_second(entry.at.as_second()).unwrap_or(entry.at).to_string(),
        "eventSource": source,
        "eventName": entry.operation,
        "awsRegion": entry.region,
        "sourceIPAddress": "127.0.0.1",
        "userAgent": "emulator",
        "requestParameters": request_parameters(entry, reading),
        "responseElements": Value::Null,
        "requestID": world.request_id(entry.number),
        "eventID": event_id(world, entry),
        "readOnly": false,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": account,
        "eventCategory": "Management",
    });
    match &entry.error {
        Some(error) => {
            event["errorCode"] = json!(error.code);
            event["errorMessage"] = json!(error.message);
        }
        None => event["responseElements"] = response_elements(world, entry, reading),
    }
    event
}

fn request_parameters(entry: &CallEntry, reading: CloudTrailTimestamps) -> Value {
    let mut fields = Map::new();
    if let Some(code) = &entry.product_code {
        fields.insert("productCode".to_owned(), json!(code));
    }
    let records = entry.records.iter().map(|r| usage_record(r, reading));
    truncated(fields, [("usageRecords", records.collect())])
}

fn response_elements(world: &World, entry: &CallEntry, reading: CloudTrailTimestamps) -> Value {
    let mut results = Vec::new();
    let mut unprocessed = Vec::new();
    for (record, outcome) in entry.records.iter().zip(&entry.outcomes) {
        let printed = usage_record(record, reading);
        match outcome.outcome {
            RecordStatus::Unprocessed => unprocessed.push(printed),
            _ => results.push(result(world, printed, outcome)),
        }
    }
    truncated(
        Map::new(),
        [("results", results), ("unprocessedRecords", unprocessed)],
    )
}

fn result(world: &World, record: Value, outcome: &RecordOutcome) -> Value {
    let mut result = json!({"usageRecord": record, "status": outcome.outcome.status()});
    if let Some(number) = outcome.metering_record {
        result["meteringRecordId"] = json!(world.metering_record_id(number));
    }
    result
}

/// Truncates lists to CloudTrail's limit for one field. If an item is left out, the field contains
/// `"omitted": true`.
fn truncated<const N: usize>(
    mut fields: Map<String, Value>,
    lists: [(&'static str, Vec<Value>); N],
) -> Value {
    let mut size_bytes = 0;
    let mut omitted = false;
    for (name, list) in lists {
        let mut kept = Vec::with_capacity(list.len());
        for item in list {
            size_bytes += item.to_string().len() + 1;
            if size_bytes > CLOUDTRAIL_FIELD_BYTES_MAX {
                omitted = true;
                break;
            }
            kept.push(item);
        }
        fields.insert(name.to_owned(), Value::Array(kept));
    }
    if omitted {
        fields.insert("omitted".to_owned(), json!(true));
    }
    Value::Object(fields)
}

fn usage_record(record: &UsageRecord, reading: CloudTrailTimestamps) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    put("timestamp", json!(printed(record.timestamp.at, reading)));
    put("dimension", json!(record.dimension));
    if let Some(customer) = &record.customer_identifier {
        put("customerIdentifier", json!(customer));
    }
    if let Some(account) = &record.customer_aws_account_id {
        // The name in AWS's example ends in `ID`. The API model's name in lower camel case ends in
        // `Id`.
        let name = match reading {
            CloudTrailTimestamps::Printed => "customerAWSAccountID",
            CloudTrailTimestamps::Iso8601 => "customerAWSAccountId",
        };
        put(name, json!(account));
    }
    if let Some(arn) = &record.license_arn {
        put("licenseArn", json!(arn));
    }
    for (name, value) in quantity("quantity", &record.quantity) {
        put(&name, value);
    }
    if let Some(allocations) = &record.usage_allocations {
        let allocations: Vec<Value> = allocations.iter().map(allocation).collect();
        put("usageAllocations", json!(allocations));
    }
    Value::Object(fields)
}

fn allocation(allocation: &UsageAllocation) -> Value {
    let mut fields = Map::new();
    fields.extend(quantity("allocatedUsageQuantity", &allocation.quantity));
    if let Some(tags) = &allocation.tags {
        let tags: Vec<Value> = tags
            .iter()
            .map(|tag| json!({"key": tag.key, "value": tag.value}))
            .collect();
        fields.insert("tags".to_owned(), json!(tags));
    }
    Value::Object(fields)
}

fn quantity(name: &str, given: &GivenQuantity) -> Vec<(String, Value)> {
    let integer = given.integer().map(|units| (name.to_owned(), json!(units)));
    let decimal = given
        .decimal()
        .map(|text| (format!("{name}AsDecimal"), json!(text)));
    integer.into_iter().chain(decimal).collect()
}

/// A timestamp as in AWS's example, `Apr 19, 2018 4:32:50 PM`, or in RFC 3339.
fn printed(moment: Timestamp, reading: CloudTrailTimestamps) -> String {
    let second = Timestamp::from_second(moment.as_second()).unwrap_or(moment);
    if reading == CloudTrailTimestamps::Iso8601 {
        return second.to_string();
    }
    let time = Offset::UTC.to_datetime(second);
    let month = usize::try_from(time.month() - 1).unwrap_or(0);
    let (hour, half) = match time.hour() {
        0 => (12, "AM"),
        hour @ 1..=11 => (hour, "AM"),
        12 => (12, "PM"),
        hour => (hour - 12, "PM"),
    };
    format!(
        "{} {}, {} {hour}:{:02}:{:02} {half}",
        MONTHS.get(month).unwrap_or(&"Jan"),
        time.day(),
        time.year(),
        time.minute(),
        time.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_print_as_in_awss_example() {
        for (moment, text) in [
            ("2018-04-19T16:32:50Z", "Apr 19, 2018 4:32:50 PM"),
            ("2026-01-01T00:00:00Z", "Jan 1, 2026 12:00:00 AM"),
            ("2026-12-31T12:05:09Z", "Dec 31, 2026 12:05:09 PM"),
            ("2026-11-21T09:59:59.9Z", "Nov 21, 2026 9:59:59 AM"),
        ] {
            let moment: Timestamp = moment.parse().expect("a timestamp");
            assert_eq!(printed(moment, CloudTrailTimestamps::Printed), text);
        }
    }
}
