//! Subscriptions that the rounds have, and subscriptions that are done.

use jiff::{SignedDuration, Timestamp};
use ledger::profile::Profile;
use ledger::{LedgerError, Written};
use marketplace::hour::shift;
use marketplace::lifecycle::Status;
use marketplace::{Month, Subscription, UsageHour};
use startup::Budget;

use crate::{App, ReconcileError, Report, first_possible_hour};

/// Minutes that attention lasts at least: far longer than an index lags behind its table.
const ATTENTION_MINUTES_MIN: i64 = 60;

/// Clears attention where it has done its work, and ends what is metered; `false` if the time ran
/// out.
pub(crate) async fn close(
    app: &App,
    now: Timestamp,
    watermark: UsageHour,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, ReconcileError> {
    let mut after: Option<Subscription> = None;
    loop {
        let page = app.ledger.attention_page(after.as_ref()).await?;
        for subscription in &page.subscriptions {
            if budget.is_spent() {
                return Ok(false);
            }
            if let Err(error) = look_at(app, subscription, now, watermark, report).await {
                tracing::error!(%subscription, %error, "this subscription could not be looked at");
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(true);
        }
    }
}

async fn look_at(
    app: &App,
    subscription: &Subscription,
    now: Timestamp,
    watermark: UsageHour,
    report: &mut Report,
) -> Result<(), LedgerError> {
    let Some(profile) = app.ledger.profile(subscription).await? else {
        return Ok(());
    };
    let Some(since) = profile.attention_since else {
        return Ok(());
    };
    match profile.status() {
        Status::Active => {
            // Sealed through the watermark by itself, and long enough in the live index: every later
            // hour is read after a raise of the watermark that is still to come, by a round that
            // sees the subscription.
            let caught_up = profile.sealed_through >= Some(watermark);
            let seen = shift(since, SignedDuration::from_mins(ATTENTION_MINUTES_MIN)) <= now;
            if caught_up && seen {
                let mut calm = profile.clone();
                calm.attention_since = None;
                calm.sealed_through = None;
                report.attention_cleared +=
                    u64::from(app.ledger.change_profile(&profile, &calm).await? == Written::Done);
            }
        }
        Status::Ending => {
            if is_done(app, &profile, now, watermark).await? {
                let mut ended = profile.clone();
                ended.lifecycle.closed_at = Some(now);
                ended.attention_since = None;
                ended.sealed_through = None;
                let written = app.ledger.change_profile(&profile, &ended).await?;
                report.subscriptions_closed += u64::from(written == Written::Done);
            }
        }
        Status::Pending | Status::Ended => {}
    }
    Ok(())
}

/// Whether an ending subscription's time is over, its last hour is below the watermark (so that any
/// later row is flagged), and every row of its open months is counted.
async fn is_done(
    app: &App,
    profile: &Profile,
    now: Timestamp,
    watermark: UsageHour,
) -> Result<bool, LedgerError> {
    let (Some(first_end), Some(until)) = (
        profile.lifecycle.first_end(),
        profile.lifecycle.recount_until(),
    ) else {
        return Ok(false);
    };
    let last = UsageHour::of(first_end);
    if now < until || watermark < last {
        return Ok(false);
    }
    let product = app.ledger.product(&profile.product).await?;
    let known = product.as_ref().map(|p| &p.dimensions);
    let begin = first_possible_hour(profile).max(Month::of(first_end).first_hour());
    // Usage dated after the end belongs to no hour that a round will still seal: it is found here.
    let (ledger, subscription) = (&app.ledger, &profile.subscription);
    for (first, last) in begin.through_days(last.max(UsageHour::of(now).next())) {
        let mut stored = ledger.stored_on_day(subscription, first).await?;
        for hour in first.through(last) {
            let count = ledger
                .count_for_books(subscription, hour, stored.take(hour), known)
                .await?;
            let lines = count.lines()?;
            if lines.iter().any(|(_, line)| line.uncounted.is_positive()) {
                ledger.flag_late(subscription, hour, now).await?;
                return Ok(false);
            }
        }
    }
    Ok(true)
}
