//! Records that were concluded to be unbilled, by the audit or by a person, are compared with the
//! history again a day and three days later.

use emulator::{Fault, FaultKind, Faults};
use ledger::Written;
use ledger::books::of_all;
use marketplace::State;
use marketplace::audit::Source;
use marketplace::decision::{ClosingRule, close_record, closing_rule};
use marketplace::error_table::NOT_BILLED;
use marketplace::recount::MovementKind;
use reconciler::Task;
use serde_json::json;
use simulation::run::{Executor, on_all_cores};

use crate::town::{Town, at};

const HOUR: &str = "2026-11-27T02";
/// The hour with which the usage is billed after the conclusion.
const OPEN_HOUR: &str = "2026-11-28T03";
const CONCLUDED: &str = "2026-11-28T03:40:00Z";
/// The times at which the history is read again.
const LOOKS: [&str; 2] = ["2026-11-29T03:40:00Z", "2026-12-01T03:40:00Z"];

/// Who concludes that the record was not billed.
#[derive(Debug, Clone, Copy)]
enum By {
    Audit,
    Person,
}

/// A record of three units that AWS Marketplace bills, or whose slot somebody else has taken. The
/// history does not show that before the conclusion.
#[derive(Debug, Clone, Copy)]
struct Story {
    by: By,
    /// The quantity that somebody else has metered in the slot; `None` if the record itself is
    /// billed and only its answers are lost.
    theirs: Option<u32>,
    /// The number of hours after which the history shows a call.
    delay_hours: u32,
}

/// What the two looks find.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// The state of the record after each look.
    states: [State; 2],
    /// The unexpected successes and the conflicts in the report of each look.
    reported: [(u64, u64); 2],
    /// The accepted, lost and over-metered quantities of the books in the end.
    books: [String; 3],
}

/// Compares what the two looks find in each story with what they must find.
fn check(stories: &[(Source, Story, Found)]) {
    let found = on_all_cores(stories, |(source, story, _)| {
        let (source, story) = (*source, *story);
        Executor::default().finish(look_twice(source, story))
    });
    for ((source, story, expected), found) in stories.iter().zip(&found) {
        assert_eq!(found, expected, "{source:?} {story:?}");
    }
}

#[test]
fn a_success_that_comes_to_light_after_the_first_look_is_found_by_the_second() {
    let story = |delay_hours| Story {
        by: By::Audit,
        theirs: None,
        delay_hours,
    };
    let found = || Found {
        states: [State::Expired, State::Accepted],
        reported: [(0, 0), (1, 0)],
        books: ["6", "0", "3"].map(str::to_owned),
    };
    let never = Found {
        states: [State::Expired; 2],
        reported: [(0, 0); 2],
        books: ["3", "0", "0"].map(str::to_owned),
    };
    check(&[
        (Source::EventHistory, story(60), found()),
        (Source::Trail, story(60), found()),
        // Nobody looks a third time.
        (Source::EventHistory, story(100), never),
    ]);
}

#[test]
fn a_record_that_a_person_moved_is_compared_again_and_is_over_metered_if_it_was_billed() {
    use State::{Accepted, Conflict, Moved};
    let story = |theirs, delay_hours| Story {
        by: By::Person,
        theirs,
        delay_hours,
    };
    let found = |states, reported, books: [&str; 3]| Found {
        states,
        reported,
        books: books.map(str::to_owned),
    };
    let once_accepted = || found([Moved, Accepted], [(0, 0), (1, 0)], ["6", "0", "3"]);
    // Somebody else's five units and the three that were carried are billed.
    let more_of_theirs = || found([Moved, Conflict], [(0, 0), (0, 1)], ["8", "0", "5"]);
    check(&[
        (
            Source::EventHistory,
            story(None, 30),
            found([Accepted; 2], [(1, 0), (0, 0)], ["6", "0", "3"]),
        ),
        (Source::EventHistory, story(None, 60), once_accepted()),
        (Source::Trail, story(None, 60), once_accepted()),
        (Source::EventHistory, story(Some(5), 60), more_of_theirs()),
        (Source::Trail, story(Some(5), 60), more_of_theirs()),
        // One unit of the record is missing in the slot, but all three were carried.
        (
            Source::EventHistory,
            story(Some(2), 30),
            found([Conflict; 2], [(0, 1), (0, 0)], ["5", "1", "3"]),
        ),
        (
            Source::EventHistory,
            story(None, 100),
            found([Moved; 2], [(0, 0); 2], ["3", "0", "0"]),
        ),
    ]);
}

