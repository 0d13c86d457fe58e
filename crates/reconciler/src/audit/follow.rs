//! The hourly comparison, which continues where the last run stopped.
//!
//! It works in two directions:
//! * By the time of the call, as soon as CloudTrail shows it: every success must belong to a record
//!   in the ledger, with the same quantity.
//! * By the hour of usage, an hour after its deadline: every accepted record in the ledger must
//!   have its success in CloudTrail.
//!
//! CloudTrail promises neither when an event appears nor in which order, so calls are compared a
//! second time, nine to ten hours later. That finds events that came too late for the first
//! comparison. A difference that persists is reported by both.
//!
//! Progress is kept for all three comparisons after each step, so an outage only delays them. A
//! step is at most an hour of calls or three hours of usage. If a step is repeated after a crash,
//! it finds the same.
//!
//! # The second comparison reads no records if nothing came late
//! If each success of a step belonged to an accepted record with the same quantity, the first
//! comparison keeps which calls it saw (`ledger::audit_steps`). The state and the quantity of an
//! accepted record do not change. So if the history shows exactly these calls again, the second
//! comparison would find the same. It reads records only if there are other calls by now, or if
//! nothing was kept: because of a difference, a record without an outcome yet, a product of another
//! stack, an unreadable event, or a crash. What is kept is written before the progress, and it is
//! true whether or not the progress follows.
//!
//! # Records are read eventually consistent first
//! Such a read takes half the read units, and it may lack the writes of the last second. Whatever
//! would become a difference is read again, strongly consistent, before it is judged, reported or
//! written. So an out-of-date read costs a second read and never makes a false difference.
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

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use ledger::audit::AuditProgress;
use ledger::audit_steps::SettledStep;
use ledger::{Consistency, Written};
use marketplace::audit::event::Effect;
use marketplace::audit::{
    CLOCK_MARGIN_MINUTES, Call, Comparison, Counts, DifferenceKind, Event, Source, Span,
    UNCONFIRMED_WAIT_MINUTES,
};
use marketplace::hour::shift;
use marketplace::limits::CLOUDTRAIL_DELAY_MINUTES;
use marketplace::record::RecordKey;
use marketplace::window::Window;
use marketplace::{MeteringRecord, State, UsageHour};
use startup::Budget;

use super::call_ids::CallIds;
use super::history::{LATE, SOON, Step};
use super::range::drop_what_is_elsewhere;
use super::{AuditError, done};
use crate::{AT_ONCE, App, Report};

/// The most minutes of calls in one step.
const STEP_MINUTES: i64 = 60;
/// About how many pages a step reads. A longer step is cut, so that progress is kept often enough.
/// Our own choice: at 4 seconds a page these are three minutes.
const STEP_PAGES: i64 = 45;
/// Hours of usage in one block; a day is a whole number of blocks. Our own choice: a block needs one
/// query for each subscription, so a day needs eight. A longer block would save little more, but its
/// calls must be read in one run: three hours of 45,000 records are seven minutes of pages.
const BLOCK_HOURS: i64 = 3;
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
        let Some(compared) = compare_calls(app, (calls, end), now, budget, report).await? else {
            return Ok(false);
        };
        if let Some(step) = &compared.settled {
            app.ledger.keep_settled_step(step, now).await?;
        }
        calls = compared.until;
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
    if calls >= through {
        return Ok(true);
    }
    let settled = app.ledger.settled_steps(calls, through).await?;
    let mut settled = settled.iter().peekable();
    while calls < through {
        while settled.next_if(|step| step.from < calls).is_some() {}
        let end = minutes(calls, STEP_MINUTES).min(through);
        let until = match settled.peek() {
            // Not all of its calls are old enough, so it is compared in the next run.
            Some(step) if step.from == calls && step.until > through => break,
            Some(step) if step.from == calls => {
                settled_again(app, step, now, budget, report).await?
            }
            next => {
                // The step ends where a settled one begins, so that their borders agree.
                let end = next.map_or(end, |next| next.from.min(end));
                let compared = compare_calls(app, (calls, end), now, budget, report).await?;
                compared.map(|compared| compared.until)
            }
        };
        let Some(until) = until else {
            return Ok(false);
        };
        calls = until;
        app.ledger.stop_at(AGAIN, Some(&calls.to_string())).await?;
    }
    Ok(true)
}

