//! What the answers made of the records.

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use ledger::{LedgerError, Written};
use marketplace::outcome::{Verdict, next};
use marketplace::{MeteringRecord, State};

use crate::App;
use crate::send::Tally;

/// Outcomes written at the same time.
const AT_ONCE: usize = 16;

/// Writes each record's outcome. All are tried even when one fails: a success that could not be
/// written is only found out by sending the record again.
pub(crate) async fn outcomes(
    app: &App,
    verdicts: Vec<(MeteringRecord, Verdict)>,
    now: Timestamp,
    tally: &mut Tally,
) -> Result<(), LedgerError> {
    for (record, verdict) in &verdicts {
        if next(verdict, record.state, record.attempts)
            .retry_after
            .is_some()
        {
            tally.note(record, now);
        }
    }
    let written: Vec<Result<(State, Verdict), LedgerError>> = stream::iter(verdicts)
        .map(|(record, verdict)| async move {
            let next = next(&verdict, record.state, record.attempts);
            if app.ledger.write_outcome(&record, &verdict, &next, now).await? == Written::Conflict {
                tracing::debug!(slot = %record.key, "somebody else wrote first; this answer changes nothing");
            }
            Ok((next.state, verdict))
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut failure = None;
    for one in written {
        match one {
            Ok((state, verdict)) => count(tally, state, &verdict),
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(()), Err)
}

fn count(tally: &mut Tally, state: State, verdict: &Verdict) {
    match (state, verdict) {
        (State::Accepted, _) => tally.accepted += 1,
        (State::Disputed, _) => tally.disputed += 1,
        (_, Verdict::Suspected { .. }) => tally.suspected += 1,
        (State::Refused, _) => tally.refused += 1,
        (_, Verdict::NotSubscribed) => tally.not_subscribed += 1,
        (_, Verdict::UnknownStatus(_)) => {
            tally.unknown += 1;
            tally.left += 1;
        }
        _ => tally.left += 1,
    }
}
