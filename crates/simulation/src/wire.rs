//! The wire: it numbers and traces every call that leaves a function, and decides its fate.

mod answers;
mod call;
mod control;
mod meter;
pub mod mistakes;
mod observe;
mod services;
mod trace;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use emulator::Emulator;
use local::dynamodb::{EmbeddedDynamoDb, WireAnswer};
use tokio::sync::oneshot;

pub use call::{Call, Fate, INVOCATION, Invocation, Plan, Service, TIMED_OUT};
pub use meter::Metered;

use answers::{cut_off, error_of_fate};
use mistakes::{Mistake, Subject};
use trace::{Trace, canonical};

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
    faults_met: u64,
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
                faults_met: 0,
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
        state.faults_met += u64::from(fate != Fate::Answered);
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
