//! What a seed breaks.

use emulator::{Fault, FaultKind, Faults};
use fastrand::Rng;
use jiff::Timestamp;
use local::stack::DeliveryTrouble;
use marketplace::audit::Source;

use super::calls::CallTrouble;
use super::family::Family;
use super::story::{Story, after};

/// Everything that goes wrong until the world is healed.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// The families that are on.
    pub families: Vec<Family>,
    /// What becomes of calls.
    pub calls: CallTrouble,
    /// Of a hundred calls of AWS Marketplace, those that meet each kind of fault.
    pub marketplace: Vec<(FaultKind, u32)>,
    /// Of a hundred calls of CloudTrail, those that are throttled.
    pub lookups_throttled: u32,
    /// When no call of AWS Marketplace comes to anything.
    pub outages: Vec<Outage>,
    /// The same of one product, or one buyer.
    pub of_one: Option<(Outage, Whom)>,
    /// When and how CloudTrail shows calls.
    pub history: HistoryTrouble,
    /// Lifecycle messages come up to so many minutes late.
    pub lifecycle_late: i64,
    /// Of a hundred, those that come twice.
    pub lifecycle_repeated: u32,
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
    /// Of a hundred invocations, those whose time ends after some calls.
    pub cut_short: u32,
}

/// A time in which every call of AWS Marketplace fails.
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub until: Timestamp,
    /// Why: for want of permission, because every answer is lost, or what else there is.
    pub kind: FaultKind,
}

/// Whose requests fail.
#[derive(Debug, Clone, Copy)]
pub enum Whom {
    /// Those that name this product of the story.
    Product(usize),
    /// Those that name this buyer of the story.
    Buyer(usize),
}

/// When and how CloudTrail shows calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct HistoryTrouble {
    /// Every event comes up to so many seconds later than it can, each by another delay.
    pub spread_s: u32,
    /// Of a hundred half hours, those whose events come last of all.
    pub gaps_percent: u32,
    /// Of a hundred events, those that are shown twice.
    pub repeated_percent: u32,
    /// Of a thousand events, those that are never shown.
    pub lost_per_mille: u32,
}

/// Every kind of fault of AWS Marketplace that strikes now and then.
pub const KINDS: [FaultKind; 13] = [
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
    FaultKind::DisabledApi,
    FaultKind::ExpiredCredentials,
];

impl Trouble {
    /// The trouble of a seed.
    pub fn of(seed: u64, story: &Story) -> Self {
        let families: Vec<Family> = Family::ALL
            .into_iter()
            .filter(|family| family.is_on(seed))
            .collect();
        let (missed, doubled) = Family::Schedules
            .draws(seed)
            .map_or((0, 0), |mut draws| (draws.u32(0..30), draws.u32(0..30)));
        let (lifecycle_late, lifecycle_repeated) =
            Family::Lifecycle.draws(seed).map_or((0, 0), |mut draws| {
                let late = [1, 10, 60, 6 * 60][draws.usize(0..4)];
                (late, [0, 30][draws.usize(0..2)])
            });
        Self {
            families,
            calls: CallTrouble::of(seed),
            marketplace: faults(seed),
            lookups_throttled: Family::History
                .draws(seed)
                .map_or(0, |mut draws| draws.u32(0..20)),
            outages: outages(seed, story),
            of_one: of_one(seed, story),
            history: history(seed),
            lifecycle_late,
            lifecycle_repeated,
            streams: streams(seed),
            // Two hours are enough to break a promise: so only in some seeds of the family.
            streams_off: Family::StreamsOff
                .draws(seed)
                .is_some_and(|mut draws| draws.u32(0..100) < 20),
            missed,
            doubled,
            slow: Family::Slowness
                .draws(seed)
                .map_or(0, |mut draws| [5, 20][draws.usize(0..2)]),
            off_ms: clocks(seed),
            cut_short: Family::Budgets
                .draws(seed)
                .map_or(0, |mut draws| [10, 50][draws.usize(0..2)]),
        }
    }

    /// AWS Marketplace's own faults at a time. `name` is how requests name whom they are about.
    /// A fault's draws depend on its place, so each has its own, in force or not.
    pub fn faults(
        &self,
        seed: u64,
        now: Timestamp,
        name: impl Fn(Whom) -> Option<String>,
    ) -> Faults {
        let is_now = |outage: &&Outage| (outage.from..outage.until).contains(&now);
        let never = || Fault::rate("BatchMeterUsage", FaultKind::AccessDenied, 0.0);
        let outage = self.outages.iter().find(is_now);
        let mut faults = vec![outage.map_or_else(never, |outage| {
            Fault::rate("BatchMeterUsage", outage.kind, 1.0)
        })];
        let of_one = self.of_one.filter(|(outage, _)| is_now(&outage));
        faults.push(
            of_one
                .and_then(|(outage, whom)| {
                    let fault = Fault::rate("BatchMeterUsage", outage.kind, 1.0);
                    Some(fault.containing(&name(whom)?))
                })
                .unwrap_or_else(never),
        );
        faults.extend(KINDS.map(|kind| {
            let percent = self.marketplace.iter().find(|(one, _)| *one == kind);
            let rate = percent.map_or(0.0, |(_, percent)| f64::from(*percent) / 100.0);
            Fault::rate("BatchMeterUsage", kind, rate).records(2)
        }));
        let rate = f64::from(self.lookups_throttled) / 100.0;
        for operation in ["LookupEvents", "ListObjectsV2", "GetObject"] {
            faults.push(Fault::rate(operation, FaultKind::Throttling, rate));
        }
        Faults { seed, faults }
    }

