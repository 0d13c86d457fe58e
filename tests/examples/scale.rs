//! Counts the reads of sealing and of each of the reconciler's tasks in a day, call by call. The
//! functions are unchanged, the calls of their SDK clients end in this process, and the tables have
//! no streams.
//!
//! `cargo build --workspace --example scale && target/debug/examples/scale [SUBSCRIPTIONS [ROWS]]`
//!
//! The default is 1,000 subscriptions with two dimensions and 14 rows an hour. To convert calls
//! into seconds, sixteen calls at a time are assumed to take five milliseconds.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use ledger::{SHARDS, Written};
use marketplace::{IdentityKind, Subscription, UsageHour};
use reconciler::Task;
use runtime::INVOCATION_TIME;
use simulation::at;
use simulation::run::{Executor, on_a_thread};
use simulation::wire::Metered;
use simulation::world::{Listing, World};

/// The first hour of two days of usage. Only the calls of the second day are counted. On that day
/// the first day is proved.
const FIRST: &str = "2026-11-20T00";
const COUNTED: &str = "2026-11-21T00";
const DIMENSIONS: [&str; 2] = ["gb", "requests"];
/// The number of reads that one invocation makes in a second.
const READS_PER_SECOND: f64 = 3_200.0;
const RUNS_PER_DAY: f64 = 24.0;
/// The numbers of subscriptions for which the results are extrapolated.
const SIZES: [f64; 2] = [1_000.0, 100_000.0];

fn main() {
    let mut sizes = std::env::args().skip(1).map(|size| size.parse().ok());
    let subscriptions: usize = sizes.next().flatten().unwrap_or(1_000);
    let rows = sizes.next().flatten().unwrap_or(14);
    // Two sizes are counted, to separate the reads that do not depend on the number of
    // subscriptions.
    let few = (subscriptions / 4).max(1);
    let [less, more] = [few, subscriptions].map(|subscriptions| {
        on_a_thread(move || Executor::default().finish(count(subscriptions, rows)))
    });
    println!(
        "{few} and {subscriptions} subscriptions, {} records and {rows} rows an hour each",
        DIMENSIONS.len()
    );
    print(&[(few as f64, less), (subscriptions as f64, more)]);
}

type Taken = BTreeMap<&'static str, Metered>;

/// Counts the calls of each function and task in the second day.
async fn count(subscriptions: usize, rows: usize) -> Taken {
    let world = World::without_streams(at("2026-11-19T20:20:00Z"), 7);
    world.wire.trace_nothing();
    let buyers = buy_all(&world, subscriptions).await;
    let counted: UsageHour = COUNTED.parse().expect("an hour");
    let mut taken = Taken::new();
    let first: UsageHour = FIRST.parse().expect("an hour");
    for hour in first.through(counted.plus(23)) {
        for subscription in &buyers {
            use_in(&world, subscription, hour, rows).await;
        }
        let mut note = |name, metered: Metered| {
            if hour >= counted {
                taken.entry(name).or_default().plus(metered);
            }
        };
        // The hour is due 30 minutes after its end. Records that no stream delivers are sent five
        // minutes later.
        world.set_time(hour.end() + SignedDuration::from_mins(30));
        world.wire.meter();
        world.seal().await.expect("a run");
        note("seal", world.wire.meter());
        world.set_time(hour.end() + SignedDuration::from_mins(36));
        world.sweep().await.expect("a sweep");
        note("submit", world.wire.meter());
        world.set_time(hour.end() + SignedDuration::from_mins(40));
        for task in tasks() {
            let report = world.reconcile_task(task).await.expect("a run");
            assert!(report.finished, "{task}: {report:?}");
            note(task.name(), world.wire.meter());
        }
    }
    taken
}

fn tasks() -> Vec<Task> {
    let mut tasks = vec![Task::Expire, Task::Close, Task::Judge, Task::Compare];
    tasks.extend((0..SHARDS).map(|shard| Task::Recount(Some(shard))));
    tasks.extend((0..SHARDS).map(|shard| Task::Prove(Some(shard))));
    tasks
}

/// A number of calls that grows with the subscriptions: a fixed part, and a part for each
/// subscription.
#[derive(Clone, Copy)]
struct Line {
    fixed: f64,
    each: f64,
}

impl Line {
    fn through([(few, less), (many, more)]: [(f64, f64); 2]) -> Self {
        let each = (more - less) / (many - few);
        let fixed = (less - few * each).max(0.0);
        Self { fixed, each }
    }

    fn at(self, size: f64) -> f64 {
        self.fixed + self.each * size
    }
}

/// Prints a line for each task: its calls in a day, and the share of the task's time that they
/// take.
fn print(taken: &[(f64, Taken); 2]) {
    let line = |name: &str, of: fn(&Metered) -> f64| {
        Line::through([0, 1].map(|n| (taken[n].0, of(&taken[n].1[name]))))
    };
    let reads: fn(&Metered) -> f64 = |one| one.reads as f64;
    let units: fn(&Metered) -> f64 = |one| one.read_units;
    let rows: fn(&Metered) -> f64 = |one| one.rows as f64;
    let writes: fn(&Metered) -> f64 = |one| one.writes as f64;
    println!("Calls in a day for each subscription, and reads without any subscription:");
    println!(
        "| task | reads | read units | rows | writes | fixed reads | of sealing: reads | units |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let (sealing, sealing_units) = (line("seal", reads).each, line("seal", units).each);
    for name in taken[1].1.keys() {
        println!(
            "| {name} | {:.1} | {:.1} | {:.0} | {:.1} | {:.0} | {:.2} | {:.2} |",
            line(name, reads).each,
            line(name, units).each,
            line(name, rows).each,
            line(name, writes).each,
            line(name, reads).fixed,
            line(name, reads).each / sealing,
            line(name, units).each / sealing_units,
        );
    }
    println!("At {READS_PER_SECOND} reads a second, one invocation of each task and shard a day:");
    println!(
        "| task | S = {} | share of its time | S = {} | share | all of its time at S |",
        SIZES[0], SIZES[1]
    );
    println!("|---|---|---|---|---|---|");
    for name in taken[1].1.keys() {
        let shards = match *name {
            "recount" | "prove" => f64::from(SHARDS),
            _ => 1.0,
        };
        // The sealer and the submitter run all the time, and a task of the reconciler runs once an
        // hour.
        let day = match *name {
            "seal" | "submit" => 86_400.0,
            _ => RUNS_PER_DAY * INVOCATION_TIME.as_secs_f64(),
        };
        let line = line(name, reads);
        let seconds = |size: f64| line.at(size) / shards / READS_PER_SECOND;
        let [few, many] = SIZES.map(|size| {
            let seconds = seconds(size);
            format!("{seconds:.1} s | {:.3} %", 100.0 * seconds / day)
        });
        let whole = (day * shards * READS_PER_SECOND - line.fixed) / line.each;
        let whole = match line.each > 0.0 {
            true => format!("{whole:.0}"),
            false => "no bound".to_owned(),
        };
        println!("| {name} | {few} | {many} | {whole} |");
    }
}

/// Creates active subscriptions. The sealer's rounds have sealed them up to the first hour.
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
