use std::time::Duration;

use cloudtrail::{History, Range, compare_range};
use emulator::{
    BeforeException, CloudTrailTimestamps, Fault, FaultKind, Faults, IdenticalResubmission,
    Readings, Settings,
};
use ledger::Written;
use local::stack::StackOptions;
use marketplace::audit::{Comparison, DifferenceKind, Source};
use marketplace::books::Books;
use marketplace::decision::{move_shortfall, shortfall};
use marketplace::recount::MovementKind;
use marketplace::tags::Tags;
use marketplace::usage::UsageEvent;
use marketplace::window::Window;
use marketplace::{State, TagSet, Total};
use runtime::settings::Products;
use runtime::{Budget, Clock, Env, clients};
use serde_json::{Value, json};

use crate::market::{Market, at, hour};

/// The sources from which the audit can read CloudTrail's events.
const SOURCES: [Source; 2] = [Source::EventHistory, Source::Trail];

/// Options of a stack whose audit reads CloudTrail's events from `source`.
fn reading(source: Source, options: StackOptions) -> StackOptions {
    let settings = Settings::default();
    let trail = [
        ("AUDIT_BUCKET", settings.trail_bucket),
        ("AUDIT_ACCOUNT", settings.seller_account_id),
    ];
    let trail = trail.map(|(name, value)| (name.to_owned(), value));
    let env = options.env.into_iter();
    StackOptions {
        env: match source {
            Source::EventHistory => env.collect(),
            Source::Trail => env.chain(trail).collect(),
        },
        ..options
    }
}

fn env(market: &Market, source: Source) -> Env {
    let aws = format!("http://{}", market.stack.aws());
    let names = market.stack.ledger().tables();
    Env::of([
        ("MARKETPLACE_ENDPOINT", aws.clone()),
        ("CLOUDTRAIL_ENDPOINT", aws.clone()),
        ("S3_ENDPOINT", aws),
        ("DYNAMODB_ENDPOINT", market.stack.dynamodb().endpoint()),
        ("SUBSCRIPTIONS_TABLE", names.subscriptions.clone()),
        ("USAGE_EVENTS_TABLE", names.usage_events.clone()),
        ("METERING_RECORDS_TABLE", names.metering_records.clone()),
        ("AWS_REGION", "us-east-1".to_owned()),
    ])
    .and(reading(source, StackOptions::default()).env)
}

/// Options with which records can be sent for three hours only, so that their deadline comes soon.
fn short_window() -> StackOptions {
    StackOptions {
        env: vec![("WINDOW_HOURS".to_owned(), "3".to_owned())],
        ..StackOptions::default()
    }
}

/// A market whose audit reads CloudTrail's events from `source`.
async fn market_reading(source: Source, options: StackOptions) -> Market {
    Market::with("2026-11-21T09:20:00Z", reading(source, options)).await
}

fn always(market: &Market, kind: FaultKind) {
    market.stack.emulator().set_faults(Faults {
        faults: vec![Fault::rate("BatchMeterUsage", kind, 1.0)],
        ..Faults::default()
    });
}

fn once(market: &Market, kind: FaultKind) {
    market.stack.emulator().set_faults(Faults {
        faults: vec![Fault::next("BatchMeterUsage", kind, 1)],
        ..Faults::default()
    });
}

/// Somebody else with the seller's credentials meters usage of this buyer.
async fn somebody_else_meters(market: &Market, hour_text: &str, record: Value) -> Value {
    let api = clients::metering_api(&env(market, Source::EventHistory), 3)
        .await
        .expect("a client");
    let mut record = record;
    record["LicenseArn"] = json!(market.agreement.license_arn);
    record["CustomerAWSAccountId"] = json!(market.agreement.account_id);
    record["Timestamp"] = json!(hour(hour_text).start().as_second());
    api.batch_meter_usage_raw(json!({"UsageRecords": [record]}))
        .await
        .expect("an answer")
}

async fn sum_of(market: &Market) -> Books {
    let now = marketplace::UsageHour::of(market.stack.emulator().now());
    let sum = ledger::books::of_all(market.stack.ledger(), now.plus(-60), now, |_| {})
        .await
        .expect("the books can be read");
    assert!(sum.is_balanced().expect("in range"), "{sum:?}");
    sum
}

