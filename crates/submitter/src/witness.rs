//! The empty call that the audit of a quiet stack waits for.
//!
//! The audit does not conclude that a call is missing from CloudTrail's history until the history
//! shows a later call. A stack that meters no usage makes no later call, so the audit asks for one:
//! a request without records. AWS Marketplace accepts it and bills nothing, and CloudTrail logs it.
//!
//! # What a crash does
//! The audit's request is deleted only after the call. After a crash in between, the next sweep
//! repeats the empty call.

use ledger::LedgerError;
use marketplace::error_table::{CONNECTION_FAILED, TIMEOUT, was_transmitted};
use metering_api::CallError;
use runtime::InvocationError;
use serde_json::json;

use crate::{App, Tally};

/// Makes an empty call if the audit asks for one. A call of this sweep that was answered serves the
/// same purpose, and then no empty call is made.
pub(crate) async fn call_if_wanted(app: &App, tally: &mut Tally) -> Result<(), InvocationError> {
    if tally.gave_up {
        return Ok(());
    }
    let wanted = match app.ledger.witness_wanted().await {
        Ok(Some(wanted)) => wanted,
        Ok(None) => return Ok(()),
        Err(LedgerError::Malformed(damaged)) => {
            tracing::error!(%damaged, "the audit's request for a call cannot be read; the audit will write it again");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    // The audit asks long after the last call in question, so each call of this sweep is later.
    let was_answered = tally.calls > tally.failed_calls;
    if !was_answered {
        app.pace.turn().await;
        let answer = app
            .metering
            .batch_meter_usage_raw(json!({"UsageRecords": []}))
            .await;
        tally.calls += 1;
        if let Err(error) = answer {
            tally.failed_calls += 1;
            tracing::warn!(%error, "the empty call that the audit waits for failed");
            if !has_arrived(&error) {
                return Ok(());
            }
        }
    }
    app.ledger.clear_witness_request(&wanted).await?;
    Ok(())
}

/// Returns whether the failed call certainly reached AWS. CloudTrail logs a call that AWS refused,
/// too.
fn has_arrived(error: &CallError) -> bool {
    let code = error.code.as_str();
    was_transmitted(code) && ![CONNECTION_FAILED, TIMEOUT].contains(&code)
}
