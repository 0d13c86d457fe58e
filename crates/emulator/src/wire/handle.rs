//! One call: its faults, its shape, its rules, its place in the log.

use jiff::Timestamp;

use super::aws_error::AwsError;
use super::batch_answer;
use super::caller::Caller;
use super::operation::Operation;
use super::{Handled, Reply};
use crate::emulator::{Core, Emulator};
use crate::faults::Struck;
use crate::model::{self, BatchMeterUsageRequest, ResolveCustomerRequest, ShapeError, UsageRecord};
use crate::rules::batch_meter_usage::{Arrival, batch_meter_usage};
use crate::rules::resolve_customer::resolve_customer;
use crate::world::{CallEntry, Outcome, RecordOutcome};

/// A request that has the shape its operation asks for.
enum Shaped {
    BatchMeterUsage(BatchMeterUsageRequest),
    ResolveCustomer(ResolveCustomerRequest),
}

/// What a call came to, before it is written out.
#[derive(Default)]
struct Done {
    product_code: Option<String>,
    records: Vec<UsageRecord>,
    outcomes: Vec<RecordOutcome>,
    answer: Vec<u8>,
    error: Option<AwsError>,
}

impl Done {
    fn refused(error: AwsError) -> Done {
        Done {
            error: Some(error),
            ..Done::default()
        }
    }
}

impl Emulator {
    /// Answers a call that names no operation, or has no readable body. It is not logged.
    pub(crate) fn refuse(&self, error: AwsError) -> Handled {
        let core = &mut *self.core();
        let number = core.world.calls.next();
        Handled {
            reply: Reply::Refusal(error),
            request_id: core.world.request_id(number),
            delay_ms: 0,
        }
    }

    /// Does what the call asks, or what a fault makes of it.
    pub(crate) fn handle(&self, operation: Operation, caller: &Caller, body: &[u8]) -> Handled {
        let shaped = shape(operation, body);
        let core = &mut *self.core();
        let now = core.clock.now();
        let number = core.world.calls.next();
        let struck = core.faults.strike(operation.name());
        let dropped_before = struck.refusal == Some(crate::faults::FaultKind::DropBefore);
        let mut done = match (struck.refusal, shaped) {
            (Some(kind), shaped) => refused_by_fault(AwsError::from_fault(kind), shaped),
            (None, Err(error)) => Done::refused(error.into()),
            (None, Ok(shaped)) => work(core, shaped, caller, now, &struck),
        };
        let dropped = dropped_before || struck.drop_after;
        let request_id = core.world.request_id(number);
        let reply = match done.error.clone() {
            _ if dropped => Reply::Dropped,
            Some(error) => Reply::Refusal(error),
            None => Reply::Answer(std::mem::take(&mut done.answer)),
        };
        core.world.calls.push(CallEntry {
            number,
            at: now,
            operation: operation.name(),
            region: caller.region.clone(),
            error: done.error.as_ref().map(AwsError::for_log),
            product_code: done.product_code,
            records: done.records,
            outcomes: done.outcomes,
            faults: struck.kinds,
            answered: !dropped,
        });
        Handled {
            reply,
            request_id,
            delay_ms: struck.delay_ms,
        }
    }
}

fn shape(operation: Operation, body: &[u8]) -> Result<Shaped, ShapeError> {
    match operation {
        Operation::BatchMeterUsage => {
            model::read(body, BatchMeterUsageRequest::read).map(Shaped::BatchMeterUsage)
        }
        Operation::ResolveCustomer => {
            model::read(body, ResolveCustomerRequest::read).map(Shaped::ResolveCustomer)
        }
    }
}

/// The call was refused, or lost, before any work: its records are logged all the same.
fn refused_by_fault(error: Option<AwsError>, shaped: Result<Shaped, ShapeError>) -> Done {
    let mut done = Done {
        error,
        ..Done::default()
    };
    if let Ok(Shaped::BatchMeterUsage(request)) = shaped {
        done.product_code = request.product_code;
        done.outcomes = vec![RecordOutcome::NOT_PROCESSED; request.usage_records.len()];
        done.records = request.usage_records;
    }
    done
}

fn work(core: &mut Core, shaped: Shaped, caller: &Caller, now: Timestamp, struck: &Struck) -> Done {
    match shaped {
        Shaped::BatchMeterUsage(request) => batch(core, request, caller, now, struck),
        Shaped::ResolveCustomer(request) => match resolve_customer(&core.world, &request, now) {
            Ok(result) => answered(serde_json::to_vec(&result)),
            Err(error) => Done::refused(error.into()),
        },
    }
}

fn answered(body: Result<Vec<u8>, serde_json::Error>) -> Done {
    match body {
        Ok(answer) => Done {
            answer,
            ..Done::default()
        },
        Err(error) => Done::refused(AwsError::unwritable(&error)),
    }
}

fn batch(
    core: &mut Core,
    request: BatchMeterUsageRequest,
    caller: &Caller,
    now: Timestamp,
    struck: &Struck,
) -> Done {
    let arrival = Arrival {
        now,
        region: &caller.region,
    };
    let marks = batch_answer::unprocessed(struck, request.usage_records.len());
    let (mut done, mut outcomes) =
        match batch_meter_usage(&mut core.world, &request, arrival, &marks) {
            Ok(outcomes) => {
                let records = &request.usage_records;
                let body = batch_answer::body(core.world.seed, records, &outcomes, struck);
                (answered(body), outcomes)
            }
            Err((error, outcomes)) => (Done::refused(error.into()), outcomes),
        };
    outcomes.resize(request.usage_records.len(), RecordOutcome::NOT_PROCESSED);
    debug_assert!(
        done.error.is_some() || outcomes.iter().all(|o| o.outcome != Outcome::NotProcessed)
    );
    done.outcomes = outcomes;
    done.product_code = request.product_code;
    done.records = request.usage_records;
    done
}
