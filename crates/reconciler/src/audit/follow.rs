//! The hourly comparison, which goes on where the last run stopped.
//!
//! It goes two ways. By the time of the call, as soon as CloudTrail has it: every success must be of a
//! record that is here, with its quantity. By the hour of usage, once its deadline is an hour over:
//! every record accepted here must have its success there. CloudTrail promises neither when an event
//! comes nor in which order, so calls are compared a second time [`AGAIN_AFTER_HOURS`] later: a reading
//! finds what came too late for the first one. A difference that stands is told by both.
//!
//! Progress is kept for all three, step by step, so an outage only delays them; a step is at most an
//! hour of calls or an hour of usage, and its repetition after a crash finds the same.

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

/// Minutes of calls in one step at most.
const STEP_MINUTES: i64 = 60;
/// Pages in one step, about: what is longer is cut, so that a run's work is kept. Ours: at 4 seconds a
/// page, three minutes.
const STEP_PAGES: i64 = 45;
/// Hours after their first comparison at which calls are compared again. Ours: AWS says "typically
/// within 15 minutes", and events eight hours late are among what is tested.
const AGAIN_AFTER_HOURS: i64 = 9;
/// The place of the second comparison.
const AGAIN: &str = "audit-calls-again";
/// Minutes after a step for which a trail is looked through for its calls: until they are compared again.
const LATE_CALLS: i64 = 60 * (AGAIN_AFTER_HOURS + 1);

/// Compares what has come since the last run; `false` if the time ran out. Of the three ways each has
/// its share of the time, so that none starves another.
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
    let share = || budget.at_most(budget.left() / 2);
    let mut finished = new_calls(app, &mut progress, now, share(), report).await?;
    finished &= calls_again(app, &progress, now, share(), report).await?;
    finished &= hours_over(app, &mut progress, now, budget, report).await?;
    // Also what the judgements of the run met. Whoever reads nothing but files that are denied finds no
    // difference, and must be told.
    report.audit.failure = app.history.take_unreadable();
    Ok(finished)
}

/// What the history does not reach back to cannot be compared. An hour more, so that it still does when
/// it is asked.
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

/// Compares calls a second time, as far as the first time lies long enough back.
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
    // The first run, or a place that cannot be read: the last step before.
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
    // A window is 31 days at most.
    for _ in 0..=31 * 24 {
        if window.deadline(hour.start()) <= horizon {
            return hour;
        }
        hour = hour.previous();
    }
    hour
}

/// Compares the calls from `from` to before `end` with the records they name. Answers through when it
/// came, which is earlier where there are very many; `None` if the time ran out.
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
    // Matches are counted by the record, below.
    counts.matched = 0;
    report.audit.add(counts, comparison.differences());
    Ok(Some(until))
}

/// Both ends of a span belong to it.
fn before(from: Timestamp, end: Timestamp) -> Span {
    let to = shift(end, SignedDuration::from_secs(-1));
    Span {
        from,
        to: to.max(from),
    }
}

/// Where a step is to end instead, if the times of its first page say that it is much longer than
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
    // A success is a fact, whatever the record says; usage that was carried already then shows as
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

#[cfg(test)]
mod tests;
