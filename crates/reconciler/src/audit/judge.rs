//! Judges the records in question: those in dispute, and those without an outcome past their
//! deadline.

use std::collections::BTreeMap;

use cloudtrail::{AuditError, LATE};
use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use ledger::day::first_of_day;
use ledger::{SHARDS, Written};
use marketplace::audit::inquiry::Finding;
use marketplace::audit::{
    Doubt, Event, Inquiry, conflict_text, next_look, next_look_for_witness, reaches_back_to,
};
use marketplace::error_table::NOT_BILLED;
use marketplace::hour::shift;
use marketplace::retention::rows_may_be_gone;
use marketplace::slot::Slot;
use marketplace::{MeteringRecord, State, UsageHour};
use runtime::Budget;

use super::{again, written_count};
use crate::{App, Report};

/// The largest number of records that are judged with one reading of the history. It bounds the
/// memory.
const RECORDS_AT_ONCE_MAX: usize = 10_000;

/// The most hours of history that are read for records of several days together. Records of two or
/// three days after an outage are judged with one reading. Our own choice.
const HOURS_AT_ONCE_MAX: i64 = 120;

/// The share of the time in which the history is read.
const READING_PERCENT: u32 = 85;

/// If the history of some records could not be read in time, they are postponed by this many hours.
const POSTPONE_HOURS: i64 = 3;

/// The number of records that are postponed at the same time.
const WRITES_AT_ONCE: usize = 16;

/// The number of hours after which a missing witness or a missing refusal is reported. Until then it
/// is usual, because the stack may be quiet, or the history may lag behind. Our own choice.
const WITNESS_PATIENCE_HOURS: i64 = 12;