async fn look_twice(source: Source, story: Story) -> Found {
    let town = in_doubt(source, story).await;
    conclude(&town, story.by).await;
    // The usage is billed with the open hour.
    town.seal_at("2026-11-28T03:45:00Z").await;
    assert_eq!(town.record(0, HOUR).await.movements, 1, "{story:?}");
    town.seal_at("2026-11-28T04:31:00Z").await;
    town.world.set_time(at("2026-11-28T04:37:00Z"));
    town.world.sweep().await.unwrap();
    assert_eq!(town.record(0, OPEN_HOUR).await.state, State::Accepted);
    assert_eq!(town.world.emulator.metered().len(), 2, "{story:?}");

    let mut states = Vec::new();
    let mut reported = Vec::new();
    for time in LOOKS {
        let report = judge_at(&town, time).await;
        states.push(town.record(0, HOUR).await.state);
        reported.push((report.audit.unexpected, report.audit.conflicts));
    }
    let record = town.record(0, HOUR).await;
    assert!(record.is_closed(), "{record:?}");
    let (first, last) = ("2026-11-27T00", "2026-11-28T12");
    let (first, last) = (first.parse().unwrap(), last.parse().unwrap());
    let books = of_all(&town.world.ledger, first, last, |_| {}).await;
    let books = books.unwrap();
    assert!(books.is_balanced().unwrap(), "{books:?}");
    Found {
        states: [states[0], states[1]],
        reported: [reported[0], reported[1]],
        books: [books.accepted, books.lost, books.over_metered].map(|total| total.to_string()),
    }
}

async fn judge_at(town: &Town, time: &str) -> reconciler::Report {
    town.world.set_time(at(time));
    let report = town.world.reconcile_task(Task::Judge).await.unwrap();
    assert!(report.finished, "{report:?}");
    report
}

/// A town with one buyer and a record whose deadline has passed. The audit has looked at the
/// record, and does not know whether it was billed.
async fn in_doubt(source: Source, story: Story) -> Town {
    let town = Town::reading(1, source).await;
    let mut settings = town.world.emulator.settings();
    settings.cloudtrail_delay_s = 3_600 * story.delay_hours;
    town.world.emulator.set_settings(settings);
    town.world.set_time(at("2026-11-27T02:20:00Z"));
    for id in ["a", "b", "c"] {
        town.uses(0, id, HOUR).await;
    }
    let state = match story.theirs {
        Some(quantity) => {
            somebody_else_meters(&town, quantity).await;
            State::Disputed
        }
        None => {
            town.world.emulator.set_faults(Faults {
                seed: 0,
                faults: vec![Fault::rate("BatchMeterUsage", FaultKind::DropAfter, 1.0)],
            });
            State::Unconfirmed
        }
    };
    town.seal_at("2026-11-27T03:31:00Z").await;
    town.world.set_time(at("2026-11-27T03:37:00Z"));
    town.world.sweep().await.unwrap();
    town.world.emulator.set_faults(Faults::default());
    assert_eq!(town.world.emulator.metered().len(), 1, "{story:?}");
    town.world.set_time(at("2026-11-28T02:01:00Z"));
    town.world.reconcile_task(Task::Expire).await.unwrap();
    town.seal_at("2026-11-28T03:35:00Z").await;
    let report = judge_at(&town, "2026-11-28T03:36:00Z").await;
    let decided = (report.audit.accepted, report.audit.conflicts);
    assert_eq!((decided, report.audit.expired), ((0, 0), 0), "{story:?}");
    assert_eq!(town.record(0, HOUR).await.state, state, "{story:?}");
    town
}

async fn somebody_else_meters(town: &Town, quantity: u32) {
    let theirs = json!({"UsageRecords": [{
        "LicenseArn": town.buyers[0].0.license_arn,
        "CustomerAWSAccountId": town.buyers[0].0.account_id,
        "Dimension": "gb",
        "Quantity": quantity,
        "Timestamp": at("2026-11-27T02:00:00Z").as_second(),
    }]});
    let metering = &town.world.functions.submitter.metering;
    let metered = metering.batch_meter_usage_raw(theirs).await;
    metered.expect("metered");
}

/// Concludes that the record was not billed. Its usage is carried by the recount of its hour, or by
/// the decision of the person.
async fn conclude(town: &Town, by: By) {
    let now = at(CONCLUDED);
    town.world.set_time(now);
    let ledger = &town.world.ledger;
    let record = town.record(0, HOUR).await;
    let written = match by {
        // The test concludes it, as if the history had shown later calls but not this one.
        By::Audit => {
            let slot = &record.slot;
            let flagged = ledger.flag_late(&slot.subscription, slot.hour, now).await;
            flagged.unwrap();
            ledger
                .write_state(&record, State::Expired, NOT_BILLED, now)
                .await
        }
        // The decision of `metering late carry --i-checked`.
        By::Person => {
            assert_eq!(closing_rule(&record), ClosingRule::Checked);
            let kind = MovementKind::Carried {
                target: OPEN_HOUR.parse().unwrap(),
                into: None,
            };
            let reason = "the usage report does not have it".parse().unwrap();
            let movement = close_record(&record, kind, true, now, &reason).unwrap();
            ledger.close_record(&record, &movement).await
        }
    };
    assert_eq!(written.unwrap(), Written::Done);
}