/// Compares a settled step again, and reads records only if the history shows other calls than
/// before. Returns the time up to which it compared; `None` if the time ran out.
async fn settled_again(
    app: &App,
    step: &SettledStep,
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<Option<Timestamp>, AuditError> {
    let mut seen = CallIds::default();
    let span = before(step.from, step.until);
    let complete = app
        .history
        .read(&[span], LATE_CALLS, now, Some(budget), |event| {
            seen.see(event);
        })
        .await?;
    if !complete {
        return Ok(None);
    }
    if seen.are_those_of(step) {
        return Ok(Some(step.until));
    }
    // Events rarely come late, so it does no harm that the history is read a second time.
    let compared = compare_calls(app, (step.from, step.until), now, budget, report).await?;
    Ok(compared.map(|compared| compared.until))
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

/// The last hour of the block to which an hour belongs.
fn last_of_block(hour: UsageHour) -> UsageHour {
    hour.plus(BLOCK_HOURS - 1 - hour.number().rem_euclid(BLOCK_HOURS))
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

/// What was compared in one step.
struct Compared {
    /// The time up to which calls were compared, which does not belong to the step.
    until: Timestamp,
    /// The step, if each of its successes belongs to an accepted record.
    settled: Option<SettledStep>,
}

/// Compares the calls from `from` to before `end` with the records they name. The step ends earlier
/// than `end` if there are very many calls. `None` if the time ran out.
async fn compare_calls(
    app: &App,
    (from, end): (Timestamp, Timestamp),
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<Option<Compared>, AuditError> {
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
    let mut seen = CallIds::default();
    loop {
        match step {
            Step::Events(events) => {
                events.iter().for_each(|event| seen.see(event));
                compare_some(app, &events, now, &mut comparison, report).await?;
            }
            Step::End => break,
            Step::OutOfTime => return Ok(None),
        }
        step = reading.next(Some(budget)).await?;
    }
    drop_what_is_elsewhere(&app.ledger, &app.products, &mut comparison).await?;
    let mut counts = comparison.counts();
    let settled = match is_settled(counts) {
        true => seen.settled(from, until),
        false => None,
    };
    // The comparison by hour of usage counts the matches.
    counts.matched = 0;
    report.audit.add(counts, comparison.differences());
    Ok(Some(Compared { until, settled }))
}

/// Whether each success belongs to an accepted record. A success of a product that is not served
/// here does not count as settled: the profile of its license may come later and name a product
/// that is.
fn is_settled(counts: Counts) -> bool {
    counts.differences() == 0 && counts.open == 0 && counts.elsewhere == 0
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
    let read = app.ledger.records_as(&keys, Consistency::Eventual);
    let mut records = read.await?;
    let mut page = compared(&records, &calls);
    if page.counts().differences() > 0 {
        // The records may have been out of date.
        let doubtful = doubtful(&page, keys);
        records.retain(|record| doubtful.binary_search(&record.key).is_err());
        records.extend(app.ledger.records(&doubtful).await?);
        page = compared(&records, &calls);
    }
    // A success is a fact, whatever the record says. Usage that was carried already then shows as
    // over-metered.
    for difference in page.differences() {
        let record = records.iter().find(|record| record.key == difference.key);
        if let (DifferenceKind::BilledUnexpectedly, Some(record)) = (difference.kind, record)
            && let Some((at, id)) = first_success(&calls, record)
        {
            let written = app.ledger.write_success_found(record, id, at, now);
            report.audit.accepted += done(written.await?);
        }
    }
    comparison.absorb(page);
    Ok(())
}

/// Compares some calls with all records that they name.
fn compared(records: &[MeteringRecord], calls: &[&Call]) -> Comparison {
    let mut page = Comparison::default();
    records.iter().for_each(|record| page.record(record));
    calls.iter().for_each(|call| page.call(call, |_| true));
    page
}

/// The keys of the differences, in order. If there are more differences than a comparison keeps,
/// all keys that were read.
fn doubtful(page: &Comparison, read: Vec<RecordKey>) -> Vec<RecordKey> {
    let kept = u64::try_from(page.differences().len()).unwrap_or(u64::MAX);
    if page.counts().differences() > kept {
        return read;
    }
    let keys = page.differences().iter().map(|found| found.key.clone());
    let mut keys: Vec<RecordKey> = keys.collect();
    keys.sort();
    keys.dedup();
    keys
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

/// Looks for the success of every accepted record of some hours: first at the time when the record
/// says it was accepted, then, for records without a match, at every possible time.
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
    if !witness(app, &mut comparison, (None, SOON), now, budget).await? {
        return Ok(false);
    }
    let unseen = comparison.unseen_keys();
    if !unseen.is_empty() {
        // The records may have been out of date.
        let read_again = app.ledger.records(&unseen).await?;
        comparison.replace(&unseen, &read_again);
    }
    let wide = (Some(life_minutes(app.window, hours)), LATE);
    if !witness(app, &mut comparison, wide, now, budget).await? {
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

/// The accepted records of some hours, of all subscriptions; `None` if the time ran out.
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

/// The minutes from an hour's start in which the calls of its records can be, for the hour of
/// `first` through `last` that has most of them. Hours at the end of a month have fewer.
fn life_minutes(window: Window, (first, last): (UsageHour, UsageHour)) -> i64 {
    let life = |hour: UsageHour| {
        let start = hour.start();
        window.deadline(start).duration_since(start).as_mins()
    };
    let longest = first.through(last).map(life).max().unwrap_or_default();
    longest + UNCONFIRMED_WAIT_MINUTES + CLOCK_MARGIN_MINUTES
}

/// Marks the records whose success is in the history, and looks only where records without one
/// should have it; `false` if the time ran out.
async fn witness(
    app: &App,
    comparison: &mut Comparison,
    (wide, late_minutes): (Option<i64>, i64),
    now: Timestamp,
    budget: Budget,
) -> Result<bool, AuditError> {
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
    Ok(complete)
}

fn minutes(time: Timestamp, minutes: i64) -> Timestamp {
    shift(time, SignedDuration::from_mins(minutes))
}

fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests;
