//! Seals the open hours of an ending subscription, and recounts its earlier hours.

use jiff::{SignedDuration, Timestamp};
use ledger::profile::Profile;
use ledger::{LedgerError, Written};
use marketplace::hour::shift;
use marketplace::lifecycle::Status;
use marketplace::spans::Span;
use marketplace::{MeteringRecord, Subscription, UsageHour};
use runtime::Budget;

use crate::attention::{
    first_hour, read_profile, recount_all, recount_or_flag, store_sealed_through,
};
use crate::pass::{Kind, Work, over_attention};
use crate::{Report, Run};

/// A subscription is young for this many hours after its activation. The rounds may have passed
/// some hours of a young subscription before they knew of it. Older hours are past their deadline,
/// and the recounts read them.
const YOUNG_HOURS: i64 = 26;

/// The hours of one ending subscription.
struct Hours {
    /// Hours that are not sealed yet, and hours after the watermark, whose late rows are not
    /// flagged.
    open: Vec<UsageHour>,
    /// The hour of the end.
    last: UsageHour,
    /// Whether the hour of the end must be sealed now.
    is_settled: bool,
}

/// Seals the open hours, and the hour of the end once it is due. Until the final hour is over, the
/// subscription's records are urgent: they are sent before all others.
pub(crate) async fn seal_open(
    run: &Run<'_>,
    profile: &Profile,
    rounds: Option<UsageHour>,
    budget: Budget,
) -> Result<Work, LedgerError> {
    let mut work = Work {
        kind: Kind::Ending,
        ..Work::default()
    };
    let spans = profile.lifecycle.spans();
    let Some(span) = spans.last() else {
        return Ok(work);
    };
    let Some(last) = span.last_hour() else {
        return Ok(work);
    };
    let hours = hours_of(run, profile, span, last, rounds);
    let is_over = span.certain_at().is_none_or(|until| until <= run.now);
    if profile.sealed_through < Some(hours.last) || !is_over {
        seal_hours(run, profile, &hours, budget, &mut work).await?;
    }
    if let Some(end) = final_hour_end(span).filter(|end| run.now < *end) {
        set_urgent(run, profile, hours.last, Some(end), &mut work).await?;
    }
    Ok(work)
}

async fn seal_hours(
    run: &Run<'_>,
    profile: &Profile,
    hours: &Hours,
    budget: Budget,
    work: &mut Work,
) -> Result<(), LedgerError> {
    // Earlier hours come first: their late usage is carried into the last hour before that is
    // sealed.
    let mut sealed_through = recount_all(run, profile, &hours.open, budget, work).await?;
    if hours.is_settled && !work.is_cut {
        let (settled, is_damaged) = recount_or_flag(run, profile, hours.last).await?;
        work.settled.push(settled);
        work.damaged += u64::from(is_damaged);
        sealed_through = Some(hours.last);
    }
    store_sealed_through(run, profile, sealed_through).await
}

fn hours_of(
    run: &Run<'_>,
    profile: &Profile,
    span: &Span,
    last: UsageHour,
    rounds: Option<UsageHour>,
) -> Hours {
    let first = first_hour(profile, run.now);
    let begin = match (profile.sealed_through, rounds) {
        (Some(sealed_through), _) => sealed_through.next(),
        (None, Some(_)) if is_young(profile, run.now) => UsageHour::of(run.now).plus(-YOUNG_HOURS),
        (None, Some(rounds)) => rounds.next(),
        (None, None) => first,
    };
    // Rows of hours after the watermark are not flagged, so these hours are read in every run.
    let begin = begin.min(run.watermark.next()).max(first);
    let is_due = |hour: UsageHour| span.due(hour).is_some_and(|due| due <= run.now);
    let is_settled = is_due(last);
    let own = span.first_end().map(UsageHour::of);
    Hours {
        open: begin
            .through(complete(last, run.now))
            .filter(|hour| is_settled || !is_kept_open(run, *hour))
            // The hour of the first sign of the end and the hours after it each have their own due
            // time.
            .filter(|hour| Some(*hour) < own || is_due(*hour))
            .collect(),
        last,
        is_settled,
    }
}

/// Returns the last hour that is over and lies before the hour of the end.
fn complete(last: UsageHour, now: Timestamp) -> UsageHour {
    last.previous().min(UsageHour::of(now).previous())
}

