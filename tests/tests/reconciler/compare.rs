//! The hourly comparison with CloudTrail: its reads, and the differences that it must find even if
//! a read is stale or a record was not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_dynamodb::types::AttributeValue;
use ledger::{Consistency, Written};
use marketplace::{State, UsageHour};
use reconciler::Task;
use serde_json::json;
use simulation::run::{Executor, on_a_thread};
use simulation::wire::Fate;

use crate::town::{Town, at};

const HOUR: &str = "2026-11-27T02";
/// A time before the record of [`HOUR`] was sent.
const HOUR_BEFORE: &str = "2026-11-27T03:00:00Z";
/// The time at which the reconciler compares the step in which the record was sent.
const FIRST: &str = "2026-11-27T04:15:00Z";
/// The time at which the reconciler compares that step again.
const AGAIN: &str = "2026-11-27T13:15:00Z";
/// The sort key under which that step is kept once it is settled.
const STEP: &str = "step#2026-11-27T03:11:00Z";

/// The numbers of the reconciler's calls of three operations.
#[derive(Default)]
struct Calls {
    batches: AtomicU64,
    pages: AtomicU64,
    queries: AtomicU64,
}

/// Counts the reconciler's calls of these operations. `fate` decides what happens to them.
fn follow(town: &Town, fate: impl Fn(&str) -> Fate + Send + 'static) -> Arc<Calls> {
    let calls = Arc::new(Calls::default());
    let of_plan = Arc::clone(&calls);
    town.world.wire.follow(Box::new(move |call| {
        let counter = match (call.function, call.operation.as_str()) {
            ("reconciler", "BatchGetItem") => &of_plan.batches,
            ("reconciler", "LookupEvents") => &of_plan.pages,
            ("reconciler", "Query") => &of_plan.queries,
            _ => return Fate::Answered,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        fate(&call.operation)
    }));
    calls
}

async fn compare_at(town: &Town, time: &str) -> reconciler::Report {
    town.world.set_time(at(time));
    let report = town.world.reconcile_task(Task::Compare).await.unwrap();
    assert!(report.finished, "{report:?}");
    report
}

/// Lets a buyer use a unit in an hour, and meters it.
async fn meter(town: &Town, n: usize, hour: &str) {
    let hour: UsageHour = hour.parse().unwrap();
    town.world.set_time(at(&format!("{hour}:20:00Z")));
    town.uses(n, "a", &hour.to_string()).await;
    let next = hour.next();
    town.seal_at(&format!("{next}:31:00Z")).await;
    town.world.set_time(at(&format!("{next}:37:00Z")));
    town.world.sweep().await.unwrap();
    let record = town.record(n, &hour.to_string()).await;
    assert_eq!(record.state, State::Accepted);
}

/// Somebody else meters usage of the first buyer at 03:50.
async fn somebody_else_meters(town: &Town) {
    town.world.set_time(at("2026-11-27T03:50:00Z"));
    let theirs = json!({"UsageRecords": [{
        "LicenseArn": town.buyers[0].0.license_arn,
        "CustomerAWSAccountId": town.buyers[0].0.account_id,
        "Dimension": "gb",
        "Quantity": 3,
        "Timestamp": at("2026-11-27T03:00:00Z").as_second(),
    }]});
    let metering = &town.world.functions.submitter.metering;
    let metered = metering.batch_meter_usage_raw(theirs).await;
    metered.expect("metered");
}

fn set_delay(town: &Town, minutes: u32) {
    let mut settings = town.world.emulator.settings();
    settings.cloudtrail_delay_s = 60 * minutes;
    town.world.emulator.set_settings(settings);
}

#[test]
fn calls_are_compared_again_without_reading_a_record_if_none_came_late() {
    on_a_thread(|| Executor::default().finish(compare_again()));
}

async fn compare_again() {
    // The test leaves the settled step as it is, makes it unreadable, or changes the digest of its
    // calls. Nine hours of new calls and nine hours that are compared again are 18 steps of an
    // hour. One more step begins where the settled step begins. If its calls differ from those that
    // were kept, the history is read a second time.
    let damages = [None, Some(("until", "soon")), Some(("digest", "another"))];
    for (damage, batches, pages) in [
        (damages[0], 0, 19),
        (damages[1], 1, 18),
        (damages[2], 1, 20),
    ] {
        let town = Town::of(1).await;
        meter(&town, 0, HOUR).await;
        let calls = follow(&town, |_| Fate::Answered);
        let report = compare_at(&town, FIRST).await;
        assert_eq!(report.audit.differences(), 0, "{report:?}");
        assert_eq!(calls.batches.load(Ordering::Relaxed), 1);
        let table = &town.world.ledger.tables().metering_records;
        if let Some((attribute, value)) = damage {
            let key = ("audit", STEP);
            town.world.set_attribute(table, key, attribute, value).await;
        }
        let calls = follow(&town, |_| Fate::Answered);
        let report = compare_at(&town, AGAIN).await;
        assert_eq!(report.audit.differences(), 0, "{report:?}");
        assert_eq!(calls.batches.load(Ordering::Relaxed), batches, "{damage:?}");
        assert_eq!(calls.pages.load(Ordering::Relaxed), pages, "{damage:?}");
        assert_eq!(
            report.damaged_items,
            u64::from(damage == damages[1]),
            "{report:?}"
        );
    }
}

#[test]
fn a_call_that_comes_late_into_a_settled_step_is_found() {
    on_a_thread(|| Executor::default().finish(find_in_settled_step()));
}

async fn find_in_settled_step() {
    let town = Town::of(1).await;
    meter(&town, 0, HOUR).await;
    somebody_else_meters(&town).await;
    // The history shows the first call, and not yet the second one.
    set_delay(&town, 30);
    let report = compare_at(&town, FIRST).await;
    assert_eq!((report.audit.calls, report.audit.unknown), (1, 0));
    let steps = town.world.ledger.settled_steps(at(HOUR_BEFORE), at(FIRST));
    assert_eq!(steps.await.unwrap().len(), 1);
    set_delay(&town, 15);
    let report = compare_at(&town, AGAIN).await;
    assert_eq!(report.audit.unknown, 1, "{report:?}");
}

#[test]
fn a_difference_is_reported_by_both_comparisons() {
    on_a_thread(|| Executor::default().finish(report_twice()));
}

async fn report_twice() {
    let town = Town::of(1).await;
    meter(&town, 0, HOUR).await;
    somebody_else_meters(&town).await;
    for time in [FIRST, AGAIN] {
        let report = compare_at(&town, time).await;
        assert_eq!(report.audit.unknown, 1, "{report:?}");
    }
    let steps = town.world.ledger.settled_steps(at(HOUR_BEFORE), at(FIRST));
    assert!(steps.await.unwrap().is_empty());
}

#[test]
fn a_success_whose_record_is_not_shown_yet_is_no_difference() {
    on_a_thread(|| Executor::default().finish(read_before_creation()));
}

async fn read_before_creation() {
    let town = Town::of(1).await;
    // The same read, made before the record was created, gives the stale answer.
    let keys = [town.slot(0, HOUR)];
    let ledger = &town.world.ledger;
    let before = ledger.records_as(&keys, Consistency::Eventual).await;
    assert!(before.unwrap().is_empty());
    meter(&town, 0, HOUR).await;
    let calls = follow(&town, |operation| match operation {
        "BatchGetItem" => Fate::Stale,
        _ => Fate::Answered,
    });
    let report = compare_at(&town, FIRST).await;
    assert_eq!(report.audit.differences(), 0, "{report:?}");
    assert_eq!(report.audit.calls, 1);
    // The first read was stale, and the second one was strongly consistent.
    assert_eq!(calls.batches.load(Ordering::Relaxed), 2);
}

#[test]
fn a_record_that_is_not_accepted_any_more_is_not_missing() {
    on_a_thread(|| Executor::default().finish(read_before_change()));
}

async fn read_before_change() {
    for is_changed in [false, true] {
        let town = Town::of(1).await;
        town.uses(0, "a", HOUR).await;
        town.seal_at("2026-11-27T03:31:00Z").await;
        let ledger = &town.world.ledger;
        let write = async |state| {
            let record = town.record(0, HOUR).await;
            let now = at("2026-11-27T03:37:00Z");
            let written = ledger.write_state(&record, state, "Success", now).await;
            assert_eq!(written.unwrap(), Written::Done);
        };
        // The record was marked as accepted, but no call has its success.
        write(State::Accepted).await;
        let block = ["2026-11-27T00", HOUR].map(|hour| hour.parse().unwrap());
        let block = (block[0], block[1]);
        let read = ledger.records_of_hours(town.buyer(0), block, Consistency::Eventual);
        assert_eq!(read.await.unwrap().len(), 1);
        if is_changed {
            write(State::Disputed).await;
        }
        follow(&town, |operation| match operation {
            "Query" => Fate::Stale,
            _ => Fate::Answered,
        });
        let report = compare_at(&town, "2026-11-28T03:05:00Z").await;
        assert_eq!(report.audit.missing, u64::from(!is_changed), "{report:?}");
    }
}

async fn hours_through(town: &Town) -> String {
    let progress = town.world.ledger.audit_progress().await.unwrap();
    progress.expect("a progress").hours_through.to_string()
}

#[test]
fn hours_are_compared_in_blocks_once_their_last_hour_is_over() {
    on_a_thread(|| Executor::default().finish(compare_blocks()));
}

async fn compare_blocks() {
    let town = Town::of(1).await;
    for hour in 2..6 {
        meter(&town, 0, &format!("2026-11-27T{hour:02}")).await;
    }
    let report = compare_at(&town, "2026-11-28T05:59:59Z").await;
    // The hours 03 and 04 are over, but their block is not.
    assert_eq!(report.audit.matched, 1, "{report:?}");
    assert_eq!(hours_through(&town).await, "2026-11-27T02");
    // A run that does not finish leaves the whole block to the next run.
    let calls = follow(&town, |operation| match operation {
        "Query" => Fate::Failed,
        _ => Fate::Answered,
    });
    town.world.set_time(at("2026-11-28T06:00:00Z"));
    assert!(town.world.reconcile_task(Task::Compare).await.is_err());
    assert!(calls.queries.load(Ordering::Relaxed) > 0);
    assert_eq!(hours_through(&town).await, "2026-11-27T02");
    town.world.wire.heal();
    let report = compare_at(&town, "2026-11-28T06:00:00Z").await;
    assert_eq!(report.audit.matched, 3, "{report:?}");
    assert_eq!(hours_through(&town).await, "2026-11-27T05");
}

#[test]
fn a_block_that_was_begun_hour_by_hour_is_finished() {
    on_a_thread(|| Executor::default().finish(finish_block()));
}

async fn finish_block() {
    let town = Town::of(1).await;
    for hour in 3..6 {
        meter(&town, 0, &format!("2026-11-27T{hour:02}")).await;
    }
    // An earlier version kept its progress after each hour.
    let ledger = &town.world.ledger;
    let mut progress = ledger.audit_progress().await.unwrap().expect("a progress");
    let (calls, hours) = (progress.calls_through, "2026-11-27T03".parse().unwrap());
    let written = ledger.advance_audit_progress(&mut progress, calls, hours);
    assert_eq!(written.await.unwrap(), Written::Done);
    let report = compare_at(&town, "2026-11-28T06:00:00Z").await;
    assert_eq!(report.audit.matched, 2, "{report:?}");
    assert_eq!(hours_through(&town).await, "2026-11-27T05");
}

#[test]
fn a_damaged_record_hides_no_other_record_of_its_block() {
    on_a_thread(|| Executor::default().finish(compare_beside_damage()));
}

async fn compare_beside_damage() {
    let town = Town::of(1).await;
    for hour in 3..6 {
        meter(&town, 0, &format!("2026-11-27T{hour:02}")).await;
    }
    town.world.damage(&town.slot(0, "2026-11-27T04")).await;
    let report = compare_at(&town, "2026-11-28T06:00:00Z").await;
    assert_eq!(report.audit.matched, 2, "{report:?}");
    assert_eq!(report.damaged_items, 1, "{report:?}");
}

fn text(value: &str) -> Option<AttributeValue> {
    Some(AttributeValue::S(value.to_owned()))
}

fn number(value: u64) -> Option<AttributeValue> {
    Some(AttributeValue::N(value.to_string()))
}

#[test]
fn a_damaged_step_is_named_and_hides_no_call() {
    let damages = [
        ("from", None),
        ("from", number(7)),
        ("until", None),
        ("calls", text("one")),
        ("calls", None),
        ("digest", number(7)),
    ];
    on_a_thread(|| {
        for (attribute, value) in damages {
            Executor::default().finish(compare_damaged_step(attribute, value));
        }
    });
}

async fn compare_damaged_step(attribute: &'static str, value: Option<AttributeValue>) {
    let town = Town::of(1).await;
    meter(&town, 0, HOUR).await;
    somebody_else_meters(&town).await;
    // The history shows the first call, and not yet the second one.
    set_delay(&town, 30);
    let report = compare_at(&town, FIRST).await;
    assert_eq!((report.audit.calls, report.audit.unknown), (1, 0));
    let table = &town.world.ledger.tables().metering_records;
    town.world
        .change_attribute(table, ("audit", STEP), attribute, value)
        .await;
    set_delay(&town, 15);
    let report = compare_at(&town, AGAIN).await;
    assert_eq!(report.damaged, [format!("audit / {STEP}")], "{attribute}");
    assert_eq!(report.audit.unknown, 1, "{attribute}: {report:?}");
}

#[test]
fn a_damaged_progress_is_named_and_stops_the_comparison_alone_until_it_is_corrected() {
    on_a_thread(|| Executor::default().finish(damage_progress()));
}

async fn damage_progress() {
    let town = Town::of(1).await;
    meter(&town, 0, HOUR).await;
    somebody_else_meters(&town).await;
    let ledger = &town.world.ledger;
    let whole = ledger.audit_progress().await.unwrap().expect("a progress");
    let table = &ledger.tables().metering_records;
    let change = async |attribute: &str, value| {
        let key = ("audit", "progress");
        town.world
            .change_attribute(table, key, attribute, value)
            .await;
    };
    town.world.set_time(at(FIRST));
    for (attribute, damage) in [
        ("calls_through", None),
        ("calls_through", text("soon")),
        ("hours_through", None),
        ("hours_through", number(7)),
        ("version", None),
        ("version", text("one")),
    ] {
        change(attribute, damage).await;
        for task in [Task::Everything, Task::Compare] {
            let report = town.world.reconcile_task(task).await.unwrap();
            assert_eq!(report.damaged, ["audit / progress"], "{task} {attribute}");
            assert!(!report.finished, "{task} {attribute}");
            let compared = (report.audit.calls, report.audit.failure);
            assert_eq!(compared, (0, None), "{task} {attribute}");
        }
        for task in [
            Task::Expire,
            Task::Recount(None),
            Task::Close,
            Task::Judge,
            Task::Prove(None),
        ] {
            let report = town.world.reconcile_task(task).await.unwrap();
            assert!(report.finished, "{task} {attribute}: {report:?}");
        }
        change("calls_through", text(&whole.calls_through.to_string())).await;
        change("hours_through", text(&whole.hours_through.to_string())).await;
        change("version", number(whole.version)).await;
        assert_eq!(ledger.audit_progress().await.unwrap(), Some(whole));
    }
    // The comparison goes on where it stopped.
    let report = compare_at(&town, FIRST).await;
    assert_eq!((report.audit.calls, report.audit.unknown), (2, 1));
}
