//! Recounts hours that were flagged after they were sealed.
//!
//! The flag is read before the hour is recounted. After the recount the flag is removed, but only
//! if it has not changed since: if a row came meanwhile, the hour was flagged again, and the new
//! flag must stay.
//!
//! An hour cannot be recounted while its subscription is unknown or not active, or its profile is
//! damaged. Such a flag is postponed, so that it does not delay the others. It is tried less and
//! less often, so the alarm depends on the flag's age. It cannot depend on the number of runs in a
//! row that have failed to recount the hour.

use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use ledger::flag::LateFlag;
use ledger::profile::Profile;
use ledger::{LedgerError, SHARDS, Written};
use marketplace::hour::shift;
use marketplace::lifecycle::Status;
use marketplace::{Subscription, UsageHour};
use runtime::Budget;

use crate::settle::{Settled, recount_hour};
use crate::{AT_ONCE, Report, Run};

/// The largest number of hours by which a flag is postponed while its subscription is not active.
/// Once the subscription is active, the next run seals its hours of the open month, flagged or not.
/// Usage of an earlier month cannot be billed any more, so it can wait for its flag.
const POSTPONE_HOURS_MAX: i64 = 6;
/// The largest number of hours by which a flag is postponed while the subscription's profile is
/// damaged. The profile may be repaired at any time, and no event reports that.
const POSTPONE_DAMAGED_HOURS_MAX: i64 = 1;
/// The number of hours after which a flag whose hour still cannot be recounted raises an alarm. A
/// flag that was postponed has been tried five times by then. So its cause does not go away by
/// itself.
const LONG_FLAGGED_HOURS: i64 = 2;
/// Seconds between two runs. Each run begins at another shard.
const TURN_SECONDS: i64 = 300;

