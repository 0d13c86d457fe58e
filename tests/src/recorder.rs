//! A proxy between a function and AWS that records the calls. It names them as a role's policy
//! does.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::template::Call;

/// Largest request in bytes. It is more than DynamoDB takes.
const REQUEST_BYTES_MAX: usize = 32 << 20;

/// A proxy that records calls. Every clone is the same proxy.
#[derive(Clone)]
pub struct Recorder {
    calls: Arc<Mutex<BTreeSet<Call>>>,
    upstream: String,
    client: Client<HttpConnector, Full<Bytes>>,
    broken: Arc<AtomicBool>,
    /// The start of the tables' names. The rest is the name of the template's resource.
    prefix: String,
}

impl Recorder {
    /// Starts to pass requests on to the URL `upstream`. Returns the proxy and its own URL.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub async fn start(upstream: &str, stack: &str) -> (Self, String) {
        let recorder = Self {
            calls: Arc::default(),
            broken: Arc::default(),
            upstream: upstream.to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            prefix: format!("{stack}-"),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(pass_on).with_state(recorder.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (recorder, url)
    }

    /// The calls that were recorded so far.
    pub fn calls(&self) -> BTreeSet<Call> {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Answers every request with an error that is never retried, or passes requests on again.
    pub fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    fn note(&self, headers: &HeaderMap, body: &[u8]) {
        let Some(target) = headers
            .get("x-amz-target")
            .and_then(|value| value.to_str().ok())
        else {
            return;
        };
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        match target.split_once('.') {
            Some((service, operation)) if service.starts_with("DynamoDB") => {
                let request: Value = serde_json::from_slice(body).expect("a request of JSON");
                calls.extend(self.dynamodb(operation, &request));
            }
            Some((service, operation)) => {
                let service = match service.starts_with("CloudTrail") {
                    true => "cloudtrail",
                    false => "aws-marketplace",
                };
                calls.insert(Call {
                    action: format!("{service}:{operation}"),
                    resource: "*".to_owned(),
                });
            }
            None => panic!("{target} names no operation"),
        }
    }

    /// The calls that a request of DynamoDB needs permission for. A transaction needs the
    /// permissions of its parts. A query of an index needs the permission for the index.
    fn dynamodb(&self, operation: &str, request: &Value) -> Vec<Call> {
        let call = |operation: &str, table: &Value| {
            let table = table.as_str().expect("a table");
            let resource = table.strip_prefix(&self.prefix).unwrap_or(table).to_owned();
            Call {
                action: format!("dynamodb:{operation}"),
                resource,
            }
        };
        match operation {
            "TransactWriteItems" => request["TransactItems"]
                .as_array()
                .expect("items")
                .iter()
                .flat_map(|item| item.as_object().expect("an item"))
                .map(|(kind, write)| match kind.as_str() {
                    "ConditionCheck" => call("ConditionCheckItem", &write["TableName"]),
                    kind => call(&format!("{kind}Item"), &write["TableName"]),
                })
                .collect(),
            "BatchGetItem" | "BatchWriteItem" => request["RequestItems"]
                .as_object()
                .expect("tables")
                .keys()
                .map(|table| call(operation, &Value::String(table.clone())))
                .collect(),
            _ => {
                let mut call = call(operation, &request["TableName"]);
                if let Some(index) = request["IndexName"].as_str() {
                    call.resource = format!("{}/index/{index}", call.resource);
                }
                vec![call]
            }
        }
    }
}

async fn pass_on(State(recorder): State<Recorder>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, REQUEST_BYTES_MAX)
        .await
        .expect("a request");
    recorder.note(&head.headers, &body);
    if recorder.broken.load(Ordering::SeqCst) {
        let body = r#"{"__type":"com.amazonaws.dynamodb.v20120810#AccessDeniedException","message":"broken on purpose"}"#;
        return (StatusCode::BAD_REQUEST, body).into_response();
    }
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = format!("{}{path}", recorder.upstream)
        .parse::<Uri>()
        .expect("a URL");
    head.headers.remove("host");
    let request = Request::from_parts(head, Full::new(body));
    match recorder.client.request(request).await {
        Ok(answer) => {
            let (head, body) = answer.into_parts();
            match body.collect().await {
                Ok(body) => Response::from_parts(head, Body::from(body.to_bytes())),
                Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
            }
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
