//! Every live subscription, hour by hour, through the watermark.
//!
//! Each shard keeps its own progress, and within an hour the place a run broke off. A shard moves on
//! to the next hour only when every subscription of this one is sealed or flagged.

use futures_util::{StreamExt, TryStreamExt, stream};
use ledger::progress::ShardProgress;
use ledger::{LedgerError, SHARDS, Written};
use marketplace::lifecycle::Status;
use marketplace::planted::{Bug, is_planted};
use marketplace::{Subscription, UsageHour};

use crate::settle::{Settled, seal_hour};
use crate::{AT_ONCE, Report, Run};

/// Seals what is due in every shard; `false` if the invocation's time ran out before the end.
pub(crate) async fn seal_due(
    run: &Run<'_>,
    begin: UsageHour,
    report: &mut Report,
) -> Result<bool, LedgerError> {
    for shard in 0..SHARDS {
        if !seal_shard(run, shard, begin, report).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn seal_shard(
    run: &Run<'_>,
    shard: u8,
    begin: UsageHour,
    report: &mut Report,
) -> Result<bool, LedgerError> {
    let ledger = &run.app.ledger;
    let progress = match ledger.shard_progress(shard).await? {
        Some(progress) => progress,
        None => {
            ledger.create_shard_progress(shard, begin).await?;
            match ledger.shard_progress(shard).await? {
                Some(progress) => progress,
                None => return Ok(false),
            }
        }
    };
    let mut progress = progress;
    while progress.sealed_through < run.watermark {
        let hour = progress.sealed_through.next();
        if is_planted(Bug::ProgressBeforeWork) {
            let next = ShardProgress {
                sealed_through: hour,
                version: progress.version + 1,
                ..progress.clone()
            };
            if ledger.change_shard_progress(&progress, &next).await? == Written::Conflict {
                return Ok(false);
            }
            progress = next;
        }
        loop {
            let page = ledger.live_page(shard, progress.place.as_ref()).await?;
            let last = page.subscriptions.last().cloned();
            seal_page(run, hour, page.subscriptions, report).await?;
            if page.next.is_none() {
                break;
            }
            let next = ShardProgress {
                place: last,
                version: progress.version + 1,
                ..progress.clone()
            };
            if ledger.change_shard_progress(&progress, &next).await? == Written::Conflict
                || run.budget.is_spent()
            {
                // Another run is at work on this shard, or our time is up: the next run goes on.
                return Ok(false);
            }
            progress = next;
        }
        let next = ShardProgress {
            sealed_through: hour,
            place: None,
            version: progress.version + 1,
            ..progress.clone()
        };
        if ledger.change_shard_progress(&progress, &next).await? == Written::Conflict {
            return Ok(false);
        }
        progress = next;
        if run.budget.is_spent() && progress.sealed_through < run.watermark {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn seal_page(
    run: &Run<'_>,
    hour: UsageHour,
    subscriptions: Vec<Subscription>,
    report: &mut Report,
) -> Result<(), LedgerError> {
    let settled: Vec<Settled> = stream::iter(subscriptions)
        .map(|subscription| seal_or_flag(run, hour, subscription))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    for one in &settled {
        report.add(one);
    }
    Ok(())
}

/// One subscription's trouble must not hold up the shard: its hour is flagged and tried again by
/// every run. Only when not even that can be written does the round break off.
async fn seal_or_flag(
    run: &Run<'_>,
    hour: UsageHour,
    subscription: Subscription,
) -> Result<Settled, LedgerError> {
    match seal_one(run, hour, &subscription).await {
        Ok(settled) => Ok(settled),
        Err(error) => {
            tracing::error!(%subscription, %hour, %error, "this hour could not be sealed and stays flagged");
            run.app
                .ledger
                .flag_late(&subscription, hour, run.now)
                .await?;
            Ok(Settled {
                left_flagged: true,
                ..Settled::default()
            })
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
