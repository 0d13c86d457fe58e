//! Answers of DynamoDB and AWS Marketplace to calls that fail or are carried out in part.

use local::dynamodb::{EmbeddedDynamoDb, WireAnswer};
use marketplace::error_table::ANY_OTHER_CODE;
use serde_json::Value;

use super::{Fate, Service};

pub(super) fn reply(answer: WireAnswer) -> http::Response<Vec<u8>> {
    let mut response = http::Response::new(answer.body.into_bytes());
    *response.status_mut() = http::StatusCode::from_u16(answer.status).unwrap_or_default();
    response
}

/// The error that a call gets from its fate without being carried out, if the fate has one.
pub(super) fn error_of_fate(
    fate: Fate,
    service: Service,
    operation: &str,
    body: &[u8],
) -> Option<http::Response<Vec<u8>>> {
    match fate {
        Fate::Throttled if service == Service::DynamoDb => Some(exception(
            400,
            "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            "too much at once",
        )),
        Fate::Failed if service == Service::DynamoDb => Some(exception(
            500,
            "com.amazonaws.dynamodb.v20120810#InternalServerError",
            "something broke",
        )),
        Fate::Conflicting if operation == "TransactWriteItems" => Some(transaction_conflict(body)),
        Fate::Conflicting if matches!(operation, "PutItem" | "UpdateItem" | "DeleteItem") => {
            Some(exception(
                400,
                "com.amazonaws.dynamodb.v20120810#TransactionConflictException",
                "Transaction is ongoing for the item",
            ))
        }
        Fate::Refused(code) if service == Service::Marketplace => Some(refusal(code)),
        _ => None,
    }
}

fn exception(status: u16, code: &str, message: &str) -> http::Response<Vec<u8>> {
    reply(WireAnswer {
        status,
        body: serde_json::json!({"__type": code, "message": message}).to_string(),
    })
}

/// AWS Marketplace's answer with an error code. [`ANY_OTHER_CODE`] is replaced by a code that the
/// error table does not have.
fn refusal(code: &str) -> http::Response<Vec<u8>> {
    let code = match code {
        ANY_OTHER_CODE => "NeverSeenException",
        code => code,
    };
    exception(400, code, "refused for a reason of its own")
}

/// The first half of an answer.
pub(super) fn cut_off(answer: http::Response<Vec<u8>>) -> http::Response<Vec<u8>> {
    let (parts, body) = answer.into_parts();
    let half = body.len() / 2;
    http::Response::from_parts(parts, body.into_iter().take(half).collect())
}

/// The answer to a transaction whose first item is part of another transaction.
fn transaction_conflict(body: &[u8]) -> http::Response<Vec<u8>> {
    let items = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|body| Some(body["TransactItems"].as_array()?.len()))
        .unwrap_or(1);
    let reasons: Vec<Value> = (0..items)
        .map(|n| serde_json::json!({"Code": if n == 0 { "TransactionConflict" } else { "None" }}))
        .collect();
    reply(WireAnswer {
        status: 400,
        body: serde_json::json!({
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons",
            "CancellationReasons": reasons,
        })
        .to_string(),
    })
}

/// Reads all keys of the first table except the last, which is left unprocessed.
pub(super) fn read_partly(database: &EmbeddedDynamoDb, body: &[u8]) -> http::Response<Vec<u8>> {
    let whole = || reply(database.answer("BatchGetItem", body));
    let Ok(mut asked) = serde_json::from_slice::<Value>(body) else {
        return whole();
    };
    let mut unprocessed = serde_json::json!({});
    let Some((table, request)) = asked["RequestItems"]
        .as_object_mut()
        .and_then(|tables| tables.iter_mut().next())
    else {
        return whole();
    };
    let Some(key) = request["Keys"].as_array_mut().and_then(Vec::pop) else {
        return whole();
    };
    unprocessed[table] = request.clone();
    unprocessed[table]["Keys"] = Value::from(vec![key]);
    if request["Keys"].as_array().is_none_or(Vec::is_empty) {
        let nothing = serde_json::json!({"Responses": {}, "UnprocessedKeys": unprocessed});
        return reply(WireAnswer {
            status: 200,
            body: nothing.to_string(),
        });
    }
    let mut answer = database.answer("BatchGetItem", asked.to_string().as_bytes());
    if let Ok(mut edited) = serde_json::from_str::<Value>(&answer.body)
        && answer.status == 200
    {
        edited["UnprocessedKeys"] = unprocessed;
        answer.body = edited.to_string();
    }
    reply(answer)
}

/// Writes the first half of the first table's items, rounded up, and leaves the rest unprocessed.
pub(super) fn write_partly(database: &EmbeddedDynamoDb, body: &[u8]) -> http::Response<Vec<u8>> {
    let whole = || reply(database.answer("BatchWriteItem", body));
    let Ok(mut asked) = serde_json::from_slice::<Value>(body) else {
        return whole();
    };
    let Some((table, writes)) = asked["RequestItems"]
        .as_object_mut()
        .and_then(|tables| tables.iter_mut().next())
    else {
        return whole();
    };
    let Some(writes) = writes.as_array_mut() else {
        return whole();
    };
    let left = writes.split_off(writes.len().div_ceil(2));
    if left.is_empty() {
        return whole();
    }
    let mut unprocessed = serde_json::json!({});
    unprocessed[table] = Value::from(left);
    let mut answer = database.answer("BatchWriteItem", asked.to_string().as_bytes());
    if let Ok(mut edited) = serde_json::from_str::<Value>(&answer.body)
        && answer.status == 200
    {
        edited["UnprocessedItems"] = unprocessed;
        answer.body = edited.to_string();
    }
    reply(answer)
}