async fn audited(market: &Market, source: Source, from: &str, to: &str) -> Comparison {
    let history = History::from_env(&env(market, source)).await;
    let history = history.expect("a history").without_pauses();
    let now = market.stack.emulator().now();
    let range = Range::new(at(from), at(to), source, now).expect("a range");
    let (ledger, all) = (market.stack.ledger(), Products::default());
    compare_range(
        ledger,
        &history,
        &all,
        Window::default(),
        range,
        now,
        |_| {},
    )
    .await
    .expect("compared")
}

#[tokio::test]
async fn a_lost_reply_that_is_answered_duplicate_is_found_billed() {
    for (timestamps, source) in [
        (CloudTrailTimestamps::Printed, Source::EventHistory),
        (CloudTrailTimestamps::Iso8601, Source::EventHistory),
        (CloudTrailTimestamps::Printed, Source::Trail),
    ] {
        let mut market = market_reading(source, StackOptions::default()).await;
        market.stack.emulator().set_readings(Readings {
            identical_resubmission: IdenticalResubmission::DuplicateRecord,
            cloudtrail_timestamps: timestamps,
            ..Readings::default()
        });
        market.uses("gb", "a", "1.5", "2026-11-21T10:05:00Z").await;
        once(&market, FaultKind::DropAfter);
        market.until("2026-11-21T11:45:00Z").await;
        let record = market.record("2026-11-21T10", "gb").await.expect("kept");
        assert_eq!(record.state, State::Disputed);
        assert!(record.due.is_some(), "the audit must look at it");
        assert_eq!(market.books().await.held.to_string(), "1.5");
        market.until("2026-11-21T12:10:00Z").await;
        let record = market.record("2026-11-21T10", "gb").await.expect("kept");
        assert_eq!((record.state, record.due), (State::Accepted, None));
        let billed = &market.stack.emulator().metered()[0];
        let outcome = record.outcome.expect("an outcome");
        assert_eq!(
            outcome.metering_record_id,
            Some(billed.metering_record_id.clone())
        );
        assert_eq!(market.books().await.accepted.to_string(), "1.5");
    }
}

#[tokio::test]
async fn a_record_that_was_billed_before_an_exception_is_inferred_to_be_billed() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market.stack.emulator().set_readings(Readings {
        identical_resubmission: IdenticalResubmission::DuplicateRecord,
        before_exception: BeforeException::EarlierRecorded,
        ..Readings::default()
    });
    market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
    market
        .uses("renamed", "x", "5", "2026-11-21T10:05:00Z")
        .await;
    market.until("2026-11-21T11:45:00Z").await;
    let record = market.record("2026-11-21T10", "gb").await.expect("kept");
    assert_eq!(record.state, State::Disputed);
    market.until("2026-11-21T13:10:00Z").await;
    let record = market.record("2026-11-21T10", "gb").await.expect("kept");
    let code = record.outcome.expect("an outcome").code;
    assert_eq!(
        (record.state, code.as_str()),
        (State::Accepted, "InferredFromDuplicate")
    );
    assert_eq!(market.bill(), ["2026-11-21T10 gb 1"]);
    assert_eq!(market.books().await.accepted.to_string(), "1");
}

#[tokio::test]
async fn somebody_elses_success_is_a_conflict_with_both_quantities() {
    for source in SOURCES {
        for (theirs, lost, over_metered) in [(3, "2", "0"), (8, "0", "3")] {
            let mut market = market_reading(source, StackOptions::default()).await;
            market.uses("gb", "a", "5", "2026-11-21T10:05:00Z").await;
            market.until("2026-11-21T11:00:00Z").await;
            let record = json!({"Dimension": "gb", "Quantity": theirs});
            somebody_else_meters(&market, "2026-11-21T10", record).await;
            market.until("2026-11-21T12:10:00Z").await;
            let record = market.record("2026-11-21T10", "gb").await.expect("kept");
            assert_eq!((record.state, record.due), (State::Conflict, None));
            assert_eq!(
                (
                    record.quantity.to_string(),
                    record.quantity_at_aws().to_string()
                ),
                ("5".to_owned(), theirs.to_string())
            );
            let books = sum_of(&market).await;
            assert_eq!(
                [books.accepted, books.lost, books.over_metered].map(|total| total.to_string()),
                [theirs.to_string(), lost.to_owned(), over_metered.to_owned()]
            );
            // The missing quantity is not metered a second time.
            market.until("2026-11-21T14:00:00Z").await;
            assert_eq!(market.bill(), [format!("2026-11-21T10 gb {theirs}")]);
        }
    }
}

