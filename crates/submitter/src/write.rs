//! Stores the outcomes of the records, and the lanes to remember.

use futures_util::{StreamExt, stream};
use ledger::{LedgerError, Written};
use marketplace::outcome::{Next, Verdict, next};
use marketplace::{MeteringRecord, State};

use crate::queue::LaneChange;
use crate::send::Tally;
use crate::{App, SubmitError};

/// How many outcomes are written at the same time.
const AT_ONCE: usize = 16;

/// Writes each record's outcome. If one write fails the others are still made: a success that is
/// not written is only discovered by sending the record again.
pub(crate) async fn outcomes(
    app: &App,
    verdicts: Vec<(MeteringRecord, Verdict)>,
    tally: &mut Tally,
) -> Result<(), SubmitError> {
    if verdicts.is_empty() {
        return Ok(());
    }
    // The time is read now, because an invocation may last for minutes and the next due time counts
    // from the answer.
    let now = app.clock.now().await?;
    let written: Vec<Result<(Next, Verdict), LedgerError>> = stream::iter(verdicts)
        .map(|(record, verdict)| {
            let next = next(&verdict, record.state, record.attempts);
            if next.retry_after.is_some() {
                tally.note(&record, now);
            }
            async move {
                let written = app.ledger.write_outcome(&record, &verdict, &next, now).await?;
                if written == Written::Conflict {
                    tracing::debug!(slot = %record.key, "the record was changed since it was read; this answer changes nothing");
                    if !record.sent.is_empty() {
                        app.ledger.raise_transmissions(&record).await?;
                    }
                }
                Ok((next, verdict))
            }
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut failure = None;
    for one in written {
        match one {
            Ok((next, verdict)) => count(tally, next.state, &verdict),
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// Writes which lanes were refused or put right. A lane is only a hint: one that could not be
/// written costs later invocations some calls, so a failure must not end this invocation.
pub(crate) async fn lanes(app: &App, changes: Vec<LaneChange>) {
    let write = |change| async move {
        let written = match &change {
            LaneChange::Refused(guilt) => app.ledger.remember_lane(guilt).await,
            LaneChange::PutRight(lane) => app.ledger.forget_lane(lane).await,
        };
        if let Err(error) = written {
            tracing::warn!(%error, ?change, "a lane could not be written; later requests will discover it again");
        }
    };
    stream::iter(changes)
        .for_each_concurrent(AT_ONCE, write)
        .await;
}

fn count(tally: &mut Tally, state: State, verdict: &Verdict) {
    match (state, verdict) {
        (State::Accepted, _) => tally.accepted += 1,
        (State::Disputed, _) => tally.disputed += 1,
        (_, Verdict::Suspected { .. }) => tally.suspected += 1,
        (_, Verdict::GroupFailing { .. }) => tally.group_failing += 1,
        (State::Refused, _) => tally.refused += 1,
        (_, Verdict::NotSubscribed) => tally.not_subscribed += 1,
        (_, Verdict::UnknownStatus(_)) => {
            tally.unknown += 1;
            tally.left += 1;
        }
        _ => tally.left += 1,
    }
}
