//! The answer of BatchMeterUsage. Any member may be missing, and a status may be unknown. This
//! module only reads the answer; [`marketplace::answer::interpret`] decides what it means.
//!
//! Facts: M16, M17 (docs/marketplace-rules.md).

use jiff::Timestamp;
use marketplace::answer::{Answer, AnsweredRecord};
use serde_json::{Map, Value};

use crate::exchange::Reply;

/// The answer of BatchMeterUsage. A successful call does not mean that its records were accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BatchAnswer {
    /// `Results`, in the order of the answer, which may differ from that of the request.
    pub results: Vec<Answer>,
    /// `UnprocessedRecords`, which must be sent again.
    pub unprocessed: Vec<AnsweredRecord>,
    /// The request id that AWS support asks for; `None` if the answer had none.
    pub request_id: Option<String>,
}

impl BatchAnswer {
    /// Reads the answer. The error names a member that is not a list, although it must be one.
    pub(crate) fn read(reply: Reply) -> Result<Self, String> {
        let results = list(&reply.members, "Results")?;
        let unprocessed = list(&reply.members, "UnprocessedRecords")?;
        Ok(Self {
            results: results.iter().map(read_answer).collect(),
            unprocessed: unprocessed.iter().map(read_record).collect(),
            request_id: reply.request_id,
        })
    }
}

fn list<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a [Value], String> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(values)) => Ok(values),
        Some(_) => Err(format!("{name} in the answer is not a list")),
    }
}

fn read_answer(value: &Value) -> Answer {
    Answer {
        record: value
            .get("UsageRecord")
            .map(read_record)
            .unwrap_or_default(),
        status: text(value, "Status"),
        metering_record_id: text(value, "MeteringRecordId"),
    }
}

fn read_record(value: &Value) -> AnsweredRecord {
    AnsweredRecord {
        license_arn: text(value, "LicenseArn"),
        customer_identifier: text(value, "CustomerIdentifier"),
        account: text(value, "CustomerAWSAccountId"),
        dimension: text(value, "Dimension"),
        stamp: value.get("Timestamp").and_then(timestamp),
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    Some(value.get(name)?.as_str()?.to_owned())
}

/// Reads a time: epoch seconds as in AWS JSON, possibly with a fraction or an exponent, or RFC
/// 3339. `None` for anything else, and for a time out of range.
pub(crate) fn timestamp(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => {
            let seconds = match number.as_i64() {
                Some(seconds) => seconds,
                // Whole seconds are precise enough for a slot. The cast saturates, and the range is
                // checked below.
                None => number.as_f64()?.floor() as i64,
            };
            Timestamp::from_second(seconds).ok()
        }
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(members: Value) -> Result<BatchAnswer, String> {
        let members = serde_json::from_value(members).unwrap();
        BatchAnswer::read(Reply {
            members,
            request_id: None,
        })
    }

    #[track_caller]
    fn check_time(json: &str, expect: Option<&str>) {
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!(
            timestamp(&value).map(|t| t.to_string()).as_deref(),
            expect,
            "{json}"
        );
    }

    #[test]
    fn times_are_read_in_every_json_form() {
        let noon = Some("2026-11-21T12:00:00Z");
        check_time("1795262400", noon);
        check_time("1795262400.0", noon);
        check_time("1795262400.999", noon);
        check_time("1.7952624E9", noon);
        check_time("\"2026-11-21T12:00:00Z\"", noon);
        check_time("-0.5", Some("1969-12-31T23:59:59Z"));
        for json in [
            "1e300",
            "-1e300",
            "9223372036854775807",
            "\"noon\"",
            "true",
            "null",
            "[1]",
        ] {
            check_time(json, None);
        }
    }

    #[test]
    fn missing_members_and_new_statuses_survive() {
        let answer = read(json!({
            "Results": [
                {"UsageRecord": {"Timestamp": 1795262400, "Dimension": "gb", "New": {}}, "Status": "Postponed"},
                {"Status": null, "MeteringRecordId": 7},
                "what is this",
            ],
        }))
        .unwrap();
        assert_eq!(answer.results[0].status.as_deref(), Some("Postponed"));
        assert_eq!(answer.results[0].record.dimension.as_deref(), Some("gb"));
        assert_eq!(answer.results[1], Answer::default());
        assert_eq!(answer.results[2], Answer::default());
        assert!(answer.unprocessed.is_empty());
    }

    #[test]
    fn a_member_that_is_not_a_list_makes_the_answer_unreadable() {
        assert!(read(json!({"Results": {}})).is_err());
        assert!(read(json!({"UnprocessedRecords": "none"})).is_err());
        assert_eq!(read(json!({"Results": null})), Ok(BatchAnswer::default()));
    }

    /// Arbitrary JSON that often has the member names of the answer.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let name = prop_oneof![
                Just("Results".to_owned()),
                Just("UnprocessedRecords".to_owned()),
                Just("UsageRecord".to_owned()),
                Just("Status".to_owned()),
                Just("Timestamp".to_owned()),
                "[A-Z][a-z]{0,6}",
            ];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec((name, inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_json_makes_reading_panic(results in any_json(), unprocessed in any_json()) {
            let lists = results.is_array() as usize;
            let read = read(json!({"Results": results, "UnprocessedRecords": unprocessed}));
            prop_assert!(read.is_err() || lists == 1 || read.unwrap().results.is_empty());
        }
    }
}
