//! Every live subscription, hour by hour, through the watermark.
//!
//! Each shard keeps its own progress, and within an hour the place a run broke off. A shard moves on
//! to the next hour only when every subscription of this one is sealed or flagged.

use futures_util::{StreamExt, TryStreamExt, stream};
use ledger::progress::ShardProgress;
use ledger::{Ledger, LedgerError, SHARDS, Written};
use marketplace::lifecycle::Status;
use marketplace::planted::{Bug, is_planted};
use marketplace::{Subscription, UsageHour};
use startup::Budget;

use crate::settle::{Settled, seal_hour};
use crate::{AT_ONCE, Report, Run};

/// Seals what is due in every shard; `false` if the time ran out before the end, or another run is at
/// work on a shard. A shard whose progress is damaged stays where it is.
pub(crate) async fn seal_due(
    run: &Run<'_>,
    begin: UsageHour,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, LedgerError> {
    let mut shards = Vec::new();
    let mut is_damaged = false;
    for shard in 0..SHARDS {
        match begin_shard(&run.app.ledger, shard, begin).await {
            Ok(Some(progress)) => shards.push(progress),
            Ok(None) => return Ok(false),
            Err(LedgerError::Malformed(damaged)) => {
                tracing::error!(shard, %damaged, "nothing of this shard is sealed");
                report.damaged += 1;
                is_damaged = true;
            }
            Err(error) => return Err(error),
        }
    }
    let finished = seal_shards(run, &mut shards, budget, report).await?;
    let behind = shards.iter().map(|p| run.watermark.since(p.sealed_through));
    report.hours_behind = behind.max().unwrap_or_default().max(0);
    Ok(finished && !is_damaged)
}

/// A shard's progress; a new one has come as far as the stack had before this run.
async fn begin_shard(
    ledger: &Ledger,
    shard: u8,
    begin: UsageHour,
) -> Result<Option<ShardProgress>, LedgerError> {
    if let Some(progress) = ledger.shard_progress(shard).await? {
        return Ok(Some(progress));
    }
    ledger.create_shard_progress(shard, begin).await?;
    ledger.shard_progress(shard).await
}

/// One hour of one shard after the other, always of the one that is furthest behind: after an outage the
/// hours whose deadline is nearest come first, in whichever shard they are.
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

/// Seals a shard's next hour, page by page; `false` if our time is up, or another run is at work on the
/// shard.
async fn seal_next_hour(
    run: &Run<'_>,
    progress: &mut ShardProgress,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, LedgerError> {
    let ledger = &run.app.ledger;
    let hour = progress.sealed_through.next();
    if is_planted(Bug::ProgressBeforeWork) {
        let sealed_through = hour;
        if !write(ledger, progress, |p| p.sealed_through = sealed_through).await? {
            return Ok(false);
        }
    }
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

/// Writes how far a shard has come; `false` if another run has.
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

/// One subscription's trouble must not hold up the shard: its hour is flagged and tried again by
/// every run. Only when not even that can be written does the round break off. And whether what
/// troubled it is a damaged item.
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
    // The index only says where to look; the profile says what is so.
    match run.app.ledger.profile(subscription).await? {
        Some(profile) if matches!(profile.status(), Status::Active | Status::Ending) => {
            seal_hour(run, &profile, hour).await
        }
        // Before its activation nothing is sealed: attention takes up every hour since then.
        _ => Ok(Settled::default()),
    }
}
