//! What sealing and each of the reconciler's tasks read in a day, counted call by call: the functions as
//! they are, on SDK clients whose calls end in this process, on tables without streams.
//!
//! `cargo build --workspace --example scale && target/debug/examples/scale [SUBSCRIPTIONS [ROWS]]`; 1,000
//! subscriptions with two dimensions and 14 rows an hour, unless said. A second is what sixteen calls at a
//! time make of it when each takes five milliseconds.

use std::collections::BTreeMap;

use end_to_end::proof::run::{Executor, on_a_thread};
use end_to_end::proof::wire::Metered;
use end_to_end::proof::world::{Listing, World};
use jiff::{SignedDuration, Timestamp};
use ledger::{SHARDS, Written};
use marketplace::{IdentityKind, Subscription, UsageHour};
use reconciler::Task;

/// Two days of usage: the proof of the first falls into the second, which is the one that is counted.
const FIRST: &str = "2026-11-20T00";
const COUNTED: &str = "2026-11-21T00";
const DIMENSIONS: [&str; 2] = ["gb", "requests"];
/// Reads in a second of one invocation.
const READS_PER_SECOND: f64 = 3_200.0;
/// Seconds of an invocation, and invocations in a day.
const RUN_SECONDS: f64 = 890.0;
const RUNS_PER_DAY: f64 = 24.0;
/// The sizes that the counts are carried forward to.
const SIZES: [f64; 2] = [1_000.0, 100_000.0];

fn main() {
    let mut sizes = std::env::args().skip(1).map(|size| size.parse().ok());
    let subscriptions = sizes.next().flatten().unwrap_or(1_000);
    let rows = sizes.next().flatten().unwrap_or(14);
    on_a_thread(move || Executor::default().finish(count(subscriptions, rows)));
}

async fn count(subscriptions: usize, rows: usize) {
    let world = World::without_streams(at("2026-11-19T20:20:00Z"), 7);
    world.wire.trace_nothing();
    let mut settings = world.emulator.settings();
    settings.cloudtrail_delay_s = 60;
    world.emulator.set_settings(settings);
    let buyers = buy_all(&world, subscriptions).await;
    let counted: UsageHour = COUNTED.parse().expect("an hour");
    let mut taken: BTreeMap<&'static str, Metered> = BTreeMap::new();
    let mut days_proved = 0;
    for hour in FIRST
        .parse::<UsageHour>()
        .expect("an hour")
        .through(counted.plus(23))
    {
        for subscription in &buyers {
            use_in(&world, subscription, hour, rows).await;
        }
        // The hour is due 30 minutes after its end.
        world.set_time(hour.end() + SignedDuration::from_mins(35));
        let is_counted = hour.next() >= counted;
        let mut note = |name, metered: Metered| {
            if is_counted {
                taken.entry(name).or_default().plus(metered);
            }
        };
        world.wire.meter();
        world.seal().await.expect("a run");
        note("seal", world.wire.meter());
        world.sweep().await.expect("a sweep");
        note("submit", world.wire.meter());
        for task in tasks() {
            let report = world.reconcile_task(task).await.expect("a run");
            assert!(report.finished, "{task}: {report:?}");
            note(task.name(), world.wire.meter());
            days_proved += report.days_proved;
        }
    }
    println!(
        "{subscriptions} subscriptions, {} records and {rows} rows an hour each; {days_proved} days proved in two days",
        DIMENSIONS.len()
    );
    print(&taken, subscriptions as f64);
}

fn tasks() -> Vec<Task> {
    let mut tasks = vec![Task::Expire, Task::Close, Task::Judge, Task::Compare];
    tasks.extend((0..SHARDS).map(|shard| Task::Recount(Some(shard))));
    tasks.extend((0..SHARDS).map(|shard| Task::Prove(Some(shard))));
    tasks
}

/// One line for each task: what it takes in a day, and what that is of the time it may last.
fn print(taken: &BTreeMap<&'static str, Metered>, subscriptions: f64) {
    let sealing = taken["seal"];
    println!(
        "{:<8} {:>10} {:>11} {:>10} {:>8} {:>7} {:>7} | of sealing | S = {:>5}: s, share | S = {:>7}: s, share | whole time at S =",
        "task", "reads", "read units", "rows", "writes", "seconds", "share", SIZES[0], SIZES[1],
    );
    for (name, one) in taken {
        let shards = match *name {
            "recount" | "prove" => f64::from(SHARDS),
            _ => 1.0,
        };
        // The sealer and the submitter run all the time; a task of the reconciler once an hour.
        let day = match *name {
            "seal" | "submit" => 86_400.0,
            _ => RUNS_PER_DAY * RUN_SECONDS,
        };
        let seconds = one.reads as f64 / shards / READS_PER_SECOND;
        let share = |factor: f64| 100.0 * seconds * factor / day;
        let at = |size: f64| {
            let factor = size / subscriptions;
            format!("{:>9.0} s {:>7.3} %", seconds * factor, share(factor))
        };
        println!(
            "{name:<8} {:>10} {:>11.1} {:>10} {:>8} {seconds:>7.1} {:>5.2} % | {:>4.2} {:>4.2} | {} | {} | {:>12.0}",
            one.reads,
            one.read_units,
            one.rows,
            one.writes,
            share(1.0),
            one.reads as f64 / sealing.reads as f64,
            one.read_units / sealing.read_units,
            at(SIZES[0]),
            at(SIZES[1]),
            subscriptions * day / seconds,
        );
    }
    let mut all = Metered::default();
    let of_reconciler = taken
        .iter()
        .filter(|(name, _)| !matches!(**name, "seal" | "submit"));
    of_reconciler.for_each(|(_, one)| all.plus(*one));
    println!(
        "the reconciler together: {} reads and {:.1} read units, {:.2} and {:.2} times what sealing takes",
        all.reads,
        all.read_units,
        all.reads as f64 / sealing.reads as f64,
        all.read_units / sealing.read_units,
    );
}

/// Everybody is bought, activated, and sealed by the rounds up to the first hour.
async fn buy_all(world: &World, count: usize) -> Vec<Subscription> {
    let listing = Listing {
        code: "scaleproduct".to_owned(),
        identity: IdentityKind::License,
        dimensions: DIMENSIONS.map(str::to_owned).to_vec(),
    };
    world.list(&listing).await;
    let buyers: Vec<_> = (0..count).map(|_| world.subscribe(&listing).1).collect();
    world.deliver_lifecycle().await;
    for subscription in &buyers {
        let profile = world.ledger.profile(subscription).await.expect("readable");
        let profile = profile.expect("activated");
        let mut calm = profile.clone();
        calm.attention_since = None;
        let written = world.ledger.change_profile(&profile, &calm).await;
        assert_eq!(written.expect("written"), Written::Done);
    }
    let before = FIRST.parse::<UsageHour>().expect("an hour").previous();
    world.ledger.raise_watermark(before).await.expect("raised");
    for shard in 0..SHARDS {
        let created = world.ledger.create_shard_progress(shard, before).await;
        assert_eq!(created.expect("created"), Written::Done);
    }
    buyers
}

async fn use_in(world: &World, subscription: &Subscription, hour: UsageHour, rows: usize) {
    let sorts: Vec<String> = (0..rows)
        .map(|n| {
            format!(
                "{}#event-{n:04}-of-an-hour",
                DIMENSIONS[n % DIMENSIONS.len()]
            )
        })
        .collect();
    let partition = format!("{subscription}@{hour}");
    let time = hour.start() + SignedDuration::from_mins(10);
    world.put_many(&partition, &sorts, &time.to_string()).await;
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}
