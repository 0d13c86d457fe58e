//! Seals every live subscription, hour by hour, through the watermark.
//!
//! Each shard keeps its own progress, and within an hour the place where a run stopped. A shard
//! moves on to the next hour only when this hour of every subscription is sealed or flagged.

use futures_util::{StreamExt, TryStreamExt, stream};
use ledger::progress::ShardProgress;
use ledger::{Ledger, LedgerError, SHARDS, Written};
use marketplace::lifecycle::Status;
use marketplace::{Subscription, UsageHour};
use runtime::Budget;

use crate::settle::{Settled, seal_hour};
use crate::{AT_ONCE, Report, Run};

/// Seals the hours that are due in every shard. Returns `false` if the time ran out, if another run
/// works on a shard, or if the progress of a shard is damaged. A shard whose progress is damaged is
/// not sealed.
pub(crate) async fn seal_due(
    run: &Run<'_>,
    begin: UsageHour,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, LedgerError> {
    let mut shards = Vec::new();
    let mut is_damaged = false;
    let read = run.app.ledger.progress_of_shards().await?;
    for (shard, progress) in (0..SHARDS).zip(read) {
        match progress {
            Ok(Some(progress)) => shards.push(progress),
            Ok(None) => match begin_shard(&run.app.ledger, shard, begin).await? {
                Some(progress) => shards.push(progress),
                None => return Ok(false),
            },
            Err(damaged) => {
                tracing::error!(shard, %damaged, "this shard's progress is damaged; no hour of the shard is sealed");
                report.damaged += 1;
                is_damaged = true;
            }
        }
    }
    let finished = seal_shards(run, &mut shards, budget, report).await?;
    let behind = shards.iter().map(|p| run.watermark.since(p.sealed_through));
    report.hours_behind = behind.max().unwrap_or_default().max(0);
    Ok(finished && !is_damaged)
}

/// Creates the progress of a new shard. It begins at the hour `begin`, the watermark from before
/// this run. Returns the stored progress, which another run may have created at the same time.
async fn begin_shard(
    ledger: &Ledger,
    shard: u8,
    begin: UsageHour,
) -> Result<Option<ShardProgress>, LedgerError> {
    ledger.create_shard_progress(shard, begin).await?;
    ledger.shard_progress(shard).await
}

/// Seals one hour of one shard at a time, always in the shard that is furthest behind. So after an
/// outage the hours with the nearest deadline come first in all shards.
async fn seal_shards(
    run: &Run<'_>,
    shards: &mut [ShardProgress],
    budget: Budget,
    report: &mut Report,
) -> Result<bool, LedgerError> {
    loop {
        let behind = shards
            .iter_mut()
            .filter(|progress| progress.sealed_through < run.watermark)
            .min_by_key(|progress| (progress.sealed_through, progress.shard));
        let Some(progress) = behind else {
            return Ok(true);
        };
        if !seal_next_hour(run, progress, budget, report).await? {
            return Ok(false);
        }
        let is_left = |progress: &ShardProgress| progress.sealed_through < run.watermark;
        if budget.is_spent() && shards.iter().any(is_left) {
            return Ok(false);
        }
    }
}

/// Seals a shard's next hour, page by page. Returns `false` if the time ran out, or another run
/// works on the shard.
async fn seal_next_hour(
    run: &Run<'_>,
    progress: &mut ShardProgress,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, LedgerError> {
    let ledger = &run.app.ledger;
    let hour = progress.sealed_through.next();
    loop {
        let page = ledger
            .live_page(progress.shard, progress.place.as_ref())
            .await?;
        report.damaged += page.damaged;
        let last = page.subscriptions.last().cloned();
        seal_page(run, hour, page.subscriptions, report).await?;
        if page.next.is_none() {
            break;
        }
        if !write(ledger, progress, |p| p.place = last).await? || budget.is_spent() {
            return Ok(false);
        }
    }
    write(ledger, progress, |p| {
        p.sealed_through = hour;
        p.place = None;
    })
    .await
}

/// Writes how far a shard has come. Returns `false` if another run has changed its progress.
async fn write(
    ledger: &Ledger,
    progress: &mut ShardProgress,
    change: impl FnOnce(&mut ShardProgress),
) -> Result<bool, LedgerError> {
    let mut next = ShardProgress {
        version: progress.version + 1,
        ..progress.clone()
    };
    change(&mut next);
    if ledger.change_shard_progress(progress, &next).await? == Written::Conflict {
        return Ok(false);
    }
    *progress = next;
    Ok(true)
}

async fn seal_page(
    run: &Run<'_>,
    hour: UsageHour,
    subscriptions: Vec<Subscription>,
    report: &mut Report,
) -> Result<(), LedgerError> {
    let settled: Vec<(Settled, bool)> = stream::iter(subscriptions)
        .map(|subscription| seal_or_flag(run, hour, subscription))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    for (one, is_damaged) in &settled {
        report.add(one);
        report.damaged += u64::from(*is_damaged);
    }
    Ok(())
}

/// Seals an hour of one subscription, or flags it if that fails. One failure must not delay the
/// shard, and every run tries a flagged hour again. The round ends early only if the flag cannot be
/// written. Also returns whether a damaged item was the cause.
async fn seal_or_flag(
    run: &Run<'_>,
    hour: UsageHour,
    subscription: Subscription,
) -> Result<(Settled, bool), LedgerError> {
    match seal_one(run, hour, &subscription).await {
        Ok(settled) => Ok((settled, false)),
        Err(error) => {
            tracing::error!(%subscription, %hour, %error, "this hour could not be sealed and stays flagged");
            run.app
                .ledger
                .flag_late(&subscription, hour, run.now)
                .await?;
            let settled = Settled {
                left_flagged: true,
                ..Settled::default()
            };
            Ok((settled, matches!(error, LedgerError::Malformed(_))))
        }
    }
}

async fn seal_one(
    run: &Run<'_>,
    hour: UsageHour,
    subscription: &Subscription,
) -> Result<Settled, LedgerError> {
    // The index lags behind, so the profile's own status decides.
    match run.app.ledger.profile(subscription).await? {
        Some(profile) if matches!(profile.status(), Status::Active | Status::Ending) => {
            seal_hour(run, &profile, hour).await
        }
        // The subscription is not active yet, or it has ended. Once it is active, it has attention,
        // and every hour of the open month is sealed. The reconciler flags its earlier hours.
        _ => Ok(Settled::default()),
    }
}