/// Returns whether an hour must stay open for late usage. Late usage can only be carried into a
/// later hour of its own month. So the last hour of a month stays open until the hour of the end is
/// sealed.
fn is_kept_open(run: &Run<'_>, hour: UsageHour) -> bool {
    hour > run.watermark && hour == hour.month().last_hour()
}

fn is_young(profile: &Profile, now: Timestamp) -> bool {
    let known_since = profile
        .lifecycle
        .last_activated_at()
        .map_or(profile.created_at, |activated| {
            activated.max(profile.created_at)
        });
    shift(known_since, SignedDuration::from_hours(YOUNG_HOURS)) > now
}

/// Returns the end of the final hour; `None` if no removal is known.
fn final_hour_end(span: &Span) -> Option<Timestamp> {
    span.last_removed_at.and_then(|_| span.certain_at())
}

/// Makes the urgent records of a subscription ordinary again if the subscription does not end after
/// all. Otherwise the end of a final hour that no longer applies would look like a missed deadline.
pub(crate) async fn make_ordinary(
    run: &Run<'_>,
    profile: &Profile,
    work: &mut Work,
) -> Result<(), LedgerError> {
    match profile.lifecycle.deprovisioned_at() {
        Some(_) => set_urgent(run, profile, UsageHour::of(run.now), None, work).await,
        None => Ok(()),
    }
}

/// Makes every record through the hour `last` that must still be sent urgent until `final_at`, or
/// ordinary if that is `None`. Urgent records are sent before all others.
async fn set_urgent(
    run: &Run<'_>,
    profile: &Profile,
    last: UsageHour,
    final_at: Option<Timestamp>,
    work: &mut Work,
) -> Result<(), LedgerError> {
    let ledger = &run.app.ledger;
    // The records of earlier hours are past their deadline, even if their stamp is the end of their
    // hour.
    let first = run.app.policy.window.latest_closed(last, run.now);
    let waiting = ledger
        .waiting_records(&profile.subscription, first, last)
        .await?;
    work.damaged += waiting.damaged;
    for record in &waiting.records {
        if record.final_at == final_at || !record.is_sendable(run.now) {
            continue;
        }
        // If the record changed meanwhile, the next run tries again.
        let written = match final_at {
            Some(end) => {
                ledger
                    .make_urgent(record, end, due_after(record, run.now))
                    .await?
            }
            None => ledger.make_ordinary(record).await?,
        };
        work.made_urgent += u64::from(final_at.is_some() && written == Written::Done);
    }
    Ok(())
}

/// Returns when an urgent record is due. A record that was never sent keeps its due time, because
/// its stream delivery is about to send it.
fn due_after(record: &MeteringRecord, now: Timestamp) -> Timestamp {
    match record.attempts {
        0 => record.due.unwrap_or(now).max(now),
        _ => now,
    }
}

/// Recounts the earlier hours of every ending subscription in the open month. Returns `false` if
/// the time ran out. Every run does this, because the streams may fail at the moment of the end.
pub(crate) async fn recount_all_ending(
    run: &Run<'_>,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, LedgerError> {
    let work = |subscription| async move { recount_one(run, &subscription, budget).await };
    let passed = over_attention(run, "recount", budget, work, report).await?;
    Ok(passed.finished)
}

/// Recounts from the latest hour backwards, because late usage is rarely very late. Stores the
/// place where the time ran out.
async fn recount_one(
    run: &Run<'_>,
    subscription: &Subscription,
    budget: Budget,
) -> Result<Work, LedgerError> {
    let mut work = Work::default();
    let profile = read_profile(run, subscription).await?;
    let Some(profile) = profile.filter(|profile| profile.status() == Status::Ending) else {
        return Ok(work);
    };
    let spans = profile.lifecycle.spans();
    let Some(last) = spans.last().and_then(Span::last_hour) else {
        return Ok(work);
    };
    let ledger = &run.app.ledger;
    let mut place = ledger.place_of_recount(subscription).await?;
    // Hours after the watermark are recounted with the open hours.
    let mut hours: Vec<UsageHour> = first_hour(&profile, run.now)
        .through(complete(last, run.now).min(run.watermark))
        .filter(|hour| place.at.is_none_or(|done| *hour < done))
        .collect();
    hours.reverse();
    let last_recounted = recount_all(run, &profile, &hours, budget, &mut work).await?;
    let at = match work.is_cut {
        true => last_recounted.or(place.at),
        false => None,
    };
    if ledger.move_place(&mut place, at).await? == Written::Conflict {
        tracing::debug!(%subscription, "another run has moved the place of this recount");
    }
    Ok(work)
}
