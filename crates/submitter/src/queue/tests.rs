//! The search for culprits, against a marketplace that knows who they are.

use std::collections::BTreeSet;

use marketplace::record::{Outcome, RecordKey};
use marketplace::{MeteringRecord, State, UsageHour};

use super::{Queue, STREAM_ALLOWANCE};

const NO_DIMENSION: &str = "InvalidUsageDimensionException";
const BAD_TAG: &str = "InvalidTagException";

fn record(buyer: usize, dimension: &str) -> MeteringRecord {
    let hour: UsageHour = "2026-11-21T02".parse().unwrap();
    MeteringRecord {
        key: RecordKey {
            subscription: format!("legacy|code|c{buyer:06}").parse().unwrap(),
            hour,
            dimension: dimension.parse().unwrap(),
        },
        product: "code".parse().unwrap(),
        account: None,
        quantity: "1".parse().unwrap(),
        allocations: Vec::new(),
        stamp: hour.start(),
        deadline: hour.plus(24).start(),
        sealed_at: hour.end(),
        state: State::Sealed,
        version: 1,
        movements: 0,
        final_at: None,
        attempts: 0,
        doubtful: 0,
        due: None,
        outcome: None,
    }
}

#[derive(Debug, Default)]
struct Told {
    calls: usize,
    accepted: Vec<MeteringRecord>,
    culprits: Vec<MeteringRecord>,
    unsent: Vec<(MeteringRecord, String)>,
}

/// Sends everything to a judge who refuses a request with any guilty record in it.
fn send(
    queue: &mut Queue,
    code: &str,
    at_once: usize,
    guilty: impl Fn(&MeteringRecord) -> bool,
) -> Told {
    let mut told = Told::default();
    loop {
        let attempts = queue.next(at_once);
        if attempts.is_empty() {
            break;
        }
        for attempt in attempts {
            told.calls += 1;
            assert!(attempt.batch.records.len() <= 25);
            if attempt.batch.records.iter().any(&guilty) {
                told.culprits.extend(queue.refused(attempt, code));
            } else {
                told.accepted.extend(queue.answered(attempt).records);
            }
        }
    }
    told.unsent = queue.take_unsent_suspects();
    assert!(queue.rest().is_empty());
    told
}

#[track_caller]
fn check_culprits(count: usize, calls_max: usize) {
    let mut random = 7_u64;
    let mut most = 0;
    for _ in 0..200 {
        let mut guilty = BTreeSet::new();
        while guilty.len() < count {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            guilty.insert((random >> 33) as usize % 25);
        }
        let mut queue = Queue::new(1_000);
        queue.add((0..25).map(|n| record(n, "gb")).collect());
        let keys: BTreeSet<_> = guilty.iter().map(|n| record(*n, "gb").key).collect();
        let told = send(&mut queue, BAD_TAG, 1, |r| keys.contains(&r.key));
        let found: BTreeSet<_> = told.culprits.iter().map(|r| r.key.clone()).collect();
        assert_eq!(found, keys);
        assert_eq!(told.accepted.len(), 25 - count);
        most = most.max(told.calls);
    }
    assert!(most <= calls_max, "{count} culprits: {most} calls");
}

#[test]
fn culprits_among_25_are_found_with_few_calls() {
    check_culprits(0, 1);
    check_culprits(1, 8);
    check_culprits(2, 18);
    check_culprits(3, 26);
    check_culprits(5, 38);
    check_culprits(25, 60);
}

#[test]
fn a_renamed_dimension_costs_its_neighbours_a_handful_of_calls() {
    let mut queue = Queue::new(STREAM_ALLOWANCE);
    let buyers = 0..1_250;
    queue.add(
        buyers
            .flat_map(|n| [record(n, "gb"), record(n, "renamed")])
            .collect(),
    );
    let told = send(&mut queue, NO_DIMENSION, 4, |r| {
        r.key.dimension.as_str() == "renamed"
    });
    assert_eq!(told.accepted.len(), 1_250);
    assert_eq!(told.culprits.len() + told.unsent.len(), 1_250);
    // 50 full requests, two rounds to learn it, the allowance with its ninth, and what was under
    // way when that was spent.
    assert!(told.calls <= 50 + 9 + 4 + 6 + 3, "{} calls", told.calls);
    assert!(told.unsent.iter().all(|(_, code)| code == NO_DIMENSION));
}

#[test]
fn one_agreement_without_a_dimension_does_not_hold_up_the_dimension() {
    let mut queue = Queue::new(0);
    queue.add((0..1_000).map(|n| record(n, "gb")).collect());
    let told = send(&mut queue, NO_DIMENSION, 4, |r| {
        r.key == record(137, "gb").key
    });
    // All became suspects, and suspects that are accepted cost nothing.
    assert_eq!((told.accepted.len(), told.culprits.len()), (999, 1));
    assert!(told.calls <= 40 + 9, "{} calls", told.calls);
}

#[test]
fn suspects_of_one_class_do_not_use_up_the_allowance_of_another() {
    let mut queue = Queue::new(10);
    let known = |n, dimension: &str| {
        let mut record = record(n, dimension);
        record.outcome = Some(Outcome {
            at: record.stamp,
            code: NO_DIMENSION.to_owned(),
            metering_record_id: None,
            quantity_at_aws: None,
        });
        record
    };
    let mut records: Vec<_> = (0..500).map(|n| known(n, "a-renamed")).collect();
    records.extend((0..500).map(|n| known(n, "put-right")));
    queue.add(records);
    let told = send(&mut queue, NO_DIMENSION, 1, |r| {
        r.key.dimension.as_str() == "a-renamed"
    });
    assert_eq!(told.accepted.len(), 500);
    assert_eq!(told.culprits.len() + told.unsent.len(), 500);
    assert!(told.calls <= 20 + 10, "{} calls", told.calls);
}

#[test]
fn what_makes_every_request_fail_stands_alone_in_the_end() {
    let mut queue = Queue::new(0);
    queue.add((0..25).map(|n| record(n, "gb")).collect());
    let (mut calls, mut accepted, mut alone) = (0, 0, Vec::new());
    loop {
        let attempts = queue.next(4);
        if attempts.is_empty() {
            break;
        }
        for attempt in attempts {
            calls += 1;
            let records = &attempt.batch.records;
            if records.iter().any(|r| r.key == record(17, "gb").key) {
                alone.extend(queue.failed_again(attempt));
            } else {
                accepted += queue.answered(attempt).records.len();
            }
        }
    }
    assert_eq!((accepted, alone.len()), (24, 1));
    assert_eq!(alone[0].key, record(17, "gb").key);
    assert!(calls <= 11, "{calls} calls");
}

#[test]
fn what_was_not_sent_is_handed_back_whole() {
    let mut queue = Queue::new(10);
    queue.add((0..100).map(|n| record(n, "gb")).collect());
    for attempt in queue.next(2) {
        assert_eq!(queue.refused(attempt, BAD_TAG), None);
    }
    assert_eq!(queue.rest().len(), 100);
}
