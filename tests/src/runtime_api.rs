//! The part of the Lambda Runtime API that a single bootstrap needs.
//!
//! The paths and headers are from the Lambda developer guide, "Using the Lambda runtime API".

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as Segments, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, watch};

/// The longest wait for a bootstrap. A bootstrap needs far less, so this only ends a test that
/// hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The answer of a bootstrap to an invocation.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The body of `POST .../invocation/<id>/response`.
    Response(Value),
    /// The body of `POST .../invocation/<id>/error`, with `errorType` and `errorMessage`.
    Error(Value),
}

impl Answer {
    /// The body of the response.
    ///
    /// # Panics
    ///
    /// If the invocation failed.
    #[track_caller]
    pub fn response(self) -> Value {
        match self {
            Self::Response(value) => value,
            Self::Error(error) => panic!("the invocation failed: {error}"),
        }
    }
}

/// A bootstrap as a process, and the Runtime API that it calls.
pub struct Bootstrap {
    process: Child,
    printed: File,
    invocations: mpsc::UnboundedSender<Invocation>,
    answers: Mutex<mpsc::UnboundedReceiver<(String, Answer)>>,
    timeout: Duration,
    invoked: AtomicU64,
    started: Instant,
    first_call: watch::Receiver<Option<Instant>>,
}

#[derive(Debug)]
struct Invocation {
    id: String,
    event: Value,
    deadline_ms: u128,
}

struct Api {
    name: String,
    next: Mutex<mpsc::UnboundedReceiver<Invocation>>,
    answers: mpsc::UnboundedSender<(String, Answer)>,
    first_call: watch::Sender<Option<Instant>>,
}

