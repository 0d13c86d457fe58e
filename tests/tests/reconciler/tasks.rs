//! Each task and shard has its own invocation.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use ledger::{SHARDS, shard_of};
use marketplace::window::Window;
use marketplace::{MeteringRecord, State};
use reconciler::Task;
use runtime::Budget;
use simulation::run::{Executor, on_a_thread};

use crate::town::{Town, at};

const BUYERS: usize = 16;
/// The number of hours from the last quarter of the 26th, which is due first, through the 27th.
const HOURS: u64 = 30;

/// A town in which two days are sealed and every buyer used something.
async fn town() -> Town {
    let town = Town::of(BUYERS).await;
    for n in 0..BUYERS {
        town.uses(n, "a", "2026-11-27T02").await;
    }
    town.seal_at("2026-11-27T03:31:00Z").await;
    // The progress of the recounts begins.
    town.reconcile_at("2026-11-27T03:40:00Z").await;
    town.seal_at("2026-11-28T07:31:00Z").await;
    town
}

fn by_shard(town: &Town) -> BTreeMap<u8, u64> {
    let mut by_shard: BTreeMap<u8, u64> = (0..SHARDS).map(|shard| (shard, 0)).collect();
    for (_, subscription) in &town.buyers {
        *by_shard.entry(shard_of(subscription)).or_default() += 1;
    }
    by_shard
}

#[test]
fn a_task_with_a_shard_touches_only_its_shard() {
    on_a_thread(|| Executor::default().finish(touch_one_shard()));
}

async fn touch_one_shard() {
    let town = town().await;
    let by_shard = by_shard(&town);
    town.world.set_time(at("2026-11-28T07:40:00Z"));
    let ledger = &town.world.ledger;
    let through = async |shard| {
        let name = format!("recount-first#{shard}");
        let progress = ledger.sweep_progress(&name).await.unwrap();
        progress.expect("a progress").through
    };
    let before = through(0).await;
    for (shard, buyers) in by_shard {
        let report = town.world.reconcile_task(Task::Recount(Some(shard))).await;
        let report = report.unwrap();
        assert_eq!((report.task, report.shard), ("recount", Some(shard)));
        assert_eq!(through(shard).await.to_string(), "2026-11-27T23");
        assert_eq!(report.hours_recounted, buyers * HOURS, "shard {shard}");
        assert_eq!(report.balanced, None);
        for later in shard + 1..SHARDS {
            assert_eq!(through(later).await, before);
        }
        let report = town.world.reconcile_task(Task::Prove(Some(shard))).await;
        let report = report.unwrap();
        assert!(report.finished, "{report:?}");
        // The days are the 26th, which is the first day that can have usage, and the 27th.
        assert_eq!(report.days_proved, buyers * 2, "shard {shard}");
        assert_eq!(report.hours_recounted, 0);
        assert_eq!(report.balanced, Some(true));
    }
}

#[test]
fn a_task_whose_time_is_up_takes_none_of_another() {
    on_a_thread(|| Executor::default().finish(starve_one()));
}

async fn starve_one() {
    let town = town().await;
    town.world.set_time(at("2026-11-28T07:40:00Z"));
    let none = Budget::of(Duration::ZERO);
    for _ in 0..3 {
        let starved = town.world.reconcile_task_as(Task::Recount(None), none);
        let starved = starved.await.unwrap();
        assert!(
            !starved.finished && starved.hours_recounted == 0,
            "{starved:?}"
        );
    }
    for task in [
        Task::Expire,
        Task::Close,
        Task::Prove(None),
        Task::Judge,
        Task::Compare,
    ] {
        let report = town.world.reconcile_task(task).await.unwrap();
        assert!(report.finished, "{task}: {report:?}");
    }
    let report = town.world.reconcile_task(Task::Recount(None)).await;
    let report = report.unwrap();
    assert!(report.finished, "{report:?}");
    assert_eq!(report.hours_recounted, BUYERS as u64 * HOURS);
}

#[test]
fn two_invocations_of_one_task_at_once_have_the_same_result() {
    on_a_thread(|| Executor::default().finish(run_at_once()));
}

