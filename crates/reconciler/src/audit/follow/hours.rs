//! The comparison by the hour of usage, in blocks of hours.

use cloudtrail::{AuditError, LATE, SOON};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use ledger::audit::AuditProgress;
use ledger::{Consistency, Written};
use marketplace::audit::{CLOCK_MARGIN_MINUTES, Comparison, Event, UNCONFIRMED_WAIT_MINUTES};
use marketplace::window::Window;
use marketplace::{State, UsageHour};
use runtime::Budget;

use super::{minutes, oldest};
use crate::{AT_ONCE, App, Report};

/// The number of usage hours in one block. A day is a whole number of blocks. Our own choice: a
/// block needs one query for each subscription, so a day needs eight. A longer block would save
/// little more. The calls of a block must be read in one run: three hours of 45,000 records are
/// seven minutes of pages.
const BLOCK_HOURS: i64 = 3;

/// Compares the blocks of usage hours that are over. Returns `false` if the time ran out.
pub(super) async fn hours_over(
    app: &App,
    progress: &mut AuditProgress,
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, AuditError> {
    let over = latest_over(app.window, now);
    let oldest = UsageHour::of(oldest(app.history.source(), now));
    let mut hours = progress.hours_through.max(oldest);
    loop {
        let first = hours.next();
        let last = last_of_block(first);
        if last > over {
            return Ok(true);
        }
        if budget.is_spent() || !look_for_hours(app, (first, last), now, budget, report).await? {
            return Ok(false);
        }
        hours = last;
        let calls = progress.calls_through;
        let written = app.ledger.advance_audit_progress(progress, calls, hours);
        if written.await? == Written::Conflict {
            return Ok(false);
        }
    }
}

/// Returns the last hour of the block to which an hour belongs.
pub(super) fn last_of_block(hour: UsageHour) -> UsageHour {
    hour.plus(BLOCK_HOURS - 1 - hour.number().rem_euclid(BLOCK_HOURS))
}

/// Returns the latest hour whose records' deadline passed an hour ago or earlier.
pub(super) fn latest_over(window: Window, now: Timestamp) -> UsageHour {
    let horizon = minutes(now, -UNCONFIRMED_WAIT_MINUTES);
    window.latest_closed(UsageHour::of(now), horizon)
}

/// Looks for the success of every accepted record of some hours. First it looks at the time of
/// acceptance in the record. For records without a match it then looks at every possible time.
/// Returns `false` if the time ran out.
async fn look_for_hours(
    app: &App,
    hours: (UsageHour, UsageHour),
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, AuditError> {
    let Some(mut comparison) = accepted_in(app, hours, budget).await? else {
        return Ok(false);
    };
    if !mark_successes(app, &mut comparison, (None, SOON), now, budget).await? {
        return Ok(false);
    }
    let unseen = comparison.unseen_slots();
    if !unseen.is_empty() {
        // The records may have been out of date.
        let read_again = app.ledger.records(&unseen).await?;
        comparison.replace(&unseen, &read_again);
    }
    let wide = (Some(life_minutes(app.window, hours)), LATE);
    if !mark_successes(app, &mut comparison, wide, now, budget).await? {
        return Ok(false);
    }
    comparison.count_seen();
    comparison.judge_unseen(now);
    let mut counts = comparison.counts();
    // The comparison by the time of the call counts the unreadable events.
    counts.unreadable_events = 0;
    report.audit.add(counts, comparison.differences());
    Ok(true)
}

/// Reads the accepted records of some hours, of all subscriptions. Returns `None` if the time ran
/// out.
async fn accepted_in(
    app: &App,
    hours: (UsageHour, UsageHour),
    budget: Budget,
) -> Result<Option<Comparison>, AuditError> {
    let mut comparison = Comparison::default();
    let mut start = None;
    loop {
        if budget.is_spent() {
            return Ok(None);
        }
        let (profiles, next) = app.ledger.profiles_page(start).await?;
        let read = |subscription| {
            let ledger = &app.ledger;
            ledger.records_of_hours(subscription, hours, Consistency::Eventual)
        };
        let mut all = stream::iter(&profiles)
            .map(|profile| read(&profile.subscription))
            .buffered(AT_ONCE);
        while let Some(records) = all.try_next().await? {
            for record in &records {
                if record.state == State::Accepted {
                    comparison.record(record);
                }
            }
        }
        start = next;
        if start.is_none() {
            return Ok(Some(comparison));
        }
    }
}

/// Returns how many minutes after an hour's start a call of its records is possible: the largest
/// such number of the hours `first` through `last`. Hours at the end of a month have fewer minutes.
pub(super) fn life_minutes(window: Window, (first, last): (UsageHour, UsageHour)) -> i64 {
    let life = |hour: UsageHour| {
        let start = hour.start();
        window.deadline(start).duration_since(start).as_mins()
    };
    let longest = first.through(last).map(life).max().unwrap_or_default();
    longest + UNCONFIRMED_WAIT_MINUTES + CLOCK_MARGIN_MINUTES
}

/// Marks the records whose success is in the history. Reads only the times at which the success of
/// an unmarked record can be. Returns `false` if the time ran out.
async fn mark_successes(
    app: &App,
    comparison: &mut Comparison,
    (wide, late_minutes): (Option<i64>, i64),
    now: Timestamp,
    budget: Budget,
) -> Result<bool, AuditError> {
    let periods = comparison.periods_of_unseen(wide, now);
    let complete = app
        .history
        .read(
            &periods,
            late_minutes,
            now,
            Some(budget),
            |event| match event {
                Event::Call(call) => comparison.mark_seen(call),
                Event::Unreadable { .. } => comparison.unreadable(),
                Event::Foreign(_) => {}
            },
        )
        .await?;
    Ok(complete)
}
