//! Deliberate mistakes, made where a function's calls pass: a request is edited, not carried out,
//! or carried out in part, or an answer is edited.
//!
//! They prove that the suites find such mistakes. The functions themselves stay as they are. Each
//! thread has at most one planted mistake, and every wire that is created on the thread makes it.
//! Mistakes that cannot be made at the wire are patches in `tests/planted`.

use std::cell::Cell;

use local::dynamodb::WireAnswer;
use serde_json::{Value, json};

use super::Fate;
use super::answers::reply;

macro_rules! mistakes {
    ($($(#[doc = $meaning:literal])+ $mistake:ident = $name:literal,)+) => {
        /// A mistake that a wire makes on purpose.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mistake {
            $($(#[doc = $meaning])+ $mistake,)+
        }

        impl Mistake {
            /// All mistakes, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$mistake,)+];

            /// The name of the mistake in reports and in `docs/proof.md`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$mistake => $name,)+
                }
            }
        }
    };
}

mistakes! {
    /// A dimension's name is cut at its first `#`, so `gb` swallows `gb#x`.
    DimensionCut = "dimension-cut",
    /// A seventh decimal is dropped instead of refused.
    SeventhDecimalDropped = "seventh-decimal-dropped",
    /// A row whose time lies in another hour counts nevertheless.
    OtherHourCounted = "other-hour-counted",
    /// A record is stamped with the time of its sealing.
    StampedNow = "stamped-now",
    /// A record of the first hour is stamped before the activation.
    ActivationIgnored = "activation-ignored",
    /// The untagged share is missing from the allocations.
    UntaggedShareMissing = "untagged-share-missing",
    /// Results are matched to records by their position.
    ResultsByPosition = "results-by-position",
    /// A record that AWS Marketplace left unprocessed counts as billed.
    UnprocessedIsSuccess = "unprocessed-is-success",
    /// A record that the answer does not mention counts as billed.
    SilenceIsSuccess = "silence-is-success",
    /// DuplicateRecord counts as billed, whatever the slot holds.
    DuplicateIsSuccess = "duplicate-is-success",
    /// A lost answer counts as billed.
    LostAnswerIsSuccess = "lost-answer-is-success",
    /// Quantities are sent without their decimals.
    DecimalsCutOff = "decimals-cut-off",
    /// A license's record carries an empty CustomerIdentifier.
    EmptyCustomerIdentifier = "empty-customer-identifier",
    /// A recount forgets what was carried before, and carries it again.
    CarriedAgain = "carried-again",
    /// A movement and its rows are written one after the other.
    MovementInTwoSteps = "movement-in-two-steps",
    /// A movement is written whatever happened to its record meanwhile.
    MovementUnconditional = "movement-unconditional",
    /// A frozen record is overwritten when its hour is sealed again.
    RecordOverwritten = "record-overwritten",
    /// A late flag is removed even if it was put again during the recount.
    FlagClearedBlindly = "flag-cleared-blindly",
    /// The stream record of a late row leads to no flag.
    LateRowsNotFlagged = "late-rows-not-flagged",
    /// A flag that could not be put is forgotten.
    FlagFailureForgotten = "flag-failure-forgotten",
    /// An hour that the reconciler finds is not flagged.
    NothingRecounted = "nothing-recounted",
    /// Usage over HTTP is acknowledged although it could not be stored.
    FailedPutAcknowledged = "failed-put-acknowledged",
    /// A record past its deadline is called unbilled without proof.
    UnconfirmedIsExpired = "unconfirmed-is-expired",
    /// A failed call in the history counts as proof that its records were billed.
    FailedCallIsProof = "failed-call-is-proof",
}

thread_local! {
    static PLANTED: Cell<Option<Mistake>> = const { Cell::new(None) };
}

/// Plants a mistake in every wire that this thread creates from now on. `None` plants no mistake.
pub fn plant(mistake: Option<Mistake>) {
    PLANTED.set(mistake);
}

/// The mistake that is planted for new wires of this thread.
pub(super) fn planted() -> Option<Mistake> {
    PLANTED.get()
}

/// A call in which a mistake can be made.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    /// The name of the function that makes the call.
    pub function: &'static str,
    /// The operation of the call.
    pub operation: &'a str,
    /// The fate of the call.
    pub fate: Fate,
}

impl Mistake {
    /// The body of the request after the mistake.
    pub(super) fn request(self, subject: Subject<'_>, body: Vec<u8>) -> Vec<u8> {
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
    pub(super) fn instead(
        self,
        subject: Subject<'_>,
        body: &[u8],
    ) -> Option<http::Response<Vec<u8>>> {
        let in_trouble = matches!(subject.fate, Fate::Unsent | Fate::Failed | Fate::Throttled);
        let is_put = subject.operation == "PutItem";
        let is_flag = || {
            let request = serde_json::from_slice::<Value>(body).unwrap_or_default();
            is_named(&request["Item"], "l#")
        };
        let is_skipped = match self {
            Self::LateRowsNotFlagged => is_put && subject.function == "late-usage" && is_flag(),
            Self::NothingRecounted => is_put && subject.function == "reconciler" && is_flag(),
            Self::FlagFailureForgotten => {
                is_put && in_trouble && subject.function == "late-usage" && is_flag()
            }
            Self::FailedPutAcknowledged => is_put && in_trouble && subject.function == "intake",
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

    /// The answer after the mistake. `asked` is the body of the request. `Err` means that the
    /// connection broke.
    pub(super) fn answer(
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

fn answered(body: &Value) -> http::Response<Vec<u8>> {
    reply(WireAnswer {
        status: 200,
        body: body.to_string(),
    })
}

/// An answer that bills all records of a request.
fn all_billed(body: &[u8]) -> Option<http::Response<Vec<u8>>> {
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

fn cut_decimals(value: &mut Value, member: &str) {
    let whole = value[member].as_str().and_then(|text| text.split_once('.'));
    if let Some(whole) = whole.map(|(whole, _)| whole.to_owned()) {
        value[member] = json!(whole);
    }
}

fn has_prefix(text: &Value, prefix: &str) -> bool {
    text.as_str().is_some_and(|text| text.starts_with(prefix))
}

/// Whether the sort key of an item begins with `prefix`.
fn is_named(item: &Value, prefix: &str) -> bool {
    has_prefix(&item["item"]["S"], prefix)
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
