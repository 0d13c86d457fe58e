//! Records that can no longer be sent.
//!
//! A record past its deadline without an outcome may have been billed all the same: its answer may
//! be what got lost. So it is Unconfirmed, and held, until CloudTrail proves what happened.

use jiff::{SignedDuration, Timestamp};
use ledger::{SHARDS, Written};
use marketplace::State;
use marketplace::error_table::DEADLINE_PASSED;
use marketplace::hour::shift;
use marketplace::planted::{Bug, is_planted};
use startup::Budget;

use crate::{App, ReconcileError, Report};

/// The longest a record waits between two attempts; everything due by then is looked at.
const LOOK_AHEAD_HOURS: i64 = 2;

/// Ends what is past its deadline; `false` if the time ran out.
pub(crate) async fn expire(
    app: &App,
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, ReconcileError> {
    let horizon = shift(now, SignedDuration::from_hours(LOOK_AHEAD_HOURS));
    for shard in 0..SHARDS {
        let mut start = None;
        loop {
            if budget.is_spent() {
                return Ok(false);
            }
            let page = app.ledger.due_records(shard, horizon, start).await?;
            for record in app.ledger.records(&page.keys).await? {
                if !record.state.is_sendable() {
                    continue;
                }
                if now < record.deadline {
                    report.note(record.urgency(now));
                    continue;
                }
                if is_planted(Bug::UnconfirmedIsExpired) {
                    let key = &record.key;
                    app.ledger
                        .flag_late(&key.subscription, key.hour, now)
                        .await?;
                }
                let ended = match is_planted(Bug::UnconfirmedIsExpired) {
                    true => State::Expired,
                    false => State::Unconfirmed,
                };
                let written = app
                    .ledger
                    .write_state(&record, ended, DEADLINE_PASSED, now)
                    .await?;
                if written == Written::Done {
                    tracing::error!(slot = %record.key, quantity = %record.quantity, "past its deadline without an outcome");
                    report.unconfirmed += 1;
                }
            }
            start = page.next;
            if start.is_none() {
                break;
            }
        }
    }
    Ok(true)
}
