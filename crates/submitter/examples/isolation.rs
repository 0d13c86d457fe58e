//! Counts the calls of an hour in which one of two dimensions was renamed, and compares them with
//! the hour's quota. Each dimension has 100,000 records. They come in deliveries of 10,000, and
//! twelve sweeps follow.
//!
//! `cargo run --release -p submitter --example isolation`

use marketplace::lane::RefusedLane;
use marketplace::record::Outcome;
use marketplace::slot::Slot;
use marketplace::{MeteringRecord, State, UsageHour};
use submitter::queue::{LaneChange, Queue, STREAM_ALLOWANCE, SWEEP_ALLOWANCE};

const BUYERS: usize = 100_000;
/// The calls of an hour at the default quota of BatchMeterUsage, 10 requests per second.
const QUOTA_CALLS: usize = 36_000;
const CODE: &str = "InvalidUsageDimensionException";
const BUYERS_IN_A_DELIVERY: usize = 5_000;
const RECORDS_AT_ONCE: usize = 2_500;
const CALLS_AT_ONCE: usize = 4;
const SWEEPS: usize = 12;

#[derive(Debug, Default)]
struct Hour {
    calls: usize,
    refused_calls: usize,
    accepted: usize,
    waiting: Vec<MeteringRecord>,
    lanes: Vec<RefusedLane>,
}

fn main() {
    let Some(control) = hour(false) else {
        return eprintln!("the example's own records are not valid");
    };
    let Some(renamed) = hour(true) else {
        return eprintln!("the example's own records are not valid");
    };
    println!("                       calls  refused  accepted  waiting");
    for (name, hour) in [
        ("control, all good", &control),
        ("one dimension renamed", &renamed),
    ] {
        println!(
            "{name:<22} {:>5}  {:>7}  {:>8}  {:>7}",
            hour.calls,
            hour.refused_calls,
            hour.accepted,
            hour.waiting.len()
        );
    }
    println!(
        "the hour's quota is {QUOTA_CALLS} calls; refused calls are {} per mille of it",
        renamed.refused_calls * 1_000 / QUOTA_CALLS
    );
    assert_eq!(renamed.accepted, BUYERS, "every good record is accepted");
    assert!(renamed.calls <= QUOTA_CALLS, "within the hour's quota");
    assert!(
        renamed.refused_calls * 10 <= QUOTA_CALLS,
        "refused calls are at most a tenth of the quota"
    );
}

/// Simulates an hour: its deliveries, and then its sweeps over the records that wait.
fn hour(is_renamed: bool) -> Option<Hour> {
    let mut hour = Hour::default();
    let buyers: Vec<usize> = (0..BUYERS).collect();
    for delivery in buyers.chunks(BUYERS_IN_A_DELIVERY) {
        let mut records = Vec::new();
        for buyer in delivery {
            records.extend([record(*buyer, "gb")?, record(*buyer, "requests")?]);
        }
        invoke(&mut hour, STREAM_ALLOWANCE, records, is_renamed);
    }
    for _ in 0..SWEEPS {
        let waiting = std::mem::take(&mut hour.waiting);
        invoke(&mut hour, SWEEP_ALLOWANCE, waiting, is_renamed);
    }
    Some(hour)
}

fn invoke(hour: &mut Hour, allowance: u64, records: Vec<MeteringRecord>, is_renamed: bool) {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let mut queue = Queue::new(allowance, hour.lanes.clone());
    let wrong = |r: &MeteringRecord| is_renamed && r.slot.dimension.as_str() == "requests";
    for chunk in records.chunks(RECORDS_AT_ONCE) {
        queue.add(chunk.to_vec());
        loop {
            let attempts = queue.next(CALLS_AT_ONCE);
            if attempts.is_empty() {
                break;
            }
            for attempt in attempts {
                hour.calls += 1;
                if attempt.batch.records.iter().any(wrong) {
                    hour.refused_calls += 1;
                    if let Some(mut culprit) = queue.refused(attempt, CODE, now) {
                        culprit.state = State::Refused;
                        hour.waiting.push(with_refusal(culprit));
                    }
                } else {
                    hour.accepted += queue.answered(attempt).records.len();
                }
            }
        }
        for change in queue.take_lane_changes() {
            match change {
                LaneChange::Refused(guilt) => {
                    hour.lanes.retain(|known| known.lane != guilt.lane);
                    hour.lanes.push(guilt);
                }
                LaneChange::PutRight(lane) => hour.lanes.retain(|known| known.lane != lane),
            }
        }
        let unsent = queue.take_unsent_suspects();
        hour.waiting
            .extend(unsent.into_iter().map(|(record, _)| with_refusal(record)));
    }
}

fn with_refusal(mut record: MeteringRecord) -> MeteringRecord {
    record.attempts += 1;
    record.outcome = Some(Outcome {
        at: record.stamp,
        code: CODE.to_owned(),
        metering_record_id: None,
        quantity_at_aws: None,
    });
    record
}

fn record(buyer: usize, dimension: &str) -> Option<MeteringRecord> {
    let hour: UsageHour = "2026-11-21T02".parse().ok()?;
    Some(MeteringRecord::new(
        Slot {
            subscription: format!("legacy|examplecode|c{buyer:06}").parse().ok()?,
            hour,
            dimension: dimension.parse().ok()?,
        },
        "examplecode".parse().ok()?,
        "1".parse().ok()?,
        hour.plus(24).start(),
        hour.end(),
    ))
}
