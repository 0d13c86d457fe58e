//! What becomes of each call in a seed.

use fastrand::Rng;
use marketplace::error_table::{ANY_OTHER_CODE, ERROR_TABLE, Met, may_have_recorded};

use super::family::{Family, stream};
use crate::proof::wire::{Call, Fate, Plan, Service};

/// Rates in ten thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallTrouble {
    /// See [`Fate`].
    pub unsent: u32,
    /// See [`Fate`].
    pub unanswered: u32,
    /// Of ten thousand calls of AWS Marketplace: answered in half, or not in time.
    pub garbled: u32,
    /// See [`Fate`].
    pub throttled: u32,
    /// See [`Fate`].
    pub failed: u32,
    /// See [`Fate`].
    pub dies: u32,
    /// Of ten thousand writes.
    pub conflicting: u32,
    /// Of ten thousand queries of an index.
    pub stale: u32,
    /// Of ten thousand calls of BatchGetItem and BatchWriteItem.
    pub partly: u32,
    /// Of ten thousand calls of BatchMeterUsage: refused with any code of the error table.
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

    /// Of ten thousand calls, those that fail: a run of the sealer makes some thirty, and the clients
    /// here never try again.
    pub fn failing(&self) -> u32 {
        self.unsent + self.unanswered + self.throttled + self.failed + self.dies
    }

    /// What becomes of each call. Each family draws for each call that it can strike, whatever the
    /// others do; the first that strikes decides.
    pub fn plan(self, seed: u64) -> Plan {
        let mut draws: Vec<Rng> = (0..STRIKES.len())
            .map(|n| stream(seed, &format!("calls {n}")))
            .collect();
        Box::new(move |call: &Call| {
            let mut fate = Fate::Answered;
            for (strike, draws) in STRIKES.iter().zip(&mut draws) {
                let drawn = strike(self, call, draws);
                if fate == Fate::Answered {
                    fate = drawn;
                }
            }
            fate
        })
    }
}

/// What a family makes of a call.
type Strike = fn(CallTrouble, &Call, &mut Rng) -> Fate;

const STRIKES: [Strike; 8] = [
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

/// One draw of a family: the first fate whose rate it lies within.
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

/// Any write may meet another's transaction; only the stack's own processes make both.
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

/// A refusal that AWS Marketplace has a code for, of BatchMeterUsage alone, or one that nobody has seen.
/// Other failures that may have recorded something come from the emulator, which shows them to CloudTrail.
fn refusals(rates: CallTrouble, call: &Call, draws: &mut Rng) -> Fate {
    if call.operation != "BatchMeterUsage" {
        return Fate::Answered;
    }
    let errors: Vec<&'static str> = ERROR_TABLE
        .iter()
        .filter(|row| row.met == Met::Error)
        .filter(|row| row.code == ANY_OTHER_CODE || !may_have_recorded(row.code))
        .map(|row| row.code)
        .collect();
    let code = errors[draws.usize(0..errors.len())];
    drawn(draws, true, &[(rates.refused, Fate::Refused(code))])
}
