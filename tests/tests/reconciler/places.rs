//! A run that has no time left stores its place, and the next run continues there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ledger::Written;
use marketplace::carry_id::{CarryId, origin_hash};
use marketplace::recount::MovementKind;
use simulation::run::{Executor, on_a_thread};
use simulation::wire::Fate;

use crate::town::{Town, at};

const BUYERS: usize = 24;
/// The time of an invocation. An invocation needs a small part of it, unless the test makes a call
/// so slow that it takes the rest.
const TIME: Duration = Duration::from_secs(3);
/// The number of queries that a run makes before the slow call.
const QUERIES: u64 = 100;
/// The most queries of a run that the next run may repeat: calls that were under way when the time
/// ran out, and pages of the indexes.
const EXTRA_PER_RUN: u64 = 100;

/// The totals of all runs until one finished.
#[derive(Debug)]
struct Taken {
    runs: u64,
    queries: u64,
    hours: u64,
    balanced: Vec<Option<bool>>,
}

/// Counts the reconciler's queries, of all runs and of the present one. The query with the number
/// `slow` takes all of the run's time.
fn count_queries(town: &Town, slow: Option<u64>) -> (Arc<AtomicU64>, Arc<AtomicU64>) {
    let queries = Arc::new(AtomicU64::new(0));
    let of_run = Arc::new(AtomicU64::new(0));
    let (all, one) = (Arc::clone(&queries), Arc::clone(&of_run));
    town.world.wire.follow(Box::new(move |call| {
        if call.function == "reconciler" && call.operation == "Query" {
            all.fetch_add(1, Ordering::Relaxed);
            let made = one.fetch_add(1, Ordering::Relaxed);
            if slow == Some(made) {
                std::thread::sleep(TIME);
            }
        }
        Fate::Answered
    }));
    (queries, of_run)
}

/// Reconciles until a run finishes. If `is_slow`, each run has no time left after some queries.
async fn taken(is_slow: bool) -> Taken {
    let town = Town::of(BUYERS).await;
    for n in 0..BUYERS {
        town.uses(n, "a", "2026-11-27T02").await;
    }
    town.seal_at("2026-11-27T03:31:00Z").await;
    town.reconcile_at("2026-11-27T03:45:00Z").await;
    town.seal_at("2026-11-27T12:31:00Z").await;
    let (queries, of_run) = count_queries(&town, is_slow.then_some(QUERIES));
    let mut taken = Taken {
        runs: 0,
        queries: 0,
        hours: 0,
        balanced: Vec::new(),
    };
    for _ in 0..100 {
        of_run.store(0, Ordering::Relaxed);
        let report = match is_slow {
            true => town.world.reconcile_within(TIME).await,
            false => town.world.reconcile().await,
        };
        let report = report.unwrap();
        taken.runs += 1;
        taken.hours += report.hours_recounted;
        taken.balanced.push(report.balanced);
        if report.finished {
            break;
        }
    }
    taken.queries = queries.load(Ordering::Relaxed);
    taken
}

#[test]
fn recounts_and_proofs_go_on_where_the_time_was_up() {
    let at_once = on_a_thread(|| Executor::default().finish(taken(false)));
    let bit_by_bit = on_a_thread(|| Executor::default().finish(taken(true)));
    assert_eq!(at_once.runs, 1, "{at_once:?}");
    assert!(bit_by_bit.runs > 4, "{bit_by_bit:?}");
    assert_eq!(
        at_once.hours, bit_by_bit.hours,
        "{at_once:?} {bit_by_bit:?}"
    );
    assert!(
        bit_by_bit.queries <= at_once.queries + bit_by_bit.runs * EXTRA_PER_RUN,
        "{at_once:?} {bit_by_bit:?}"
    );
    assert!(bit_by_bit.balanced.contains(&Some(true)));
    assert!(!bit_by_bit.balanced.contains(&Some(false)));
}

#[test]
fn a_run_does_not_move_a_place_that_another_run_has_moved() {
    on_a_thread(|| Executor::default().finish(move_place_of_two_runs()));
}