    /// Where the audit reads CloudTrail's events.
    pub fn source(&self) -> Source {
        match self.families.contains(&Family::Trail) {
            true => Source::Trail,
            false => Source::EventHistory,
        }
    }

    /// Every outage, of all or of one.
    pub fn all_outages(&self) -> impl Iterator<Item = &Outage> {
        let of_one = self.of_one.iter().map(|(outage, _)| outage);
        self.outages.iter().chain(of_one)
    }

    /// The times at which an outage begins or ends.
    pub fn turns(&self) -> Vec<Timestamp> {
        self.all_outages()
            .flat_map(|outage| [outage.from, outage.until])
            .collect()
    }
}

fn faults(seed: u64) -> Vec<(FaultKind, u32)> {
    let Some(mut draws) = Family::Marketplace.draws(seed) else {
        return Vec::new();
    };
    // A little, or a lot.
    let scale = [1, 1, 2][draws.usize(0..3)];
    KINDS
        .into_iter()
        .map(|kind| (kind, scale * draws.u32(0..8) * draws.u32(0..2)))
        .filter(|(_, percent)| *percent > 0)
        .collect()
}

fn outages(seed: u64, story: &Story) -> Vec<Outage> {
    let minutes = story.healed.duration_since(story.start).as_mins().max(1);
    let some = |draws: &mut Rng, kinds: &[FaultKind]| -> Vec<Outage> {
        (0..draws.usize(0..3))
            .map(|_| {
                let from = after(story.start, draws.i64(0..minutes));
                Outage {
                    from,
                    until: after(from, draws.i64(10..240)).min(story.healed),
                    kind: kinds[draws.usize(0..kinds.len())],
                }
            })
            .collect()
    };
    let mut outages = Vec::new();
    if let Some(mut draws) = Family::Permissions.draws(seed) {
        outages.extend(some(&mut draws, &[FaultKind::AccessDenied]));
    }
    if let Some(mut draws) = Family::Outages.draws(seed) {
        let long = [FaultKind::AccessDenied, FaultKind::DropAfter][draws.usize(0..2)];
        if let Some((from, until)) = story.long_outage {
            outages.push(Outage {
                from,
                until,
                kind: long,
            });
        }
        let kinds = [
            FaultKind::InternalError,
            FaultKind::DropBefore,
            FaultKind::BadGateway,
            FaultKind::Throttling,
            FaultKind::ClockSkew,
        ];
        outages.extend(some(&mut draws, &kinds));
    }
    outages
}

fn of_one(seed: u64, story: &Story) -> Option<(Outage, Whom)> {
    let mut draws = Family::OfOne.draws(seed)?;
    let minutes = story.healed.duration_since(story.start).as_mins().max(1);
    let from = after(story.start, draws.i64(0..minutes));
    let kinds = [
        FaultKind::InternalError,
        FaultKind::DropBefore,
        FaultKind::UnknownError,
        FaultKind::DropAfter,
    ];
    let outage = Outage {
        from,
        until: after(from, draws.i64(60..6 * 60)).min(story.healed),
        kind: kinds[draws.usize(0..kinds.len())],
    };
    let whom = match draws.bool() {
        true => Whom::Product(draws.usize(0..story.listings.len())),
        false => Whom::Buyer(draws.usize(0..story.buyers.len())),
    };
    Some((outage, whom))
}

fn history(seed: u64) -> HistoryTrouble {
    let Some(mut draws) = Family::History.draws(seed) else {
        return HistoryTrouble::default();
    };
    let trouble = HistoryTrouble {
        spread_s: draws.u32(60..8 * 3_600),
        gaps_percent: [0, 10, 30][draws.usize(0..3)],
        repeated_percent: [0, 10][draws.usize(0..2)],
        lost_per_mille: [0, 20, 100][draws.usize(0..3)],
    };
    // What a dead submitter sent, nobody has counted: where the history loses the call as well, nothing
    // is left of it. That is the one thing that this stack cannot know.
    match Family::Deaths.is_on(seed) {
        true => HistoryTrouble {
            lost_per_mille: 0,
            ..trouble
        },
        false => trouble,
    }
}

fn streams(seed: u64) -> Option<DeliveryTrouble> {
    let mut draws = Family::Streams.draws(seed)?;
    Some(DeliveryTrouble {
        dropped: draws.u16(0..150) * draws.u16(0..2),
        repeated: draws.u16(0..150),
        reordered: draws.u16(0..150),
        delayed: draws.u16(0..150),
    })
}

/// Two seconds is what clocks on AWS may differ by; twenty, what they certainly do not.
fn clocks(seed: u64) -> [i64; 7] {
    let Some(mut draws) = Family::Clocks.draws(seed) else {
        return [0; 7];
    };
    let most = [2_000, 20_000][draws.usize(0..2)];
    std::array::from_fn(|_| draws.i64(-most..=most))
}
