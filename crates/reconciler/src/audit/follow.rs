//! The hourly comparison, which continues where the last run stopped.
//!
//! It works in two directions:
//! * By the time of the call, as soon as CloudTrail shows it: every success must belong to a record
//!   in the ledger, with the same quantity.
//! * By the hour of usage, an hour after its deadline: every accepted record in the ledger must
//!   have its success in CloudTrail.
//!
//! CloudTrail promises neither when an event appears nor in which order, so calls are compared a
//! second time, nine to ten hours later. The second comparison finds events that came too late for
//! the first one. Both comparisons report a difference that persists.
//!
//! Progress is stored for all three comparisons after each step, so an outage only delays them. A
//! step is at most an hour of calls or three hours of usage. A step that is repeated after a crash
//! finds the same.
//!
//! # The second comparison reads no records if nothing came late
//! If each success of a step belonged to an accepted record with the same quantity, the first
//! comparison stores which calls it saw (`ledger::audit_steps`). The state and the quantity of an
//! accepted record do not change. So if the history shows exactly these calls again, the second
//! comparison would find the same. It reads records only if there are other calls by now, or if no
//! calls were stored: because of a difference, a record without an outcome yet, a product of
//! another stack, an unreadable event, or a crash. The calls are stored before the progress, and
//! they are correct even if the progress is not stored.
//!
//! # Records are read eventually consistent first
//! Such a read takes half the read units, and it may lack the writes of the last second. A record
//! that would become a difference is read again, strongly consistent, before it is judged, reported
//! or written. So an out-of-date read costs a second read and never makes a false difference.
//!
//! These are the ways in which an out-of-date read could hide a difference:
//! * *By the time of the call, a record is shown in an earlier state.* Its quantity never changes,
//!   so another quantity is always found. The earlier state can hide only that the record was
//!   concluded to be unbilled a moment ago. Such a record is compared with the history again a day
//!   and three days later (`again`). The step does not count as settled either, because the record
//!   had no outcome yet, so the second comparison reads it again.
//! * *By the hour of usage, a record became Accepted a moment ago, and is left out.* By then its
//!   deadline has been over for an hour, and the submitter does not send it any more. Only the
//!   audit still writes that it is accepted, and it has its own evidence for that.

mod calls;
mod hours;

use cloudtrail::AuditError;
use jiff::{SignedDuration, Timestamp};
use marketplace::audit::Source;
use marketplace::hour::shift;
use marketplace::limits::CLOUDTRAIL_DELAY_MINUTES;
use runtime::Budget;

use crate::{App, Report};
use calls::{calls_again, new_calls};
use hours::{hours_over, latest_over};

/// Compares the calls and hours that are new since the last run. Returns `false` if the time ran
/// out. Each of the three comparisons has its share of the time, so that none takes the time of
/// another.
pub(crate) async fn follow(
    app: &App,
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, AuditError> {
    let seen = whole_second(minutes(now, -CLOUDTRAIL_DELAY_MINUTES));
    let over = latest_over(app.window, now);
    let Some(mut progress) = app.ledger.audit_progress().await? else {
        // The first run only sets where the comparison begins. `metering audit` can compare the
        // time before.
        app.ledger.create_audit_progress(seen, over).await?;
        return Ok(true);
    };
    let share = || budget.at_most(budget.left() / 2);
    let mut finished = new_calls(app, &mut progress, now, share(), report).await?;
    finished &= calls_again(app, &progress, now, share(), report).await?;
    finished &= hours_over(app, &mut progress, now, budget, report).await?;
    Ok(finished)
}

/// Returns the earliest time that is compared. It is an hour later than the earliest time to which
/// the history reaches back now, so that the history still reaches back to it when the request is
/// made.
fn oldest(source: Source, now: Timestamp) -> Timestamp {
    whole_second(minutes(source.oldest(now), 60))
}

fn minutes(time: Timestamp, minutes: i64) -> Timestamp {
    shift(time, SignedDuration::from_mins(minutes))
}

fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests;
