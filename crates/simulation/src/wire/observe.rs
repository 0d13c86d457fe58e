//! Names for the results of calls, so that they can be counted.

use marketplace::error_table::{
    RESPONSE_UNREADABLE, SERVER_ERROR, TIMEOUT, UNANSWERED, UNPROCESSED, look_up, of_error,
    of_status,
};
use serde_json::Value;

use super::Fate;

/// The name of a fate.
pub(super) fn of_fate(fate: Fate) -> String {
    match fate {
        Fate::Refused(_) => "fate Refused".to_owned(),
        fate => format!("fate {fate:?}"),
    }
}

/// The names of a call's result. `answer` is the service's answer, whether or not it reached the
/// caller.
pub(super) fn of_call(
    fate: Fate,
    operation: &str,
    body: &[u8],
    answer: Option<&http::Response<Vec<u8>>>,
) -> Vec<String> {
    let Some(answer) = answer else {
        return Vec::new();
    };
    let is_success = answer.status().is_success();
    match (fate, operation) {
        (Fate::CutOff, _) if is_success => return vec![named(RESPONSE_UNREADABLE)],
        (Fate::TimedOut, _) => return vec![named(TIMEOUT)],
        _ => {}
    }
    match operation {
        "GetObject" if is_success => vec!["a file of the trail".to_owned()],
        "BatchMeterUsage" => of_batch(body, answer),
        "PutItem" | "UpdateItem" | "TransactWriteItems" if is_success && is_of_records(body) => {
            read(body).map_or_else(Vec::new, |body| of_write(&body))
        }
        _ => Vec::new(),
    }
}

fn named(code: &str) -> String {
    format!("answer {code}")
}

fn read(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}

fn is_of_records(body: &[u8]) -> bool {
    body.windows(17).any(|part| part == b"-MeteringRecords\"")
}

/// The rows of the error table that an answer of BatchMeterUsage contains.
fn of_batch(body: &[u8], answer: &http::Response<Vec<u8>>) -> Vec<String> {
    let answered: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    if !answer.status().is_success() {
        let code = answered["__type"].as_str().unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default();
        return match code {
            "" => vec![named(SERVER_ERROR)],
            code => vec![named(of_error(code).code)],
        };
    }
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (results, unprocessed) = (
        list(&answered["Results"]),
        list(&answered["UnprocessedRecords"]),
    );
    let mut names: Vec<String> = results
        .iter()
        .map(|result| match result["Status"].as_str() {
            Some(status) => named(of_status(status).code),
            None => named(UNANSWERED),
        })
        .collect();
    names.extend(unprocessed.iter().map(|_| named(UNPROCESSED)));
    let sent = read(body).map_or(0, |body| list(&body["UsageRecords"]).len());
    if sent == 0 {
        names.push("an empty call".to_owned());
    }
    if sent > results.len() + unprocessed.len() {
        names.push(named(UNANSWERED));
    }
    names
}

/// The states that a write gives to records, with their causes, and the kinds of its movements.
fn of_write(body: &Value) -> Vec<String> {
    let Some(writes) = body["TransactItems"].as_array() else {
        return of_one(body);
    };
    let of_each = |write: &Value| {
        let inner = write.as_object().and_then(|one| one.values().next());
        inner.map_or_else(Vec::new, of_one)
    };
    writes.iter().flat_map(of_each).collect()
}

fn of_one(write: &Value) -> Vec<String> {
    let (item, values) = (&write["Item"], &write["ExpressionAttributeValues"]);
    let text = |value: &Value| value["S"].as_str().map(str::to_owned);
    let is_movement = text(&item["item"]).is_some_and(|key| key.starts_with("c#"));
    if let (true, Some(kind)) = (is_movement, text(&item["kind"])) {
        let reason = text(&item["reason"]).map_or_else(String::new, |reason| format!(": {reason}"));
        let released = match item["of"]["N"].is_string() {
            true => " from hold",
            false => "",
        };
        return vec![format!("movement {kind}{released}{reason}")];
    }
    if let Some(state) = text(&item["state"]) {
        return vec![format!("record {state}")];
    }
    let Some(state) = text(&values[":state"]) else {
        return Vec::new();
    };
    match text(&values[":outcome"]) {
        Some(code) => vec![format!("record {state} by {}", known(&code))],
        None => vec![format!("record {state}")],
    }
}

/// The name of a code in the error table. All codes that are not in the table share one name,
/// except `Conflict`.
fn known(code: &str) -> String {
    let row = look_up(code);
    match (row, code) {
        (Some(row), _) => row.code.to_owned(),
        (None, "Conflict") => code.to_owned(),
        (None, _) => "a code or status nobody has seen".to_owned(),
    }
}
