//! What is open of an ending subscription, and the recount of what is not.

use jiff::{SignedDuration, Timestamp};
use ledger::profile::Profile;
use ledger::{LedgerError, Written};
use marketplace::hour::shift;
use marketplace::lifecycle::Status;
use marketplace::planted::{Bug, is_planted};
use marketplace::spans::Span;
use marketplace::{MeteringRecord, Subscription, UsageHour};
use startup::Budget;

use crate::attention::{first_hour, note_sealed, read_profile, recount_all};
use crate::pass::{Kind, Work, over_attention};
use crate::settle::recount_hour;
use crate::{Report, Run};

/// Hours for which a subscription is young: the rounds may have passed some of its hours before they
/// knew of it. What is older than that is past its deadline as well, and left to the recounts.
const YOUNG_HOURS: i64 = 26;
/// The longest window that can be set, in hours.
const WINDOW_HOURS_MAX: i64 = 744;

/// The hours of one ending subscription.
struct Hours {
    /// Not sealed yet, or not for good.
    open: Vec<UsageHour>,
    /// The hour of the end.
    last: UsageHour,
    /// Whether that is to be sealed now.
    is_settled: bool,
}

/// Seals what is open, the hour of the end too once that is due, and lets its records go first.
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
    if is_planted(Bug::LastHourNotHurried) {
        return Ok(work);
    }
    let hours = hours_of(run, profile, span, last, rounds);
    let is_over = span.certain_at().is_none_or(|until| until <= run.now);
    if profile.sealed_through < Some(hours.last) || !is_over {
        seal_hours(run, profile, &hours, budget, &mut work).await?;
    }
    if let Some(end) = final_hour_end(span).filter(|end| run.now < *end) {
        hurry(run, profile, hours.last, Some(end), &mut work).await?;
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
    // Earlier hours first: what is late of them must be in the last one before that is sealed.
    let mut sealed_through = recount_all(run, profile, &hours.open, budget, work).await?;
    if hours.is_settled && !work.is_cut {
        work.settled
            .push(recount_hour(run, profile, hours.last).await?);
        sealed_through = Some(hours.last);
    }
    note_sealed(run, profile, sealed_through).await
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
    // What is above the watermark is flagged by nobody, so it is read in every run.
    let begin = begin.min(run.watermark.next()).max(first);
    let is_due = |hour: UsageHour| span.due(hour).is_some_and(|due| due <= run.now);
    let is_settled = is_due(last);
    let own = span.first_end().map(UsageHour::of);
    Hours {
        open: begin
            .through(complete(last, run.now))
            .filter(|hour| is_settled || !is_kept_open(run, *hour))
            // The hour of the first sign, and those behind it, have times of their own.
            .filter(|hour| Some(*hour) < own || is_due(*hour))
            .collect(),
        last,
        is_settled,
    }
}

/// The last of its hours that is over, but for the hour of its end.
fn complete(last: UsageHour, now: Timestamp) -> UsageHour {
    last.previous().min(UsageHour::of(now).previous())
}

/// Late usage can only go into a later hour of its own month, so the latest of each month is left open
/// as long as can be: the end's own, and where that is in a new month, the past month's last.
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

/// When its final hour is over, if its removal is known.
fn final_hour_end(span: &Span) -> Option<Timestamp> {
    span.last_removed_at.and_then(|_| span.certain_at())
}

/// Takes the hurry from the records of a subscription that goes on after all: a final hour that is none
/// would look like a deadline that was missed.
pub(crate) async fn calm(
    run: &Run<'_>,
    profile: &Profile,
    work: &mut Work,
) -> Result<(), LedgerError> {
    match profile.lifecycle.deprovisioned_at() {
        Some(_) => hurry(run, profile, UsageHour::of(run.now), None, work).await,
        None => Ok(()),
    }
}

/// Lets every record through the hour `last` that is still to be sent go before all others until
/// `final_at`, or with `None` among all others.
async fn hurry(
    run: &Run<'_>,
    profile: &Profile,
    last: UsageHour,
    final_at: Option<Timestamp>,
    work: &mut Work,
) -> Result<(), LedgerError> {
    let ledger = &run.app.ledger;
    let first = first_in_time(run, last);
    let waiting = ledger
        .waiting_records(&profile.subscription, first, last)
        .await?;
    work.damaged += waiting.damaged;
    for record in &waiting.records {
        if record.final_at == final_at || !record.is_sendable(run.now) {
            continue;
        }
        // Where somebody has written to it meanwhile the next run looks again.
        let is_hurried = match final_at {
            Some(end) => {
                ledger
                    .hurry(record, end, due_after(record, run.now))
                    .await?
            }
            None => ledger.calm(record).await?,
        };
        work.hurried += u64::from(final_at.is_some() && is_hurried == Written::Done);
    }
    Ok(())
}

/// A record that was never sent is about to be sent by its stream delivery, and keeps its head start.
fn due_after(record: &MeteringRecord, now: Timestamp) -> Timestamp {
    match record.attempts {
        0 => record.due.unwrap_or(now).max(now),
        _ => now,
    }
}

/// The earliest hour whose records can still be sent.
fn first_in_time(run: &Run<'_>, last: UsageHour) -> UsageHour {
    let window = run.app.policy.window;
    let mut first = last;
    for _ in 0..WINDOW_HOURS_MAX {
        // A stamp may be as late as the hour's end.
        let before = first.previous();
        if window.deadline(before.end()) <= run.now {
            break;
        }
        first = before;
    }
    first
}

/// Recounts the earlier hours of every ending subscription in the open month; `false` if the time ran
/// out. Streams may fail just when it ends, so every run does.
pub(crate) async fn recount_all_ending(
    run: &Run<'_>,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, LedgerError> {
    let work = |subscription| async move { recount_one(run, &subscription, budget).await };
    let passed = over_attention(run, "recount", budget, work, report).await?;
    Ok(passed.finished)
}

/// Recounts from the latest hour backwards, because late usage is seldom very late, and keeps the place
/// where the time ran out.
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
    if is_planted(Bug::LastHourNotHurried) {
        return Ok(work);
    }
    let ledger = &run.app.ledger;
    let place = ledger.place_of_recount(subscription).await?;
    // Later ones are read with what is open.
    let mut hours: Vec<UsageHour> = first_hour(&profile, run.now)
        .through(complete(last, run.now).min(run.watermark))
        .filter(|hour| place.at.is_none_or(|done| *hour < done))
        .collect();
    hours.reverse();
    let done = recount_all(run, &profile, &hours, budget, &mut work).await?;
    let at = match work.is_cut {
        true => done.or(place.at),
        false => None,
    };
    if ledger.move_place(&place, at).await? == Written::Conflict {
        tracing::debug!(%subscription, "another run has moved the place of this recount");
    }
    Ok(work)
}
