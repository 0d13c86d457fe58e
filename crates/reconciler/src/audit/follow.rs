//! The hourly comparison, which continues where the last run stopped.
//!
//! It works in two directions:
//! * By the time of the call, as soon as CloudTrail shows it: every success must belong to a record
//!   in the ledger, with the same quantity.
//! * By the hour of usage, an hour after its deadline: every accepted record in the ledger must
//!   have its success in CloudTrail.
//!
//! CloudTrail promises neither when an event appears nor in which order, so calls are compared a
//! second time [`AGAIN_AFTER_HOURS`] hours later. That finds events that came too late for the
//! first comparison. A difference that persists is reported by both.
//!
//! Progress is kept for all three comparisons after each step, so an outage only delays them. A
//! step is at most an hour of calls or an hour of usage. If a step is repeated after a crash, it
//! finds the same.

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use ledger::Written;
use ledger::audit::AuditProgress;
use marketplace::audit::event::Effect;
use marketplace::audit::{
    CLOCK_MARGIN_MINUTES, Call, Comparison, DifferenceKind, Event, Source, Span,
    UNCONFIRMED_WAIT_MINUTES,
};
use marketplace::hour::shift;
use marketplace::limits::CLOUDTRAIL_DELAY_MINUTES;
use marketplace::record::RecordKey;
use marketplace::window::Window;
use marketplace::{MeteringRecord, State, UsageHour};
use startup::Budget;

use super::history::{LATE, SOON, Step};
use super::range::{drop_what_is_elsewhere, records_of};
use super::{AuditError, done};
use crate::{AT_ONCE, App, Report};

/// The most minutes of calls in one step.
const STEP_MINUTES: i64 = 60;
/// About how many pages a step reads. A longer step is cut, so that progress is kept often enough.
/// Our own choice: at 4 seconds a page these are three minutes.
const STEP_PAGES: i64 = 45;
/// Hours after their first comparison at which calls are compared again. Our own choice: AWS says
/// "typically within 15 minutes", and the tests have events that are eight hours late.
const AGAIN_AFTER_HOURS: i64 = 9;
/// The name under which the second comparison keeps its place.
const AGAIN: &str = "audit-calls-again";
/// Minutes after the end of a step from which files of a trail are read for its calls: those until
/// the calls are compared again.
const LATE_CALLS: i64 = 60 * (AGAIN_AFTER_HOURS + 1);

