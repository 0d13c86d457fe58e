//! Mistakes in answers.

use local::dynamodb::WireAnswer;
use serde_json::{Value, json};

use super::{Mistake, Subject, has_prefix};
use crate::wire::answers::reply;

impl Mistake {
    /// The answer after the mistake. `asked` is the body of the request. `Err` means that the
    /// connection broke.
    pub(in crate::wire) fn answer(
        self,
        subject: Subject<'_>,
        asked: &[u8],
        answer: Result<http::Response<Vec<u8>>, String>,
    ) -> Result<http::Response<Vec<u8>>, String> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(problem) => {
                let is_lost = self == Self::LostAnswerIsSuccess;
                let is_batch = subject.operation == "BatchMeterUsage";
                let billed = (is_lost && is_batch).then(|| all_billed(asked)).flatten();
                return billed.ok_or(problem);
            }
        };
        if !answer.status().is_success() {
            return Ok(answer);
        }
        let asked: Value = serde_json::from_slice(asked).unwrap_or_default();
        let mut edited: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        Ok(match self.edit_answer(subject, &asked, &mut edited) {
            Some(()) => answer.map(|_| edited.to_string().into_bytes()),
            None => answer,
        })
    }

    /// Edits an answer. `None` means that the answer stays as it is.
    fn edit_answer(self, subject: Subject<'_>, asked: &Value, answer: &mut Value) -> Option<()> {
        match (self, subject.operation) {
            (
                Self::DimensionCut | Self::SeventhDecimalDropped | Self::OtherHourCounted,
                "Query",
            ) => {
                let hour = asked["ExpressionAttributeValues"][":p"]["S"].as_str()?;
                let (_, hour) = hour.rsplit_once('@')?;
                for row in answer["Items"].as_array_mut()? {
                    self.misread(row, hour);
                }
            }
            (Self::CarriedAgain, "Query") if subject.function == "sealer" => {
                let values = asked["ExpressionAttributeValues"].as_object()?;
                let is_of_movements = |value: &Value| has_prefix(&value["S"], "c#");
                values.values().any(is_of_movements).then_some(())?;
                answer["Items"] = json!([]);
            }
            (Self::ResultsByPosition, "BatchMeterUsage") => {
                let sent = asked["UsageRecords"].as_array()?;
                for (result, record) in answer["Results"].as_array_mut()?.iter_mut().zip(sent) {
                    result["UsageRecord"] = record.clone();
                }
            }
            (Self::UnprocessedIsSuccess, "BatchMeterUsage") => {
                let left = answer["UnprocessedRecords"].take();
                answer["UnprocessedRecords"] = json!([]);
                let billed = left.as_array()?.iter().map(billed);
                answer["Results"].as_array_mut()?.extend(billed);
            }
            (Self::SilenceIsSuccess, "BatchMeterUsage") => {
                let mentioned: Vec<Value> = ["Results", "UnprocessedRecords"]
                    .into_iter()
                    .filter_map(|list| answer[list].as_array())
                    .flatten()
                    .map(|one| slot(one.get("UsageRecord").unwrap_or(one)))
                    .collect();
                let sent = asked["UsageRecords"].as_array()?.iter();
                let silent = sent.filter(|record| !mentioned.contains(&slot(record)));
                answer["Results"].as_array_mut()?.extend(silent.map(billed));
            }
            (Self::DuplicateIsSuccess, "BatchMeterUsage") => {
                for result in answer["Results"].as_array_mut()? {
                    if result["Status"] == "DuplicateRecord" {
                        result["Status"] = json!("Success");
                    }
                }
            }
            (Self::FailedCallIsProof, "LookupEvents") => {
                for event in answer["Events"].as_array_mut()? {
                    let text = event["CloudTrailEvent"].as_str().unwrap_or_default();
                    let mut call: Value = serde_json::from_str(text).unwrap_or_default();
                    if call
                        .as_object_mut()
                        .is_some_and(|call| call.remove("errorCode").is_some())
                    {
                        let sent = call["requestParameters"]["usageRecords"].as_array();
                        let billed = |record: &Value| json!({"usageRecord": record, "status": "Success", "meteringRecordId": "forged"});
                        let results: Vec<Value> = sent.into_iter().flatten().map(billed).collect();
                        call["responseElements"] = json!({"results": results});
                        event["CloudTrailEvent"] = json!(call.to_string());
                    }
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Reads a row of usage wrongly.
    fn misread(self, row: &mut Value, hour: &str) {
        let edited = match self {
            Self::DimensionCut => row["dimension_event"]["S"].as_str().and_then(|key| {
                let (dimension, rest) = key.split_once('#')?;
                Some((
                    "dimension_event",
                    "S",
                    format!("{dimension}#{}", rest.replace('#', ":")),
                ))
            }),
            Self::SeventhDecimalDropped => row["quantity"]["N"].as_str().and_then(|quantity| {
                let (whole, decimals) = quantity.split_once('.')?;
                let kept: String = decimals.chars().take(6).collect();
                Some(("quantity", "N", format!("{whole}.{kept}")))
            }),
            _ => row["time"]["S"]
                .as_str()
                .filter(|time| !time.starts_with(hour))
                .map(|_| ("time", "S", format!("{hour}:30:00Z"))),
        };
        if let Some((attribute, kind, value)) = edited {
            row[attribute][kind] = json!(value);
        }
    }
}

pub(super) fn answered(body: &Value) -> http::Response<Vec<u8>> {
    reply(WireAnswer {
        status: 200,
        body: body.to_string(),
    })
}

/// An answer that bills all records of a request.
pub(super) fn all_billed(body: &[u8]) -> Option<http::Response<Vec<u8>>> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let results: Vec<Value> = request["UsageRecords"]
        .as_array()?
        .iter()
        .map(billed)
        .collect();
    Some(answered(
        &json!({"Results": results, "UnprocessedRecords": []}),
    ))
}

fn billed(record: &Value) -> Value {
    json!({"UsageRecord": record, "MeteringRecordId": "forged", "Status": "Success"})
}

/// The slot of a usage record: the names of its buyer, its dimension and its time in seconds.
fn slot(record: &Value) -> Value {
    let members = [
        "LicenseArn",
        "CustomerIdentifier",
        "CustomerAWSAccountId",
        "Dimension",
    ];
    let seconds = record["Timestamp"]
        .as_f64()
        .map(|seconds| seconds.floor().to_string());
    let named = members.map(|member| record[member].as_str().filter(|text| !text.is_empty()));
    json!([named, seconds])
}
