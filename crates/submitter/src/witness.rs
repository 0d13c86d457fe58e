//! The empty call that a quiet stack's audit waits for.
//!
//! The audit concludes nothing from what the history does not show until it shows a later call. Where
//! no usage is metered none comes, so it asks for one: a request without records, which AWS
//! Marketplace accepts, bills nothing for, and which CloudTrail logs.
//!
//! # What a crash does
//! The request stands until after the call, so a crash in between repeats an empty call.

use ledger::LedgerError;
use marketplace::error_table::{CONNECTION_FAILED, NO_CREDENTIALS, NOT_SENT, TIMEOUT};
use metering_api::CallError;
use serde_json::json;

use crate::{App, SubmitError, Tally};

/// Makes an empty call if the audit asks for one and this sweep has had no answer that could do.
pub(crate) async fn call_if_wanted(app: &App, tally: &mut Tally) -> Result<(), SubmitError> {
    if tally.gave_up {
        return Ok(());
    }
    let wanted = match app.ledger.witness_wanted().await {
        Ok(Some(wanted)) => wanted,
        Ok(None) => return Ok(()),
        Err(LedgerError::Malformed(damaged)) => {
            tracing::error!(%damaged, "the audit's request for a call cannot be read; the audit puts it again");
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
    app.ledger.witness_called(&wanted).await?;
    Ok(())
}

/// Whether AWS refused the call: CloudTrail logs that too.
fn has_arrived(error: &CallError) -> bool {
    ![CONNECTION_FAILED, NO_CREDENTIALS, NOT_SENT, TIMEOUT].contains(&error.code.as_str())
}
