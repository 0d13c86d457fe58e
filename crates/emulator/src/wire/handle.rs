//! Handles one call: its request is checked against the API model, the rules decide, faults may
//! change the answer, and the call is logged.

use jiff::Timestamp;
use serde_json::Value;

use super::aws_error::AwsError;
use super::caller::Caller;
use super::operation::Operation;
use super::protocol::Protocol;
use super::{Handled, Reply, agreement_api, batch_answer, simple};
use crate::emulator::{Core, Emulator};
use crate::faults::{CallFaults, FaultKind};
use crate::model::{self, BatchMeterUsageRequest, ShapeError, UsageRecord};
use crate::rules::Arrival;
use crate::rules::batch_meter_usage::batch_meter_usage;
use crate::world::{CallEntry, CallError, RecordOutcome};

/// The work of an operation for a request that fits the API model. It returns the members of the
/// answer.
pub(super) type Work = Box<dyn FnOnce(&mut Core, Arrival<'_>) -> Result<Value, AwsError>>;

/// A request that fits the API model of its operation.
enum Shaped {
    /// A request of `BatchMeterUsage`. It is separate, because its records are logged and faults
    /// affect single records.
    Batch(BatchMeterUsageRequest),
    /// A request of any other operation.
    Work(Work),
}

/// The result of a call, before the call is logged and the answer is written.
struct CallResult {
    product_code: Option<String>,
    records: Vec<UsageRecord>,
    outcomes: Vec<RecordOutcome>,
    reply: Reply,
}

impl CallResult {
    /// The result of a call that has no records to log.
    fn of(reply: Reply) -> CallResult {
        CallResult {
            product_code: None,
            records: Vec::new(),
            outcomes: Vec::new(),
            reply,
        }
    }
}

impl Emulator {
    /// Answers a call that names no operation, is not signed as required or has no readable body.
    /// Such calls are not logged.
    pub(crate) fn refuse(&self, error: AwsError) -> Handled {
        let core = &mut *self.core();
        let number = core.world.calls.next();
        Handled {
            reply: Reply::Refusal(error),
            request_id: core.world.request_id(number),
            delay_ms: 0,
        }
    }

    /// Carries out the call. A fault may answer in place of the work, or change the answer.
    pub(crate) fn handle(
        &self,
        operation: Operation,
        protocol: Protocol,
        caller: &Caller,
        body: &[u8],
    ) -> Handled {
        let shaped = protocol
            .read(body)
            .and_then(|members| shape(operation, members));
        let core = &mut *self.core();
        let now = core.clock.now();
        let number = core.world.calls.next();
        let struck = core.faults.strike(operation.name(), body);
        let arrival = Arrival {
            now,
            region: &caller.region,
            access_key_id: &caller.access_key_id,
        };
        let within_rate = core.within_rate(operation, &caller.region, now);
        let result = match (struck.refusal, shaped) {
            (None, shaped) if !within_rate => {
                refused_by_fault(FaultKind::Throttling, operation, shaped)
            }
            (Some(kind), shaped) => refused_by_fault(kind, operation, shaped),
            (None, Err(error)) => CallResult::of(Reply::Refusal(error.into())),
            (None, Ok(Shaped::Batch(request))) => batch(core, request, arrival, &struck),
            (None, Ok(Shaped::Work(work))) => CallResult::of(match work(core, arrival) {
                Ok(members) => Reply::Members(members),
                Err(error) => Reply::Refusal(error),
            }),
        };
        core.log_call(operation, caller, number, now, result, struck)
    }
}

impl Core {
    /// Logs the call. Returns its answer, or no answer if a fault drops the connection.
    fn log_call(
        &mut self,
        operation: Operation,
        caller: &Caller,
        number: u64,
        at: Timestamp,
        result: CallResult,
        struck: CallFaults,
    ) -> Handled {
        let error = match &result.reply {
            Reply::Refusal(error) => Some(error.for_log()),
            Reply::BadGateway => Some(CallError {
                code: "502".to_owned(),
                message: "Bad Gateway".to_owned(),
                status: 502,
            }),
            _ => None,
        };
        let reply = match struck.drop_after {
            true => Reply::Dropped,
            false => result.reply,
        };
        self.world.calls.push(CallEntry {
            number,
            at,
            operation: operation.name().into(),
            region: caller.region.clone(),
            access_key_id: caller.access_key_id.clone(),
            error,
            product_code: result.product_code,
            records: result.records,
            outcomes: result.outcomes,
            faults: struck.kinds,
            answered: !matches!(reply, Reply::Dropped),
        });
        Handled {
            reply,
            request_id: self.world.request_id(number),
            delay_ms: struck.delay_ms,
        }
    }

    /// Whether the call is within the request rate of its operation. If it is, it counts.
    fn within_rate(&mut self, operation: Operation, region: &str, now: Timestamp) -> bool {
        let per_second = match operation {
            Operation::LookupEvents => self.world.settings.lookup_events_per_s,
            Operation::BatchMeterUsage => self.world.settings.batch_meter_usage_per_s,
            Operation::MeterUsage => self.world.settings.meter_usage_per_s,
            Operation::RegisterUsage => self.world.settings.register_usage_per_s,
            _ => 0,
        };
        per_second == 0 || self.rates.admit(operation.name(), region, per_second, now)
    }
}

fn shape(operation: Operation, members: Value) -> Result<Shaped, ShapeError> {
    Ok(match operation {
        Operation::BatchMeterUsage => {
            Shaped::Batch(model::read(members, BatchMeterUsageRequest::read)?)
        }
        Operation::MeterUsage => Shaped::Work(simple::meter_usage(members)?),
        Operation::RegisterUsage => Shaped::Work(simple::register_usage(members)?),
        Operation::ResolveCustomer => Shaped::Work(simple::resolve_customer(members)?),
        Operation::GetEntitlements => Shaped::Work(simple::get_entitlements(members)?),
        Operation::LookupEvents => Shaped::Work(simple::lookup_events(members)?),
        Operation::SearchAgreements => Shaped::Work(agreement_api::search(members)?),
        Operation::DescribeAgreement => Shaped::Work(agreement_api::describe(members)?),
        Operation::ListAgreementInvoiceLineItems => {
            Shaped::Work(agreement_api::invoice_line_items(members)?)
        }
        Operation::BatchCreateBillingAdjustmentRequest => {
            Shaped::Work(agreement_api::billing_adjustments(members)?)
        }
    })
}

/// The result of a call that a fault or the request rate refuses before any work. Its records are
/// logged anyway.
fn refused_by_fault(
    kind: FaultKind,
    operation: Operation,
    shaped: Result<Shaped, ShapeError>,
) -> CallResult {
    let mut result = CallResult::of(match AwsError::from_fault(kind, operation.api()) {
        Some(error) => Reply::Refusal(error),
        None if kind == FaultKind::BadGateway => Reply::BadGateway,
        None => Reply::Dropped,
    });
    if let Ok(Shaped::Batch(request)) = shaped {
        result.product_code = request.product_code;
        result.outcomes = vec![RecordOutcome::NOT_PROCESSED; request.usage_records.len()];
        result.records = request.usage_records;
    }
    result
}

fn batch(
    core: &mut Core,
    request: BatchMeterUsageRequest,
    arrival: Arrival<'_>,
    struck: &CallFaults,
) -> CallResult {
    let marks = batch_answer::unprocessed(struck, request.usage_records.len());
    let (reply, mut outcomes) = match batch_meter_usage(&mut core.world, &request, arrival, &marks)
    {
        Ok(outcomes) => {
            let records = &request.usage_records;
            let reply = match batch_answer::body(core.world.seed, records, &outcomes, struck) {
                Ok(body) => Reply::Json(body),
                Err(error) => Reply::Refusal(AwsError::unwritable(&error)),
            };
            (reply, outcomes)
        }
        Err((error, outcomes)) => (Reply::Refusal(error.into()), outcomes),
    };
    outcomes.resize(request.usage_records.len(), RecordOutcome::NOT_PROCESSED);
    CallResult {
        product_code: request.product_code,
        records: request.usage_records,
        outcomes,
        reply,
    }
}
