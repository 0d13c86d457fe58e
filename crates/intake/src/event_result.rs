//! The result for each event, and the answer with all results.

use std::future::Future;

use futures_util::future::{Either, select};
use ledger::LedgerError;
use ledger::usage_event::PutEvent;
use runtime::Budget;
use serde::Serialize;

use crate::event::Usage;
use crate::rejection::Rejection;
use crate::request_data::log_unavailable;

/// DynamoDB failed, or did not answer in time. It is unknown whether the event is stored. Sending
/// it again is safe, because it is stored only once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event could not be stored now: send it again, unchanged, in a moment")]
pub(crate) struct Unavailable;

/// The result for one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EventResult {
    /// The event was stored.
    Stored,
    /// The same event was stored before.
    Repeated,
    /// The event was not stored, and it will be rejected again if it is sent unchanged.
    Rejected(Rejection),
    /// The event must be sent again.
    Failed(Unavailable),
}

impl From<Rejection> for EventResult {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl EventResult {
    /// The event's result, from the result of its put.
    pub fn of(usage: &Usage, put: Result<PutEvent, Unavailable>) -> Self {
        match put {
            Ok(PutEvent::Stored) => Self::Stored,
            Ok(PutEvent::Repeated) => Self::Repeated,
            Ok(PutEvent::Different { stored }) => Rejection::Conflict {
                id: usage.event.id.to_string(),
                dimension: usage.event.dimension.to_string(),
                hour: marketplace::UsageHour::of(usage.event.time),
                stored,
            }
            .into(),
            Err(unavailable) => Self::Failed(unavailable),
        }
    }
}

/// Waits for DynamoDB until the request's time is spent. An abandoned call may still take effect.
/// Its event is answered as failed, and is reported as repeated when it is sent again.
pub(crate) async fn within<T>(
    budget: Budget,
    call: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, Unavailable> {
    if budget.is_spent() {
        return Err(Unavailable);
    }
    let time_is_up = std::pin::pin!(runtime::run::pause(budget.left()));
    match select(std::pin::pin!(call), time_is_up).await {
        Either::Left((Ok(answer), _)) => Ok(answer),
        Either::Left((Err(error), _)) => {
            log_unavailable(&error);
            Err(Unavailable)
        }
        Either::Right(((), _)) => {
            tracing::error!("DynamoDB did not answer within the request's time");
            Err(Unavailable)
        }
    }
}

/// The result for one event in the answer.
#[derive(Debug, Serialize)]
struct Line {
    id: Option<String>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// The answer to a request: one result for each event, in the order of the request.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Answer {
    results: Vec<Line>,
    pub stored: u64,
    pub repeated: u64,
    pub rejected: u64,
    /// The number of events that must be sent again; omitted if it is zero.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Answer {
    /// Creates the answer from ids and results in the order of the request.
    pub fn of(results: impl IntoIterator<Item = (Option<String>, EventResult)>) -> Self {
        let mut answer = Self::default();
        for (id, result) in results {
            answer.add(id, result);
        }
        answer
    }

    fn add(&mut self, id: Option<String>, result: EventResult) {
        let (count, status, reason) = match result {
            EventResult::Stored => (&mut self.stored, "stored", None),
            EventResult::Repeated => (&mut self.repeated, "repeated", None),
            EventResult::Rejected(reason) => {
                let text = Some((reason.code(), reason.to_string()));
                (&mut self.rejected, "rejected", text)
            }
            EventResult::Failed(reason) => {
                let text = Some(("unavailable", reason.to_string()));
                (&mut self.failed, "failed", text)
            }
        };
        *count += 1;
        let (code, message) = reason.unzip();
        self.results.push(Line {
            id,
            status,
            code,
            message,
        });
    }
}
