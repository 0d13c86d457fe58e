//! The hourly comparison, which goes on where the last run stopped.
//!
//! It goes two ways. By the time of the call, as soon as CloudTrail has it: every success must be of a
//! record that is here, with its quantity. By the hour of usage, once its deadline is an hour over:
//! every record accepted here must have its success there. Progress is kept for both, so an outage
//! only delays them; a step is an hour of calls or an hour of usage, and its repetition after a crash
//! finds the same.

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use ledger::Written;
use marketplace::audit::event::Effect;
use marketplace::audit::{
    CLOCK_MARGIN_MINUTES, Call, Comparison, DifferenceKind, Event, Span, UNCONFIRMED_WAIT_MINUTES,
};
use marketplace::hour::shift;
use marketplace::limits::{CLOUDTRAIL_DELAY_MINUTES, CLOUDTRAIL_HISTORY_DAYS};
use marketplace::record::RecordKey;
use marketplace::window::Window;
use marketplace::{MeteringRecord, State, UsageHour};
use startup::Budget;

use super::range::{drop_what_is_elsewhere, records_of};
use super::{AuditError, done};
use crate::{AT_ONCE, App, Report};

/// Minutes of calls in one step.
const STEP_MINUTES: i64 = 60;

/// Compares what has come since the last run; `false` if the time ran out.
pub(crate) async fn follow(
    app: &App,
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, AuditError> {
    let seen = whole_second(minutes(now, -CLOUDTRAIL_DELAY_MINUTES));
    let over = latest_over(app.window, now);
    let Some(mut progress) = app.ledger.audit_progress().await? else {
        // The first run: `metering audit` compares what was before it.
        app.ledger.create_audit_progress(seen, over).await?;
        return Ok(true);
    };
    // What the history does not reach back to cannot be compared.
    let oldest = shift(
        now,
        SignedDuration::from_hours(-24 * CLOUDTRAIL_HISTORY_DAYS + 1),
    );
    let mut calls = progress.calls_through.max(whole_second(oldest));
    let mut hours = progress.hours_through.max(UsageHour::of(oldest));
    while calls < seen {
        let end = minutes(calls, STEP_MINUTES).min(seen);
        if budget.is_spent() || !compare_calls(app, calls, end, budget, report).await? {
            return Ok(false);
        }
        calls = end;
        let written = app
            .ledger
            .advance_audit_progress(&mut progress, calls, hours);
        if written.await? == Written::Conflict {
            return Ok(false);
        }
    }
    while hours < over {
        let hour = hours.next();
        if budget.is_spent() || !look_for_hour(app, hour, now, budget, report).await? {
            return Ok(false);
        }
        hours = hour;
        let written = app
            .ledger
            .advance_audit_progress(&mut progress, calls, hours);
        if written.await? == Written::Conflict {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The latest hour whose records' deadline has been over for an hour.
fn latest_over(window: Window, now: Timestamp) -> UsageHour {
    let horizon = minutes(now, -UNCONFIRMED_WAIT_MINUTES);
    let mut hour = UsageHour::of(now);
    // A window is 31 days at most.
    for _ in 0..=31 * 24 {
        if window.deadline(hour.start()) <= horizon {
            return hour;
        }
        hour = hour.previous();
    }
    hour
}

/// Compares the calls from `from` to before `end` with the records they name.
async fn compare_calls(
    app: &App,
    from: Timestamp,
    end: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, AuditError> {
    // Both ends of a span belong to it.
    let to = shift(end, SignedDuration::from_secs(-1));
    let span = Span { from, to };
    let mut comparison = Comparison::default();
    let mut token = None;
    loop {
        let page = app.history.page(span, token).await?;
        compare_page(app, &page.events, &mut comparison, report).await?;
        token = page.next;
        if token.is_none() {
            break;
        }
        if budget.is_spent() {
            return Ok(false);
        }
    }
    drop_what_is_elsewhere(&app.ledger, &app.products, &mut comparison).await?;
    let mut counts = comparison.counts();
    // Matches are counted by the record, below.
    counts.matched = 0;
    report.audit.add(counts, comparison.differences());
    Ok(true)
}

async fn compare_page(
    app: &App,
    events: &[Event],
    comparison: &mut Comparison,
    report: &mut Report,
) -> Result<(), AuditError> {
    let calls: Vec<&Call> = events
        .iter()
        .filter_map(|event| match event {
            Event::Call(call) => Some(call),
            Event::Unreadable { .. } => {
                comparison.unreadable();
                None
            }
            Event::Foreign(_) => {
                comparison.foreign();
                None
            }
        })
        .collect();
    let mut keys: Vec<RecordKey> = calls.iter().flat_map(|call| successes(call)).collect();
    keys.sort();
    keys.dedup();
    let records = app.ledger.records(&keys).await?;
    records.iter().for_each(|record| comparison.record(record));
    let known = comparison.differences().len();
    for call in &calls {
        comparison.call(call, |_| true);
    }
    comparison.forget_records();
    // A success is a fact, whatever the record says; usage that was carried already then shows as
    // over-metered.
    let found = comparison.differences().get(known..).unwrap_or_default();
    for difference in found {
        let record = records.iter().find(|record| record.key == difference.key);
        if let (DifferenceKind::BilledUnexpectedly, Some(record)) = (difference.kind, record)
            && let Some((at, id)) = first_success(&calls, record)
        {
            let written = app.ledger.write_success_found(record, id, at);
            report.audit.accepted += done(written.await?);
        }
    }
    Ok(())
}

/// The slots that a call was a success for.
fn successes(call: &Call) -> Vec<RecordKey> {
    let is_success = |key: &&RecordKey| matches!(call.effect(key), Effect::Success { .. });
    call.slots()
        .into_iter()
        .filter(is_success)
        .cloned()
        .collect()
}

fn first_success(calls: &[&Call], record: &MeteringRecord) -> Option<(Timestamp, Option<String>)> {
    calls
        .iter()
        .filter_map(|call| match call.effect(&record.key) {
            Effect::Success {
                quantity,
                metering_record_id,
            } if quantity == record.quantity => Some((call.at, metering_record_id)),
            _ => None,
        })
        .min_by_key(|(at, _)| *at)
}

/// Looks for the success of every record of an hour that was accepted: first where it should be,
/// then, for those not found, wherever it can be.
async fn look_for_hour(
    app: &App,
    hour: UsageHour,
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, AuditError> {
    let mut comparison = Comparison::default();
    let mut start = None;
    loop {
        if budget.is_spent() {
            return Ok(false);
        }
        let (profiles, next) = app.ledger.profiles_page(start).await?;
        let prefix = format!("r#{hour}#");
        let all: Vec<Vec<MeteringRecord>> = stream::iter(&profiles)
            .map(|profile| records_of(&app.ledger, &profile.subscription, &prefix))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        for record in all.iter().flatten() {
            if record.state == State::Accepted {
                comparison.record(record);
            }
        }
        start = next;
        if start.is_none() {
            break;
        }
    }
    let life = app
        .window
        .deadline(hour.start())
        .duration_since(hour.start());
    let life_minutes = life.as_mins() + UNCONFIRMED_WAIT_MINUTES + CLOCK_MARGIN_MINUTES;
    for wide in [None, Some(life_minutes)] {
        let spans = comparison.spans_of_unseen(wide, now);
        let complete = app
            .history
            .read(&spans, Some(budget), |event| match event {
                Event::Call(call) => comparison.witness(call),
                Event::Unreadable { .. } => comparison.unreadable(),
                Event::Foreign(_) => {}
            })
            .await?;
        if !complete {
            return Ok(false);
        }
    }
    comparison.count_seen();
    comparison.judge_unseen(now);
    let mut counts = comparison.counts();
    // Counted by the time of the call, above.
    counts.unreadable_events = 0;
    report.audit.add(counts, comparison.differences());
    Ok(true)
}

fn minutes(time: Timestamp, minutes: i64) -> Timestamp {
    shift(time, SignedDuration::from_mins(minutes))
}

fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
