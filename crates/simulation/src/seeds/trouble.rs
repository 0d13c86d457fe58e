//! The faults of a seed.

use emulator::{Fault, FaultKind, Faults};
use fastrand::Rng;
use jiff::Timestamp;
use local::stack::DeliveryTrouble;
use marketplace::audit::Source;

use super::calls::CallTrouble;
use super::family::Family;
use super::story::{Story, after};

/// All faults of a seed. They end at [`Story::healed`].
#[derive(Debug, Clone)]
pub struct Trouble {
    /// The families that are on.
    pub families: Vec<Family>,
    /// The rates at which calls fail.
    pub calls: CallTrouble,
    /// The kinds of fault of AWS Marketplace, each with the percentage of calls that it affects.
    pub marketplace: Vec<(FaultKind, u32)>,
    /// The percentage of CloudTrail's calls that are throttled.
    pub lookups_throttled: u32,
    /// The times in which every call of AWS Marketplace fails.
    pub outages: Vec<Outage>,
    /// A time in which every call for one product or one buyer fails.
    pub of_one: Option<(Outage, Whom)>,
    /// The delays, gaps, repetitions and losses with which CloudTrail shows calls.
    pub history: HistoryTrouble,
    /// The longest delay of lifecycle messages, in minutes.
    pub lifecycle_late: i64,
    /// The percentage of lifecycle messages that come twice.
    pub lifecycle_repeated: u32,
    /// The faults of stream deliveries, as rates in a thousand; `None` if there are none.
    pub streams: Option<DeliveryTrouble>,
    /// Whether both streams are off during the whole seed, even after the other faults have ended.
    pub streams_off: bool,
    /// The percentage of schedules that do not fire.
    pub missed: u32,
    /// The percentage of schedules that fire twice at the same time.
    pub doubled: u32,
    /// The rate of steps, in a thousand, that let time pass while calls are under way.
    pub slow: u32,
    /// The error of each function's clock, in milliseconds.
    pub off_ms: [i64; 7],
    /// The percentage of invocations whose time runs out after some calls.
    pub cut_short: u32,
}

/// A time in which every call of AWS Marketplace fails.
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    /// The first instant of the outage.
    pub from: Timestamp,
    /// The first instant after the outage.
    pub until: Timestamp,
    /// The way in which the calls fail, such as a missing permission or lost answers.
    pub kind: FaultKind,
}

/// The one product or buyer whose requests fail.
#[derive(Debug, Clone, Copy)]
pub enum Whom {
    /// Requests that name this product, an index of [`Story::listings`].
    Product(usize),
    /// Requests that name this buyer, an index of [`Story::buyers`].
    Buyer(usize),
}

/// The delays, gaps, repetitions and losses with which CloudTrail shows calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct HistoryTrouble {
    /// The longest additional delay of an event, in seconds. Each event has another delay.
    pub spread_s: u32,
    /// The percentage of half hours whose events all have the longest delay.
    pub gaps_percent: u32,
    /// The percentage of events that are shown twice.
    pub repeated_percent: u32,
    /// The rate of events, in a thousand, that are never shown.
    pub lost_per_mille: u32,
}

/// The kinds of fault of AWS Marketplace that affect single calls.
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
    /// The faults of a seed.
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
            // Few seeds of the family have this, because the check must excuse much usage that no
            // stream reports.
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

    /// The faults of the emulated AWS Marketplace at a time. `name` is the text by which requests
    /// name the product or buyer. A fault's random numbers depend on its place in the list, so each
    /// fault has its place whether or not it is in force.
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

    /// The source from which the audit reads CloudTrail's events.
    pub fn source(&self) -> Source {
        match self.families.contains(&Family::Trail) {
            true => Source::Trail,
            false => Source::EventHistory,
        }
    }

    /// All outages: of AWS Marketplace, and of one product or buyer.
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
    // Some seeds have twice as many faults as others.
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
    // A submitter that dies has not counted its last call. If the history loses the call as well,
    // nothing shows it, and the stack cannot know of it.
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

/// The error of each function's clock in milliseconds. It is at most two seconds, as it may be on
/// AWS, or at most twenty seconds, which is more than ever on AWS.
fn clocks(seed: u64) -> [i64; 7] {
    let Some(mut draws) = Family::Clocks.draws(seed) else {
        return [0; 7];
    };
    let most = [2_000, 20_000][draws.usize(0..2)];
    std::array::from_fn(|_| draws.i64(-most..=most))
}
