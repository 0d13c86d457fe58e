//! Records that can no longer be sent.
//!
//! A record without an outcome may have been billed nevertheless, because the answer of AWS
//! Marketplace may have been lost. So when its deadline passes it becomes Unconfirmed, and it is
//! held until CloudTrail proves what happened.

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use ledger::{LedgerError, SHARDS, Written};
use marketplace::error_table::DEADLINE_PASSED;
use marketplace::hour::shift;
use marketplace::{MeteringRecord, State};
use runtime::Budget;

use crate::{AT_ONCE, App, ReconcileError, Report};

/// The longest time that a record waits between two attempts. All records that become due within
/// this time are examined.
const LOOK_AHEAD_HOURS: i64 = 2;
/// The number of records that are read at the same time. A chunk is finished once it is begun.
const READ_AT_ONCE: usize = 100;

/// Ends the records that are past their deadline. Returns `false` if the time ran out.
pub(crate) async fn expire(
    app: &App,
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, ReconcileError> {
    let horizon = shift(now, SignedDuration::from_hours(LOOK_AHEAD_HOURS));
    // In each shard, records in their subscription's final hour come first.
    let shards = (0..SHARDS).flat_map(|shard| [(shard, true), (shard, false)]);
    for (shard, is_urgent) in shards {
        let mut start = None;
        loop {
            if budget.is_spent() {
                return Ok(false);
            }
            let page = match is_urgent {
                true => app.ledger.due_urgent(shard, horizon, start).await?,
                false => app.ledger.due_records(shard, horizon, start).await?,
            };
            for slots in page.slots.chunks(READ_AT_ONCE) {
                if budget.is_spent() {
                    return Ok(false);
                }
                let records = app.ledger.records(slots).await?;
                end_overdue(app, records, now, report).await?;
            }
            start = page.next;
            if start.is_none() {
                break;
            }
        }
    }
    Ok(true)
}

/// Ends the records that are past their deadline, and reports the urgency of the others. A record
/// that waits because of its own content is not reported, by the same rule as in the submitter.
async fn end_overdue(
    app: &App,
    mut records: Vec<MeteringRecord>,
    now: Timestamp,
    report: &mut Report,
) -> Result<(), LedgerError> {
    records.retain(|record| record.state.is_sendable());
    let (overdue, waiting): (Vec<_>, Vec<_>) = records
        .into_iter()
        .partition(|record| record.deadline <= now);
    for record in &waiting {
        if !record.state.waits_because_of_content() {
            report.add_urgency(record.urgency(now));
        }
    }
    let mut all = stream::iter(&overdue)
        .map(|record| end(app, record, now))
        .buffered(AT_ONCE);
    while let Some(written) = all.try_next().await? {
        report.unconfirmed += u64::from(written == Written::Done);
    }
    Ok(())
}

async fn end(app: &App, record: &MeteringRecord, now: Timestamp) -> Result<Written, LedgerError> {
    let written = app
        .ledger
        .write_state(record, State::Unconfirmed, DEADLINE_PASSED, now)
        .await?;
    if written == Written::Done {
        tracing::error!(slot = %record.slot, quantity = %record.quantity, "this record has no outcome, and its deadline has passed; it is Unconfirmed now");
    }
    Ok(written)
}
