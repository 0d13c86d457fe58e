//! The audit of a month with a million records: `cargo bench -p marketplace --bench audit`.
//!
//! A generated event history, 40,000 calls of 25 records on 800 pages of LookupEvents, is read hour
//! by hour and compared with the records. It uses no network. The time that LookupEvents' limit of
//! two requests per second adds is printed next to the measured time.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use marketplace::audit::{Comparison, Event};
use marketplace::hour::shift;
use marketplace::limits::{
    BATCH_RECORDS_MAX, INVOCATION_MINUTES_MAX, LOOKUP_EVENTS_PAGE_MAX, LOOKUP_EVENTS_PER_SECOND,
};
use marketplace::record::Outcome;
use marketplace::slot::Slot;
use marketplace::{MeteringRecord, Quantity, State, UsageHour};
use serde_json::{Value, json};

const HOURS: usize = 720;
const RECORDS: usize = 1_000_000;
/// The most megabytes of memory that the benchmark may take.
const MEMORY_MB_MAX: u64 = 512;

fn main() {
    let first: UsageHour = "2026-11-01T00".parse().expect("an hour");
    let per_hour = RECORDS.div_ceil(HOURS);
    let mut pages = 0;
    let mut matched = 0;
    let mut slowest = Duration::ZERO;
    let mut busy = Duration::ZERO;
    for hour in first.through(first.plus(HOURS as i64 - 1)) {
        let records: Vec<MeteringRecord> = (0..per_hour).map(|n| record(hour, n)).collect();
        let events: Vec<String> = records.chunks(BATCH_RECORDS_MAX).map(event).collect();
        pages += events.len().div_ceil(LOOKUP_EVENTS_PAGE_MAX as usize);
        let begun = Instant::now();
        matched += audit_hour(&records, &events);
        slowest = slowest.max(begun.elapsed());
        busy += begun.elapsed();
    }
    // The whole month in one piece, as the command compares it.
    let mut whole = Comparison::default();
    for hour in first.through(first.plus(HOURS as i64 - 1)) {
        for n in 0..per_hour {
            whole.record(&record(hour, n));
        }
    }
    let waiting = pages as u64 / u64::from(LOOKUP_EVENTS_PER_SECOND);
    println!("{matched} records matched in {HOURS} steps, {pages} pages");
    println!(
        "computing {:.1} s, the slowest step {:.3} s",
        busy.as_secs_f64(),
        slowest.as_secs_f64()
    );
    println!("waiting for {LOOKUP_EVENTS_PER_SECOND} requests a second: {waiting} s");
    let peak_mb = peak_memory_mb();
    println!(
        "memory {peak_mb} MB with all {} records of the month at once",
        whole.len()
    );
    assert!(matched >= RECORDS);
    assert!(slowest < Duration::from_secs(INVOCATION_MINUTES_MAX as u64 * 60));
    assert!(peak_mb < MEMORY_MB_MAX, "{peak_mb} MB");
}

/// One resumable step: an hour's records, and the pages of the calls that carried them.
fn audit_hour(records: &[MeteringRecord], events: &[String]) -> usize {
    let mut comparison = Comparison::default();
    for record in records {
        comparison.record(record);
    }
    for text in events {
        match Event::read(text, None) {
            Event::Call(call) => comparison.call(&call, |_| true),
            other => unreachable!("{other:?}"),
        }
    }
    comparison.judge_unseen(Timestamp::MAX);
    assert_eq!(comparison.counts().differences(), 0);
    comparison.counts().matched as usize
}

fn record(hour: UsageHour, n: usize) -> MeteringRecord {
    let start = hour.start();
    let sealed_at = shift(start, SignedDuration::from_mins(90));
    MeteringRecord {
        state: State::Accepted,
        version: 2,
        outcome: Some(Outcome {
            at: sealed_at,
            code: "Success".to_owned(),
            metering_record_id: None,
            quantity_at_aws: None,
        }),
        ..MeteringRecord::new(
            Slot {
                subscription: format!("arn:aws:license-manager::294406891311:license:l-{n:032x}")
                    .parse()
                    .expect("an ARN"),
                hour,
                dimension: "gb".parse().expect("a dimension"),
            },
            "code".parse().expect("a code"),
            Quantity::from_micros(n as u64 * 250_000 + 1).expect("in range"),
            shift(start, SignedDuration::from_hours(24)),
            sealed_at,
        )
    }
}

fn event(records: &[MeteringRecord]) -> String {
    let sent: Vec<Value> = records
        .iter()
        .map(|record| {
            json!({
                "timestamp": record.stamp.to_string(),
                "dimension": record.slot.dimension.as_str(),
                "customerAWSAccountId": "111122223333",
                "licenseArn": record.slot.subscription.to_string(),
                "quantityAsDecimal": record.quantity.to_string(),
            })
        })
        .collect();
    let results: Vec<Value> = sent
        .iter()
        .map(|record| {
            json!({
                "usageRecord": record,
                "status": "Success",
                "meteringRecordId": "8fjef98ejf-0000-0000-0000-000000000000",
            })
        })
        .collect();
    json!({
        "eventVersion": "1.11",
        "eventTime": records[0].sealed_at.to_string(),
        "eventSource": "metering-marketplace.amazonaws.com",
        "eventName": "BatchMeterUsage",
        "awsRegion": "us-east-1",
        "eventID": "00000000-0000-0000-0000-000000000000",
        "requestParameters": {"usageRecords": sent},
        "responseElements": {"results": results, "unprocessedRecords": []},
    })
    .to_string()
}

/// Linux's high-water mark of this process's memory; 0 elsewhere.
fn peak_memory_mb() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kb| kb / 1024)
}
