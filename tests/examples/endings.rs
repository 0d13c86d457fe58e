//! Measures how long the sealer takes for subscriptions that end in the same minute, while others
//! continue. The function is unchanged, and the calls of its SDK clients end in this process. To
//! convert calls into seconds, sixteen calls at a time are assumed to take six milliseconds.
//!
//! `cargo build --workspace --example endings && target/debug/examples/endings [ENDED [OTHERS
//! [SECONDS]]]`
//!
//! The default is 2,000 subscriptions of each kind, and the time of an invocation on Lambda for a
//! run. The exit code is 1 if a record of an ended subscription is missing at the end of the final
//! hour.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use emulator::Agreement;
use jiff::SignedDuration;
use ledger::{SHARDS, Written};
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, Subscription, TagSet, UsageHour};
use runtime::{Budget, INVOCATION_TIME};
use simulation::at;
use simulation::bill::billed;
use simulation::run::{Executor, on_a_thread};
use simulation::wire::Fate;
use simulation::world::{Listing, World};

const PURCHASE: &str = "2026-11-19T09:20:00Z";
const END: &str = "2026-11-21T10:24:57Z";
/// The last hour that is sealed for all subscriptions before the end: the 48th.
const SEALED_THROUGH: &str = "2026-11-21T08";
/// The number of calls that a run makes in a second.
const CALLS_PER_SECOND: u64 = 16 * 1_000 / 6;

fn main() -> ExitCode {
    let mut sizes = std::env::args().skip(1).map(|size| size.parse().ok());
    let ended = sizes.next().flatten().unwrap_or(2_000);
    let others = sizes.next().flatten().unwrap_or(2_000);
    let seconds: Option<usize> = sizes.next().flatten();
    let seconds = seconds.map_or(INVOCATION_TIME.as_secs(), |seconds| seconds as u64);
    on_a_thread(|| Executor::default().finish(end_together(ended, others, seconds)))
}

async fn end_together(ended: usize, others: usize, run_seconds: u64) -> ExitCode {
    let world = World::at(at(PURCHASE), 7);
    world.wire.trace_nothing();
    let buyers = buy_all(&world, ended + others).await;
    println!(
        "{ended} subscriptions end after 48 sealed hours, {others} continue, {run_seconds} s for a run"
    );
    world.set_time(at(END));
    for (n, (agreement, subscription)) in buyers.iter().enumerate() {
        for hour in ["2026-11-21T09", "2026-11-21T10"] {
            use_in(&world, subscription, hour).await;
        }
        if n < ended {
            let cancelled = world.emulator.cancel_agreement(&agreement.agreement_id);
            cancelled.expect("cancelled");
        }
    }
    world.deliver_lifecycle().await;

    let made: &'static AtomicU64 = Box::leak(Box::default());
    world.wire.follow(Box::new(move |call| {
        made.fetch_add(u64::from(call.function == "sealer"), Ordering::Relaxed);
        Fate::Answered
    }));
    println!("run    calls  seconds  sealed   urgent  recounts  hours behind  finished");
    let mut now = at(END);
    while now <= at("2026-11-21T11:24:00Z") {
        world.set_time(now);
        // The removal of the licenses becomes known somewhat later than the end.
        world.deliver_lifecycle().await;
        let before = made.load(Ordering::Relaxed);
        let budget = Budget::of_calls(made, run_seconds * CALLS_PER_SECOND);
        let report = world.seal_within(budget).await.expect("a run");
        let calls = made.load(Ordering::Relaxed) - before;
        println!(
            "{} {calls:>7} {:>8} {:>7} {:>8} {:>9} {:>13} {:>9}",
            now.strftime("%H:%M"),
            calls.div_ceil(CALLS_PER_SECOND),
            report.records_sealed,
            report.records_made_urgent,
            report.recounts,
            report.hours_behind,
            report.finished,
        );
        world.sweep().await.expect("a sweep");
        world.pump_records(now).await;
        now += SignedDuration::from_mins(5);
    }
    let slots: BTreeSet<_> = billed(&world).into_keys().collect();
    let missing = |of: &[(Agreement, Subscription)], hour: &str| {
        let hour: UsageHour = hour.parse().expect("an hour");
        let slot = |of: &Subscription| (of.to_string(), "gb".to_owned(), hour);
        of.iter().filter(|(_, s)| !slots.contains(&slot(s))).count()
    };
    let (ended, others) = buyers.split_at(ended);
    let missing = [
        missing(ended, "2026-11-21T09"),
        missing(ended, "2026-11-21T10"),
        missing(others, "2026-11-21T09"),
    ];
    println!(
        "not billed at the end of the final hour: {missing:?} (ended: the hour before the end, and the hour of the end; others: the hour before the end)"
    );
    ExitCode::from(u8::from(missing != [0, 0, 0]))
}

/// Creates active subscriptions. The sealer's rounds have sealed them without any usage.
async fn buy_all(world: &World, count: usize) -> Vec<(Agreement, Subscription)> {
    let listing = Listing {
        code: "endingproduct".to_owned(),
        identity: IdentityKind::License,
        dimensions: vec!["gb".to_owned()],
    };
    world.list(&listing).await;
    let buyers: Vec<_> = (0..count).map(|_| world.subscribe(&listing)).collect();
    world.deliver_lifecycle().await;
    for (_, subscription) in &buyers {
        let profile = world.ledger.profile(subscription).await.expect("readable");
        let profile = profile.expect("activated");
        let mut calm = profile.clone();
        calm.attention_since = None;
        let written = world.ledger.change_profile(&profile, &calm).await;
        assert_eq!(written.expect("written"), Written::Done);
    }
    let hour = SEALED_THROUGH.parse().expect("an hour");
    world.ledger.raise_watermark(hour).await.expect("raised");
    for shard in 0..SHARDS {
        let created = world.ledger.create_shard_progress(shard, hour).await;
        assert_eq!(created.expect("created"), Written::Done);
    }
    buyers
}

async fn use_in(world: &World, subscription: &Subscription, hour: &str) {
    let hour: UsageHour = hour.parse().expect("an hour");
    let event = UsageEvent {
        dimension: "gb".parse().expect("a dimension"),
        id: format!("of-{hour}").parse().expect("an id"),
        quantity: "1".parse().expect("a quantity"),
        time: hour.start() + SignedDuration::from_mins(10),
        tags: TagSet::untagged(),
    };
    world.report(subscription, &event).await;
}