/// Compares what is new since the last run; `false` if the time ran out. Each of the three
/// comparisons has its share of the time, so that none starves another.
pub(crate) async fn follow(
    app: &App,
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, AuditError> {
    let seen = whole_second(minutes(now, -CLOUDTRAIL_DELAY_MINUTES));
    let over = latest_over(app.window, now);
    let Some(mut progress) = app.ledger.audit_progress().await? else {
        // The first run only sets where the comparison begins. `metering audit` can compare what
        // was before.
        app.ledger.create_audit_progress(seen, over).await?;
        return Ok(true);
    };
    let share = || budget.at_most(budget.left() / 2);
    let mut finished = new_calls(app, &mut progress, now, share(), report).await?;
    finished &= calls_again(app, &progress, now, share(), report).await?;
    finished &= hours_over(app, &mut progress, now, budget, report).await?;
    Ok(finished)
}

/// The earliest time that is compared. It is an hour later than the earliest time that the history
/// reaches back to, so that the history still reaches back to it when the request is made.
fn oldest(source: Source, now: Timestamp) -> Timestamp {
    whole_second(minutes(source.oldest(now), 60))
}

async fn new_calls(
    app: &App,
    progress: &mut AuditProgress,
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, AuditError> {
    let seen = whole_second(minutes(now, -CLOUDTRAIL_DELAY_MINUTES));
    let mut calls = progress
        .calls_through
        .max(oldest(app.history.source(), now));
    while calls < seen {
        let end = minutes(calls, STEP_MINUTES).min(seen);
        let Some(end) = compare_calls(app, (calls, end), now, budget, report).await? else {
            return Ok(false);
        };
        calls = end;
        let hours = progress.hours_through;
        let written = app.ledger.advance_audit_progress(progress, calls, hours);
        if written.await? == Written::Conflict {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Compares calls a second time, if their first comparison was long enough ago.
async fn calls_again(
    app: &App,
    progress: &AuditProgress,
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, AuditError> {
    let back = SignedDuration::from_hours(-AGAIN_AFTER_HOURS);
    let through = shift(progress.calls_through, back);
    let place = app.ledger.stopped_at(AGAIN).await?;
    let kept = place.and_then(|place| place.parse::<Timestamp>().ok());
    // In the first run, or if the place cannot be read, it begins one step before `through`.
    let mut calls = kept
        .unwrap_or_else(|| minutes(through, -STEP_MINUTES))
        .max(oldest(app.history.source(), now));
    while calls < through {
        let end = minutes(calls, STEP_MINUTES).min(through);
        let Some(end) = compare_calls(app, (calls, end), now, budget, report).await? else {
            return Ok(false);
        };
        calls = end;
        app.ledger.stop_at(AGAIN, Some(&calls.to_string())).await?;
    }
    Ok(true)
}

async fn hours_over(
    app: &App,
    progress: &mut AuditProgress,
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, AuditError> {
    let over = latest_over(app.window, now);
    let oldest = UsageHour::of(oldest(app.history.source(), now));
    let mut hours = progress.hours_through.max(oldest);
    while hours < over {
        let hour = hours.next();
        if budget.is_spent() || !look_for_hour(app, hour, now, budget, report).await? {
            return Ok(false);
        }
        hours = hour;
        let calls = progress.calls_through;
        let written = app.ledger.advance_audit_progress(progress, calls, hours);
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
    // The window of AWS Marketplace is 31 days at most.
    for _ in 0..=31 * 24 {
        if window.deadline(hour.start()) <= horizon {
            return hour;
        }
        hour = hour.previous();
    }
    hour
}

/// Compares the calls from `from` to before `end` with the records they name. Returns the time up
/// to which it compared, which is earlier than `end` if there are very many calls; `None` if the
/// time ran out.
async fn compare_calls(
    app: &App,
    (from, end): (Timestamp, Timestamp),
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<Option<Timestamp>, AuditError> {
    let open = |end| app.history.open(before(from, end), LATE_CALLS, now);
    let mut reading = open(end);
    let mut step = reading.next(Some(budget)).await?;
    let mut until = end;
    if let Step::Events(page) = &step
        && reading.is_page_of_many()
        && let Some(cut) = cut_short(from, end, page)
    {
        until = cut;
        reading = open(cut);
        step = reading.next(Some(budget)).await?;
    }
    let mut comparison = Comparison::default();
    loop {
        match step {
            Step::Events(events) => {
                compare_some(app, &events, now, &mut comparison, report).await?
            }
            Step::End => break,
            Step::OutOfTime => return Ok(None),
        }
        step = reading.next(Some(budget)).await?;
    }
    drop_what_is_elsewhere(&app.ledger, &app.products, &mut comparison).await?;
    let mut counts = comparison.counts();
    // The comparison by hour of usage counts the matches.
    counts.matched = 0;
    report.audit.add(counts, comparison.differences());
    Ok(Some(until))
}

/// The span from `from` to the last second before `end`: both ends of a span belong to it.
fn before(from: Timestamp, end: Timestamp) -> Span {
    let to = shift(end, SignedDuration::from_secs(-1));
    Span {
        from,
        to: to.max(from),
    }
}

/// The time at which a step should end instead of `end`; `None` if the step is short enough. The
/// times on its first page show how many pages it has; there should be no more than about
/// [`STEP_PAGES`].
fn cut_short(from: Timestamp, end: Timestamp, page: &[Event]) -> Option<Timestamp> {
    let times = || page.iter().filter_map(time_of);
    let covered = times().max()?.duration_since(times().min()?).as_secs();
    let seconds = covered.max(1).saturating_mul(STEP_PAGES);
    let cut = shift(from, SignedDuration::from_secs(seconds));
    (cut < end).then_some(cut)
}

fn time_of(event: &Event) -> Option<Timestamp> {
    match event {
        Event::Call(call) => Some(call.at),
        Event::Unreadable { at, .. } => at.map(|at| at.from),
        Event::Foreign(_) => None,
    }
}

async fn compare_some(
    app: &App,
    events: &[Event],
    now: Timestamp,
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
    // A success is a fact, whatever the record says. Usage that was carried already then shows as
    // over-metered.
    let found = comparison.differences().get(known..).unwrap_or_default();
    for difference in found {
        let record = records.iter().find(|record| record.key == difference.key);
        if let (DifferenceKind::BilledUnexpectedly, Some(record)) = (difference.kind, record)
            && let Some((at, id)) = first_success(&calls, record)
        {
            let written = app.ledger.write_success_found(record, id, at, now);
            report.audit.accepted += done(written.await?);
        }
    }
    Ok(())
}

/// The slots for which AWS Marketplace answered a call with Success.
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

/// Looks for the success of every accepted record of an hour: first at the time when the record
/// says it was accepted, then, for records without a match, at every possible time.
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
    for (wide, late_minutes) in [(None, SOON), (Some(life_minutes), LATE)] {
        let spans = comparison.spans_of_unseen(wide, now);
        let complete = app
            .history
            .read(
                &spans,
                late_minutes,
                now,
                Some(budget),
                |event| match event {
                    Event::Call(call) => comparison.witness(call),
                    Event::Unreadable { .. } => comparison.unreadable(),
                    Event::Foreign(_) => {}
                },
            )
            .await?;
        if !complete {
            return Ok(false);
        }
    }
    comparison.count_seen();
    comparison.judge_unseen(now);
    let mut counts = comparison.counts();
    // The comparison by the time of the call counts the unreadable events.
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

#[cfg(test)]
mod tests;
