//! Decides the fate of each call in a seed.

use fastrand::Rng;
use marketplace::error_table::{ANY_OTHER_CODE, ERROR_TABLE, Origin, may_have_recorded};

use super::family::{Family, stream};
use crate::wire::{Call, Fate, Plan, Service};

/// The rates of the fates of calls, in ten thousand. A rate concerns all calls unless its field
/// names certain calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallTrouble {
    /// Calls that are not sent; see [`Fate`].
    pub unsent: u32,
    /// Calls whose answer is lost; see [`Fate`].
    pub unanswered: u32,
    /// Calls of AWS Marketplace that are answered in half, or not in time.
    pub garbled: u32,
    /// Calls of DynamoDB that are throttled; see [`Fate`].
    pub throttled: u32,
    /// Calls of DynamoDB that fail; see [`Fate`].
    pub failed: u32,
    /// Calls at which the process dies; see [`Fate`].
    pub dies: u32,
    /// Writes that meet another writer's transaction.
    pub conflicting: u32,
    /// Queries that get a stale answer, if they are eventually consistent.
    pub stale: u32,
    /// Calls of BatchGetItem and BatchWriteItem that leave something unprocessed.
    pub partly: u32,
    /// Calls of BatchMeterUsage that are refused with any code of the error table.
    pub refused: u32,
}

impl CallTrouble {
    /// The rates of a seed.
    pub fn of(seed: u64) -> Self {
        let rate = |family: Family, most: u32| {
            family
                .draws(seed)
                .map_or(0, |mut draws| draws.u32(1..=2) * draws.u32(1..most))
        };
        let (mut lost, mut dynamo) = (
            Family::LostAnswers.draws(seed),
            Family::DynamoDb.draws(seed),
        );
        let of = |draws: &mut Option<Rng>, most: u32| {
            draws
                .as_mut()
                .map_or(0, |draws| draws.u32(1..=2) * draws.u32(0..most))
        };
        Self {
            unsent: of(&mut lost, 50),
            unanswered: of(&mut lost, 50),
            garbled: of(&mut lost, 200),
            throttled: of(&mut dynamo, 50),
            failed: of(&mut dynamo, 50),
            dies: rate(Family::Deaths, 50),
            conflicting: rate(Family::Conflicts, 800),
            stale: rate(Family::StaleReads, 800),
            partly: rate(Family::PartialReads, 2_400),
            refused: rate(Family::Refusals, 400),
        }
    }

    /// The rate of calls that fail, in ten thousand. A run of the sealer makes some thirty calls
    /// and the clients of the simulation never retry, so even a small rate stops many runs.
    pub fn failing(&self) -> u32 {
        self.unsent + self.unanswered + self.throttled + self.failed + self.dies
    }

    /// The plan of a seed. Each kind of fault draws a number for each call that it can affect, even
    /// if the call already has a fault of another kind. So a change of one kind does not change the
    /// others. The call gets its first fault.
    pub fn plan(self, seed: u64) -> Plan {
        let mut draws: Vec<Rng> = (0..KINDS.len())
            .map(|n| stream(seed, &format!("calls {n}")))
            .collect();
        Box::new(move |call: &Call| {
            let mut fate = Fate::Answered;
            for (kind, draws) in KINDS.iter().zip(&mut draws) {
                let drawn = kind(self, call, draws);
                if fate == Fate::Answered {
                    fate = drawn;
                }
            }
            fate
        })
    }
}

/// Draws the fate that one kind of fault gives to a call: [`Fate::Answered`] if it gives no fault.
type Kind = fn(CallTrouble, &Call, &mut Rng) -> Fate;

const KINDS: [Kind; 8] = [
    conflicts,
    |rates, call, draws| {
        let is_query = call.operation == "Query";
        drawn(draws, is_query, &[(rates.stale, Fate::Stale)])
    },
    |rates, call, draws| {
        let is_batch = matches!(call.operation.as_str(), "BatchGetItem" | "BatchWriteItem");
        drawn(draws, is_batch, &[(rates.partly, Fate::Partly)])
    },
    deaths,
    |rates, _, draws| {
        let fates = [
            (rates.unsent, Fate::Unsent),
            (rates.unanswered, Fate::Unanswered),
        ];
        drawn(draws, true, &fates)
    },
    |rates, call, draws| {
        let fates = [
            (rates.throttled, Fate::Throttled),
            (rates.failed, Fate::Failed),
        ];
        drawn(draws, call.service == Service::DynamoDb, &fates)
    },
    |rates, call, draws| {
        let fates = [
            (rates.garbled / 2, Fate::CutOff),
            (rates.garbled / 2, Fate::TimedOut),
        ];
        drawn(draws, call.operation == "BatchMeterUsage", &fates)
    },
    refusals,
];

/// Draws one number, and returns the first fate whose rate the number lies within. Draws nothing if
/// the call cannot be affected.
fn drawn(draws: &mut Rng, can: bool, fates: &[(u32, Fate)]) -> Fate {
    if !can {
        return Fate::Answered;
    }
    let draw = draws.u32(0..10_000);
    let mut bound = 0;
    for (rate, fate) in fates {
        bound += rate;
        if draw < bound {
            return *fate;
        }
    }
    Fate::Answered
}

/// Any write may meet another writer's transaction, because the stack's processes write the same
/// items with single writes and with transactions.
fn conflicts(rates: CallTrouble, call: &Call, draws: &mut Rng) -> Fate {
    let rate = match call.operation.as_str() {
        "TransactWriteItems" => rates.conflicting,
        "PutItem" | "UpdateItem" | "DeleteItem" => rates.conflicting / 4,
        _ => return Fate::Answered,
    };
    drawn(draws, true, &[(rate, Fate::Conflicting)])
}

fn deaths(rates: CallTrouble, _: &Call, draws: &mut Rng) -> Fate {
    let fate = match draws.bool() {
        true => Fate::DiesBefore,
        false => Fate::DiesAfter,
    };
    drawn(draws, true, &[(rates.dies, fate)])
}

/// A refusal of BatchMeterUsage with a code of AWS Marketplace or with an unknown code. Failures
/// that may have recorded something come from the emulator instead, which also logs them in
/// CloudTrail.
fn refusals(rates: CallTrouble, call: &Call, draws: &mut Rng) -> Fate {
    if call.operation != "BatchMeterUsage" {
        return Fate::Answered;
    }
    let errors: Vec<&'static str> = ERROR_TABLE
        .iter()
        .filter(|row| row.origin == Origin::Error)
        .filter(|row| row.code == ANY_OTHER_CODE || !may_have_recorded(row.code))
        .map(|row| row.code)
        .collect();
    let code = errors[draws.usize(0..errors.len())];
    drawn(draws, true, &[(rates.refused, Fate::Refused(code))])
}
