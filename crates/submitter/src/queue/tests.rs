//! Tests of the search for culprits, against a simulated marketplace that refuses known records.

use std::collections::{BTreeMap, BTreeSet};

use marketplace::lane::{Lane, RefusedLane};
use marketplace::record::Outcome;
use marketplace::slot::Slot;
use marketplace::{MeteringRecord, State, UsageHour};

use super::{Attempt, LaneChange, Queue, STREAM_ALLOWANCE, SWEEP_ALLOWANCE};

const NO_DIMENSION: &str = "InvalidUsageDimensionException";
const BAD_TAG: &str = "InvalidTagException";

fn now() -> jiff::Timestamp {
    "2026-11-21T03:30:00Z".parse().unwrap()
}

fn record(buyer: usize, dimension: &str) -> MeteringRecord {
    let hour: UsageHour = "2026-11-21T02".parse().unwrap();
    MeteringRecord::new(
        Slot {
            subscription: format!("legacy|code|c{buyer:06}").parse().unwrap(),
            hour,
            dimension: dimension.parse().unwrap(),
        },
        "code".parse().unwrap(),
        "1".parse().unwrap(),
        hour.plus(24).start(),
        hour.end(),
    )
}

#[derive(Debug, Default)]
struct Sent {
    calls: usize,
    accepted: Vec<MeteringRecord>,
    culprits: Vec<MeteringRecord>,
    unsent: Vec<(MeteringRecord, String)>,
}

/// Sends everything to a marketplace that refuses each request with a guilty record in it.
fn send(
    queue: &mut Queue,
    code: &str,
    at_once: usize,
    guilty: impl Fn(&MeteringRecord) -> bool,
) -> Sent {
    let mut sent = Sent::default();
    loop {
        let attempts = queue.next(at_once);
        if attempts.is_empty() {
            break;
        }
        for attempt in attempts {
            sent.calls += 1;
            assert!(attempt.batch.records.len() <= 25);
            if attempt.batch.records.iter().any(&guilty) {
                sent.culprits.extend(queue.refused(attempt, code, now()));
            } else {
                sent.accepted.extend(queue.answered(attempt).records);
            }
        }
    }
    sent.unsent = queue.take_unsent_suspects();
    assert!(queue.rest().is_empty());
    sent
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
        let mut queue = Queue::new(1_000, Vec::new());
        queue.add((0..25).map(|n| record(n, "gb")).collect());
        let slots: BTreeSet<_> = guilty.iter().map(|n| record(*n, "gb").slot).collect();
        let sent = send(&mut queue, BAD_TAG, 1, |r| slots.contains(&r.slot));
        let found: BTreeSet<_> = sent.culprits.iter().map(|r| r.slot.clone()).collect();
        assert_eq!(found, slots);
        assert_eq!(sent.accepted.len(), 25 - count);
        most = most.max(sent.calls);
    }
    assert!(most <= calls_max, "{count} culprits: {most} calls");
}

#[test]
fn culprits_among_25_are_found_with_few_calls() {
    check_culprits(0, 1);
    check_culprits(1, 8);
    check_culprits(2, 18);
    check_culprits(3, 26);
    check_culprits(5, 39);
    check_culprits(25, 60);
}

#[test]
fn a_renamed_dimension_costs_its_neighbours_a_handful_of_calls() {
    let mut queue = Queue::new(STREAM_ALLOWANCE, Vec::new());
    let buyers = 0..1_250;
    queue.add(
        buyers
            .flat_map(|n| [record(n, "gb"), record(n, "renamed")])
            .collect(),
    );
    let sent = send(&mut queue, NO_DIMENSION, 4, |r| {
        r.slot.dimension.as_str() == "renamed"
    });
    assert_eq!(sent.accepted.len(), 1_250);
    assert_eq!(sent.culprits.len() + sent.unsent.len(), 1_250);
    // 50 full requests, the search that finds eight guilty subscriptions, the allowance with its
    // ninth, and the calls under way when the allowance was spent.
    assert!(sent.calls <= 50 + 17 + 4 + 6 + 3, "{} calls", sent.calls);
    assert!(sent.unsent.iter().all(|(_, code)| code == NO_DIMENSION));
}

/// The calls of a sweep at the quota of 10 per second, and the minutes between two sweeps.
const SWEEP_CALLS: usize = 2_980;
const SWEEP_MINUTES: i64 = 5;

