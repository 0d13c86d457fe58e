//! Reads sealed hours again, whether or not a stream reported late rows.
//!
//! Sealed hours are recounted in blocks of a quarter of a day, so that one read gets a
//! subscription's profile and one query gets its records for the whole block. A block is due six
//! hours after its last hour was due. An hour whose deadline is two hours away or less is recounted
//! at once, so that usage that is found can still be billed. With a small `WindowHours`, this time
//! is the earlier one. The proof of the day reads every hour once more.
//!
//! Each shard keeps its own progress and its place within a block, so an outage only delays it.

use jiff::SignedDuration;
use ledger::hour::{Stored, StoredDay};
use ledger::profile::Profile;
use ledger::progress::SweepProgress;
use ledger::{LedgerError, Written};
use marketplace::hour::shift;
use marketplace::{Subscription, UsageHour};
use runtime::Budget;

use crate::day::{Flagged, flag, must_be_flagged};
use crate::run::{Known, Run};
use crate::walk::{End, List, Walk, kept};
use crate::{App, ReconcileError, Report};

/// The number of hours after which a due hour is recounted.
const FIRST_RECOUNT_HOURS: i64 = 6;
/// The number of hours before its deadline at which an hour is recounted at the latest.
const LAST_RECOUNT_HOURS: i64 = 2;
/// The number of hours in a block: a quarter of a UTC day.
const BLOCK_HOURS: i64 = 6;
/// The name of the progress that older versions kept for all shards together. With `#<shard>` it is
/// the name of a shard's own progress.
const OF_ALL_SHARDS: &str = "recount-first";

