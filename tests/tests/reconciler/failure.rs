//! A run of the reconciler that fails. What it has found is published, because later runs may not
//! find it again. The run counts as none, so that an alarm goes off if runs go on failing.

use end_to_end::alarms::raised;
use end_to_end::runtime_api::Answer;
use end_to_end::template::Template;
use end_to_end::world::{Function, World, sample};
use marketplace::MeteringRecord;
use marketplace::slot::Slot;

/// The metric whose samples the alarm ReconcilerSilent counts.
const RUNS: &str = "UnfinishedRuns";
/// The alarm for a record whose deadline has passed.
const UNCONFIRMED: &str = "RecordsUnconfirmed";

/// A record that was never sent, and whose deadline has passed.
fn overdue() -> MeteringRecord {
    let slot = "account|examplecode3|111122223333@2026-11-19T18#gb";
    let slot: Slot = slot.parse().expect("a slot");
    let (sealed_at, deadline) = (slot.hour.end(), slot.hour.plus(24).start());
    let product = "examplecode3".parse().expect("a product code");
    let quantity = "1".parse().expect("a quantity");
    MeteringRecord {
        due: Some(sealed_at),
        ..MeteringRecord::new(slot, product, quantity, deadline, sealed_at)
    }
}

async fn invoke(function: &Function) -> Answer {
    function.invoke(&sample("reconciler-schedule")).await
}

#[tokio::test]
async fn a_run_that_fails_publishes_what_it_found_and_counts_as_no_run() {
    let is_run = |lines: &[String]| lines.iter().any(|line| line.contains(RUNS));
    let template = Template::read();
    let silent = template.properties("ReconcilerSilent");
    assert_eq!(silent["MetricName"], RUNS);
    assert_eq!(silent["Statistic"], "SampleCount");
    assert_eq!(silent["TreatMissingData"], "breaching");

    let world = World::start().await;
    let created = world.ledger.create_record(&overdue()).await;
    created.expect("a record");
    // The first task ends the record. A later task cannot read the rows, because the setting names
    // another table.
    let setting = ("USAGE_EVENTS_TABLE", "metering-MeteringRecords");
    let failing = world.function_with("Reconciler", &[setting]).await;
    let answer = invoke(&failing).await;
    let Answer::Error(error) = &answer else {
        panic!("the run did not fail: {answer:?}");
    };
    let message = error["errorMessage"].as_str().expect("a message");
    assert!(message.contains("ValidationException"), "{message}");
    let printed = failing.printed();
    let alarms = raised(&template, &printed);
    assert!(alarms.contains(UNCONFIRMED), "{alarms:?}");
    assert!(!is_run(&printed), "{printed:?}");

    // The next run does not fail. It goes on behind the record.
    let working = world.function("Reconciler").await;
    let report = invoke(&working).await.response();
    assert_eq!(report["unconfirmed"], 0, "{report}");
    let printed = working.printed();
    assert!(!raised(&template, &printed).contains(UNCONFIRMED));
    assert!(is_run(&printed), "{printed:?}");
}