/// At the very end of a day without permission, AWS Marketplace records the usage but its answers
/// are lost. The history is hours behind, so a call that it does not show yet proves nothing.
#[tokio::test]
async fn a_call_that_a_late_history_does_not_show_yet_is_not_billed_a_second_time() {
    for source in SOURCES {
        let mut market = market_reading(source, StackOptions::default()).await;
        let emulator = market.stack.emulator();
        emulator.set_settings(Settings {
            cloudtrail_delay_s: 3 * 3_600,
            ..emulator.settings()
        });
        market.uses("gb", "a", "5", "2026-11-21T10:05:00Z").await;
        always(&market, FaultKind::AccessDenied);
        market.until("2026-11-22T09:30:00Z").await;
        always(&market, FaultKind::DropAfter);
        market.until("2026-11-22T10:00:00Z").await;
        assert_eq!(market.bill(), ["2026-11-21T10 gb 5"]);
        market.stack.emulator().set_faults(Faults::default());
        market.until("2026-11-22T12:30:00Z").await;
        let record = market.record("2026-11-21T10", "gb").await.expect("kept");
        assert_eq!((record.state, record.movements), (State::Unconfirmed, 0));
        assert_eq!(market.books().await.held.to_string(), "5");
        market.until("2026-11-22T20:00:00Z").await;
        let record = market.record("2026-11-21T10", "gb").await.expect("kept");
        assert_eq!(record.state, State::Accepted);
        assert_eq!(market.bill(), ["2026-11-21T10 gb 5"]);
        assert_eq!(market.books().await.accepted.to_string(), "5");
    }
}

/// A stack that meters nothing else makes one empty call. After that call, silence in the history
/// is a proof.
#[tokio::test]
async fn a_quiet_stack_makes_one_empty_call_that_bears_witness() {
    for source in SOURCES {
        let mut market = market_reading(source, short_window()).await;
        market.uses("gb", "a", "5", "2026-11-21T10:05:00Z").await;
        always(&market, FaultKind::AccessDenied);
        market.until("2026-11-21T13:00:00Z").await;
        market.stack.emulator().set_faults(Faults::default());
        market.until("2026-11-21T18:00:00Z").await;
        let empty = |call: &emulator::Call| {
            call.operation == "BatchMeterUsage" && call.error.is_none() && call.records.is_empty()
        };
        let calls = market.stack.emulator().calls();
        assert_eq!(calls.iter().filter(|call| empty(call)).count(), 1);
        let record = market.record("2026-11-21T10", "gb").await.expect("kept");
        assert_eq!((record.state, record.movements), (State::Expired, 1));
        let bill = market.bill();
        assert!(bill.len() == 1 && bill[0].ends_with(" gb 5"), "{bill:?}");
        assert_eq!(market.books().await.accepted.to_string(), "5");
    }
}

/// AWS says of this exception that the entire batch is not processed, so it proves that nothing was
/// recorded.
#[tokio::test]
async fn a_refused_timestamp_is_proof_that_nothing_was_recorded() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    let emulator = market.stack.emulator();
    emulator.set_settings(Settings {
        window_hours: 1,
        ..emulator.settings()
    });
    emulator.set_readings(Readings {
        before_exception: BeforeException::EarlierRecorded,
        ..Readings::default()
    });
    market.uses("gb", "a", "5", "2026-11-21T10:05:00Z").await;
    market.until("2026-11-22T10:00:00Z").await;
    assert!(market.bill().is_empty());
    let emulator = market.stack.emulator();
    emulator.set_settings(Settings {
        window_hours: 24,
        ..emulator.settings()
    });
    market.until("2026-11-22T16:00:00Z").await;
    let record = market.record("2026-11-21T10", "gb").await.expect("kept");
    assert_eq!((record.state, record.movements), (State::Expired, 1));
    assert_eq!(market.books().await.accepted.to_string(), "5");
}