/// Recounts the hours of a shard that are due. Returns `false` if the time ran out.
pub(crate) async fn recount_due(
    run: &Run<'_>,
    shard: u8,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, ReconcileError> {
    let through = last_to_recount(run);
    let name = format!("{OF_ALL_SHARDS}#{shard}");
    let Some(mut progress) = progress_of(run, &name, through).await? else {
        return Ok(true);
    };
    while progress.through < through {
        let (first, last) = next_block(run.app, &name, progress.through.next(), through).await?;
        let pass = pass_name(first, last);
        let walk = Walk {
            app: run.app,
            name: &name,
            pass: &pass,
            shard,
            lists: &[List::Live],
            budget,
            end: End::InProgress,
        };
        let recount = |subscription| recount_one(run, subscription, (first, last), budget);
        let finished = walk.go(recount, |one: Recounted| {
            report.hours_recounted += one.hours;
            report.hours_flagged += one.flagged.hours;
            report.pending_with_usage += u64::from(one.flagged.has_pending_usage);
        });
        if !finished.await? {
            return Ok(false);
        }
        let ledger = &run.app.ledger;
        match ledger
            .advance_sweep_progress(&name, &progress, last)
            .await?
        {
            Written::Done => progress.advance(last),
            Written::Conflict => return Ok(false),
        }
    }
    Ok(true)
}

/// Returns a shard's progress; `None` in its first run, which creates the progress. It begins at
/// the progress that older versions kept for all shards. If there is none, it begins at `through`,
/// because hours from before the first run of the reconciler need no recount.
async fn progress_of(
    run: &Run<'_>,
    name: &str,
    through: UsageHour,
) -> Result<Option<SweepProgress>, LedgerError> {
    let ledger = &run.app.ledger;
    if let Some(progress) = ledger.sweep_progress(name).await? {
        return Ok(Some(progress));
    }
    let before = ledger.sweep_progress(OF_ALL_SHARDS).await?;
    let begin = before.map_or(through, |before| before.through.min(through));
    ledger.create_sweep_progress(name, begin).await?;
    Ok(None)
}

/// Returns the later of two hours, but no hour after the watermark: the last hour of the latest
/// block that is due, and the latest hour whose deadline is near.
fn last_to_recount(run: &Run<'_>) -> UsageHour {
    let due = first_recount_due(run).next();
    let of_blocks = due.plus(-due.number().rem_euclid(BLOCK_HOURS)).previous();
    of_blocks.max(latest_near_deadline(run)).min(run.watermark)
}

/// Returns the latest hour that was due six hours ago or earlier. Six hours are enough for late
/// usage that a stream reports.
pub(crate) fn first_recount_due(run: &Run<'_>) -> UsageHour {
    let then = shift(run.now, SignedDuration::from_hours(-FIRST_RECOUNT_HOURS));
    run.app.schedule.latest_due(then)
}

/// Returns the latest hour whose records' deadline is two hours away or less.
fn latest_near_deadline(run: &Run<'_>) -> UsageHour {
    let horizon = shift(run.now, SignedDuration::from_hours(LAST_RECOUNT_HOURS));
    let window = run.app.window;
    window.latest_closed(UsageHour::of(run.now), horizon)
}

fn pass_name(first: UsageHour, last: UsageHour) -> String {
    format!("{first}_{last}")
}

/// Returns the hours from `first` to the end of its block, but none after `through`. A walk that
/// has begun keeps its last hour, because the subscriptions before its place were counted through
/// that hour only.
async fn next_block(
    app: &App,
    name: &str,
    first: UsageHour,
    through: UsageHour,
) -> Result<(UsageHour, UsageHour), LedgerError> {
    let block = first.number().rem_euclid(BLOCK_HOURS);
    let end = first.plus(BLOCK_HOURS - 1 - block).min(through);
    let begun = kept(app, name).await?;
    let begun = begun.and_then(|place| {
        let (begin, last) = place.pass.split_once('_')?;
        let (begin, last): (UsageHour, UsageHour) = (begin.parse().ok()?, last.parse().ok()?);
        (begin == first && first <= last && last <= end).then_some(last)
    });
    Ok((first, begun.unwrap_or(end)))
}

/// The result for one subscription.
#[derive(Default)]
struct Recounted {
    hours: u64,
    flagged: Flagged,
}

/// Recounts the hours of one subscription. If an item of the subscription is damaged, the
/// subscription is skipped.
async fn recount_one(
    run: &Run<'_>,
    subscription: Subscription,
    hours: (UsageHour, UsageHour),
    budget: Budget,
) -> Result<(Recounted, bool), LedgerError> {
    // A block takes a few reads. A block is finished once it is begun, so that no hour is counted
    // twice.
    if budget.is_spent() {
        return Ok((Recounted::default(), false));
    }
    let recounted = recount_subscription(run, &subscription, hours).await;
    let recounted = run.app.ledger.unless_damaged(&subscription, recounted)?;
    Ok((recounted.unwrap_or_default(), true))
}

async fn recount_subscription(
    run: &Run<'_>,
    subscription: &Subscription,
    (first, last): (UsageHour, UsageHour),
) -> Result<Recounted, LedgerError> {
    let mut recounted = Recounted::default();
    let ledger = &run.app.ledger;
    let Some(profile) = ledger.profile(subscription).await? else {
        return Ok(recounted);
    };
    let known = run.known(&profile.product).await?;
    let mut stored = stored_of_hours(run.app, subscription, first, last).await?;
    for hour in first.through(last) {
        let stored = stored.as_mut().map(|stored| stored.take(hour));
        let must_flag = recount(run.app, &profile, hour, stored, &known).await?;
        recounted.hours += 1;
        if must_flag {
            recounted.flagged.add(flag(run, &profile, [hour]).await?);
        }
    }
    Ok(recounted)
}

/// Reads the records and movements of several hours of a day. Returns `None` for a single hour,
/// which is read individually. Also returns `None` if an item is damaged. Then every hour is read
/// individually, to find the hour with the damaged item.
async fn stored_of_hours(
    app: &App,
    subscription: &Subscription,
    first: UsageHour,
    last: UsageHour,
) -> Result<Option<StoredDay>, LedgerError> {
    if first == last {
        return Ok(None);
    }
    match app.ledger.stored_of_hours(subscription, first, last).await {
        Ok(stored) => Ok(Some(stored)),
        Err(LedgerError::Malformed(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Counts an hour, and returns whether it must be flagged.
pub(crate) async fn recount(
    app: &App,
    profile: &Profile,
    hour: UsageHour,
    stored: Option<Stored>,
    known: &Known,
) -> Result<bool, LedgerError> {
    let (ledger, known) = (&app.ledger, known.as_ref().as_ref());
    let subscription = &profile.subscription;
    let counted = match stored {
        Some(stored) => {
            let count = ledger.count_for_books(subscription, hour, stored, known);
            let count = count.await;
            count.and_then(|count| Ok((count.lines()?, count.rows_set_aside())))
        }
        None => {
            let count = ledger.count_hour(subscription, hour, known).await;
            count.and_then(|count| Ok((count.lines()?, count.fold.rows_set_aside_count())))
        }
    };
    // One damaged item must not keep the rest from being counted.
    let counted = ledger.unless_damaged(&format_args!("{subscription} / {hour}"), counted)?;
    let (lines, rows_set_aside) = counted.unwrap_or_default();
    Ok(must_be_flagged(profile, &lines, rows_set_aside))
}
