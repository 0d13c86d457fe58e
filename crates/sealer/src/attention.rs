//! Subscriptions just activated or ending, which the sealer looks at in every run.
//!
//! A new subscription may be missing from the live index for a while, and its activation may become
//! known late. So it is sealed by itself, from before its activation through the watermark, until
//! the reconciler sees that the rounds have it.
//!
//! An ending subscription has one more hour in which usage is accepted. Its complete hours are sealed
//! at once, the hour of its end twenty minutes after it, and with that the past month's last hour if
//! the end lies in the first hours of a month. All hours of the open month are recounted in every run:
//! streams may fail just then.

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::SignedDuration;
use jiff::Timestamp;
use ledger::profile::Profile;
use ledger::{LedgerError, Written};
use marketplace::carry::final_due;
use marketplace::hour::shift;
use marketplace::lifecycle::Status;
use marketplace::planted::{Bug, is_planted};
use marketplace::schedule::MONTH_CATCH_HOURS;
use marketplace::{Subscription, UsageHour};

use crate::settle::{Settled, recount_hour};
use crate::{AT_ONCE, Report, Run};

/// Hours before the first sign of a subscription that are looked at: usage may be reported before we
/// hear of the purchase.
const HOURS_BEFORE_FIRST_SIGN: i64 = 24;

/// Seals every subscription that has attention; `false` if the time ran out.
pub(crate) async fn seal_each(run: &Run<'_>, report: &mut Report) -> Result<bool, LedgerError> {
    let mut after: Option<Subscription> = None;
    loop {
        let page = run.app.ledger.attention_page(after.as_ref()).await?;
        for subscription in &page.subscriptions {
            if run.budget.is_spent() {
                return Ok(false);
            }
            if let Err(error) = seal_one(run, subscription, report).await {
                // It keeps its attention, so the next run tries again.
                tracing::error!(%subscription, %error, "this subscription could not be sealed by itself");
                report.left_flagged += 1;
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(true);
        }
    }
}

async fn seal_one(
    run: &Run<'_>,
    subscription: &Subscription,
    report: &mut Report,
) -> Result<(), LedgerError> {
    let Some(profile) = run.app.ledger.profile(subscription).await? else {
        return Ok(());
    };
    if profile.attention_since.is_none() {
        return Ok(());
    }
    match profile.status() {
        Status::Active => seal_new(run, &profile, report).await,
        Status::Ending => seal_ending(run, &profile, report).await,
        Status::Pending | Status::Ended => Ok(()),
    }
}

/// Seals a new subscription through the watermark and notes how far it is. A row put after its hour
/// was read here was put after the watermark, as in the round.
async fn seal_new(
    run: &Run<'_>,
    profile: &Profile,
    report: &mut Report,
) -> Result<(), LedgerError> {
    let begin = match profile.sealed_through {
        Some(hour) => hour.next(),
        None => first_hour(profile, run.now),
    };
    if begin > run.watermark {
        return Ok(());
    }
    let hours: Vec<UsageHour> = begin.through(run.watermark).collect();
    if recount_all(run, profile, hours, report).await? {
        let mut sealed = profile.clone();
        sealed.sealed_through = Some(run.watermark);
        if run.app.ledger.change_profile(profile, &sealed).await? == Written::Conflict {
            tracing::debug!(subscription = %profile.subscription, "the profile changed meanwhile; sealed again in the next run");
        }
    }
    Ok(())
}

async fn seal_ending(
    run: &Run<'_>,
    profile: &Profile,
    report: &mut Report,
) -> Result<(), LedgerError> {
    let Some(ended_at) = profile.lifecycle.first_end() else {
        return Ok(());
    };
    let last = UsageHour::of(ended_at);
    let begin = first_hour(profile, run.now);
    let complete = last.previous().min(UsageHour::of(run.now).previous());
    if is_planted(Bug::LastHourNotHurried) {
        return Ok(());
    }
    let is_settled = run.now >= final_due(ended_at);
    // Late usage can only go into a later hour of its own month, so the latest of each month is left
    // open as long as can be: the end's own, and where that is in a new month, the past month's last.
    let is_kept_open = |hour: &UsageHour| {
        *hour > run.watermark && *hour == hour.month().last_hour() && !is_settled
    };
    // Earlier hours first: what is late of them must be in those before they are sealed.
    let hours: Vec<UsageHour> = begin
        .through(complete)
        .filter(|hour| !is_kept_open(hour))
        .collect();
    let finished = recount_all(run, profile, hours, report).await?;
    if finished && is_settled {
        report.add(&recount_hour(run, profile, last).await?);
    }
    Ok(())
}

/// Recounts hours of one subscription; `false` if one had to be left, or the time ran out.
async fn recount_all(
    run: &Run<'_>,
    profile: &Profile,
    hours: Vec<UsageHour>,
    report: &mut Report,
) -> Result<bool, LedgerError> {
    for chunk in hours.chunks(AT_ONCE) {
        if run.budget.is_spent() {
            return Ok(false);
        }
        let settled: Vec<Settled> = stream::iter(chunk.to_vec())
            .map(|hour| recount_hour(run, profile, hour))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        for one in &settled {
            report.add(one);
        }
    }
    Ok(true)
}

/// The earliest hour that may have usage which can still be billed.
pub(crate) fn first_hour(profile: &Profile, now: Timestamp) -> UsageHour {
    let first_sign = profile
        .lifecycle
        .activated_at
        .map_or(profile.created_at, |activated| {
            activated.min(profile.created_at)
        });
    let first = UsageHour::of(first_sign).plus(-HOURS_BEFORE_FIRST_SIGN);
    // The past month is open until its catch hour is sealed.
    let open_since = shift(now, SignedDuration::from_hours(-MONTH_CATCH_HOURS));
    first.max(UsageHour::of(open_since).month().first_hour())
}
