//! Seals the subscriptions with attention: those just activated, and those ending.
//!
//! A new subscription may be missing from the live index for a while, and its activation may become
//! known late. So each run seals it individually, from before its activation through the watermark,
//! until the reconciler sees that the rounds include it.
//!
//! For an ending subscription, AWS Marketplace accepts usage for one more hour. So its open hours
//! are sealed before all other work. Its complete hours are sealed at once, and the hour of its end
//! twenty minutes after the end. If the end lies in the first hours of a month, the past month's
//! last hour is sealed together with the hour of the end. The subscription's records are sent
//! before all others. All this costs a few reads for each subscription, however long the
//! subscription lasted. After all other work its earlier hours of the open month are recounted
//! (`ending`).

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use ledger::profile::Profile;
use ledger::{LedgerError, SHARDS, Written, shard_of};
use marketplace::lifecycle::Status;
use marketplace::schedule::first_open_hour;
use marketplace::{Subscription, UsageHour};
use runtime::Budget;

use crate::pass::{Kind, Work, over_attention};
use crate::settle::{Settled, recount_hour};
use crate::{AT_ONCE, Report, Run, ending};

/// The number of hours of one subscription that are worked on at the same time.
const HOURS_AT_ONCE: usize = 4;
/// The share of the time for all subscriptions with attention that the ending ones may use, in
/// percent.
const ENDING_PERCENT: u32 = 80;

/// The hour through which the rounds have sealed each shard; `None` if it is not known.
pub(crate) type Rounds = [Option<UsageHour>; SHARDS as usize];

/// The result of [`seal_open`].
pub(crate) struct Seen {
    /// Whether every open hour was sealed.
    pub finished: bool,
    /// Whether some of the subscriptions may be ending.
    pub has_ending: bool,
}

/// Seals the open hours of every subscription that has attention, those of ending ones first.
pub(crate) async fn seal_open(
    run: &Run<'_>,
    budget: Budget,
    report: &mut Report,
) -> Result<Seen, LedgerError> {
    let rounds = read_rounds(run, report).await?;
    let for_ending = budget.share(ENDING_PERCENT);
    let work = |subscription| {
        let rounds = &rounds;
        async move { seal_if_ending(run, &subscription, rounds, for_ending).await }
    };
    let passed = over_attention(run, "open", for_ending, work, report).await?;
    let finished = seal_all_new(run, &passed.new, budget, report).await?;
    Ok(Seen {
        has_ending: passed.ending > 0 || !passed.finished,
        finished: passed.finished && finished,
    })
}

/// Reads the progress of each shard. Damaged progress counts as unknown, and the round logs it.
async fn read_rounds(run: &Run<'_>, report: &mut Report) -> Result<Rounds, LedgerError> {
    let mut rounds = Rounds::default();
    let read = run.app.ledger.progress_of_shards().await?;
    for (progress, sealed_through) in read.into_iter().zip(&mut rounds) {
        match progress {
            Ok(progress) => *sealed_through = progress.map(|progress| progress.sealed_through),
            Err(_) => report.damaged += 1,
        }
    }
    Ok(rounds)
}

/// Seals the open hours of a subscription if it is ending. A new subscription is only recognised.
async fn seal_if_ending(
    run: &Run<'_>,
    subscription: &Subscription,
    rounds: &Rounds,
    budget: Budget,
) -> Result<Work, LedgerError> {
    let Some(profile) = read_profile(run, subscription).await? else {
        return Ok(Work::default());
    };
    match profile.status() {
        Status::Active => Ok(Work {
            kind: Kind::New,
            ..Work::default()
        }),
        Status::Ending => {
            let sealed_through = rounds.get(usize::from(shard_of(subscription)));
            ending::seal_open(run, &profile, sealed_through.copied().flatten(), budget).await
        }
        Status::Pending | Status::Ended => Ok(Work::default()),
    }
}

/// Reads a profile. Returns `None` if it has no attention any more: the index lags behind.
pub(crate) async fn read_profile(
    run: &Run<'_>,
    subscription: &Subscription,
) -> Result<Option<Profile>, LedgerError> {
    let profile = run.app.ledger.profile(subscription).await?;
    Ok(profile.filter(|profile| profile.attention_since.is_some()))
}

