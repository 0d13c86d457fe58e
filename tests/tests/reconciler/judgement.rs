//! Judgements of records without an outcome: a history that does not reach back to a record, a run
//! whose time is up, and a sealer that works at the same time.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use marketplace::audit::Doubt;
use marketplace::error_table::DEADLINE_PASSED;
use marketplace::record::Outcome;
use marketplace::{MeteringRecord, State};
use reconciler::{Report, Task};
use runtime::Budget;
use simulation::run::{Executor, on_a_thread};
use simulation::wire::{Call, Fate};

use crate::town::{Town, at, result, start};

const HOUR: &str = "2026-11-27T02";

/// Makes a call that bills nothing. It shows how far the history reaches.
async fn witness_at(town: &Town, time: &str) {
    town.world.set_time(at(time));
    let empty = serde_json::json!({"UsageRecords": []});
    let metering = &town.world.functions.submitter.metering;
    metering.batch_meter_usage_raw(empty).await.expect("called");
}

async fn judge_at(town: &Town, time: &str) -> Report {
    town.world.set_time(at(time));
    let report = town.world.reconcile_task(Task::Judge).await.unwrap();
    assert!(report.finished, "{report:?}");
    report
}

/// A town with one buyer. The record of [`HOUR`] was never sent, and its deadline has passed.
async fn unsent() -> Town {
    let town = Town::of(1).await;
    town.world.set_time(at("2026-11-27T02:20:00Z"));
    town.uses(0, "a", HOUR).await;
    town.seal_at("2026-11-27T03:31:00Z").await;
    town.world.set_time(at("2026-11-28T02:01:00Z"));
    let expired = town.world.reconcile_task(Task::Expire).await.unwrap();
    assert_eq!(expired.unconfirmed, 1, "{expired:?}");
    town
}

#[test]
fn a_record_is_not_concluded_once_the_history_does_not_reach_back_to_its_hour() {
    on_a_thread(|| Executor::default().finish(judge_at_the_edge()));
}

async fn judge_at_the_edge() {
    // The history goes back for ninety days. The calls for a record can begin five minutes before
    // its hour, because clocks differ.
    for (time, state) in [
        ("2027-02-25T01:55:00Z", State::Expired),
        ("2027-02-25T01:55:01Z", State::Unconfirmed),
    ] {
        let town = unsent().await;
        witness_at(&town, "2027-02-25T00:30:00Z").await;
        let report = judge_at(&town, time).await;
        let is_concluded = state == State::Expired;
        let found = (report.audit.expired, report.audit.given_up);
        let expected = (u64::from(is_concluded), u64::from(!is_concluded));
        assert_eq!(found, expected, "{time}: {report:?}");
        let record = town.record(0, HOUR).await;
        assert_eq!((record.state, record.movements), (state, 0), "{time}");
        let ledger = &town.world.ledger;
        let flag = ledger.late_flag(town.buyer(0), record.slot.hour).await;
        assert_eq!(flag.unwrap().is_some(), is_concluded, "{time}");
        if !is_concluded {
            // A person must decide.
            assert_eq!(record.due, None);
            let doubt = ledger.doubt_about(&record.slot).await.unwrap();
            assert_eq!(doubt, Some(Doubt::OutOfReach.to_string()));
        }
    }
}

/// The reconciler flags the hour of a record that was not billed. Before it writes the conclusion,
/// a sealer counts the hour. The record still counts the usage, so the sealer removes the flag.
#[test]
fn usage_that_was_not_billed_is_carried_although_a_sealer_removes_its_flag_too_early() {
    on_a_thread(|| {
        let mut executor = Executor::default();
        let town = Rc::new(executor.finish(unsent()));
        let inside = Rc::clone(&town);
        executor.finish(async move { witness_at(&inside, "2026-11-28T03:00:00Z").await });
        let wire = &town.world.wire;
        town.world.set_time(at("2026-11-28T03:40:00Z"));
        let (mut is_flagged, mut has_waited) = (false, false);
        wire.follow(Box::new(move |call: &Call| {
            if call.function != "reconciler" {
                return Fate::Answered;
            }
            is_flagged |= call.operation == "PutItem";
            let is_conclusion = is_flagged && !has_waited && call.operation == "UpdateItem";
            has_waited |= is_conclusion;
            match is_conclusion {
                true => Fate::Waits,
                false => Fate::Answered,
            }
        }));
        let inside = Rc::clone(&town);
        let judging = start(&executor, async move {
            inside.world.reconcile_task(Task::Judge).await
        });
        executor.run_until_stalled();
        assert_eq!(wire.waiting(), 1, "the conclusion waits");
        let inside = Rc::clone(&town);
        let sealed = executor.finish(async move { inside.world.seal().await.unwrap() });
        assert_eq!(sealed.flags_cleared, 1, "{sealed:?}");
        wire.heal();
        wire.release(0);
        executor.run_until_stalled();
        let report: Report = result(&judging);
        assert_eq!(report.audit.expired, 1, "{report:?}");

        let inside = Rc::clone(&town);
        executor.finish(async move {
            inside.seal_at("2026-11-28T03:45:00Z").await;
            let record = inside.record(0, HOUR).await;
            assert_eq!((record.state, record.movements), (State::Expired, 1));
        });
    });
}