/// A conclusion from silence is checked again. A success that CloudTrail shows later is reported as
/// over-metered.
#[tokio::test]
async fn a_success_that_comes_to_light_after_the_conclusion_is_found_a_day_later() {
    for source in SOURCES {
        let mut market = market_reading(source, short_window()).await;
        // The history shows calls only after the hourly comparison has read them a second time.
        let emulator = market.stack.emulator();
        emulator.set_settings(Settings {
            cloudtrail_delay_s: 20 * 3_600,
            ..emulator.settings()
        });
        market.uses("gb", "a", "5", "2026-11-21T10:05:00Z").await;
        always(&market, FaultKind::DropAfter);
        market.until("2026-11-21T12:35:00Z").await;
        always(&market, FaultKind::AccessDenied);
        market.until("2026-11-21T13:30:00Z").await;
        market.stack.emulator().set_faults(Faults::default());
        let record = market.record("2026-11-21T10", "gb").await.expect("kept");
        assert_eq!(record.state, State::Unconfirmed);
        // The test concludes that the record was not billed, as if the history had shown later
        // calls but not this one.
        let (ledger, now) = (market.stack.ledger(), market.stack.emulator().now());
        let flagged = ledger.flag_late(&record.slot.subscription, record.slot.hour, now);
        flagged.await.expect("flagged");
        let written = ledger.write_state(&record, State::Expired, "NotBilled", now);
        assert_eq!(written.await.expect("written"), Written::Done);
        market.until("2026-11-22T13:20:00Z").await;
        assert_eq!(market.bill().len(), 2, "carried, and so billed twice");
        assert!(sum_of(&market).await.over_metered.is_zero());
        market.until("2026-11-22T14:30:00Z").await;
        let record = market.record("2026-11-21T10", "gb").await.expect("kept");
        assert_eq!((record.state, record.due), (State::Accepted, None));
        assert_eq!(sum_of(&market).await.over_metered.to_string(), "5");
    }
}

/// If AWS Marketplace holds less than was used, the rest is billed with a later hour once a person
/// confirms that it was not metered anywhere else.
#[tokio::test]
async fn the_missing_quantity_of_a_conflict_is_carried_by_a_decision() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market.uses("gb", "a", "5", "2026-11-21T10:05:00Z").await;
    market.until("2026-11-21T11:00:00Z").await;
    let theirs = json!({"Dimension": "gb", "Quantity": 3});
    somebody_else_meters(&market, "2026-11-21T10", theirs).await;
    market.until("2026-11-21T12:10:00Z").await;
    let record = market.record("2026-11-21T10", "gb").await.expect("kept");
    assert_eq!(record.state, State::Conflict);
    let short = shortfall(&record, &[], Total::ZERO).expect("in range");
    let kind = MovementKind::Carried {
        target: hour("2026-11-21T12"),
        into: None,
    };
    let reason = "nobody else metered it".parse().expect("a reason");
    let now = market.stack.emulator().now();
    let movement = move_shortfall(&record, short, kind, now, &reason);
    let ledger = market.stack.ledger();
    for expected in [Written::Done, Written::Conflict] {
        let written = ledger.move_quantity(&record, &movement).await;
        assert_eq!(written.expect("written"), expected);
    }
    market.until("2026-11-21T16:00:00Z").await;
    assert_eq!(market.bill(), ["2026-11-21T10 gb 3", "2026-11-21T12 gb 2"]);
    let books = market.books().await;
    assert_eq!(
        [books.accepted, books.lost, books.held].map(|total| total.to_string()),
        ["5", "0", "0"]
    );
}

#[tokio::test]
async fn thirty_hours_without_permission_lose_nothing_and_bill_nothing_twice() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    for n in 0..32 {
        let time = at("2026-11-21T10:05:00Z")
            .checked_add(jiff::SignedDuration::from_hours(n))
            .expect("in range");
        market
            .uses("gb", &format!("e{n}"), "1.25", &time.to_string())
            .await;
    }
    always(&market, FaultKind::AccessDenied);
    market.until("2026-11-22T17:00:00Z").await;
    assert!(market.bill().is_empty());
    let first = market.record("2026-11-21T10", "gb").await.expect("kept");
    assert_eq!((first.state, first.movements), (State::Expired, 1));
    market.stack.emulator().set_faults(Faults::default());
    market.until("2026-11-22T20:00:00Z").await;
    let books = market.books().await;
    assert_eq!(
        (
            books.accepted.to_string(),
            books.held.to_string(),
            books.pending.to_string()
        ),
        ("40".into(), "0".into(), "0".into())
    );
    // The hours whose deadline had passed are billed in later hours of the month, and all others in
    // their own.
    let bill = market.bill();
    assert!(
        !bill.iter().any(|line| line.starts_with("2026-11-21T10")),
        "{bill:?}"
    );
    assert!(bill.len() < 32, "{bill:?}");
}

