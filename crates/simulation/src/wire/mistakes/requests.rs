//! Mistakes in requests.

use serde_json::{Value, json};

use super::answers::{all_billed, answered};
use super::{Mistake, Subject, has_prefix, is_named};
use crate::wire::Fate;

impl Mistake {
    /// The body of the request after the mistake.
    pub(in crate::wire) fn request(self, subject: Subject<'_>, body: Vec<u8>) -> Vec<u8> {
        let Ok(mut request) = serde_json::from_slice::<Value>(&body) else {
            return body;
        };
        match self.edit_request(subject, &mut request) {
            Some(()) => request.to_string().into_bytes(),
            None => body,
        }
    }

    /// Edits a request. `None` means that the request stays as it is.
    fn edit_request(self, subject: Subject<'_>, request: &mut Value) -> Option<()> {
        let is_of_batch = subject.operation == "BatchMeterUsage";
        match self {
            Self::StampedNow | Self::ActivationIgnored if is_of_batch => {
                for record in request["UsageRecords"].as_array_mut()? {
                    let hour = record["Timestamp"].as_i64()?.div_euclid(3600) * 3600;
                    // Hours are sealed half an hour after their end.
                    let late = if self == Self::StampedNow { 5400 } else { 0 };
                    record["Timestamp"] = json!(hour + late);
                }
            }
            Self::UntaggedShareMissing if is_of_batch => {
                for record in request["UsageRecords"].as_array_mut()? {
                    if let Some(shares) = record["UsageAllocations"].as_array_mut() {
                        shares.retain(|share| share.get("Tags").is_some());
                    }
                }
            }
            Self::DecimalsCutOff if is_of_batch => {
                for record in request["UsageRecords"].as_array_mut()? {
                    cut_decimals(record, "QuantityAsDecimal");
                    for share in record["UsageAllocations"]
                        .as_array_mut()
                        .into_iter()
                        .flatten()
                    {
                        cut_decimals(share, "AllocatedUsageQuantityAsDecimal");
                    }
                }
            }
            Self::EmptyCustomerIdentifier if is_of_batch => {
                for record in request["UsageRecords"].as_array_mut()? {
                    if record.get("LicenseArn").is_some() {
                        record["CustomerIdentifier"] = json!("");
                    }
                }
            }
            Self::RecordOverwritten if subject.operation == "PutItem" => {
                is_named(&request["Item"], "r#").then(|| drop_condition(request))?;
            }
            Self::FlagClearedBlindly if subject.operation == "DeleteItem" => {
                is_named(&request["Key"], "l#").then(|| drop_condition(request))?;
            }
            Self::MovementUnconditional if is_movement(subject, request) => {
                for part in request["TransactItems"].as_array_mut()? {
                    part.as_object_mut()?.values_mut().for_each(drop_condition);
                }
            }
            // The process dies after the first step, so only that step is carried out.
            Self::MovementInTwoSteps if is_movement(subject, request) => {
                let first_step = |part: &Value| {
                    part["Put"].is_null()
                        || !has_prefix(&part["Put"]["Item"]["dimension_event"]["S"], "")
                };
                if subject.fate == Fate::DiesAfter {
                    request["TransactItems"].as_array_mut()?.retain(first_step);
                }
            }
            Self::UnconfirmedIsExpired if subject.operation == "UpdateItem" => {
                let state = &mut request["ExpressionAttributeValues"][":state"]["S"];
                (state == "unconfirmed").then(|| *state = json!("expired"))?;
            }
            _ => return None,
        }
        Some(())
    }

    /// The answer that the mistake gives without carrying the call out; `None` if the call is
    /// carried out.
    pub(in crate::wire) fn instead(
        self,
        subject: Subject<'_>,
        body: &[u8],
    ) -> Option<http::Response<Vec<u8>>> {
        let has_failed = matches!(subject.fate, Fate::Unsent | Fate::Failed | Fate::Throttled);
        let is_put = subject.operation == "PutItem";
        let is_flag = || {
            let request = serde_json::from_slice::<Value>(body).unwrap_or_default();
            is_named(&request["Item"], "l#")
        };
        let is_skipped = match self {
            Self::LateRowsNotFlagged => is_put && subject.function == "late-usage" && is_flag(),
            Self::NothingRecounted => is_put && subject.function == "reconciler" && is_flag(),
            Self::FlagFailureForgotten => {
                is_put && has_failed && subject.function == "late-usage" && is_flag()
            }
            Self::FailedPutAcknowledged => is_put && has_failed && subject.function == "intake",
            Self::LostAnswerIsSuccess => {
                let is_lost = matches!(
                    subject.fate,
                    Fate::Unsent | Fate::Unanswered | Fate::TimedOut
                );
                if is_lost && subject.operation == "BatchMeterUsage" {
                    return all_billed(body);
                }
                false
            }
            _ => false,
        };
        is_skipped.then(|| answered(&json!({})))
    }
}

fn cut_decimals(value: &mut Value, member: &str) {
    let whole = value[member].as_str().and_then(|text| text.split_once('.'));
    if let Some(whole) = whole.map(|(whole, _)| whole.to_owned()) {
        value[member] = json!(whole);
    }
}

fn is_movement(subject: Subject<'_>, request: &Value) -> bool {
    let parts = request["TransactItems"].as_array();
    subject.operation == "TransactWriteItems"
        && parts.is_some_and(|parts| {
            parts
                .iter()
                .any(|part| is_named(&part["Put"]["Item"], "c#"))
        })
}

/// Edits a write's condition so that it always holds. It keeps its names and values, because
/// DynamoDB refuses names and values that no expression uses.
fn drop_condition(write: &mut Value) {
    if let Some(condition) = write["ConditionExpression"].as_str() {
        let always = "attribute_exists(subscription) OR attribute_not_exists(subscription)";
        write["ConditionExpression"] = json!(format!("({condition}) OR {always}"));
    }
}