/// Seals new subscriptions. A subscription that is sealed already costs a single read. So if one
/// run has too little time, the next run reaches the others.
async fn seal_all_new(
    run: &Run<'_>,
    subscriptions: &[Subscription],
    budget: Budget,
    report: &mut Report,
) -> Result<bool, LedgerError> {
    let mut finished = true;
    let mut results = stream::iter(subscriptions)
        .map(|subscription| async move {
            if budget.is_spent() {
                return None;
            }
            Some((subscription, seal_new(run, subscription, budget).await))
        })
        .buffer_unordered(AT_ONCE);
    while let Some(one) = results.next().await {
        match one {
            Some((_, Ok(work))) => {
                work.settled.iter().for_each(|one| report.add(one));
                report.damaged += work.damaged;
                finished &= !work.is_cut;
            }
            Some((subscription, Err(error))) => {
                tracing::error!(%subscription, %error, "this new subscription could not be sealed");
                report.left_flagged += 1;
                report.damaged += u64::from(matches!(error, LedgerError::Malformed(_)));
            }
            None => finished = false,
        }
    }
    Ok(finished)
}

/// Seals a new subscription through the watermark and stores how far it is sealed. As in a round, a
/// row that is put after its hour was read is also put after the watermark was raised, so it is
/// flagged.
async fn seal_new(
    run: &Run<'_>,
    subscription: &Subscription,
    budget: Budget,
) -> Result<Work, LedgerError> {
    let mut work = Work::default();
    let Some(profile) = read_profile(run, subscription).await? else {
        return Ok(work);
    };
    if profile.status() != Status::Active {
        return Ok(work);
    }
    let begin = match profile.sealed_through {
        Some(hour) => hour.next(),
        None => first_hour(&profile, run.now),
    };
    let hours: Vec<UsageHour> = begin.through(run.watermark).collect();
    let sealed_through = recount_all(run, &profile, &hours, budget, &mut work).await?;
    store_sealed_through(run, &profile, sealed_through).await?;
    ending::make_ordinary(run, &profile, &mut work).await?;
    Ok(work)
}

/// Stores through which hour a subscription with attention is sealed.
pub(crate) async fn store_sealed_through(
    run: &Run<'_>,
    profile: &Profile,
    sealed_through: Option<UsageHour>,
) -> Result<(), LedgerError> {
    if sealed_through <= profile.sealed_through {
        return Ok(());
    }
    let mut sealed = profile.clone();
    sealed.sealed_through = sealed_through;
    if run.app.ledger.change_profile(profile, &sealed).await? == Written::Conflict {
        tracing::debug!(subscription = %profile.subscription, "the profile changed meanwhile; the next run will seal these hours again");
    }
    Ok(())
}

/// Recounts hours of one subscription in the given order. Returns the last hour that was recounted,
/// or `None` if none was. If the time runs out, the work is marked as cut. An hour that cannot be
/// settled counts as done, because it is flagged.
pub(crate) async fn recount_all(
    run: &Run<'_>,
    profile: &Profile,
    hours: &[UsageHour],
    budget: Budget,
    work: &mut Work,
) -> Result<Option<UsageHour>, LedgerError> {
    let mut last = None;
    for chunk in hours.chunks(HOURS_AT_ONCE) {
        if budget.is_spent() {
            work.is_cut = true;
            return Ok(last);
        }
        let settled: Vec<_> = stream::iter(chunk.to_vec())
            .map(|hour| recount_or_flag(run, profile, hour))
            .buffered(HOURS_AT_ONCE)
            .try_collect()
            .await?;
        for (one, is_damaged) in settled {
            work.settled.push(one);
            work.damaged += u64::from(is_damaged);
        }
        last = chunk.last().copied();
    }
    Ok(last)
}

/// Recounts an hour, or flags it if one of its items cannot be used. A damaged hour must not keep
/// the other hours from being sealed in time. Also returns whether a damaged item was the cause. If
/// DynamoDB fails, so does this function, and the next run tries again.
pub(crate) async fn recount_or_flag(
    run: &Run<'_>,
    profile: &Profile,
    hour: UsageHour,
) -> Result<(Settled, bool), LedgerError> {
    let subscription = &profile.subscription;
    let error = match recount_hour(run, profile, hour).await {
        Ok(settled) => return Ok((settled, false)),
        Err(error @ (LedgerError::Unavailable { .. } | LedgerError::Contended { .. })) => {
            return Err(error);
        }
        Err(error) => error,
    };
    tracing::error!(%subscription, %hour, %error, "this hour could not be recounted and stays flagged");
    run.app
        .ledger
        .flag_late(subscription, hour, run.now)
        .await?;
    let settled = Settled {
        left_flagged: true,
        ..Settled::default()
    };
    Ok((settled, matches!(error, LedgerError::Malformed(_))))
}

/// Returns the earliest hour whose usage may still be billed.
pub(crate) fn first_hour(profile: &Profile, now: Timestamp) -> UsageHour {
    profile.first_possible_hour().max(first_open_hour(now))
}