/// Judges the records that are due. Returns `false` if the time ran out.
pub(crate) async fn judge(
    app: &App,
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, AuditError> {
    let mut slots: Vec<Slot> = Vec::new();
    let mut concluded = Vec::new();
    for shard in 0..SHARDS {
        let mut start = None;
        loop {
            if budget.is_spent() {
                return Ok(false);
            }
            let page = app.ledger.due_for_audit(shard, now, start).await?;
            slots.extend(page.slots);
            if slots.len() >= RECORDS_AT_ONCE_MAX {
                let together = std::mem::take(&mut slots);
                let (due, again) = due_of(app, &together, now).await?;
                concluded.extend(again);
                concluded.truncate(RECORDS_AT_ONCE_MAX);
                if !judge_all(app, due, now, budget, report).await? {
                    return Ok(false);
                }
            }
            start = page.next;
            if start.is_none() {
                break;
            }
        }
    }
    let (due, again) = due_of(app, &slots, now).await?;
    concluded.extend(again);
    concluded.truncate(RECORDS_AT_ONCE_MAX);
    let finished = judge_all(app, due, now, budget, report).await?;
    // These records come last, because they are concluded already and can wait for another day.
    Ok(finished && again::look(app, &concluded, now, budget, report).await?)
}

/// Reads the records in question, and the records concluded to be unbilled that must be compared
/// again. They are read from the table, because the index may be out of date. They are read before
/// the history, because a conclusion is written only if the record still has this version.
async fn due_of(
    app: &App,
    slots: &[Slot],
    now: Timestamp,
) -> Result<(Vec<MeteringRecord>, Vec<MeteringRecord>), AuditError> {
    let mut records = app.ledger.records(slots).await?;
    records.retain(|record| record.due.is_some_and(|due| due <= now));
    let (in_question, mut others): (Vec<_>, Vec<_>) = records
        .into_iter()
        .partition(|record| matches!(record.state, State::Disputed | State::Unconfirmed));
    others.retain(|record| matches!(record.state, State::Expired | State::Moved));
    Ok((in_question, others))
}

/// Passes all events that the history has about an inquiry's records to the inquiry. Returns
/// `false` if the time ran out.
pub(super) async fn read_into(
    app: &App,
    inquiry: &mut Inquiry,
    now: Timestamp,
    budget: Budget,
) -> Result<bool, AuditError> {
    let periods = inquiry.periods(now);
    let complete = app
        .history
        .read(&periods, LATE, now, Some(budget), |event| match event {
            Event::Call(call) => inquiry.call(call),
            Event::Unreadable { at, problem } => inquiry.unreadable(*at, problem),
            Event::Foreign(_) => {}
        })
        .await?;
    Ok(complete)
}

/// Judges records in groups, each with one reading of the history, beginning with the latest
/// records. Returns `false` if the time ran out.
///
/// An old record needs the history of several days. If it were read together with the others, a
/// record that cannot be decided could keep all others from being judged. If the time runs out while
/// a group is read, its records are judged again later, and so they do not come first in every run.
async fn judge_all(
    app: &App,
    records: Vec<MeteringRecord>,
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, AuditError> {
    // The rest of the time is for writing.
    let reading = budget.share(READING_PERCENT);
    for group in groups(records, now) {
        if reading.is_spent() {
            return Ok(false);
        }
        if !judge_together(app, &group, now, reading, report).await? {
            postpone(app, &group, now, report).await?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// Postpones records whose history could not be read in time, so that the next runs can judge
/// others.
async fn postpone(
    app: &App,
    records: &[MeteringRecord],
    now: Timestamp,
    report: &mut Report,
) -> Result<(), AuditError> {
    let mut written = stream::iter(records)
        .map(|record| async move {
            let soon = shift(now, SignedDuration::from_hours(POSTPONE_HOURS));
            let next = next_look(record, app.history.source(), now).map(|next| next.min(soon));
            let written = app.ledger.postpone_audit(record, next, None).await;
            written.map(|_| (record, next))
        })
        .buffer_unordered(WRITES_AT_ONCE);
    while let Some(one) = written.next().await {
        let (record, next) = one?;
        if next.is_none() {
            report.audit.given_up += 1;
            tracing::error!(slot = %record.slot, state = %record.state, quantity = %record.quantity, "CloudTrail does not reach back to this record any more; a person must decide");
        }
    }
    Ok(())
}

/// Puts records into groups, the latest days first. The events of a group's periods are read
/// together. A group of several days stays within [`HOURS_AT_ONCE_MAX`] hours of history.
fn groups(records: Vec<MeteringRecord>, now: Timestamp) -> Vec<Vec<MeteringRecord>> {
    let mut days: BTreeMap<UsageHour, Vec<MeteringRecord>> = BTreeMap::new();
    for record in records {
        let day = first_of_day(record.slot.hour);
        days.entry(day).or_default().push(record);
    }
    let mut groups: Vec<Vec<MeteringRecord>> = Vec::new();
    for day in days.into_values().rev() {
        if let Some(group) = groups.last_mut()
            && hours_to_read(group.iter().chain(&day), now) <= HOURS_AT_ONCE_MAX
        {
            group.extend(day);
        } else {
            groups.push(day);
        }
    }
    groups
}

/// The hours of history that are needed to judge records.
fn hours_to_read<'r>(records: impl Iterator<Item = &'r MeteringRecord>, now: Timestamp) -> i64 {
    let periods = Inquiry::about(records, now).periods(now);
    let hours = periods
        .iter()
        .map(|period| period.to.duration_since(period.from).as_hours());
    hours.sum()
}

/// Reads the union of the records' periods once, and then closes each record about which the events
/// prove something. Returns `false` if the time ran out.
async fn judge_together(
    app: &App,
    records: &[MeteringRecord],
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, AuditError> {
    let mut inquiry = Inquiry::about(records, now);
    if !read_into(app, &mut inquiry, now, budget).await? {
        tracing::error!(
            records = records.len(),
            "the history could not be read to its end in time; these records are judged later"
        );
        report.audit.undecided += records.len() as u64;
        return Ok(false);
    }
    let mut lacks_witness = false;
    for record in records {
        let finding = inquiry.finding(&record.slot, now);
        lacks_witness |= matches!(finding, Finding::Unknown(Doubt::NoWitness { .. }));
        close(app, record, finding, now, report).await?;
    }
    if lacks_witness {
        app.ledger.request_witness(now).await?;
    }
    Ok(true)
}

/// Writes the conclusion about a record, or leaves it held.
async fn close(
    app: &App,
    record: &MeteringRecord,
    finding: Finding,
    now: Timestamp,
    report: &mut Report,
) -> Result<(), AuditError> {
    let ledger = &app.ledger;
    let audit = &mut report.audit;
    match finding {
        Finding::Billed {
            at,
            metering_record_id,
        } => {
            let written = ledger.write_success_found(record, metering_record_id, at, now);
            audit.accepted += written_count(written.await?);
        }
        Finding::Conflict {
            quantity,
            metering_record_id,
            ..
        } => {
            let id = metering_record_id.as_deref();
            let written = ledger.write_conflict(record, quantity, id, now).await?;
            audit.conflicts += written_count(written);
            if written != Written::Conflict {
                tracing::error!(slot = %record.slot, "{}", conflict_text(record, quantity));
            }
        }
        Finding::NotBilled | Finding::BilledByInference
            if !reaches_back_to(record, app.history.source(), now) =>
        {
            leave(app, record, &Doubt::OutOfReach, now, report).await?;
        }
        Finding::NotBilled if is_usage_gone(app, record, now) => {
            hold_without_rows(app, record, report).await?;
        }
        Finding::BilledByInference => {
            audit.inferred += written_count(ledger.write_inferred(record, now).await?);
        }
        Finding::NotBilled => {
            // The flag comes first. A crash between the two writes leaves a flag whose recount
            // finds nothing. In the other order it would leave an Expired record whose usage is
            // never carried.
            let slot = &record.slot;
            ledger.flag_late(&slot.subscription, slot.hour, now).await?;
            let written = ledger
                .write_state(record, State::Expired, NOT_BILLED, now)
                .await?;
            audit.expired += written_count(written);
            // A sealer may have read the record before this write, and removed the flag after it.
            if written == Written::Done {
                ledger.flag_late(&slot.subscription, slot.hour, now).await?;
            }
        }
        Finding::Unknown(doubt) => leave(app, record, &doubt, now, report).await?,
    }
    Ok(())
}

/// Whether the rows of a record may have expired, or its hour is not recounted any more. Then its
/// usage cannot be carried automatically.
fn is_usage_gone(app: &App, record: &MeteringRecord, now: Timestamp) -> bool {
    let hour = record.slot.hour;
    rows_may_be_gone(hour, now) || app.ledger.retention().is_over(hour, now)
}

/// Leaves a record held that was not billed, because a recount would not find its usage any more. A
/// person carries it or writes it off.
async fn hold_without_rows(
    app: &App,
    record: &MeteringRecord,
    report: &mut Report,
) -> Result<(), AuditError> {
    let reason = "AWS Marketplace did not bill it, and its rows may have expired, so it is not carried automatically";
    app.ledger
        .postpone_audit(record, None, Some(reason))
        .await?;
    report.audit.given_up += 1;
    tracing::error!(slot = %record.slot, quantity = %record.quantity, "this record was not billed, and its rows may have expired, so its usage cannot be carried automatically: carry it or write it off with metering late");
    Ok(())
}

/// Leaves a record held. It is judged again as long as the history reaches back to it.
async fn leave(
    app: &App,
    record: &MeteringRecord,
    doubt: &Doubt,
    now: Timestamp,
    report: &mut Report,
) -> Result<(), AuditError> {
    let next = match doubt {
        Doubt::NoWitness { .. } => next_look_for_witness(record, app.history.source(), now),
        _ => next_look(record, app.history.source(), now),
    };
    let reason = doubt.to_string();
    app.ledger
        .postpone_audit(record, next, Some(&reason))
        .await?;
    if next.is_none() {
        report.audit.given_up += 1;
        tracing::error!(slot = %record.slot, state = %record.state, quantity = %record.quantity, %doubt, "CloudTrail does not reach back to this record any more; a person must decide");
    } else if !is_usual(doubt, now) {
        report.audit.undecided += 1;
        tracing::warn!(slot = %record.slot, state = %record.state, quantity = %record.quantity, %doubt, "CloudTrail does not prove yet whether this record was billed; it stays held");
    }
    Ok(())
}

/// Returns whether a doubt need not be reported, because it usually resolves with time.
fn is_usual(doubt: &Doubt, now: Timestamp) -> bool {
    match doubt {
        Doubt::TooEarly => true,
        Doubt::NoWitness { since } | Doubt::RefusalNotShown { since } => {
            now.duration_since(*since) < SignedDuration::from_hours(WITNESS_PATIENCE_HOURS)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