async fn move_place_of_two_runs() {
    let town = Town::of(2).await;
    let ledger = &town.world.ledger;
    let read = || async { ledger.place_of_pass("closing").await.unwrap() };
    let (mut one, mut other) = (read().await, read().await);
    let buyers = [town.buyer(0).clone(), town.buyer(1).clone()];
    // The first write creates the item, and the second one changes it.
    for buyer in &buyers {
        let moved = ledger.move_place(&mut one, Some(buyer.clone())).await;
        assert_eq!(moved.unwrap(), Written::Done);
    }
    for at in [Some(buyers[0].clone()), Some(buyers[1].clone())] {
        let moved = ledger.move_place(&mut other, at).await;
        assert_eq!(moved.unwrap(), Written::Conflict);
    }
    assert_eq!(read().await.at.as_ref(), Some(&buyers[1]));
    let mut other = read().await;
    let moved = ledger.move_place(&mut other, None).await;
    assert_eq!(moved.unwrap(), Written::Done);
    let late = ledger.move_place(&mut one, Some(buyers[0].clone())).await;
    assert_eq!(late.unwrap(), Written::Conflict);
    assert_eq!(read().await.at, None);
}

#[test]
fn subscriptions_that_end_together_are_closed_in_their_turn() {
    on_a_thread(|| Executor::default().finish(close_in_turn()));
}

async fn close_in_turn() {
    let town = Town::of(BUYERS).await;
    for (agreement, _) in &town.buyers {
        let agreement = &agreement.agreement_id;
        town.world.emulator.cancel_agreement(agreement).unwrap();
    }
    town.world.set_time(at("2026-11-27T01:40:00Z"));
    town.world.deliver_lifecycle().await;
    for time in ["02:31:00", "03:31:00", "04:31:00", "05:31:00"] {
        town.seal_at(&format!("2026-11-27T{time}Z")).await;
    }
    let (_, of_run) = count_queries(&town, Some(QUERIES));
    let (mut closed, mut runs) = (0, 0);
    while closed < BUYERS as u64 {
        of_run.store(0, Ordering::Relaxed);
        let report = town.world.reconcile_within(TIME).await.unwrap();
        closed += report.subscriptions_closed;
        runs += 1;
        assert!(
            runs < 40,
            "{closed} of {BUYERS} are closed after {runs} runs"
        );
    }
    assert!(runs > 2, "the time must be up before all are closed");
}

#[test]
fn an_imbalance_is_reported_even_if_the_time_runs_out_over_the_rest() {
    on_a_thread(|| Executor::default().finish(report_imbalance()));
}

async fn report_imbalance() {
    const HOUR: &str = "2026-11-27T02";
    let town = Town::of(BUYERS).await;
    for n in 0..BUYERS {
        town.uses(n, "a", HOUR).await;
    }
    town.seal_at("2026-11-27T03:31:00Z").await;
    for n in 0..BUYERS {
        town.uses(n, "late", HOUR).await;
        let (late, now) = (town.buyer(n), at("2026-11-27T03:50:00Z"));
        let flagged = town
            .world
            .ledger
            .flag_late(late, HOUR.parse().unwrap(), now);
        flagged.await.unwrap();
    }
    town.seal_at("2026-11-27T04:20:00Z").await;
    town.reconcile_at("2026-11-27T04:25:00Z").await;
    // The carried rows of all buyers are removed.
    for n in 0..BUYERS {
        let subscription = town.buyer(n);
        let record = town.record(n, HOUR).await;
        let movements = town.world.ledger.movements_of(&record).await.unwrap();
        let MovementKind::Carried { target, .. } = movements[0].kind else {
            panic!("{movements:?}");
        };
        let carry = CarryId {
            origin: record.slot.hour,
            hash: origin_hash(subscription, &record.slot.dimension),
            movement: 1,
            entry: 0,
        };
        let partition = format!("{subscription}@{target}");
        let row = format!("{}#{carry}", record.slot.dimension);
        town.world.delete_row(&partition, &row).await;
    }
    // The recounts take some eight hundred queries, and a shard's proof some three hundred.
    let (_, of_run) = count_queries(&town, Some(1_500));
    town.seal_at("2026-11-28T07:31:00Z").await;
    let mut imbalances = 0;
    for _ in 0..40 {
        of_run.store(0, Ordering::Relaxed);
        let report = town.world.reconcile_within(TIME).await.unwrap();
        if report.finished || imbalances > 0 {
            break;
        }
        assert_eq!(report.balanced == Some(false), report.slots_unbalanced > 0);
        imbalances += report.slots_unbalanced;
    }
    assert!(
        imbalances > 0,
        "no run whose time was up reported an imbalance"
    );
}