/// Sends hours of 10,000 buyers when some of them lack a dimension. Returns the calls of each hour.
fn hours_with_guilty(per_hundred: usize, hours: i64) -> Vec<usize> {
    const BUYERS: usize = 10_000;
    let is_guilty = |record: &MeteringRecord| {
        let buyer = record.slot.subscription.to_string();
        let number: usize = buyer[buyer.len() - 6..].parse().unwrap();
        // The guilty buyers are spread over the order of sending.
        (number * 37) % 100 < per_hundred
    };
    let mut lanes: BTreeMap<_, RefusedLane> = BTreeMap::new();
    let mut waiting: Vec<(i64, MeteringRecord)> = Vec::new();
    let mut calls_by_hour = Vec::new();
    for hour in 0..hours {
        let mut calls_of_hour = 0;
        let mut accepted = 0;
        waiting.extend((0..BUYERS).map(|n| {
            let mut sealed = record(n, "gb");
            sealed.slot.hour = sealed.slot.hour.plus(hour);
            (hour * 60, sealed)
        }));
        for sweep in 0..60 / SWEEP_MINUTES {
            let minute = hour * 60 + sweep * SWEEP_MINUTES;
            let now = now() + jiff::SignedDuration::from_mins(minute);
            let (due, later) = waiting.into_iter().partition(|(due, _)| *due <= minute);
            waiting = later;
            let mut due: Vec<MeteringRecord> = due.into_iter().map(|(_, record)| record).collect();
            due.reverse();
            let mut queue = Queue::new(SWEEP_ALLOWANCE, lanes.values().cloned().collect());
            let mut calls = 0;
            let mut again = Vec::new();
            while calls < SWEEP_CALLS {
                while queue.wants_more() && !due.is_empty() {
                    let page = due.split_off(due.len().saturating_sub(1_000));
                    assert!(queue.add(page).is_empty());
                }
                let Some(attempt) = queue.next_one() else {
                    again.extend(queue.take_unsent_suspects());
                    if due.is_empty() {
                        break;
                    }
                    continue;
                };
                calls += 1;
                if attempt.batch.records.iter().any(is_guilty) {
                    if let Some(mut culprit) = queue.refused(attempt, NO_DIMENSION, now) {
                        assert!(is_guilty(&culprit));
                        culprit.state = State::Refused;
                        again.push((culprit, NO_DIMENSION.to_owned()));
                    }
                } else {
                    let batch = queue.answered(attempt);
                    let of_hour =
                        |r: &&MeteringRecord| r.slot.hour == record(0, "gb").slot.hour.plus(hour);
                    accepted += batch.records.iter().filter(of_hour).count();
                }
            }
            calls_of_hour += calls;
            for change in queue.take_lane_changes() {
                match change {
                    LaneChange::Refused(guilt) => lanes.insert(guilt.lane.clone(), guilt),
                    LaneChange::PutRight(lane) => lanes.remove(&lane),
                };
            }
            waiting.extend(again.into_iter().map(|(mut record, code)| {
                record.attempts += 1;
                record.outcome = Some(Outcome {
                    at: now,
                    code,
                    metering_record_id: None,
                    quantity_at_aws: None,
                });
                (minute + 60, record)
            }));
            waiting.extend(queue.rest().into_iter().map(|(record, _)| (minute, record)));
            waiting.extend(due.into_iter().map(|record| (minute, record)));
        }
        let good = BUYERS * (100 - per_hundred) / 100;
        assert_eq!(
            accepted, good,
            "hour {hour}, {per_hundred} % guilty: not all good records"
        );
        calls_by_hour.push(calls_of_hour);
    }
    calls_by_hour
}

#[test]
fn good_records_are_accepted_in_their_hour_however_many_agreements_lack_the_dimension() {
    for per_hundred in [0, 1, 10, 50] {
        let calls = hours_with_guilty(per_hundred, 4);
        println!(
            "{per_hundred} % of 10,000 agreements lack the dimension: {calls:?} calls in each hour"
        );
        assert!(
            calls.iter().all(|calls| *calls <= 36_000),
            "the quota of an hour"
        );
        // The guilty lanes are remembered: later hours cost the calls of the good records and the
        // probes.
        let probes = 12 * (SWEEP_ALLOWANCE as usize) + 400;
        assert!(
            calls[3] <= 400 * (100 - per_hundred) / 100 + probes,
            "{calls:?}"
        );
    }
}

#[test]
fn a_lane_that_was_put_right_is_sent_again_and_forgotten() {
    let wrong = |n| {
        let mut record = record(n, "gb");
        record.state = State::Refused;
        record.outcome = Some(Outcome {
            at: now(),
            code: NO_DIMENSION.to_owned(),
            metering_record_id: None,
            quantity_at_aws: None,
        });
        record
    };
    let guilt = |lane| RefusedLane {
        lane,
        code: NO_DIMENSION.to_owned(),
        refused_at: now(),
    };
    let product = || record(0, "gb").product;
    let lanes = vec![
        guilt(Lane::Dimension(product(), "gb".parse().unwrap())),
        guilt(Lane::SubscriptionDimension(
            record(1, "gb").slot.subscription,
            "gb".parse().unwrap(),
        )),
    ];
    let mut queue = Queue::new(STREAM_ALLOWANCE, lanes);
    let mut records: Vec<_> = (2..500).map(|n| record(n, "gb")).collect();
    for hours in 0..20 {
        let mut of_one = wrong(1);
        of_one.slot.hour = of_one.slot.hour.plus(hours);
        records.push(of_one);
    }
    queue.add(records);
    let sent = send(&mut queue, NO_DIMENSION, 4, |_| false);
    assert_eq!((sent.accepted.len(), sent.unsent.len()), (518, 0));
    assert!(sent.calls <= 21 + 4, "{} calls", sent.calls);
    let changes = queue.take_lane_changes();
    let right = changes
        .iter()
        .filter(|change| matches!(change, LaneChange::PutRight(_)));
    assert_eq!((right.count(), changes.len()), (2, 2));
}

