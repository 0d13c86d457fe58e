//! Answers the operations that the stack uses within the process, with the same bodies as over
//! HTTP.

use dynoxide::DynoxideError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::EmbeddedDynamoDb;

/// DynamoDB's answer: an HTTP status and a JSON body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireAnswer {
    /// 200, 400 or 500.
    pub status: u16,
    /// The operation's output, or the exception, as JSON.
    pub body: String,
}

impl EmbeddedDynamoDb {
    /// Answers one request exactly as the server would. `operation` is the operation's name, such
    /// as `PutItem`, and `body` is its JSON 1.0 body. This method is for simulations, which cannot
    /// use sockets: the answer is complete on return.
    ///
    /// Operations that the stack never calls are answered with UnknownOperationException.
    #[must_use]
    pub fn answer(&self, operation: &str, body: &[u8]) -> WireAnswer {
        let db = &self.database;
        match operation {
            "PutItem" => run(operation, body, |request| db.put_item(request)),
            "GetItem" => run(operation, body, |request| db.get_item(request)),
            "UpdateItem" => run(operation, body, |request| db.update_item(request)),
            "DeleteItem" => run(operation, body, |request| db.delete_item(request)),
            "Query" => run(operation, body, |request| db.query(request)),
            "Scan" => run(operation, body, |request| db.scan(request)),
            "BatchGetItem" => run(operation, body, |request| db.batch_get_item(request)),
            "BatchWriteItem" => run(operation, body, |request| db.batch_write_item(request)),
            "TransactWriteItems" => {
                run(operation, body, |request| db.transact_write_items(request))
            }
            _ => WireAnswer {
                status: 400,
                body: r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#
                    .to_owned(),
            },
        }
    }
}

fn run<Request: DeserializeOwned, Answer: Serialize>(
    operation: &str,
    body: &[u8],
    work: impl FnOnce(Request) -> Result<Answer, DynoxideError>,
) -> WireAnswer {
    let request = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => {
            return WireAnswer {
                status: 400,
                body: serde_json::json!({
                    "__type": "com.amazon.coral.service#SerializationException",
                    "Message": format!("{operation}: {error}"),
                })
                .to_string(),
            };
        }
    };
    match work(request).map(|answer| serde_json::to_string(&answer)) {
        Ok(Ok(body)) => WireAnswer { status: 200, body },
        Ok(Err(error)) => WireAnswer {
            status: 500,
            body: serde_json::json!({
                "__type": "com.amazonaws.dynamodb.v20120810#InternalServerError",
                "message": error.to_string(),
            })
            .to_string(),
        },
        Err(error) => WireAnswer {
            status: error.status_code(),
            body: error.to_json(),
        },
    }
}
