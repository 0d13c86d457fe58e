//! The comparison by the time of the call, which is made twice.

use cloudtrail::range::drop_unserved_products;
use cloudtrail::{AuditError, Step};
use jiff::{SignedDuration, Timestamp};
use ledger::audit::AuditProgress;
use ledger::audit_steps::SettledStep;
use ledger::{Consistency, Written};
use marketplace::MeteringRecord;
use marketplace::audit::event::Effect;
use marketplace::audit::{Call, Comparison, Counts, DifferenceKind, Event, Period};
use marketplace::hour::shift;
use marketplace::limits::CLOUDTRAIL_DELAY_MINUTES;
use marketplace::slot::Slot;
use runtime::Budget;

use super::{minutes, oldest, whole_second};
use crate::audit::call_ids::CallIds;
use crate::audit::written_count;
use crate::{App, Report};

/// The longest time of calls in one step, in minutes.
const STEP_MINUTES: i64 = 60;
/// The approximate number of pages that a step may have. A longer step is cut, so that progress is
/// stored often enough. Our own choice: at 4 seconds a page these are three minutes.
const STEP_PAGES: i64 = 45;
/// The number of hours after the first comparison of calls at which they are compared again. Our
/// own choice: AWS says "typically within 15 minutes", and the tests have events that are eight
/// hours late.
const AGAIN_AFTER_HOURS: i64 = 9;
/// The name under which the second comparison stores its place.
const AGAIN: &str = "audit-calls-again";
/// The number of minutes after a step's end in which a file of a trail can be made and still be
/// read for the step's calls. After this time the step is compared again.
const LATE_CALLS: i64 = 60 * (AGAIN_AFTER_HOURS + 1);

/// Compares, for the first time, the calls that CloudTrail should show by now. Returns `false` if
/// the time ran out.
pub(super) async fn new_calls(
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

/// Compares calls a second time if their first comparison was long enough ago. Returns `false` if
/// the time ran out.
pub(super) async fn calls_again(
    app: &App,
    progress: &AuditProgress,
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, AuditError> {
    let back = SignedDuration::from_hours(-AGAIN_AFTER_HOURS);
    let through = shift(progress.calls_through, back);
    let mut place = app.ledger.place_of::<Timestamp>(AGAIN).await?;
    // In the first run, or if the place cannot be read, the comparison begins one step before
    // `through`.
    let mut calls = place
        .at
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
            // Not all calls of this step are old enough, so the step is compared in a later run.
            Some(step) if step.from == calls && step.until > through => break,
            Some(step) if step.from == calls => {
                settled_again(app, step, now, budget, report).await?
            }
            next => {
                // The step ends where a settled step begins, so that the steps have the same
                // borders as before.
                let end = next.map_or(end, |next| next.from.min(end));
                let compared = compare_calls(app, (calls, end), now, budget, report).await?;
                compared.map(|compared| compared.until)
            }
        };
        let Some(until) = until else {
            return Ok(false);
        };
        calls = until;
        // Another run that has moved the place compares the later calls.
        if app.ledger.move_place(&mut place, Some(calls)).await? == Written::Conflict {
            return Ok(false);
        }
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
    let period = before(step.from, step.until);
    let complete = app
        .history
        .read(&[period], LATE_CALLS, now, Some(budget), |event| {
            seen.add(event);
        })
        .await?;
    if !complete {
        return Ok(None);
    }
    if seen.matches(step) {
        return Ok(Some(step.until));
    }
    // The history is read a second time. That costs little, because events rarely come late.
    let compared = compare_calls(app, (step.from, step.until), now, budget, report).await?;
    Ok(compared.map(|compared| compared.until))
}

/// The result of comparing one step.
struct Compared {
    /// The time before which calls were compared. It does not belong to the step.
    until: Timestamp,
    /// The step, if each of its successes belongs to an accepted record.
    settled: Option<SettledStep>,
}

/// Compares the calls from `from` until before `end` with the records that they name. If there are
/// very many calls, the step ends earlier than `end`. Returns `None` if the time ran out.
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
                events.iter().for_each(|event| seen.add(event));
                compare_some(app, &events, now, &mut comparison, report).await?;
            }
            Step::End => break,
            Step::OutOfTime => return Ok(None),
        }
        step = reading.next(Some(budget)).await?;
    }
    drop_unserved_products(&app.ledger, &app.products, &mut comparison).await?;
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

/// Returns whether each success belongs to an accepted record. A success of a product that this
/// stack does not serve is not settled: the profile of its license may come later and name a
/// product that this stack serves.
fn is_settled(counts: Counts) -> bool {
    counts.differences() == 0 && counts.open == 0 && counts.elsewhere == 0
}

/// Returns the period from `from` to the last second before `end`. Both ends of a period belong to
/// it.
pub(super) fn before(from: Timestamp, end: Timestamp) -> Period {
    let to = shift(end, SignedDuration::from_secs(-1));
    Period {
        from,
        to: to.max(from),
    }
}

/// Returns the time at which a step should end instead of `end`; `None` if the step is short
/// enough. The times on the first page show how many pages the step has. It should have about
/// [`STEP_PAGES`] at most.
pub(super) fn cut_short(from: Timestamp, end: Timestamp, page: &[Event]) -> Option<Timestamp> {
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
    let mut slots: Vec<Slot> = calls.iter().flat_map(|call| successes(call)).collect();
    slots.sort();
    slots.dedup();
    let read = app.ledger.records_as(&slots, Consistency::Eventual);
    let mut records = read.await?;
    let mut page = compared(&records, &calls);
    if page.counts().differences() > 0 {
        // The records may have been out of date.
        let doubtful = doubtful(&page, slots);
        records.retain(|record| doubtful.binary_search(&record.slot).is_err());
        records.extend(app.ledger.records(&doubtful).await?);
        page = compared(&records, &calls);
    }
    // A success is a fact, even if the record says otherwise. If usage was carried already, the
    // books show it as over-metered.
    for difference in page.differences() {
        let record = records.iter().find(|record| record.slot == difference.slot);
        if let (DifferenceKind::BilledUnexpectedly, Some(record)) = (difference.kind, record)
            && let Some((at, id)) = first_success(&calls, record)
        {
            let written = app.ledger.write_success_found(record, id, at, now);
            report.audit.accepted += written_count(written.await?);
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

/// Returns the slots of the differences, in order. If there are more differences than a comparison
/// keeps, returns all slots that were read.
fn doubtful(page: &Comparison, read: Vec<Slot>) -> Vec<Slot> {
    let kept = u64::try_from(page.differences().len()).unwrap_or(u64::MAX);
    if page.counts().differences() > kept {
        return read;
    }
    let slots = page.differences().iter().map(|found| found.slot.clone());
    let mut slots: Vec<Slot> = slots.collect();
    slots.sort();
    slots.dedup();
    slots
}

/// Returns the slots for which AWS Marketplace answered a call with Success.
fn successes(call: &Call) -> Vec<Slot> {
    let is_success = |slot: &&Slot| matches!(call.effect(slot), Effect::Success { .. });
    call.slots()
        .into_iter()
        .filter(is_success)
        .cloned()
        .collect()
}

fn first_success(calls: &[&Call], record: &MeteringRecord) -> Option<(Timestamp, Option<String>)> {
    calls
        .iter()
        .filter_map(|call| match call.effect(&record.slot) {
            Effect::Success {
                quantity,
                metering_record_id,
            } if quantity == record.quantity => Some((call.at, metering_record_id)),
            _ => None,
        })
        .min_by_key(|(at, _)| *at)
}
