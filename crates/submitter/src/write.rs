//! Stores the outcomes of the records, and the lanes to remember.

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use ledger::record::DoubtfulWrite;
use ledger::{LedgerError, Written};
use marketplace::answer::{Next, Verdict, next};
use marketplace::record::Transmissions;
use marketplace::{MeteringRecord, State};
use runtime::InvocationError;

use crate::App;
use crate::queue::LaneChange;
use crate::tally::Tally;
use crate::unwritten::Unwritten;

/// The number of outcomes that are written at the same time.
const AT_ONCE: usize = 16;

/// Writes each record's outcome. If one write fails, the others are still made, because an
/// unwritten success is discovered only by sending the record again.
pub(crate) async fn outcomes(
    app: &App,
    verdicts: Vec<(MeteringRecord, Verdict)>,
    tally: &mut Tally,
    unwritten: &mut Unwritten,
) -> Result<(), InvocationError> {
    if verdicts.is_empty() {
        return Ok(());
    }
    // The time is read now, because an invocation may last for minutes and the next due time counts
    // from the answer.
    let now = app.clock.now().await?;
    let verdicts: Vec<_> = verdicts
        .into_iter()
        .map(|(record, verdict)| {
            let transmissions = unwritten.take(&record.slot);
            (record, verdict, transmissions)
        })
        .collect();
    let written: Vec<_> = stream::iter(verdicts)
        .map(|(record, verdict, transmissions)| {
            let next = next(&verdict, record.state, record.attempts);
            if next.retry_after.is_some() {
                tally.add_waiting(&record, next.state, now);
            }
            async move {
                let written = write_one(app, &record, &verdict, &next, transmissions, now).await;
                match written {
                    Ok(()) => Ok((next, verdict)),
                    Err(error) => {
                        let doubtful = DoubtfulWrite::of(&record, &verdict, now);
                        Err((record.slot, transmissions, doubtful, error))
                    }
                }
            }
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut failure = None;
    for one in written {
        match one {
            Ok((next, verdict)) => count(tally, next.state, &verdict),
            Err((slot, transmissions, doubtful, error)) => {
                unwritten.put_back(slot, transmissions, doubtful);
                failure = Some(error);
            }
        }
    }
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// Writes an outcome. If another invocation wrote to the record first, this outcome is dropped, and
/// the transmissions of this invocation are added to those of the other invocation.
async fn write_one(
    app: &App,
    record: &MeteringRecord,
    verdict: &Verdict,
    next: &Next,
    transmissions: Transmissions,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let written = app.ledger.write_outcome(record, verdict, next, now).await?;
    if written == Written::Conflict {
        tracing::debug!(slot = %record.slot, "another invocation wrote to this record first; this outcome is dropped");
        if !transmissions.is_empty() {
            // The first write may also be this one, if its answer was lost and the SDK repeated it.
            let doubtful = DoubtfulWrite::of(record, verdict, now);
            app.ledger
                .add_transmissions(&record.slot, transmissions, Some(&doubtful))
                .await?;
        }
    }
    Ok(())
}

/// Writes which lanes were refused or put right. A lane is only a hint. If it could not be written,
/// later invocations need some more calls. So a failure must not end this invocation.
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