#[tokio::test]
async fn usage_that_a_failing_aws_may_have_recorded_stays_held() {
    let mut market = Market::with("2026-11-21T09:20:00Z", short_window()).await;
    market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
    always(&market, FaultKind::InternalError);
    market.until("2026-11-21T15:00:00Z").await;
    market.stack.emulator().set_faults(Faults::default());
    market.until("2026-11-21T17:10:00Z").await;
    let record = market.record("2026-11-21T10", "gb").await.expect("kept");
    assert_eq!((record.state, record.movements), (State::Unconfirmed, 0));
    assert!(record.due.is_some(), "the audit looks at it again");
    assert!(market.bill().is_empty());
    assert_eq!(market.books().await.held.to_string(), "1");
}

#[tokio::test]
async fn an_event_that_is_cut_off_holds_up_only_records_that_are_as_large() {
    for source in SOURCES {
        let mut market = market_reading(source, short_window()).await;
        market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
        let team = |n: u32| format!("{n:0>250}");
        for n in 0..400 {
            let event = UsageEvent {
                dimension: "requests".parse().expect("a dimension"),
                id: n.to_string().parse().expect("an id"),
                quantity: "1".parse().expect("a quantity"),
                time: at("2026-11-21T10:06:00Z"),
                tags: TagSet::try_from(Tags::from([("team".to_owned(), team(n))])).expect("tags"),
            };
            let put = market
                .stack
                .ledger()
                .put_event(&market.subscription, &event);
            put.await.expect("the row is stored");
        }
        market.until("2026-11-21T10:40:00Z").await;
        let allocations: Vec<Value> = (0..400)
            .map(|n| {
                let tags = json!([{"Key": "team", "Value": team(n)}]);
                json!({"AllocatedUsageQuantity": 1, "Tags": tags})
            })
            .collect();
        let record =
            json!({"Dimension": "requests", "Quantity": 400, "UsageAllocations": allocations});
        somebody_else_meters(&market, "2026-11-21T10", record).await;
        always(&market, FaultKind::AccessDenied);
        // Each sweep is refused, and each refusal is a witness.
        market.until("2026-11-21T15:10:00Z").await;
        let small = market.record("2026-11-21T10", "gb").await.expect("kept");
        assert_eq!((small.state, small.movements), (State::Expired, 1));
        let large = market.record("2026-11-21T10", "requests").await;
        let large = large.expect("kept");
        assert_eq!((large.state, large.movements), (State::Unconfirmed, 0));
        let (from, to) = ("2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z");
        let compared = audited(&market, source, from, to).await;
        assert!(compared.counts().truncated_calls > 0);
    }
}

#[tokio::test]
async fn a_comparison_finds_what_matches_and_names_every_difference() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
    market
        .uses("requests", "b", "2", "2026-11-21T10:06:00Z")
        .await;
    market.uses("gb", "c", "3", "2026-11-21T11:05:00Z").await;
    market.until("2026-11-21T13:30:00Z").await;
    let range = ("2026-11-21T09:00:00Z", "2026-11-21T12:00:00Z");
    for source in SOURCES {
        let counts = audited(&market, source, range.0, range.1).await.counts();
        assert_eq!((counts.matched, counts.differences()), (3, 0), "{counts:?}");
        // Hours without usage are an empty report.
        let (from, to) = ("2026-11-20T00:00:00Z", "2026-11-20T05:00:00Z");
        let empty = audited(&market, source, from, to).await;
        assert_eq!(
            (empty.counts().matched, empty.counts().differences()),
            (0, 0)
        );
    }

    let foreign = json!({"Dimension": "requests", "Quantity": 9});
    somebody_else_meters(&market, "2026-11-21T11", foreign).await;
    // A person marks a record as accepted in the table, although it was never sent to AWS
    // Marketplace.
    market.uses("gb", "d", "4", "2026-11-21T12:05:00Z").await;
    always(&market, FaultKind::AccessDenied);
    market.until("2026-11-21T13:45:00Z").await;
    let record = market.record("2026-11-21T12", "gb").await.expect("sealed");
    let ledger = market.stack.ledger();
    let now = market.stack.emulator().now();
    ledger
        .write_success_found(&record, None, now, now)
        .await
        .expect("written");
    market.until("2026-11-21T15:00:00Z").await;
    for source in SOURCES {
        let compared = audited(&market, source, range.0, "2026-11-21T13:00:00Z").await;
        let mut found: Vec<(String, DifferenceKind)> = compared
            .differences()
            .iter()
            .map(|d| (format!("{} {}", d.slot.hour, d.slot.dimension), d.kind))
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                (
                    "2026-11-21T11 requests".to_owned(),
                    DifferenceKind::UnknownInLedger
                ),
                ("2026-11-21T12 gb".to_owned(), DifferenceKind::MissingAtAws),
            ]
        );
        assert_eq!(compared.counts().matched, 3);
    }
}

