//! A trail in S3: files that cannot be read, lists of several pages, and events that are older than
//! the Event history.

use emulator::{Fault, FaultKind, Faults, Settings};
use marketplace::State;
use marketplace::audit::Source;
use reconciler::Task;
use simulation::run::{Executor, on_a_thread};

use crate::town::{Town, at};

fn set(town: &Town, change: impl FnOnce(&mut Settings)) {
    let mut settings = town.world.emulator.settings();
    change(&mut settings);
    town.world.emulator.set_settings(settings);
}

fn fails(town: &Town, fault: Fault) {
    town.world.emulator.set_faults(Faults {
        seed: 0,
        faults: vec![fault],
    });
}

/// A town with one buyer. AWS Marketplace recorded the usage of hour 02 at 03:31, but every answer
/// was lost, and the record's deadline has passed.
async fn unanswered() -> Town {
    let town = Town::reading(1, Source::Trail).await;
    town.world.set_time(at("2026-11-27T02:20:00Z"));
    town.uses(0, "a", "2026-11-27T02").await;
    fails(
        &town,
        Fault::rate("BatchMeterUsage", FaultKind::DropAfter, 1.0),
    );
    town.seal_at("2026-11-27T03:31:00Z").await;
    town.world.set_time(at("2026-11-27T03:37:00Z"));
    town.world.sweep().await.unwrap();
    assert_eq!(town.world.emulator.metered().len(), 1);
    town.world.emulator.set_faults(Faults::default());
    // The deadline is early, so that the record is not sent again before it.
    town.world.set_time(at("2026-11-28T02:01:00Z"));
    town.world.reconcile().await.unwrap();
    let record = town.record(0, "2026-11-27T02").await;
    assert_eq!(record.state, State::Unconfirmed);
    town
}

#[test]
fn a_file_that_cannot_be_read_keeps_the_record_held_until_it_can() {
    on_a_thread(|| Executor::default().finish(read_denied_file()));
}

async fn read_denied_file() {
    let town = unanswered().await;
    // Access to the file that has the call is denied.
    let denied = Fault::rate("GetObject", FaultKind::AccessDenied, 1.0);
    fails(&town, denied.containing("20261127T035"));
    let report = town.reconcile_at("2026-11-28T03:10:00Z").await;
    // The file is reported, and the other files are read nevertheless.
    let failure = report.audit.failure.clone().expect("a file");
    assert!(
        failure.contains("cannot be read (1)") && failure.contains("T0355Z"),
        "{failure}"
    );
    assert!(report.finished, "{report:?}");
    assert_eq!(report.audit.undecided, 1, "{report:?}");
    let record = town.record(0, "2026-11-27T02").await;
    assert_eq!((record.state, record.movements), (State::Unconfirmed, 0));

    town.world.emulator.set_faults(Faults::default());
    let report = town.reconcile_at("2026-11-28T05:10:00Z").await;
    assert_eq!(report.audit.accepted, 1, "{report:?}");
    assert_eq!(report.audit.failure, None, "{report:?}");
    let record = town.record(0, "2026-11-27T02").await;
    assert_eq!(record.state, State::Accepted);
}

#[test]
fn each_task_reports_the_files_that_it_could_not_read() {
    on_a_thread(|| Executor::default().finish(judge_denied_file()));
}

async fn judge_denied_file() {
    let town = unanswered().await;
    let denied = Fault::rate("GetObject", FaultKind::AccessDenied, 1.0);
    fails(&town, denied.containing("20261127T035"));
    town.world.set_time(at("2026-11-28T03:10:00Z"));
    let report = town.world.reconcile_task(Task::Judge).await.unwrap();
    let failure = report.audit.failure.clone().unwrap_or_default();
    assert!(failure.contains("cannot be read (1)"), "{report:?}");
    assert_eq!(report.audit.undecided, 1, "{report:?}");
    // A file that one task reported does not count as a failure of the next task.
    town.world.emulator.set_faults(Faults::default());
    let report = town.world.reconcile_task(Task::Compare).await.unwrap();
    assert_eq!(report.audit.failure, None, "{report:?}");
}

#[test]
fn a_trail_without_files_is_a_failure_and_not_silence() {
    on_a_thread(|| Executor::default().finish(read_nothing()));
}

async fn read_nothing() {
    let town = unanswered().await;
    set(&town, |settings| {
        settings.trail_prefix = "elsewhere".to_owned()
    });
    let report = town.reconcile_at("2026-11-28T03:10:00Z").await;
    let failure = report.audit.failure.clone().expect("a failure");
    assert!(
        failure.contains("no file of a trail in s3://example-trail/AWSLogs"),
        "{failure}"
    );
    assert!(!report.finished, "{report:?}");
}

#[test]
fn a_list_in_pages_is_read_to_its_end() {
    on_a_thread(|| Executor::default().finish(read_pages()));
}

async fn read_pages() {
    let town = unanswered().await;
    set(&town, |settings| settings.trail_page_keys = 1);
    let report = town.reconcile_at("2026-11-28T03:10:00Z").await;
    assert_eq!(report.audit.accepted, 1, "{report:?}");
    assert!(report.finished, "{report:?}");
}

#[test]
fn a_record_older_than_the_event_history_is_judged_by_the_trail() {
    on_a_thread(|| Executor::default().finish(judge_old_record()));
}

async fn judge_old_record() {
    let town = unanswered().await;
    // The next run is four months later.
    let report = town.reconcile_at("2027-03-28T03:10:00Z").await;
    assert_eq!(report.audit.accepted, 1, "{report:?}");
    let record = town.record(0, "2026-11-27T02").await;
    assert_eq!(record.state, State::Accepted);
}

#[test]
fn nothing_is_concluded_about_the_time_before_the_first_file() {
    on_a_thread(|| Executor::default().finish(judge_before_the_first_file()));
}

async fn judge_before_the_first_file() {
    let town = unanswered().await;
    // The bucket has lost the files of the day on which the record was sent, but has a later call.
    set(&town, |settings| settings.trail_kept_days = 1);
    town.world.set_time(at("2026-11-28T06:00:00Z"));
    let empty = serde_json::json!({"UsageRecords": []});
    let metering = &town.world.functions.submitter.metering;
    metering.batch_meter_usage_raw(empty).await.expect("called");
    let report = town.reconcile_at("2026-11-28T07:10:00Z").await;
    assert_eq!(
        (report.audit.expired, report.audit.undecided),
        (0, 1),
        "{report:?}"
    );
    let record = town.record(0, "2026-11-27T02").await;
    assert_eq!((record.state, record.movements), (State::Unconfirmed, 0));
    let outcome = record.outcome.expect("an outcome");
    assert!(!outcome.code.is_empty());
}
