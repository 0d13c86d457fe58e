//! The services behind the wire: the tables, and AWS Marketplace.

use std::sync::PoisonError;

use emulator::ConnectionDropped;
use http_body_util::BodyExt;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;

use super::answers::{read_partly, reply, write_partly};
use super::trace::canonical;
use super::{EARLIER_MAX, Fate, Wire};

impl Wire {
    /// Replaces a transaction's token, which is random in the SDK, by a number that a seed repeats.
    pub(super) fn supply_token(&self, operation: &str, body: &[u8]) -> Vec<u8> {
        if operation != "TransactWriteItems" {
            return body.to_vec();
        }
        let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
            return body.to_vec();
        };
        let mut state = self.state();
        state.tokens += 1;
        value["ClientRequestToken"] = Value::from(format!("token-{}", state.tokens));
        value.to_string().into_bytes()
    }

    pub(super) fn ask_database(
        &self,
        operation: &str,
        body: &[u8],
        fate: Fate,
    ) -> http::Response<Vec<u8>> {
        if is_eventual(operation, body) && fate != Fate::Partly {
            let asked = canonical(body);
            let state = &mut *self.state();
            if fate == Fate::Stale
                && let Some((_, earlier)) = state
                    .earlier
                    .iter()
                    .find(|(question, _)| *question == asked)
            {
                return reply(earlier.clone());
            }
            let answer = self.database.answer(operation, body);
            if state.earlier.len() == EARLIER_MAX {
                state.earlier.pop_front();
            }
            state.earlier.push_back((asked, answer.clone()));
            return reply(answer);
        }
        if operation == "BatchGetItem" && fate == Fate::Partly {
            return read_partly(&self.database, body);
        }
        let answer = match (operation, fate) {
            ("BatchWriteItem", Fate::Partly) => write_partly(&self.database, body),
            _ => reply(self.database.answer(operation, body)),
        };
        if answer.status() == http::StatusCode::OK {
            let is_of_usage = || body.windows(13).any(|part| part == b"-UsageEvents\"");
            let writes = &mut self.state().writes;
            match operation {
                "PutItem" | "UpdateItem" | "DeleteItem" if is_of_usage() => writes.usage += 1,
                "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" => writes.other += 1,
                "TransactWriteItems" => {
                    writes.usage += 1;
                    writes.other += 1;
                }
                _ => {}
            }
        }
        answer
    }

    pub(super) async fn ask_marketplace(
        &self,
        request: http::Request<Vec<u8>>,
        body: Vec<u8>,
    ) -> Result<http::Response<Vec<u8>>, String> {
        let router = self
            .marketplace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let (parts, _) = request.into_parts();
        let request = http::Request::from_parts(parts, axum::body::Body::from(body));
        let service = TowerToHyperService::new(router);
        let response = service
            .call(request)
            .await
            .unwrap_or_else(|never: std::convert::Infallible| match never {});
        if response.extensions().get::<ConnectionDropped>().is_some() {
            return Err("AWS Marketplace dropped the connection".to_owned());
        }
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.map_err(|e| e.to_string())?.to_bytes();
        Ok(http::Response::from_parts(parts, bytes.to_vec()))
    }
}

/// Whether DynamoDB may answer a read as if it had been made earlier.
fn is_eventual(operation: &str, body: &[u8]) -> bool {
    let has = |wanted: &[u8]| body.windows(wanted.len()).any(|part| part == wanted);
    match operation {
        // A query of an index is never strongly consistent.
        "Query" => has(b"\"IndexName\"") || !has(b"\"ConsistentRead\":true"),
        "BatchGetItem" => !has(b"\"ConsistentRead\":true"),
        _ => false,
    }
}
