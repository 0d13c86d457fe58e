//! Families of faults, each with draws of its own.
//!
//! Where everything may break at once, much of it is never reached: a process that dies at every tenth
//! call lives through no long outage. So each family is off in every other seed. And since none draws
//! from another's stream, a change of one leaves the others as they were.

use fastrand::Rng;

/// What breaks together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Calls that are not sent, not answered, or answered in half.
    LostAnswers,
    /// Processes that die.
    Deaths,
    /// DynamoDB throttles and fails.
    DynamoDb,
    /// Writes that meet another's transaction.
    Conflicts,
    /// Index reads that are stale.
    StaleReads,
    /// Keys that a BatchGetItem leaves unprocessed, and items that a BatchWriteItem does.
    PartialReads,
    /// AWS Marketplace fails, leaves records out and answers strangely.
    Marketplace,
    /// AWS Marketplace refuses for any reason that there is.
    Refusals,
    /// Hours, or a day and more, in which no call comes to anything.
    Outages,
    /// Hours without permission.
    Permissions,
    /// One product or one buyer whose requests fail.
    OfOne,
    /// CloudTrail is late, without order, repetitive and has gaps.
    History,
    /// The audit reads a trail in S3, not the Event history.
    Trail,
    /// Lifecycle messages are late, without order and repeated.
    Lifecycle,
    /// Stream records are dropped, repeated, reordered and delayed.
    Streams,
    /// Both streams are off.
    StreamsOff,
    /// Schedules do not fire, or fire twice at a time.
    Schedules,
    /// Time goes on while calls are under way.
    Slowness,
    /// Clocks differ.
    Clocks,
    /// Invocations whose time ends anywhere.
    Budgets,
    /// Rows that are wrong.
    BadInput,
    /// Buyers who come back after their end.
    Returns,
    /// Hundreds of buyers.
    Crowds,
    /// The reconciler's tasks come each by itself, in any order and at the same time.
    Tasks,
}

impl Family {
    /// All of them.
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

    /// Its draws in a seed; `None` where it is off.
    pub fn draws(self, seed: u64) -> Option<Rng> {
        let mut draws = stream(seed, &format!("{self:?}"));
        draws.bool().then_some(draws)
    }

    /// Whether it is on in a seed.
    pub fn is_on(self, seed: u64) -> bool {
        self.draws(seed).is_some()
    }
}

/// Draws that nothing else shares.
pub fn stream(seed: u64, name: &str) -> Rng {
    // FNV-1a, so that each name has its own draws whatever becomes of the others.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // The generator mixes its seed little: neighbours must differ in many bits.
    let mut of_seed = Rng::with_seed(seed ^ hash);
    Rng::with_seed(of_seed.u64(..) ^ hash.rotate_left(32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_off_with_even_odds() {
        for family in Family::ALL {
            let on = (0..1_000).filter(|seed| family.is_on(*seed)).count();
            assert!((430..570).contains(&on), "{family:?}: {on} of 1000");
        }
    }

    #[test]
    fn no_family_goes_with_another() {
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
