//! The wire: it numbers and traces every call that leaves a function, and decides its fate.

mod answers;
mod meter;
pub mod mistakes;
mod observe;
mod trace;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use emulator::{ConnectionDropped, Emulator};
use http_body_util::BodyExt;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use local::dynamodb::{EmbeddedDynamoDb, WireAnswer};
use serde_json::Value;
use tokio::sync::{Notify, oneshot};

pub use meter::Metered;

use answers::{
    cut_off, exception, read_partly, refusal, reply, transaction_conflict, write_partly,
};
use mistakes::{Mistake, Subject};
use trace::{Trace, canonical};

/// The service that a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// DynamoDB, with the tables.
    DynamoDb,
    /// AWS Marketplace, and CloudTrail with its Event history and its trail in S3.
    Marketplace,
}

/// A call that is about to leave its function.
#[derive(Debug, Clone)]
pub struct Call {
    /// The number of the call in its world, from 1, among the counted calls.
    pub number: u64,
    /// The name of the function that makes the call.
    pub function: &'static str,
    /// The service that the call goes to.
    pub service: Service,
    /// The operation, such as `TransactWriteItems`.
    pub operation: String,
    /// The number of the call in its invocation, from 1.
    pub in_invocation: u64,
}

impl Call {
    /// Whether the call changes nothing at the service.
    pub fn is_read(&self) -> bool {
        const READS: [&str; 8] = [
            "BatchGetItem",
            "GetItem",
            "GetObject",
            "ListObjectsV2",
            "LookupEvents",
            "Query",
            "ResolveCustomer",
            "Scan",
        ];
        READS.contains(&self.operation.as_str())
    }
}

/// The fate of a call: an answer or a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The call is answered.
    Answered,
    /// The call waits before it reaches the service. It is answered once it is released.
    Waits,
    /// The caller's process dies before the call is sent.
    DiesBefore,
    /// The call takes effect, and the caller's process dies before the answer arrives.
    DiesAfter,
    /// The connection breaks before the call is sent.
    Unsent,
    /// The call takes effect, and the connection breaks before the answer arrives.
    Unanswered,
    /// DynamoDB throttles the call, and nothing is done.
    Throttled,
    /// DynamoDB answers with an internal error, and nothing is done.
    Failed,
    /// Another transaction holds one of the items that the call writes, and nothing is done. Calls
    /// that write nothing are answered.
    Conflicting,
    /// A query of an index, or another read that is eventually consistent, gets an earlier answer.
    /// Other calls are answered.
    Stale,
    /// A BatchGetItem leaves one key unprocessed, and a BatchWriteItem half of its items. Other
    /// calls are answered.
    Partly,
    /// AWS Marketplace refuses the call with this code, and nothing is done.
    Refused(&'static str),
    /// The call takes effect, and half of the answer arrives.
    CutOff,
    /// The call takes effect, and the answer does not arrive in time.
    TimedOut,
}

/// The error of a call whose answer does not arrive in time.
pub const TIMED_OUT: &str = "the answer did not come in time";

/// Decides the fate of each call.
pub type Plan = Box<dyn FnMut(&Call) -> Fate + Send>;

/// The facts about an invocation of a function that the wire needs.
#[derive(Debug)]
pub struct Invocation {
    /// The name of the function.
    pub function: &'static str,
    /// Notified when the invocation's process dies.
    pub died: Notify,
    /// Number of calls that the invocation has made.
    pub calls: AtomicU64,
    /// Number of calls that all invocations of the function have made.
    pub made: &'static AtomicU64,
}

tokio::task_local! {
    /// The invocation of the task that runs now.
    pub static INVOCATION: Arc<Invocation>;
}

/// A call that waits until it is released, either before or after it reached the service.
struct Waiting {
    release: oneshot::Sender<()>,
}

struct State {
    plan: Plan,
    counting: bool,
    calls: u64,
    held: bool,
    waiting: VecDeque<Waiting>,
    trace: Trace,
    tokens: u64,
    /// Eventually consistent reads with their answers, for stale answers.
    earlier: VecDeque<(String, WireAnswer)>,
    strikes: u64,
    writes: Writes,
    marks: Option<BTreeMap<String, u64>>,
    /// A mistake that is made on purpose.
    mistake: Option<Mistake>,
    metered: Option<Metered>,
}

/// Numbers of write requests that the tables carried out, from any caller. A transaction counts as
/// a write of both kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Writes {
    /// Writes of usage rows.
    pub usage: u64,
    /// Writes of all other items.
    pub other: u64,
}

/// Largest number of earlier answers that are kept for stale reads.
const EARLIER_MAX: usize = 64;

/// The wire of one world, through which all calls of its functions go.
#[derive(Clone)]
pub struct Wire {
    database: Arc<EmbeddedDynamoDb>,
    marketplace: Arc<Mutex<axum::Router>>,
    state: Arc<Mutex<State>>,
}

