//! Hours that were flagged after they were sealed.
//!
//! The flag is read, then the hour is recounted, then the flag is removed only if it is still the
//! one that was read: a row that came meanwhile has put it again.

use futures_util::{StreamExt, stream};
use ledger::{LedgerError, SHARDS, Written};
use marketplace::{Subscription, UsageHour};

use crate::settle::{Settled, recount_hour};
use crate::{AT_ONCE, Report, Run};

/// Recounts every flagged hour; `false` if the time ran out.
pub(crate) async fn recount_flagged(
    run: &Run<'_>,
    report: &mut Report,
) -> Result<bool, LedgerError> {
    for shard in 0..SHARDS {
        let mut start = None;
        loop {
            if run.budget.is_spent() {
                return Ok(false);
            }
            let (flags, next) = run.app.ledger.late_flags(shard, run.now, start).await?;
            let done: Vec<(Subscription, UsageHour, Result<Outcome, LedgerError>)> =
                stream::iter(flags)
                    .map(|(subscription, hour)| async move {
                        let outcome = recount_flag(run, &subscription, hour).await;
                        (subscription, hour, outcome)
                    })
                    .buffered(AT_ONCE)
                    .collect()
                    .await;
            for (subscription, hour, outcome) in done {
                match outcome {
                    Ok(outcome) => {
                        report.add(&outcome.settled);
                        report.flags_cleared += u64::from(outcome.cleared);
                    }
                    Err(error) => {
                        tracing::error!(%subscription, %hour, %error, "this hour could not be recounted and stays flagged");
                        report.left_flagged += 1;
                    }
                }
            }
            start = next;
            if start.is_none() {
                break;
            }
        }
    }
    Ok(true)
}

#[derive(Default)]
struct Outcome {
    settled: Settled,
    cleared: bool,
}

async fn recount_flag(
    run: &Run<'_>,
    subscription: &Subscription,
    hour: UsageHour,
) -> Result<Outcome, LedgerError> {
    let ledger = &run.app.ledger;
    let Some(flag) = ledger.late_flag(subscription, hour).await? else {
        return Ok(Outcome::default());
    };
    let Some(profile) = ledger.profile(subscription).await? else {
        tracing::warn!(%subscription, %hour, "flagged, but there is no such subscription yet");
        return Ok(Outcome::default());
    };
    let settled = recount_hour(run, &profile, hour).await?;
    let cleared = !settled.left_flagged && ledger.clear_late_flag(&flag).await? == Written::Done;
    Ok(Outcome { settled, cleared })
}