/// The hours of four records. The history of the first two can be read together. Each of the others
/// needs a reading of its own.
const OLD_HOURS: [&str; 4] = [
    "2026-11-25T09",
    "2026-11-18T07",
    "2026-11-11T07",
    "2026-11-04T07",
];

/// A record that was never sent, and whose deadline has passed.
fn unconfirmed(town: &Town, hour: &str) -> MeteringRecord {
    let slot = town.slot(0, hour);
    let (sealed_at, deadline) = (slot.hour.end(), slot.hour.plus(24).start());
    let one = "1".parse().unwrap();
    MeteringRecord {
        state: State::Unconfirmed,
        due: Some(slot.hour.plus(25).start()),
        outcome: Some(Outcome {
            at: deadline,
            code: DEADLINE_PASSED.to_owned(),
            metering_record_id: None,
            quantity_at_aws: None,
        }),
        ..MeteringRecord::new(
            slot,
            "townproduct".parse().unwrap(),
            one,
            deadline,
            sealed_at,
        )
    }
}

/// The states of the four records, and when the audit looks at the third one again.
async fn stand(town: &Town) -> ([State; 4], Option<Timestamp>) {
    let mut states = [State::Sealed; 4];
    for (state, hour) in states.iter_mut().zip(OLD_HOURS) {
        *state = town.record(0, hour).await.state;
    }
    (states, town.record(0, OLD_HOURS[2]).await.due)
}

#[test]
fn records_are_judged_newest_first_and_one_whose_reading_takes_too_long_starves_no_other() {
    on_a_thread(|| Executor::default().finish(judge_in_parts()));
}

async fn judge_in_parts() {
    use State::{Expired, Unconfirmed};
    let town = Town::of(1).await;
    for hour in OLD_HOURS {
        let record = unconfirmed(&town, hour);
        town.world.ledger.create_record(&record).await.unwrap();
    }
    witness_at(&town, "2026-11-27T10:00:00Z").await;
    // A run has time for three pages of the history, and each group needs two.
    let pages: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
    town.world.wire.follow(Box::new(move |call: &Call| {
        let is_page = call.operation == "LookupEvents";
        pages.fetch_add(u64::from(is_page), Ordering::Relaxed);
        Fate::Answered
    }));
    let judge_at = async |time: &str| {
        town.world.set_time(at(time));
        let budget = Budget::of_calls(pages, 4);
        let report = town.world.reconcile_task_as(Task::Judge, budget).await;
        let report = report.unwrap();
        let audit = &report.audit;
        (report.finished, audit.expired, audit.undecided)
    };
    let found = judge_at("2026-11-27T12:00:00Z").await;
    assert_eq!(found, (false, 2, 1));
    let (states, next) = stand(&town).await;
    assert_eq!(states, [Expired, Expired, Unconfirmed, Unconfirmed]);
    assert_eq!(next, Some(at("2026-11-27T15:00:00Z")));
    // The third record is postponed, so the last one has its turn.
    assert_eq!(judge_at("2026-11-27T13:00:00Z").await, (true, 1, 0));
    let (states, _) = stand(&town).await;
    assert_eq!(states, [Expired, Expired, Unconfirmed, Expired]);
    assert_eq!(judge_at("2026-11-27T15:00:00Z").await, (true, 1, 0));
    assert_eq!(stand(&town).await.0, [Expired; 4]);
}