impl Wire {
    /// A wire on which every call is answered and no call is counted.
    pub fn new(database: Arc<EmbeddedDynamoDb>, emulator: &Emulator) -> Self {
        Self {
            database,
            marketplace: Arc::new(Mutex::new(emulator.router())),
            state: Arc::new(Mutex::new(State {
                plan: Box::new(|_| Fate::Answered),
                counting: false,
                calls: 0,
                held: false,
                waiting: VecDeque::new(),
                trace: Trace::default(),
                tokens: 0,
                earlier: VecDeque::new(),
                strikes: 0,
                writes: Writes::default(),
                marks: None,
                mistake: mistakes::planted(),
                metered: None,
            })),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts to count calls. Each meets the fate that the plan decides.
    pub fn follow(&self, plan: Plan) {
        let mut state = self.state();
        state.plan = plan;
        state.counting = true;
    }

    /// Ends all faults: from now on every call is answered and no call is counted.
    pub fn heal(&self) {
        self.state().counting = false;
    }

    /// Starts to count calls again. Each meets the fate that the earlier plan decides.
    pub fn follow_again(&self) {
        self.state().counting = true;
    }

    /// Holds calls until they are released, or stops holding calls and releases all.
    pub fn hold(&self, held: bool) {
        let released: Vec<Waiting> = {
            let mut state = self.state();
            state.held = held;
            if held {
                Vec::new()
            } else {
                state.waiting.drain(..).collect()
            }
        };
        for waiting in released {
            // A caller that has died does not wait for its call.
            if waiting.release.send(()).is_err() {
                continue;
            }
        }
    }

    /// Number of calls that wait to be released.
    pub fn waiting(&self) -> usize {
        let mut state = self.state();
        state.waiting.retain(|waiting| !waiting.release.is_closed());
        state.waiting.len()
    }

    /// Releases one of the waiting calls.
    pub fn release(&self, which: usize) {
        let waiting = self.state().waiting.remove(which);
        if let Some(waiting) = waiting
            && waiting.release.send(()).is_err()
        {
            self.note("a call whose caller is dead");
        }
    }

    /// Number of calls counted so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Number of calls with another fate than [`Fate::Answered`].
    pub fn strikes(&self) -> u64 {
        self.state().strikes
    }

    /// Starts to count the results of calls by name.
    pub fn count_marks(&self) {
        self.state().marks.get_or_insert_default();
    }

    /// The counted results of calls, by name.
    pub fn marks(&self) -> BTreeMap<String, u64> {
        self.state().marks.clone().unwrap_or_default()
    }

    /// Counts one event by its name, if results are counted.
    pub fn mark_one(&self, name: &str) {
        if self.counts_marks() {
            self.mark([name.to_owned()]);
        }
    }

    fn mark(&self, names: impl IntoIterator<Item = String>) {
        if let Some(marks) = &mut self.state().marks {
            for name in names {
                *marks.entry(name).or_default() += 1;
            }
        }
    }

    fn counts_marks(&self) -> bool {
        self.state().marks.is_some()
    }

    /// Numbers of writes that the tables carried out.
    pub fn writes(&self) -> Writes {
        self.state().writes
    }

    /// Adds a line to the trace.
    pub fn note(&self, line: &str) {
        self.state().trace.add(line);
    }

    /// Turns the trace off, because it takes a good part of a call's time.
    pub fn trace_nothing(&self) {
        self.state().trace.turn_off();
    }

    fn is_traced(&self) -> bool {
        self.state().trace.is_on()
    }

    /// Keeps this many of the latest lines of the trace.
    pub fn keep_lines(&self, lines: usize) {
        self.state().trace.keep(lines);
    }

    /// The digest of the whole trace, and the latest lines.
    pub fn trace(&self) -> (String, Vec<String>) {
        let state = self.state();
        (state.trace.digest(), state.trace.lines())
    }

    /// Counts from now on the capacity that the functions' calls of DynamoDB consume. Returns the
    /// counts since the last call of this method.
    pub fn meter(&self) -> Metered {
        self.state()
            .metered
            .replace(Metered::default())
            .unwrap_or_default()
    }

    async fn pass(&self) {
        let held = self.state().held;
        if held {
            self.wait().await;
        }
    }

    /// Waits until the call is released.
    async fn wait(&self) {
        let (release, released) = oneshot::channel();
        self.state().waiting.push_back(Waiting { release });
        if released.await.is_err() {
            // The wire was dropped together with its world, so the caller never continues.
            std::future::pending::<()>().await;
        }
    }

    fn decide(&self, service: Service, operation: &str, invocation: &Invocation) -> (Call, Fate) {
        let in_invocation = invocation.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let state = &mut *self.state();
        if state.counting {
            state.calls += 1;
        }
        let call = Call {
            number: state.calls,
            function: invocation.function,
            service,
            operation: operation.to_owned(),
            in_invocation,
        };
        let fate = match state.counting {
            true => (state.plan)(&call),
            false => Fate::Answered,
        };
        state.strikes += u64::from(fate != Fate::Answered);
        if let (Some(marks), true) = (&mut state.marks, fate != Fate::Answered) {
            *marks.entry(observe::of_fate(fate)).or_default() += 1;
        }
        (call, fate)
    }

    /// Makes one call for the client's connector. `Err` means that the connection broke.
    pub async fn call(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, String> {
        let target = request
            .headers()
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let (prefix, operation) = match of_s3(&request) {
            Some(operation) => ("S3", operation),
            None => target.rsplit_once('.').unwrap_or(("", target.as_str())),
        };
        let service = match prefix {
            "DynamoDB_20120810" => Service::DynamoDb,
            _ => Service::Marketplace,
        };
        let invocation = INVOCATION.try_with(Arc::clone).ok();
        let function = invocation
            .as_ref()
            .map_or("world", |invocation| invocation.function);
        if let Some(invocation) = &invocation {
            invocation.made.fetch_add(1, Ordering::Relaxed);
            self.pass().await;
        }
        let (call, fate) = match &invocation {
            Some(invocation) => self.decide(service, operation, invocation),
            None => {
                let call = Call {
                    number: 0,
                    function,
                    service,
                    operation: operation.to_owned(),
                    in_invocation: 0,
                };
                (call, Fate::Answered)
            }
        };
        let dies = |invocation: &Option<Arc<Invocation>>| {
            if let Some(invocation) = invocation {
                invocation.died.notify_one();
            }
        };
        let body = self.supply_token(operation, request.body());
        // Only functions make mistakes.
        let mistake = self.state().mistake.filter(|_| invocation.is_some());
        let subject = Subject {
            function,
            operation,
            fate,
        };
        let body = match mistake {
            Some(mistake) => mistake.request(subject, body),
            None => body,
        };
        let is_traced = self.is_traced();
        let traced = match is_traced {
            true => format!(
                "{} {} {operation} {fate:?} {} {}",
                call.number,
                function,
                request.uri().path(),
                canonical(&body)
            ),
            false => String::new(),
        };
        if let Some(answer) = mistake.and_then(|mistake| mistake.instead(subject, &body)) {
            self.note(&traced);
            return Ok(answer);
        }
        if let Some(answer) = error_of_fate(fate, service, operation, &body) {
            self.note(&traced);
            self.observe(fate, operation, &body, Some(&answer));
            return Ok(answer);
        }
        match fate {
            Fate::Waits => self.wait().await,
            Fate::DiesBefore => {
                self.note(&traced);
                dies(&invocation);
                return std::future::pending().await;
            }
            Fate::Unsent => {
                self.note(&traced);
                return Err("the connection broke before the request was sent".to_owned());
            }
            _ => {}
        }
        let answer = match service {
            Service::DynamoDb if invocation.is_some() && self.is_metered() => {
                let answer = self.ask_database(operation, &meter::asking(&body), fate);
                if let Some(metered) = &mut self.state().metered {
                    metered.add(operation, &body, answer.body());
                }
                Ok(answer)
            }
            Service::DynamoDb => Ok(self.ask_database(operation, &body, fate)),
            Service::Marketplace => self.ask_marketplace(request, body.clone()).await,
        };
        let answer = match mistake {
            Some(mistake) => mistake.answer(subject, &body, answer),
            None => answer,
        };
        if is_traced {
            let answered = match &answer {
                Ok(answer) => format!("{} {}", answer.status().as_u16(), canonical(answer.body())),
                Err(problem) => problem.clone(),
            };
            self.note(&format!("{traced} -> {answered}"));
        }
        self.observe(fate, operation, &body, answer.as_ref().ok());
        match fate {
            Fate::DiesAfter => {
                dies(&invocation);
                std::future::pending().await
            }
            Fate::Unanswered => Err("the connection broke before the answer came".to_owned()),
            Fate::TimedOut => Err(TIMED_OUT.to_owned()),
            Fate::CutOff => answer.map(cut_off),
            _ => {
                if invocation.is_some() {
                    self.pass().await;
                }
                answer
            }
        }
    }

    fn is_metered(&self) -> bool {
        self.state().metered.is_some()
    }

    fn observe(
        &self,
        fate: Fate,
        operation: &str,
        body: &[u8],
        answer: Option<&http::Response<Vec<u8>>>,
    ) {
        if self.counts_marks() {
            self.mark(observe::of_call(fate, operation, body, answer));
        }
    }

    /// Replaces a transaction's token, which is random in the SDK, by a number that a seed repeats.
    fn supply_token(&self, operation: &str, body: &[u8]) -> Vec<u8> {
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

    fn ask_database(&self, operation: &str, body: &[u8], fate: Fate) -> http::Response<Vec<u8>> {
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

    async fn ask_marketplace(
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

/// The operation of a GET request, which goes to S3. Requests to all other services are POST
/// requests that name their operation in a header.
fn of_s3(request: &http::Request<Vec<u8>>) -> Option<&'static str> {
    let is_get = request.method() == http::Method::GET;
    let is_list = || {
        request
            .uri()
            .query()
            .is_some_and(|query| query.contains("list-type"))
    };
    is_get.then(|| match is_list() {
        true => "ListObjectsV2",
        false => "GetObject",
    })
}

/// The error that a call gets from its fate without being carried out, if the fate has one.
fn error_of_fate(
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
