//! Families of faults, each with its own random numbers.
//!
//! If everything may break at once, some states are never reached: a process that dies at every
//! tenth call does not live through a long outage. So each family is off in about half of the
//! seeds. Each family has its own stream of random numbers, so a change of one family does not
//! change the others.

use fastrand::Rng;

/// A family of faults that are on or off together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Calls that are not sent, not answered, or answered in half.
    LostAnswers,
    /// Processes die just before or just after a call.
    Deaths,
    /// DynamoDB throttles and fails.
    DynamoDb,
    /// Writes that meet another writer's transaction.
    Conflicts,
    /// Eventually consistent reads that are stale.
    StaleReads,
    /// Keys and items that a BatchGetItem or a BatchWriteItem leaves unprocessed.
    PartialReads,
    /// AWS Marketplace fails, leaves records unprocessed, or gives unordered, incomplete or unknown
    /// results.
    Marketplace,
    /// AWS Marketplace refuses calls with any code of the error table.
    Refusals,
    /// Hours, or a day and more, in which every call of AWS Marketplace fails.
    Outages,
    /// Hours without permission.
    Permissions,
    /// One product or one buyer whose requests fail.
    OfOne,
    /// CloudTrail's events are late, unordered and repeated, and have gaps.
    History,
    /// The audit reads a trail in S3, not the Event history.
    Trail,
    /// Lifecycle messages are late, unordered and repeated.
    Lifecycle,
    /// Stream records are dropped, repeated, reordered and delayed.
    Streams,
    /// Both streams are off during the whole seed.
    StreamsOff,
    /// Schedules do not fire, or fire twice at the same time.
    Schedules,
    /// Time passes while calls are under way.
    Slowness,
    /// The clocks of the functions differ.
    Clocks,
    /// Invocations whose time runs out after any call.
    Budgets,
    /// The seller's software writes malformed rows.
    BadInput,
    /// Buyers who come back after their end.
    Returns,
    /// Up to hundreds of buyers have one row each.
    Crowds,
    /// The reconciler's tasks have separate invocations, in any order and at the same time.
    Tasks,
}

impl Family {
    /// All families, in the order of their declaration.
    pub const ALL: [Self; 24] = [
        Self::LostAnswers,
        Self::Deaths,
        Self::DynamoDb,
        Self::Conflicts,
        Self::StaleReads,
        Self::PartialReads,
        Self::Marketplace,
        Self::Refusals,
        Self::Outages,
        Self::Permissions,
        Self::OfOne,
        Self::History,
        Self::Trail,
        Self::Lifecycle,
        Self::Streams,
        Self::StreamsOff,
        Self::Schedules,
        Self::Slowness,
        Self::Clocks,
        Self::Budgets,
        Self::BadInput,
        Self::Returns,
        Self::Crowds,
        Self::Tasks,
    ];

    /// The family's random numbers in a seed; `None` if it is off.
    pub fn draws(self, seed: u64) -> Option<Rng> {
        let mut draws = stream(seed, &format!("{self:?}"));
        draws.bool().then_some(draws)
    }

    /// Whether the family is on in a seed.
    pub fn is_on(self, seed: u64) -> bool {
        self.draws(seed).is_some()
    }
}

/// The random numbers of a name in a seed. No other name has the same ones.
pub fn stream(seed: u64, name: &str) -> Rng {
    // FNV-1a, so that the numbers of a name do not depend on other names.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // The generator hardly mixes its seed, so neighbouring seeds must first be made to differ in
    // many bits.
    let mut of_seed = Rng::with_seed(seed ^ hash);
    Rng::with_seed(of_seed.u64(..) ^ hash.rotate_left(32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_on_in_half_of_the_seeds() {
        for family in Family::ALL {
            let on = (0..1_000).filter(|seed| family.is_on(*seed)).count();
            assert!((430..570).contains(&on), "{family:?}: {on} of 1000");
        }
    }

    #[test]
    fn families_are_on_independently_of_each_other() {
        for one in Family::ALL {
            for other in Family::ALL {
                let both = |seed: &u64| one.is_on(*seed) && other.is_on(*seed);
                let together = (0..1_000).filter(both).count();
                assert!(
                    one == other || (180..320).contains(&together),
                    "{one:?} {other:?}"
                );
            }
        }
    }
}
