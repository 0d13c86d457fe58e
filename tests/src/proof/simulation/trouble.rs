//! What a seed breaks.

use emulator::{Fault, FaultKind, Faults};
use fastrand::Rng;
use jiff::Timestamp;
use local::stack::DeliveryTrouble;

use super::super::wire::{Call, Fate, Plan, Service};
use super::story::{Story, after};

/// Everything that goes wrong until the world is healed.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// Of ten thousand calls, those that meet each fate.
    pub calls: CallTrouble,
    /// Of a hundred calls of AWS Marketplace, those that meet each kind of fault.
    pub marketplace: Vec<(FaultKind, u32)>,
    /// When no call of AWS Marketplace comes to anything.
    pub outages: Vec<Outage>,
    /// Of a thousand stream records.
    pub streams: Option<DeliveryTrouble>,
    /// Both streams are off until the world is healed, and beyond.
    pub streams_off: bool,
    /// Of a hundred schedules: fire not at all, or twice at the same time.
    pub missed: u32,
    /// See `missed`.
    pub doubled: u32,
    /// Of a thousand steps: time moves on while calls are under way.
    pub slow: u32,
    /// How far each function's clock is off, in milliseconds.
    pub off_ms: [i64; 7],
}

/// A time in which every call of AWS Marketplace fails.
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub until: Timestamp,
    /// Why: for want of permission, or because every answer is lost.
    pub kind: FaultKind,
}

/// Rates in ten thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallTrouble {
    /// See [`Fate`].
    pub unsent: u32,
    /// See [`Fate`].
    pub unanswered: u32,
    /// See [`Fate`].
    pub throttled: u32,
    /// See [`Fate`].
    pub failed: u32,
    /// See [`Fate`].
    pub dies: u32,
    /// Of ten thousand transactions.
    pub conflicting: u32,
    /// Of ten thousand queries of an index.
    pub stale: u32,
    /// Of ten thousand BatchGetItem calls.
    pub partly: u32,
}

impl Trouble {
    /// The trouble of a seed.
    pub fn of(random: &mut Rng, story: &Story) -> Self {
        // None, a little, a lot.
        let scale = [0, 1, 1, 2][random.usize(0..4)];
        let mut calls = CallTrouble::default();
        for rate in [
            &mut calls.unsent,
            &mut calls.unanswered,
            &mut calls.throttled,
            &mut calls.failed,
            &mut calls.dies,
        ] {
            *rate = scale * random.u32(0..50);
        }
        calls.conflicting = scale * random.u32(0..800);
        calls.stale = scale * random.u32(0..800);
        calls.partly = 3 * calls.stale;
        let kinds = [
            FaultKind::Throttling,
            FaultKind::InternalError,
            FaultKind::UnknownError,
            FaultKind::BadGateway,
            FaultKind::DropBefore,
            FaultKind::DropAfter,
            FaultKind::Unprocessed,
            FaultKind::Reorder,
            FaultKind::MissingRecord,
            FaultKind::MissingStatus,
            FaultKind::UnknownStatus,
        ];
        let marketplace = kinds
            .into_iter()
            .map(|kind| (kind, scale * random.u32(0..8) * random.u32(0..2)))
            .filter(|(_, percent)| *percent > 0)
            .collect();
        let minutes = story.healed.duration_since(story.start).as_mins().max(1);
        let mut outages: Vec<Outage> = (0..[0, 0, 1, 2][random.usize(0..4)])
            .map(|_| {
                let from = after(story.start, random.i64(0..minutes));
                Outage {
                    from,
                    until: after(from, random.i64(10..240)).min(story.healed),
                    kind: FaultKind::AccessDenied,
                }
            })
            .collect();
        if let Some((from, until)) = story.long_outage {
            let kind = match random.bool() {
                true => FaultKind::AccessDenied,
                false => FaultKind::DropAfter,
            };
            outages.push(Outage { from, until, kind });
        }
        let streams = (random.u32(0..100) < 50).then(|| DeliveryTrouble {
            dropped: random.u16(0..150),
            repeated: random.u16(0..150),
            reordered: random.u16(0..150),
            delayed: random.u16(0..150),
        });
        Self {
            calls,
            marketplace,
            outages,
            streams,
            streams_off: random.u32(0..100) < 8,
            missed: random.u32(0..30),
            doubled: random.u32(0..30),
            slow: [0, 5, 20][random.usize(0..3)],
            off_ms: std::array::from_fn(|_| random.i64(-20_000..20_000)),
        }
    }

    /// Of ten thousand calls, those that fail: a run of the sealer makes some thirty, and the clients
    /// here never try again.
    pub fn failing(&self) -> u32 {
        let CallTrouble {
            unsent,
            unanswered,
            throttled,
            failed,
            dies,
            ..
        } = self.calls;
        unsent + unanswered + throttled + failed + dies
    }

    /// What becomes of each call.
    pub fn plan(&self, seed: u64) -> Plan {
        let mut random = Rng::with_seed(seed);
        let rates = self.calls;
        Box::new(move |call: &Call| {
            let draw = random.u32(0..10_000);
            let special = random.u32(0..10_000);
            if call.operation == "TransactWriteItems" && special < rates.conflicting {
                return Fate::Conflicting;
            }
            if call.operation == "Query" && special < rates.stale {
                return Fate::Stale;
            }
            if call.operation == "BatchGetItem" && special < rates.partly {
                return Fate::Partly;
            }
            let mut bound = 0;
            for (rate, fate) in [
                (rates.unsent, Fate::Unsent),
                (rates.unanswered, Fate::Unanswered),
                (
                    rates.dies,
                    if special.is_multiple_of(2) {
                        Fate::DiesBefore
                    } else {
                        Fate::DiesAfter
                    },
                ),
            ] {
                bound += rate;
                if draw < bound {
                    return fate;
                }
            }
            if call.service == Service::DynamoDb {
                for (rate, fate) in [
                    (rates.throttled, Fate::Throttled),
                    (rates.failed, Fate::Failed),
                ] {
                    bound += rate;
                    if draw < bound {
                        return fate;
                    }
                }
            }
            Fate::Answered
        })
    }

    /// AWS Marketplace's own faults at a time.
    pub fn faults(&self, seed: u64, now: Timestamp) -> Faults {
        let mut faults: Vec<Fault> = self
            .marketplace
            .iter()
            .map(|(kind, percent)| {
                Fault::rate("BatchMeterUsage", *kind, f64::from(*percent) / 100.0).records(2)
            })
            .collect();
        let outage = self
            .outages
            .iter()
            .find(|outage| (outage.from..outage.until).contains(&now));
        if let Some(outage) = outage {
            faults.insert(0, Fault::rate("BatchMeterUsage", outage.kind, 1.0));
        }
        Faults { seed, faults }
    }

    /// The times at which an outage begins or ends.
    pub fn turns(&self) -> Vec<Timestamp> {
        self.outages
            .iter()
            .flat_map(|outage| [outage.from, outage.until])
            .collect()
    }
}