/// Recounts every flagged hour that is due. Returns `false` if the time ran out.
pub(crate) async fn recount_flagged(
    run: &Run<'_>,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, LedgerError> {
    let turn = run.now.as_second().div_euclid(TURN_SECONDS);
    for n in 0..i64::from(SHARDS) {
        let shard = turn.saturating_add(n).rem_euclid(i64::from(SHARDS));
        let shard = u8::try_from(shard).unwrap_or_default();
        if !recount_shard(run, shard, budget, report).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn recount_shard(
    run: &Run<'_>,
    shard: u8,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, LedgerError> {
    let mut start = None;
    loop {
        if budget.is_spent() {
            return Ok(false);
        }
        let page = run.app.ledger.late_flags(shard, run.now, start).await?;
        report.damaged += page.damaged;
        let mut results = stream::iter(page.flags)
            .map(|(subscription, hour)| async move {
                if budget.is_spent() {
                    return None;
                }
                let tried = try_flag(run, &subscription, hour).await;
                Some((subscription, hour, tried))
            })
            .buffered(AT_ONCE);
        let mut finished = true;
        while let Some(one) = results.next().await {
            match one {
                Some((subscription, hour, tried)) => add(&subscription, hour, tried, report),
                None => finished = false,
            }
        }
        if !finished {
            return Ok(false);
        }
        start = page.next;
        if start.is_none() {
            return Ok(true);
        }
    }
}

/// Adds the result of one flag to the report.
fn add(subscription: &Subscription, hour: UsageHour, tried: Tried, report: &mut Report) {
    let is_left = match &tried.outcome {
        Ok(outcome) => outcome.settled.left_flagged,
        Err(_) => true,
    };
    report.left_flagged_long += u64::from(is_left && tried.is_old);
    match tried.outcome {
        Ok(outcome) => {
            report.add(&outcome.settled);
            report.flags_cleared += u64::from(outcome.cleared);
        }
        Err(error) => {
            tracing::error!(%subscription, %hour, %error, "this hour could not be recounted and stays flagged");
            report.left_flagged += 1;
            report.damaged += u64::from(matches!(error, LedgerError::Malformed(_)));
        }
    }
}

/// The result of trying one flag.
struct Tried {
    /// Whether the hour must not stay flagged unnoticed, because its flag was put hours ago.
    is_old: bool,
    outcome: Result<HourResult, LedgerError>,
}

#[derive(Default)]
struct HourResult {
    settled: Settled,
    cleared: bool,
}

impl HourResult {
    fn left_flagged() -> Self {
        Self {
            settled: Settled {
                left_flagged: true,
                ..Settled::default()
            },
            cleared: false,
        }
    }
}

async fn try_flag(run: &Run<'_>, subscription: &Subscription, hour: UsageHour) -> Tried {
    match run.app.ledger.late_flag(subscription, hour).await {
        Ok(Some(flag)) => {
            let outcome = recount_flag(run, &flag).await;
            // A flag is not postponed when DynamoDB fails. So if it was postponed, this failure is
            // new, and the next run tries again.
            let failed = matches!(outcome, Err(LedgerError::Unavailable { .. }));
            Tried {
                is_old: is_old(&flag, run.now) && !(failed && flag.tries > 0),
                outcome,
            }
        }
        // The index lags behind the table, in which the flag has been removed.
        Ok(None) => Tried {
            is_old: false,
            outcome: Ok(HourResult::default()),
        },
        // A damaged flag does not say how old it is, and it stays until a person corrects it.
        Err(error) => Tried {
            is_old: matches!(error, LedgerError::Malformed(_)),
            outcome: Err(error),
        },
    }
}

/// Returns whether a flag was put hours ago.
fn is_old(flag: &LateFlag, now: Timestamp) -> bool {
    let limit = shift(now, SignedDuration::from_hours(-LONG_FLAGGED_HOURS));
    flag.put_at().is_none_or(|put_at| put_at <= limit)
}

async fn recount_flag(run: &Run<'_>, flag: &LateFlag) -> Result<HourResult, LedgerError> {
    let ledger = &run.app.ledger;
    let (subscription, hour) = (&flag.subscription, flag.hour);
    let profile = match ledger.profile(subscription).await {
        Ok(Some(profile)) if profile.status() != Status::Pending => profile,
        Ok(Some(_)) => {
            tracing::info!(%subscription, %hour, "this hour is flagged, but its subscription is not active yet");
            postpone(run, flag, POSTPONE_HOURS_MAX).await?;
            // The reconciler reports such a subscription as PendingWithUsage.
            return Ok(HourResult::default());
        }
        Ok(None) => {
            tracing::warn!(%subscription, %hour, "this hour is flagged, but its subscription is not known");
            postpone(run, flag, POSTPONE_HOURS_MAX).await?;
            return Ok(HourResult::left_flagged());
        }
        Err(LedgerError::Malformed(damaged)) => {
            postpone(run, flag, POSTPONE_DAMAGED_HOURS_MAX).await?;
            return Err(damaged.into());
        }
        Err(error) => return Err(error),
    };
    if let Some(due) = not_before(run, &profile, hour) {
        let written = ledger.postpone_late_flag_until(flag, due).await?;
        tracing::debug!(%subscription, %hour, %due, ?written, "this hour is flagged, but it is not due to be sealed yet");
        return Ok(HourResult::default());
    }
    let settled = recount_hour(run, &profile, hour).await?;
    let cleared = !settled.left_flagged && ledger.clear_late_flag(flag).await? == Written::Done;
    Ok(HourResult { settled, cleared })
}

/// Returns when a flagged hour is due to be sealed; `None` if it is due now.
///
/// A recount seals the slots that have no record, so it must not come before the hour is due: rows
/// that are put later in the hour would be late usage of a record that is already frozen. Such an
/// hour is flagged if a purchase has ended, the buyer uses the product after a new purchase, and the
/// new purchase is not known yet.
fn not_before(run: &Run<'_>, profile: &Profile, hour: UsageHour) -> Option<Timestamp> {
    let due = run.app.schedule.due(hour);
    let is_early = hour > run.watermark && run.now < due;
    let is_due_for_end = || profile.lifecycle.spans().is_due_for_end(hour, run.now);
    (is_early && !is_due_for_end()).then_some(due)
}

/// Postpones a flag by at most `hours_max` hours. If the hour was flagged again meanwhile, the new
/// flag stays due at once.
async fn postpone(run: &Run<'_>, flag: &LateFlag, hours_max: i64) -> Result<(), LedgerError> {
    let most = SignedDuration::from_hours(hours_max);
    let written = run
        .app
        .ledger
        .postpone_late_flag(flag, run.now, most)
        .await?;
    if written == Written::Conflict {
        tracing::debug!(subscription = %flag.subscription, hour = %flag.hour, "the hour was flagged again meanwhile; its flag is not postponed");
    }
    Ok(())
}