#[test]
fn a_group_whose_calls_fail_is_left_out_and_the_others_go_on() {
    let other = |n| {
        let mut record = record(n, "gb");
        let customer = record
            .slot
            .subscription
            .to_string()
            .replace("code", "another");
        record.slot.subscription = customer.parse().unwrap();
        record.product = "another".parse().unwrap();
        record
    };
    let mut queue = Queue::new(STREAM_ALLOWANCE, Vec::new());
    queue.add((0..1_000).map(other).collect());
    queue.add((0..1_000).map(|n| record(n, "gb")).collect());
    let (mut failed, mut accepted, mut left_out) = (0, 0, 0);
    loop {
        let attempts = queue.next(4);
        let failing = |a: &&Attempt| a.batch.group.product.as_str() == "another";
        assert!(failed == 0 || attempts.iter().filter(failing).count() <= 1);
        if attempts.is_empty() {
            break;
        }
        for attempt in attempts {
            if failing(&&attempt) {
                failed += 1;
                let group = attempt.batch.group.clone();
                queue.put_back(attempt, "Timeout");
                left_out += queue.group_failed(&group, "Timeout").len();
            } else {
                accepted += queue.answered(attempt).records.len();
            }
        }
    }
    assert_eq!((accepted, left_out), (1_000, 1_000));
    assert!(failed <= 12 + 3, "{failed} failed calls");
    assert_eq!(queue.add(vec![other(1)]).len(), 1);
}

#[test]
fn one_agreement_without_a_dimension_does_not_hold_up_the_dimension() {
    let mut queue = Queue::new(0, Vec::new());
    queue.add((0..1_000).map(|n| record(n, "gb")).collect());
    let sent = send(&mut queue, NO_DIMENSION, 4, |r| {
        r.slot == record(137, "gb").slot
    });
    // All became suspects, and accepted suspects use no allowance.
    assert_eq!((sent.accepted.len(), sent.culprits.len()), (999, 1));
    assert!(sent.calls <= 40 + 9, "{} calls", sent.calls);
}

#[test]
fn suspects_of_one_class_do_not_use_up_the_allowance_of_another() {
    let known = |dimension: &str| RefusedLane {
        lane: Lane::Dimension(record(0, "gb").product, dimension.parse().unwrap()),
        code: NO_DIMENSION.to_owned(),
        refused_at: now(),
    };
    let mut queue = Queue::new(10, vec![known("a-renamed"), known("put-right")]);
    let mut records: Vec<_> = (0..500).map(|n| record(n, "a-renamed")).collect();
    records.extend((0..500).map(|n| record(n, "put-right")));
    queue.add(records);
    let sent = send(&mut queue, NO_DIMENSION, 1, |r| {
        r.slot.dimension.as_str() == "a-renamed"
    });
    assert_eq!(sent.accepted.len(), 500);
    assert_eq!(sent.culprits.len() + sent.unsent.len(), 500);
    // 20 full requests, a probe, the allowance, and a ninth of the full requests.
    assert!(sent.calls <= 21 + 10 + 2, "{} calls", sent.calls);
}

#[test]
fn a_record_that_makes_every_request_fail_is_alone_in_the_end() {
    let mut queue = Queue::new(0, Vec::new());
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
            if records.iter().any(|r| r.slot == record(17, "gb").slot) {
                alone.extend(queue.failed_again(attempt, "ServerError"));
            } else {
                accepted += queue.answered(attempt).records.len();
            }
        }
    }
    assert_eq!((accepted, alone.len()), (24, 1));
    assert_eq!(alone[0].slot, record(17, "gb").slot);
    assert!(calls <= 11, "{calls} calls");
}

#[test]
fn records_without_an_outcome_are_all_handed_back() {
    let mut queue = Queue::new(10, Vec::new());
    queue.add((0..100).map(|n| record(n, "gb")).collect());
    for attempt in queue.next(2) {
        assert_eq!(queue.refused(attempt, BAD_TAG, now()), None);
    }
    assert_eq!(queue.rest().len(), 100);
}