impl Bootstrap {
    /// Starts a bootstrap with the environment of a function named `name`, and without any other
    /// variable of this process.
    ///
    /// # Panics
    ///
    /// If the process cannot be started.
    pub async fn start(
        binary: &Path,
        name: &str,
        environment: &BTreeMap<String, String>,
        timeout: Duration,
    ) -> Self {
        let (invocations, next) = mpsc::unbounded_channel();
        let (sender, answers) = mpsc::unbounded_channel();
        let (first, first_call) = watch::channel(None);
        let api = Arc::new(Api {
            name: name.to_owned(),
            next: Mutex::new(next),
            answers: sender,
            first_call: first,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        tokio::spawn(async move { axum::serve(listener, routes(api)).await });
        let started = Instant::now();
        let printed = tempfile::tempfile().expect("a file");
        let process = command(binary, name, environment, &address)
            .stdout(printed.try_clone().expect("the same file"))
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        Self {
            process,
            printed,
            invocations,
            answers: Mutex::new(answers),
            timeout,
            invoked: AtomicU64::new(0),
            started,
            first_call,
        }
    }

    /// The time from the start of the process to its first call of the Runtime API.
    ///
    /// # Panics
    ///
    /// If it makes no call.
    pub async fn start_time(&self) -> Duration {
        let mut first_call = self.first_call.clone();
        let called = tokio::time::timeout(PATIENCE, first_call.wait_for(Option::is_some))
            .await
            .expect("the bootstrap calls the Runtime API")
            .expect("the Runtime API runs");
        called.map_or(Duration::MAX, |called| called.duration_since(self.started))
    }

    /// The lines that the bootstrap has printed so far.
    ///
    /// # Panics
    ///
    /// If its output cannot be read.
    pub fn printed(&self) -> Vec<String> {
        let mut file = self.printed.try_clone().expect("the same file");
        file.rewind().expect("its beginning");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("its output");
        text.lines().map(str::to_owned).collect()
    }

    /// Gives the bootstrap one event, and waits for its answer.
    ///
    /// # Panics
    ///
    /// If the bootstrap posts no answer, or answers another invocation.
    pub async fn invoke(&self, event: &Value) -> Answer {
        let number = self.invoked.fetch_add(1, Ordering::Relaxed) + 1;
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let deadline = SystemTime::now() + self.timeout;
        let invocation = Invocation {
            id: id.clone(),
            event: event.clone(),
            deadline_ms: deadline
                .duration_since(UNIX_EPOCH)
                .expect("a time")
                .as_millis(),
        };
        self.invocations
            .send(invocation)
            .expect("the Runtime API runs");
        let mut answers = self.answers.lock().await;
        let (about, answer) = tokio::time::timeout(PATIENCE, answers.recv())
            .await
            .expect("the bootstrap posts an answer")
            .expect("the Runtime API runs");
        assert_eq!(about, id, "an answer to another invocation");
        answer
    }
}

impl Drop for Bootstrap {
    fn drop(&mut self) {
        // Lambda ends a bootstrap in the same way. The process may already have ended.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Runs a bootstrap that should stop at its start. Returns how it ended and what it printed.
///
/// # Panics
///
/// If it keeps running.
pub fn run_to_its_end(
    binary: &Path,
    name: &str,
    environment: &BTreeMap<String, String>,
) -> (ExitStatus, String) {
    // Nothing listens at this address, so a bootstrap that makes its first call fails with another
    // message.
    let mut process = command(binary, name, environment, "127.0.0.1:9")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
    let started = Instant::now();
    let status = loop {
        if let Some(status) = process.try_wait().expect("its status") {
            break status;
        }
        if started.elapsed() > PATIENCE {
            process.kill().ok();
            panic!("{name} does not stop");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut printed = String::new();
    for stream in [
        process
            .stdout
            .take()
            .map(|stream| Box::new(stream) as Box<dyn Read>),
        process
            .stderr
            .take()
            .map(|stream| Box::new(stream) as Box<dyn Read>),
    ]
    .into_iter()
    .flatten()
    {
        let mut stream = stream;
        stream.read_to_string(&mut printed).expect("its output");
    }
    (status, printed)
}

/// The environment that Lambda gives a process, together with the function's own variables.
fn command(
    binary: &Path,
    name: &str,
    environment: &BTreeMap<String, String>,
    api: &str,
) -> Command {
    let mut command = Command::new(binary);
    command
        .env_clear()
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", api),
            ("AWS_LAMBDA_FUNCTION_NAME", name),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", name),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/21/[$LATEST]example"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "example"),
            ("AWS_SECRET_ACCESS_KEY", "example"),
            ("AWS_SESSION_TOKEN", "example"),
            ("LAMBDA_TASK_ROOT", "/var/task"),
            ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
            ("_HANDLER", "bootstrap"),
            ("TZ", ":UTC"),
        ])
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

fn routes(api: Arc<Api>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route(
            "/2018-06-01/runtime/invocation/{id}/response",
            post(response),
        )
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .with_state(api)
}

async fn next(State(api): State<Arc<Api>>) -> Response {
    api.first_call.send_if_modified(|first| {
        let is_first = first.is_none();
        first.get_or_insert_with(Instant::now);
        is_first
    });
    let Some(invocation) = api.next.lock().await.recv().await else {
        // The test is over, and the process will be killed soon.
        return StatusCode::GONE.into_response();
    };
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", invocation.id),
        (
            "lambda-runtime-deadline-ms",
            invocation.deadline_ms.to_string(),
        ),
        (
            "lambda-runtime-invoked-function-arn",
            format!(
                "arn:aws:lambda:us-east-1:222222222222:function:{}",
                api.name
            ),
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-69200000-000000000000000000000001;Parent=0000000000000001;Sampled=0".to_owned(),
        ),
    ];
    let mut answer = invocation.event.to_string().into_response();
    for (name, value) in headers {
        answer
            .headers_mut()
            .insert(name, value.parse().expect("a header"));
    }
    answer
}

async fn response(
    State(api): State<Arc<Api>>,
    Segments(id): Segments<String>,
    body: Bytes,
) -> StatusCode {
    let value = serde_json::from_slice(&body).expect("a response of JSON");
    api.answers.send((id, Answer::Response(value))).ok();
    StatusCode::ACCEPTED
}

async fn error(
    State(api): State<Arc<Api>>,
    Segments(id): Segments<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    assert!(
        headers.contains_key("lambda-runtime-function-error-type"),
        "{headers:?}"
    );
    let value = serde_json::from_slice(&body).expect("an error of JSON");
    api.answers.send((id, Answer::Error(value))).ok();
    StatusCode::ACCEPTED
}

async fn init_error(State(api): State<Arc<Api>>, body: Bytes) -> StatusCode {
    let value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    api.answers
        .send(("init".to_owned(), Answer::Error(value)))
        .ok();
    StatusCode::ACCEPTED
}
