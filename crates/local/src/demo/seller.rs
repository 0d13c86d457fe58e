//! The seller's software and the buyers' browsers. They know only the addresses of the stack.

use std::net::SocketAddr;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::body::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::plan::{PlannedEvent, after};
use super::run::DemoError;

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 8_000_000;

/// The numbers of events of one `POST /usage` that were stored, repeated and rejected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub stored: u64,
    pub repeated: u64,
    pub rejected: u64,
}

pub(crate) struct Seller {
    http: HttpClient<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    dynamodb: Client,
    usage_table: String,
}

impl Seller {
    pub fn new(address: SocketAddr, dynamodb: Client, usage_table: String) -> Self {
        Self {
            http: HttpClient::builder(TokioExecutor::new()).build_http(),
            address,
            dynamodb,
            usage_table,
        }
    }

    /// Posts the form as the buyer's browser does, up to ten times while the page says to try again.
    /// The subscription is registered when the browser is sent on to the sign-up page.
    pub async fn register(&self, token: &str) -> Result<(), DemoError> {
        let body = format!("x-amzn-marketplace-token={}", form_encoded(token));
        let mut last = StatusCode::OK;
        for _ in 0..10 {
            let (status, _) = self
                .post(
                    "/register",
                    "application/x-www-form-urlencoded",
                    body.clone(),
                )
                .await?;
            if status == StatusCode::SEE_OTHER {
                return Ok(());
            }
            last = status;
            if status != StatusCode::SERVICE_UNAVAILABLE {
                break;
            }
        }
        Err(DemoError::failed(format!("registration answered {last}")))
    }

    /// Reports usage over HTTP.
    pub async fn post_usage(
        &self,
        subscription: &str,
        events: &[PlannedEvent],
    ) -> Result<Sent, DemoError> {
        let events: Vec<Value> = events
            .iter()
            .map(|event| event.to_json(subscription))
            .collect();
        let body = json!({"events": events}).to_string();
        let (status, answer) = self.post("/usage", "application/json", body).await?;
        let answer: Value = serde_json::from_slice(&answer).map_err(DemoError::failed)?;
        if status != StatusCode::OK {
            return Err(DemoError::failed(format!(
                "POST /usage answered {status}: {answer}"
            )));
        }
        let count = |name: &str| answer[name].as_u64().unwrap_or_default();
        Ok(Sent {
            stored: count("stored"),
            repeated: count("repeated"),
            rejected: count("rejected"),
        })
    }

    /// Reports usage with PutItem, as a producer that does not use our code does.
    pub async fn put_usage(
        &self,
        subscription: &str,
        event: &PlannedEvent,
    ) -> Result<(), DemoError> {
        let hour = after(event.time, event.key_shift_hours * 3_600).to_string();
        let hour = hour.get(..13).unwrap_or_default();
        // DynamoDB accepts every quantity that the plan can contain.
        let mut request = self
            .dynamodb
            .put_item()
            .table_name(&self.usage_table)
            .item(
                "subscription_hour",
                AttributeValue::S(format!("{subscription}@{hour}")),
            )
            .item(
                "dimension_event",
                AttributeValue::S(format!("{}#{}", event.dimension, event.id)),
            )
            .item("quantity", AttributeValue::N(event.quantity.clone()))
            .item("time", AttributeValue::S(event.time.to_string()))
            .condition_expression("attribute_not_exists(subscription_hour)");
        if !event.tags.is_empty() {
            let tags = event
                .tags
                .iter()
                .map(|(key, value)| {
                    (
                        key.clone(),
                        AttributeValue::S(value.as_str().unwrap_or_default().to_owned()),
                    )
                })
                .collect();
            request = request.item("tags", AttributeValue::M(tags));
        }
        match request.send().await {
            Ok(_) => Ok(()),
            // The row exists already: the first write had succeeded.
            Err(e)
                if e.as_service_error()
                    .is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(e) => Err(DemoError::failed(
                aws_sdk_dynamodb::error::DisplayErrorContext(e),
            )),
        }
    }

    async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: String,
    ) -> Result<(StatusCode, Bytes), DemoError> {
        let request = Request::post(format!("http://{}{path}", self.address))
            .header("content-type", content_type)
            .body(Full::new(Bytes::from(body)))
            .map_err(DemoError::failed)?;
        let answer = self
            .http
            .request(request)
            .await
            .map_err(DemoError::failed)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(DemoError::failed)?
            .to_bytes();
        Ok((status, body))
    }
}

/// Percent-encodes every byte except the ones that a form never encodes.
fn form_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