#[tokio::test]
async fn the_hourly_audit_goes_on_where_it_stopped_and_reports_each_difference_in_both_readings() {
    for source in SOURCES {
        let mut market = market_reading(source, StackOptions::default()).await;
        market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
        market.until("2026-11-21T12:30:00Z").await;
        let foreign = json!({"Dimension": "requests", "Quantity": 9});
        somebody_else_meters(&market, "2026-11-21T11", foreign).await;
        let mut app = reconciler::App::start(&env(&market, source))
            .await
            .expect("it starts");
        app.history = app.history.without_pauses();
        let mut run_at = async |time: &str| {
            let now = at(time);
            market.stack.emulator().set_clock(Some(now), None);
            app.clock = Clock::InProcess(std::sync::Arc::new(move || now));
            let report = reconciler::handle(&app, Budget::of(Duration::from_secs(60)))
                .await
                .expect("it runs");
            assert_eq!(report.audit.failure, None);
            assert!(report.finished);
            report.audit
        };
        let found = run_at("2026-11-21T13:00:00Z").await;
        assert_eq!((found.unknown, found.differences()), (1, 1), "{found:?}");
        let again = run_at("2026-11-21T13:00:01Z").await;
        assert_eq!((again.calls, again.differences()), (0, 0), "{again:?}");
        // A day later the hour's deadline is over, and its record is looked for. Its calls were
        // compared again meanwhile, and the difference persists.
        let later = run_at("2026-11-22T12:00:00Z").await;
        let found = (later.matched, later.unknown, later.differences());
        assert_eq!(found, (1, 1, 1), "{later:?}");
        let after = run_at("2026-11-22T13:00:00Z").await;
        let found = (after.matched, after.calls, after.differences());
        assert_eq!(found, (0, 0, 0), "{after:?}");
    }
}

#[tokio::test]
async fn usage_from_long_before_its_subscription_does_not_unbalance_the_books() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market.until("2026-11-21T12:10:00Z").await;
    market.uses("gb", "old", "3", "2026-11-18T10:06:00Z").await;
    market.until("2026-11-21T14:40:00Z").await;
    assert_eq!(market.bill(), ["2026-11-21T12 gb 3"]);
    market.until("2026-11-22T00:40:00Z").await;
    let mut app = reconciler::App::start(&env(&market, Source::EventHistory))
        .await
        .expect("it starts");
    app.history = app.history.without_pauses();
    // In twelve hours all books are proved, those of the day into which it was carried as well.
    let mut days_proved = 0;
    for n in 0..12 {
        let now = hour("2026-11-22T07").plus(n).start();
        market.stack.emulator().set_clock(Some(now), None);
        app.clock = Clock::InProcess(std::sync::Arc::new(move || now));
        let report = reconciler::handle(&app, Budget::of(Duration::from_secs(60)))
            .await
            .expect("it runs");
        assert_eq!(report.slots_unbalanced, 0);
        assert_ne!(report.balanced, Some(false));
        days_proved += report.days_proved;
    }
    assert!(days_proved > 0);
}

#[tokio::test]
async fn a_page_that_takes_longer_than_there_is_time_ends_the_run_in_time_and_concludes_nothing() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
    market.until("2026-11-21T12:30:00Z").await;
    let mut app = reconciler::App::start(&env(&market, Source::EventHistory))
        .await
        .expect("it starts");
    app.history = app.history.without_pauses();
    let now = at("2026-11-21T14:00:00Z");
    market.stack.emulator().set_clock(Some(now), None);
    app.clock = Clock::InProcess(std::sync::Arc::new(move || now));
    let mut slow = Fault::rate("LookupEvents", FaultKind::Delay, 1.0);
    slow.delay_ms = 20_000;
    market.stack.emulator().set_faults(Faults {
        faults: vec![slow],
        ..Faults::default()
    });
    let began = std::time::Instant::now();
    let report = reconciler::handle(&app, Budget::of(Duration::from_secs(4))).await;
    let report = report.expect("it runs");
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "it waits for the page"
    );
    let outcome = (report.finished, report.audit.calls, &report.audit.failure);
    assert_eq!(outcome, (false, 0, &None), "{report:?}");
    market.stack.emulator().set_faults(Faults::default());
    let report = reconciler::handle(&app, Budget::of(Duration::from_secs(60))).await;
    assert!(report.expect("it runs").finished);
}