async fn run_at_once() {
    let town = town().await;
    town.world.set_time(at("2026-11-28T07:40:00Z"));
    for n in 0..BUYERS {
        town.uses(n, "unreported", "2026-11-27T03").await;
    }
    town.world.forget_usage_stream().await;
    for task in [Task::Recount(None), Task::Prove(None)] {
        let (one, other) = futures_util::join!(
            town.world.reconcile_task(task),
            town.world.reconcile_task(task)
        );
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(one.hours_flagged + other.hours_flagged >= BUYERS as u64);
        assert!(one.balanced != Some(false) && other.balanced != Some(false));
    }
    town.seal_at("2026-11-28T07:45:00Z").await;
    town.seal_at("2026-11-28T09:31:00Z").await;
    for (_, subscription) in &town.buyers {
        let profile = town.world.ledger.profile(subscription).await.unwrap();
        let profile = profile.expect("a profile");
        let (first, last) = ("2026-11-26T00", "2026-11-28T12");
        let books = ledger::books::of_subscription(
            &town.world.ledger,
            &profile,
            first.parse().unwrap(),
            last.parse().unwrap(),
        );
        let books = books.await.unwrap();
        assert_eq!(books.sum.ingested.to_string(), "2");
        assert_eq!(
            books
                .sum
                .pending
                .plus(books.sum.accepted)
                .unwrap()
                .to_string(),
            "2"
        );
        assert!(books.sum.is_balanced().unwrap() && books.unbalanced.is_empty());
    }
}

#[test]
fn with_a_small_window_each_hour_is_recounted_before_its_deadline() {
    on_a_thread(|| Executor::default().finish(recount_in_small_window()));
}

async fn recount_in_small_window() {
    let town = Town::of(2).await;
    let mut app = town.world.functions.reconciler.clone();
    app.window = Window::from_hours(6).unwrap();
    let mut recounted = 0;
    for hour in 3..30 {
        let now = at("2026-11-27T00:35:00Z") + SignedDuration::from_hours(hour);
        town.world.set_time(now);
        town.world.seal().await.unwrap();
        let budget = Budget::of(Duration::from_secs(60));
        let report = reconciler::handle_task(&app, Task::Recount(None), budget).await;
        recounted += report.unwrap().hours_recounted;
        // The next run is an hour later.
        let horizon = now + SignedDuration::from_hours(1);
        for shard in 0..SHARDS {
            let name = format!("recount-first#{shard}");
            let progress = town.world.ledger.sweep_progress(&name).await.unwrap();
            let next = progress.expect("a progress").through.next();
            assert!(
                app.window.deadline(next.start()) > horizon,
                "{next} at {now}"
            );
        }
    }
    assert!(recounted >= 2 * 24, "{recounted}");
}

#[test]
fn an_event_that_names_no_task_is_an_error() {
    on_a_thread(|| Executor::default().finish(ask_for_nothing()));
}

async fn ask_for_nothing() {
    let town = Town::of(1).await;
    let app = town.world.functions.reconciler.clone();
    let budget = Budget::of(Duration::from_secs(60));
    let event = serde_json::json!({"task": "recount", "shard": 8});
    let error = reconciler::handle_event(&app, &event, budget).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains('8') && error.contains("0 to 7"), "{error}");
    let event = serde_json::json!({"time": "2026-11-27T02:00:00Z"});
    let report = reconciler::handle_event(&app, &event, budget)
        .await
        .unwrap();
    assert_eq!(report.task, "everything");
}

/// A record of this hour that waits in this state. It is due at once.
fn waiting(town: &Town, n: usize, hour: &str, state: State) -> MeteringRecord {
    let slot = town.slot(n, hour);
    let (sealed_at, deadline) = (slot.hour.end(), slot.hour.plus(24).start());
    let product = "townproduct".parse().unwrap();
    let quantity = "1".parse().unwrap();
    MeteringRecord {
        state,
        due: Some(sealed_at),
        ..MeteringRecord::new(slot, product, quantity, deadline, sealed_at)
    }
}

#[test]
fn a_refused_record_has_no_part_in_the_used_time() {
    on_a_thread(|| Executor::default().finish(wait_beside_refused()));
}

async fn wait_beside_refused() {
    let town = Town::of(2).await;
    let expire_at = async |time: &str| {
        town.world.set_time(at(time));
        let report = town.world.reconcile_task(Task::Expire).await.unwrap();
        assert!(report.finished, "{report:?}");
        let urgency = (
            report.minutes_to_nearest_deadline,
            report.percent_of_time_used,
        );
        (urgency, report.unconfirmed)
    };
    // A single minute is left for the refused record.
    let refused = waiting(&town, 0, "2026-11-26T04", State::Refused);
    town.world.ledger.create_record(&refused).await.unwrap();
    let found = expire_at("2026-11-27T03:59:00Z").await;
    assert_eq!(found, ((None, None), 0));
    // The other record has used 59 minutes of its 23 hours.
    let sealed = waiting(&town, 1, "2026-11-27T02", State::Sealed);
    town.world.ledger.create_record(&sealed).await.unwrap();
    let found = expire_at("2026-11-27T03:59:00Z").await;
    assert_eq!(found, ((Some(22 * 60 + 1), Some(4)), 0));
    // The deadline of a refused record ends it nevertheless.
    let found = expire_at("2026-11-27T04:00:00Z").await;
    assert_eq!(found, ((Some(22 * 60), Some(4)), 1));
}
