//! Measures how long the submitter takes for a backlog, compared with the quota of AWS Marketplace.
//! The function is unchanged. The calls of its SDK clients end in this process, and time is
//! virtual.
//!
//! `cargo run --profile tool -p end-to-end --features virtual-time --example drain [-- RECORDS
//! [STREAM_SHARDS]]`
//!
//! The default is 900,000 records and no stream. With stream shards, each shard delivers its part
//! of the records to its own invocation, while the schedule fires as well. The exit code is 1 if
//! the submitter takes over 2 % longer than the quota requires, if a shard of the work index waits
//! longer than five minutes, or if 1 % of the calls were throttled.

mod aws;
mod client;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use runtime::{Budget, INVOCATION_TIME};
use serde_json::json;
use tokio::time::Instant;

use aws::{Aws, QUOTA_PER_SECOND, SORT, subscription};
use client::{InProcess, app};

const RECORDS: usize = 900_000;
const RECORDS_PER_REQUEST: usize = 25;
/// The time between two sweeps of the submitter.
const SCHEDULE: Duration = Duration::from_secs(300);
/// The most records of one delivery, as in the template.
const DELIVERED_MAX: usize = 10_000;

/// Sends all records, with the deliveries of the stream's shards and the sweeps of the schedule.
async fn drain(records: usize, stream_shards: usize) -> (Aws, BTreeMap<u64, u64>) {
    let http = InProcess::new(records);
    let started = http.aws().started;
    let deliveries = (0..stream_shards).map(|shard| {
        let numbers: Vec<usize> = (shard..records).step_by(stream_shards).collect();
        deliver(&http, started, numbers)
    });
    let deliveries = futures_util::future::join_all(deliveries);
    let (sweeps, ()) = tokio::join!(sweep(&http, started), async {
        deliveries.await;
    });
    let mut aws = http.aws();
    (std::mem::replace(&mut *aws, Aws::new(0)), sweeps)
}

/// Acts as Lambda for one shard of the stream: invokes the function with one batch after the other.
async fn deliver(http: &InProcess, started: Instant, numbers: Vec<usize>) {
    let app = app(http, started);
    for batch in numbers.chunks(DELIVERED_MAX) {
        let record = |n: &usize| {
            let key =
                json!({"subscription": {"S": subscription(*n).to_string()}, "item": {"S": SORT}});
            json!({"eventName": "INSERT", "dynamodb": {"Keys": key}})
        };
        let event = json!({"Records": batch.iter().map(record).collect::<Vec<_>>()});
        let trigger = serde_json::from_str(&event.to_string()).expect("a trigger");
        let answer = submitter::handle(&app, trigger, Budget::of(INVOCATION_TIME)).await;
        assert_eq!(answer.expect("every call is answered").tally.unreadable, 0);
    }
}

async fn sweep(http: &InProcess, started: Instant) -> BTreeMap<u64, u64> {
    let app = app(http, started);
    let mut sweeps = BTreeMap::new();
    loop {
        let begun = Instant::now();
        let trigger = serde_json::from_str("{}").expect("a trigger");
        let answer = submitter::handle(&app, trigger, Budget::of(INVOCATION_TIME)).await;
        let tally = answer.expect("every call is answered").tally;
        sweeps.insert(begun.duration_since(started).as_secs(), tally.accepted);
        if http.aws().written.iter().all(|written| *written) {
            return sweeps;
        }
        // The next sweep begins at its scheduled time, or at once if that has passed.
        tokio::time::sleep_until(begun + SCHEDULE).await;
    }
}

fn main() -> ExitCode {
    let number = |place: usize, default: usize| match std::env::args().nth(place) {
        None => Some(default),
        Some(text) => text.parse().ok(),
    };
    let (Some(records @ 1..10_000_000), Some(stream_shards @ 0..=1_000)) =
        (number(1, RECORDS), number(2, 0))
    else {
        eprintln!(
            "usage: drain [RECORDS [STREAM_SHARDS]], fewer than 10,000,000 and at most 1,000"
        );
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let (aws, sweeps) = runtime.block_on(drain(records, stream_shards));
    let requests = records.div_ceil(RECORDS_PER_REQUEST) as u64;
    let asked = Duration::from_millis(requests * 1_000 / u64::from(QUOTA_PER_SECOND));
    let took = aws.last_accepted.duration_since(aws.started);
    let per_mille = took.as_millis() * 1_000 / asked.as_millis().max(1);
    println!(
        "{records} records: {} requests, {} throttled; at least {requests} are needed",
        aws.calls, aws.throttled
    );
    for (second, accepted) in &sweeps {
        println!("  sweep at second {second:>5}: {accepted} accepted");
    }
    println!(
        "took {:.1} s; the quota requires {:.1} s: {per_mille} per mille of that",
        took.as_secs_f64(),
        asked.as_secs_f64()
    );
    let turns = aws.turns.values().map(|at| at.duration_since(aws.started));
    let last_turn = turns.max().unwrap_or_default();
    println!(
        "a record of each of {} shards was accepted by second {:.1}",
        aws.turns.len(),
        last_turn.as_secs_f64()
    );
    let many_throttled = aws.throttled * 100 >= aws.calls;
    ExitCode::from(u8::from(
        per_mille > 1_020 || last_turn > SCHEDULE || many_throttled,
    ))
}
