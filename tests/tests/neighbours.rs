//! If something is wrong with one product or with some buyers, the usage of all others is billed in
//! its hour.
//!
//! The tests run the real submitter on the simulation's wire, with records as the sealer writes them.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use emulator::{Fault, FaultKind, Faults};
use jiff::{SignedDuration, Timestamp};
use ledger::sender::Turn;
use marketplace::slot::Slot;
use marketplace::{IdentityKind, MeteringRecord, State, Subscription, UsageHour};
use metering_api::MeteringApi;
use runtime::Budget;
use serde_json::{Value, json};
use simulation::clients;
use simulation::run::{Executor, on_a_thread, on_all_cores};
use simulation::wire::Fate;
use simulation::world::{Listing, World};
use submitter::pace::Pace;

const START: &str = "2026-11-21T00:20:00Z";
const HEALTHY_BUYERS: usize = 40;
const FAILING_BUYERS: usize = 400;
const HOURS: i64 = 2;
const SWEEPS_AN_HOUR: i64 = 12;

fn listing(code: &str) -> Listing {
    Listing {
        code: code.to_owned(),
        identity: IdentityKind::Customer,
        dimensions: vec!["gb".to_owned()],
    }
}

fn record(subscription: &Subscription, hour: UsageHour, sealed_at: Timestamp) -> MeteringRecord {
    MeteringRecord {
        due: Some(sealed_at),
        ..MeteringRecord::new(
            Slot {
                subscription: subscription.clone(),
                hour,
                dimension: "gb".parse().unwrap(),
            },
            subscription.product().unwrap().clone(),
            "1.5".parse().unwrap(),
            hour.plus(24).start(),
            sealed_at,
        )
    }
}

async fn accepted(world: &World, subscriptions: &[Subscription], hour: UsageHour) -> usize {
    let key = |subscription: &Subscription| Slot {
        subscription: subscription.clone(),
        hour,
        dimension: "gb".parse().unwrap(),
    };
    let keys: Vec<Slot> = subscriptions.iter().map(key).collect();
    let records = world.ledger.records(&keys).await.unwrap();
    let accepted = |record: &&MeteringRecord| record.state == State::Accepted;
    records.iter().filter(accepted).count()
}

/// Seals an hour of every subscription at the time when it is due, and returns that time.
async fn seal(world: &World, subscriptions: &[Subscription], hour: UsageHour) -> Timestamp {
    let sealed_at = hour.end() + SignedDuration::from_mins(30);
    world.set_time(sealed_at);
    for subscription in subscriptions {
        let record = record(subscription, hour, sealed_at);
        world.ledger.create_record(&record).await.unwrap();
    }
    sealed_at
}

/// Seals an hour of every subscription, and invokes the submitter on schedule until the next hour
/// is due.
async fn one_hour(world: &World, subscriptions: &[Subscription], hour: UsageHour) {
    let sealed_at = seal(world, subscriptions, hour).await;
    for sweep in 0..SWEEPS_AN_HOUR {
        world.set_time(sealed_at + SignedDuration::from_mins(5 * sweep));
        world.sweep().await.unwrap();
    }
}

fn buyers_of_an_unknown_product() -> Vec<Subscription> {
    // These names sort before the healthy product in every order.
    let name = |n| format!("legacy|aproductunknown|c{n:06}").parse().unwrap();
    (0..FAILING_BUYERS).map(name).collect()
}

fn bill_despite_a_failing_product(fault: Option<FaultKind>) {
    on_a_thread(move || {
        Executor::default().finish(async move {
            let world = World::at(START.parse().unwrap(), 7);
            world.wire.trace_nothing();
            let healthy = listing("bproduct");
            world.list(&healthy).await;
            let buyers: Vec<Subscription> = (0..HEALTHY_BUYERS)
                .map(|_| world.subscribe(&healthy).1)
                .collect();
            let failing = buyers_of_an_unknown_product();
            if let Some(kind) = fault {
                world.emulator.set_faults(Faults {
                    seed: 7,
                    faults: vec![Fault {
                        containing: Some("aproductunknown".to_owned()),
                        ..Fault::rate("BatchMeterUsage", kind, 1.0)
                    }],
                });
            }
            let all: Vec<Subscription> = failing.iter().chain(&buyers).cloned().collect();
            let first: UsageHour = "2026-11-21T01".parse().unwrap();
            let mut billed = 0;
            for hour in first.through(first.plus(HOURS - 1)) {
                one_hour(&world, &all, hour).await;
                let in_its_hour = accepted(&world, &buyers, hour).await;
                assert_eq!(in_its_hour, HEALTHY_BUYERS, "{hour}, {fault:?}");
                billed += in_its_hour;
            }
            println!("{fault:?}: {billed} records of the healthy product accepted in their hour");
            // The failing records are tried in every hour, and never end before their deadline.
            let last = first.plus(HOURS - 1);
            let key = record(&failing[0], last, last.end()).slot;
            let record = world.ledger.records(&[key]).await.unwrap().remove(0);
            assert_eq!(record.state, State::Sealed);
            assert!(record.attempts > 0 && record.due.is_some(), "{record:?}");
        })
    });
}

#[test]
fn a_product_that_aws_marketplace_does_not_know_delays_no_other() {
    bill_despite_a_failing_product(None);
}

#[test]
fn a_product_whose_calls_fail_with_500_delays_no_other() {
    bill_despite_a_failing_product(Some(FaultKind::InternalError));
}

#[test]
fn a_product_whose_calls_are_never_answered_delays_no_other() {
    bill_despite_a_failing_product(Some(FaultKind::DropBefore));
}

#[test]
fn a_product_whose_calls_fail_with_an_unknown_code_delays_no_other() {
    bill_despite_a_failing_product(Some(FaultKind::UnknownError));
}

/// The number of hours of the healthy product in a test that lasts for more than a day.
const HOURS_OF_A_LONG_DAY: i64 = 26;
/// The least number of sweeps that try a record of the failing product. There are 23 sweeps, one an
/// hour, until its deadline.
const TRIES_MIN: u32 = 20;

/// The failing product has records of one hour only. They are due again in every hour until their
/// deadline.
#[test]
fn a_product_that_fails_for_more_than_a_day_lets_no_record_of_another_miss_its_deadline() {
    on_a_thread(|| Executor::default().finish(bill_for_a_long_day()));
}

async fn bill_for_a_long_day() {
    let world = World::without_streams(START.parse().unwrap(), 7);
    world.wire.trace_nothing();
    let healthy = listing("bproduct");
    world.list(&healthy).await;
    let buyers: Vec<Subscription> = (0..HEALTHY_BUYERS)
        .map(|_| world.subscribe(&healthy).1)
        .collect();
    let failing = buyers_of_an_unknown_product();
    let first: UsageHour = "2026-11-21T01".parse().unwrap();
    let last = first.plus(HOURS_OF_A_LONG_DAY - 1);
    seal(&world, &failing, first).await;
    for hour in first.through(last) {
        seal(&world, &buyers, hour).await;
        world.sweep().await.unwrap();
    }

    let slot = |buyer: &Subscription, hour: UsageHour| record(buyer, hour, hour.end()).slot;
    let slots: Vec<Slot> = first
        .through(last)
        .flat_map(|hour| buyers.iter().map(move |buyer| slot(buyer, hour)))
        .collect();
    let records = world.ledger.records(&slots).await.unwrap();
    let in_time = |record: &&MeteringRecord| {
        let outcome = record.outcome.as_ref();
        record.state == State::Accepted && outcome.is_some_and(|one| one.at < record.deadline)
    };
    let accepted = records.iter().filter(in_time).count();
    let all = slots.len();
    println!("{accepted} of {all} records of the healthy product accepted before their deadline");
    assert_eq!((accepted, all), (26 * HEALTHY_BUYERS, 26 * HEALTHY_BUYERS));
    // The failing records were tried in every hour, and nothing has ended them.
    let slots: Vec<Slot> = failing.iter().map(|buyer| slot(buyer, first)).collect();
    let waiting = world.ledger.records(&slots).await.unwrap();
    assert_eq!(waiting.len(), FAILING_BUYERS);
    for record in waiting {
        assert_eq!(record.state, State::Sealed, "{record:?}");
        assert!(record.attempts >= TRIES_MIN, "{record:?}");
    }
}

/// The code with which AWS Marketplace refuses a request if the agreement of one of its buyers does
/// not have the dimension of the record.
const NO_DIMENSION: &str = "InvalidUsageDimensionException";
const MANY_BUYERS: usize = 1_000;
const HOURS_WITH_GUILTY: i64 = 3;

/// An HTTP client between the submitter and the wire. The emulator's agreements have all dimensions
/// of their product, so this client refuses the requests that name a guilty customer.
#[derive(Debug)]
struct Refusing {
    wire: SharedHttpClient,
    guilty: Arc<BTreeSet<String>>,
    calls: Arc<AtomicU64>,
}

#[derive(Debug)]
struct RefusingConnector {
    wire: SharedHttpConnector,
    guilty: Arc<BTreeSet<String>>,
    calls: Arc<AtomicU64>,
}

impl HttpClient for Refusing {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(RefusingConnector {
            wire: self.wire.http_connector(settings, components),
            guilty: Arc::clone(&self.guilty),
            calls: Arc::clone(&self.calls),
        })
    }
}

impl RefusingConnector {
    fn refuses(&self, request: &HttpRequest) -> bool {
        let body = request.body().bytes().unwrap_or_default();
        let body: Value = serde_json::from_slice(body).expect("a request in JSON");
        let records = body["UsageRecords"].as_array().expect("records");
        records.iter().any(|record| {
            let customer = record["CustomerIdentifier"].as_str();
            self.guilty.contains(customer.expect("a customer"))
        })
    }
}

impl HttpConnector for RefusingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if !self.refuses(&request) {
            return self.wire.call(request);
        }
        HttpConnectorFuture::new(async move {
            let refusal = json!({"__type": NO_DIMENSION, "message": "not in the agreement"});
            let response = http::Response::builder()
                .status(400)
                .header("content-type", "application/x-amz-json-1.1")
                .body(SdkBody::from(refusal.to_string()))
                .map_err(|e| ConnectorError::user(e.into()))?;
            HttpResponse::try_from(response).map_err(|e| ConnectorError::other(e.into(), None))
        })
    }
}

/// Some of the buyers of one product lack its dimension. The submitter reads from the table which
/// lanes were refused before, as every invocation does.
#[test]
fn buyers_who_lack_a_dimension_keep_no_good_record_from_being_accepted_in_its_hour() {
    let shares = [10, 50];
    let hours = on_all_cores(&shares, |per_hundred| {
        let per_hundred = *per_hundred;
        Executor::default().finish(bill_beside_guilty(per_hundred))
    });
    for (per_hundred, calls) in shares.into_iter().zip(hours) {
        println!(
            "{per_hundred} % of {MANY_BUYERS} buyers lack the dimension: {calls:?} calls by hour"
        );
        // The first hour takes a search. Later hours take a probe of each lane at most.
        assert!(calls[1..].iter().all(|later| 2 * later < calls[0]));
    }
}

/// Bills some hours of buyers of whom so many of a hundred lack the dimension. Returns the numbers
/// of calls in each hour.
async fn bill_beside_guilty(per_hundred: usize) -> Vec<u64> {
    let mut world = World::without_streams(START.parse().unwrap(), 7);
    world.wire.trace_nothing();
    let product = listing("bproduct");
    world.list(&product).await;
    let (mut buyers, mut good, mut guilty) = (Vec::new(), Vec::new(), BTreeSet::new());
    for n in 0..MANY_BUYERS {
        let (agreement, buyer) = world.subscribe(&product);
        // The guilty buyers are spread over the order of sending.
        if (n * 37) % 100 < per_hundred {
            guilty.insert(agreement.customer_identifier);
        } else {
            good.push(buyer.clone());
        }
        buyers.push(buyer);
    }
    assert_eq!(guilty.len(), MANY_BUYERS * per_hundred / 100);
    let calls = Arc::new(AtomicU64::new(0));
    let refusing = Refusing {
        wire: clients::http_client(&world.wire),
        guilty: Arc::new(guilty),
        calls: Arc::clone(&calls),
    };
    let client = clients::metering(&world.wire);
    let config = client.config().to_builder().http_client(refusing).build();
    let client = aws_sdk_marketplacemetering::Client::from_conf(config);
    world.functions.submitter.metering = MeteringApi::new(client);

    let first: UsageHour = "2026-11-21T01".parse().unwrap();
    let mut calls_by_hour = Vec::new();
    for hour in first.through(first.plus(HOURS_WITH_GUILTY - 1)) {
        one_hour(&world, &buyers, hour).await;
        let in_its_hour = accepted(&world, &good, hour).await;
        println!("{hour}, {per_hundred} %: {in_its_hour} good records accepted in their hour");
        assert_eq!(in_its_hour, good.len(), "{hour}, {per_hundred} %");
        calls_by_hour.push(calls.swap(0, Ordering::Relaxed));
    }
    let billed = world.emulator.metered().len();
    assert_eq!(billed, calls_by_hour.len() * good.len());
    calls_by_hour
}

#[test]
fn a_retry_is_due_after_the_answer_and_not_after_the_start_of_a_long_run() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let world = World::at(START.parse().unwrap(), 7);
            let product = listing("bproduct");
            world.list(&product).await;
            let buyers: Vec<Subscription> = (0..60).map(|_| world.subscribe(&product).1).collect();
            let hour: UsageHour = "2026-11-21T01".parse().unwrap();
            let sealed_at = hour.end() + SignedDuration::from_mins(30);
            world.set_time(sealed_at);
            for buyer in &buyers {
                let record = record(buyer, hour, sealed_at);
                world.ledger.create_record(&record).await.unwrap();
            }
            world.emulator.set_faults(Faults {
                seed: 7,
                faults: vec![Fault::rate("BatchMeterUsage", FaultKind::AccessDenied, 1.0)],
            });
            // Every call takes four minutes.
            let clock = world.now.clone();
            let minutes = Arc::new(AtomicI64::new(0));
            let passed = Arc::clone(&minutes);
            world.wire.follow(Box::new(move |call| {
                if call.operation == "BatchMeterUsage" {
                    let now = passed.fetch_add(4, Ordering::Relaxed) + 4;
                    clock.set(sealed_at + SignedDuration::from_mins(now));
                }
                Fate::Answered
            }));
            world.sweep().await.unwrap();
            world.wire.heal();
            let ended = sealed_at + SignedDuration::from_mins(minutes.load(Ordering::Relaxed));
            let keys: Vec<_> = buyers
                .iter()
                .map(|b| record(b, hour, sealed_at).slot)
                .collect();
            let records = world.ledger.records(&keys).await.unwrap();
            let tried: Vec<_> = records.iter().filter(|r| r.attempts > 0).collect();
            assert!(!tried.is_empty());
            for record in tried {
                let due = record.due.unwrap();
                let at = record.outcome.as_ref().unwrap().at;
                assert!(due >= at + SignedDuration::from_mins(1), "{record:?}");
                assert!(at > sealed_at && at <= ended, "{record:?}");
            }
        })
    });
}

#[test]
fn a_success_that_could_not_be_written_is_an_error_and_is_found_again() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let world = World::at(START.parse().unwrap(), 7);
            let product = listing("bproduct");
            world.list(&product).await;
            let buyer = world.subscribe(&product).1;
            let hour: UsageHour = "2026-11-21T01".parse().unwrap();
            let sealed_at = hour.end() + SignedDuration::from_mins(30);
            world.set_time(sealed_at);
            let sealed = record(&buyer, hour, sealed_at);
            world.ledger.create_record(&sealed).await.unwrap();
            // Other transactions hold the record for the whole sweep.
            world
                .wire
                .follow(Box::new(|call| match call.operation.as_str() {
                    "UpdateItem" => Fate::Conflicting,
                    _ => Fate::Answered,
                }));
            let error = world.sweep().await.unwrap_err();
            assert!(error.contains("TransactionConflictException"), "{error}");
            world.wire.heal();
            world.set_time(sealed_at + SignedDuration::from_mins(5));
            world.sweep().await.unwrap();
            let found = world.ledger.records(&[sealed.slot]).await.unwrap();
            assert_eq!(found[0].state, State::Accepted);
        })
    });
}

/// Three calls are under way when the outcome of one of them cannot be written. The invocation
/// fails, but the answers of the other two are written.
#[test]
fn an_outcome_that_cannot_be_written_loses_no_answer_of_the_calls_under_way() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let mut world = World::at(START.parse().unwrap(), 7);
            world.functions.submitter.calls_at_once = 4;
            let product = listing("bproduct");
            world.list(&product).await;
            let buyers: Vec<Subscription> = (0..60).map(|_| world.subscribe(&product).1).collect();
            let hour: UsageHour = "2026-11-21T01".parse().unwrap();
            let sealed_at = hour.end() + SignedDuration::from_mins(30);
            world.set_time(sealed_at);
            for buyer in &buyers {
                let record = record(buyer, hour, sealed_at);
                world.ledger.create_record(&record).await.unwrap();
            }
            let (mut calls, mut failed) = (0, false);
            world.wire.follow(Box::new(move |call| {
                calls += i32::from(call.operation == "BatchMeterUsage");
                let fails = calls > 0 && call.operation == "UpdateItem" && !failed;
                failed |= fails;
                match fails {
                    true => Fate::Failed,
                    false => Fate::Answered,
                }
            }));
            let error = world.sweep().await.unwrap_err();
            world.wire.heal();
            assert!(error.contains("UpdateItem"), "{error}");
            // The outcome of every record that was sent is written, except for that one record.
            let billed = world.emulator.metered().len();
            let written = accepted(&world, &buyers, hour).await;
            assert!(billed > 25, "{billed} were sent: more than one call takes");
            assert_eq!(written, billed - 1);
            world.set_time(sealed_at + SignedDuration::from_mins(5));
            world.sweep().await.unwrap();
            assert_eq!(accepted(&world, &buyers, hour).await, buyers.len());
        })
    });
}

/// Ends an invocation after `calls` calls, and checks that each record has as many transmissions
/// written down as AWS Marketplace received. The audit must find all transmissions before it
/// concludes anything from silence. Returns whether AWS Marketplace received any.
async fn transmissions_within(calls: u64, fault: FaultKind) -> bool {
    let world = World::at(START.parse().unwrap(), 7);
    let product = listing("bproduct");
    world.list(&product).await;
    let buyers: Vec<Subscription> = (0..12).map(|_| world.subscribe(&product).1).collect();
    let hour: UsageHour = "2026-11-21T01".parse().unwrap();
    let sealed_at = hour.end() + SignedDuration::from_mins(30);
    world.set_time(sealed_at);
    let mut keys = Vec::new();
    for (n, buyer) in buyers.iter().enumerate() {
        let mut record = record(buyer, hour, sealed_at);
        // Two records make AWS Marketplace refuse each request that contains them.
        if n % 5 == 4 {
            record.slot.dimension = "unknown".parse().unwrap();
        }
        world.ledger.create_record(&record).await.unwrap();
        keys.push(record.slot);
    }
    world.emulator.set_faults(Faults {
        seed: 7,
        faults: vec![Fault::rate("BatchMeterUsage", fault, 0.7)],
    });
    world.sweep_within(calls).await.unwrap();
    let mut received = 0;
    for record in world.ledger.records(&keys).await.unwrap() {
        let calls = world.emulator.calls();
        let has_record = |call: &&emulator::Call| {
            let mut records = call.records.iter();
            records.any(|one| names(&record.slot, one))
        };
        let sent = calls.iter().filter(has_record).count();
        received += sent;
        if record.state == State::Accepted {
            continue;
        }
        let written = record.sent.doubtful + record.sent.answered;
        assert_eq!(written as usize, sent, "{calls:?} {fault:?}: {record:?}");
    }
    received > 0
}

/// A sweep of at most `calls` calls in which one write fails: the `nth` update of an item after the
/// first call of BatchMeterUsage. `fate` says how it fails. Returns whether the sweep failed
/// because of it, and the number of records with more or fewer transmissions written down than were
/// made.
///
/// Calls of one product are answered without their records, and calls of another one are not
/// answered. A third product has a buyer whose three records are refused: two of them are sent
/// alone, and the third one is left as a suspect.
async fn lost_if_a_write_fails(nth: u64, calls: u64, fate: Fate) -> (bool, usize) {
    let world = World::at(START.parse().unwrap(), 7);
    let hour: UsageHour = "2026-11-21T01".parse().unwrap();
    let sealed_at = hour.plus(2).end() + SignedDuration::from_mins(30);
    world.set_time(sealed_at);
    let mut keys = Vec::new();
    for code in ["bproduct", "cproduct", "dproduct"] {
        let product = listing(code);
        world.list(&product).await;
        for n in 0..3 {
            let buyer = world.subscribe(&product).1;
            for hour in hour.through(hour.plus(2)) {
                let mut record = record(&buyer, hour, sealed_at);
                if code == "dproduct" && n == 1 {
                    record.slot.dimension = "unknown".parse().unwrap();
                }
                world.ledger.create_record(&record).await.unwrap();
                keys.push(record.slot);
            }
        }
    }
    let fault = |kind, code| Fault::rate("BatchMeterUsage", kind, 1.0).containing(code);
    world.emulator.set_faults(Faults {
        seed: 7,
        faults: vec![
            fault(FaultKind::MissingRecord, "bproduct"),
            fault(FaultKind::DropAfter, "cproduct"),
        ],
    });
    let (mut has_called, mut updates) = (false, 0);
    world.wire.follow(Box::new(move |call| {
        has_called |= call.operation == "BatchMeterUsage";
        updates += u64::from(has_called && call.operation == "UpdateItem");
        match has_called && call.operation == "UpdateItem" && updates == nth {
            true => fate,
            false => Fate::Answered,
        }
    }));
    let swept = world.sweep_within(calls).await;
    world.wire.heal();
    let mut lost = 0;
    for record in world.ledger.records(&keys).await.unwrap() {
        if record.state == State::Accepted {
            continue;
        }
        let all = world.emulator.calls();
        let has_record = |call: &&emulator::Call| {
            let mut records = call.records.iter();
            records.any(|one| names(&record.slot, one) && one.timestamp == record.stamp)
        };
        let sent = all.iter().filter(has_record).count();
        let written = record.sent.doubtful + record.sent.answered;
        lost += usize::from(written as usize != sent);
    }
    (swept.is_err(), lost)
}

/// More calls than a sweep makes.
const WHOLE: u64 = 1_000;

/// A failing write of an outcome makes the invocation fail at its end. The transmissions of its own
/// record and of the other records must be written down nevertheless. If the write took effect and
/// only its answer was lost, they must not be written down twice.
#[test]
fn a_failing_write_of_an_outcome_keeps_no_transmission_from_being_written_down_once() {
    let fates = [Fate::Failed, Fate::Unanswered];
    let cases: Vec<(u64, u64, Fate)> = (1..32)
        .flat_map(|nth| [24, 30, 36, 42, WHOLE].map(|calls| (nth, calls)))
        .flat_map(|(nth, calls)| fates.map(|fate| (nth, calls, fate)))
        .collect();
    let results = on_all_cores(&cases, |(nth, calls, fate)| {
        let (nth, calls, fate) = (*nth, *calls, *fate);
        let result = Rc::new(Cell::default());
        let slot = Rc::clone(&result);
        Executor::default().finish(async move {
            slot.set(lost_if_a_write_fails(nth, calls, fate).await);
        });
        result.get()
    });
    let mut failed = 0;
    for ((nth, calls, fate), (has_failed, lost)) in cases.iter().zip(results) {
        failed += usize::from(has_failed);
        // A sweep that does all its work writes transmissions with the outcomes. A sweep that ends
        // early also writes transmissions alone. If that write fails, only its own record lacks
        // them.
        let lost_max = usize::from(*calls < WHOLE && *fate == Fate::Failed);
        assert!(
            lost <= lost_max,
            "{nth}, {calls}, {fate:?}: {lost} records have too few or too many"
        );
    }
    assert!(failed > 80, "{failed} sweeps failed");
}

/// The numbers of records in the requests of a sweep whose requests all fail without a clear
/// answer. All twelve records have waited in many invocations, and were sent `doubtful` times.
async fn requests_of(doubtful: u32) -> Vec<usize> {
    let world = World::at(START.parse().unwrap(), 7);
    let product = listing("bproduct");
    world.list(&product).await;
    let buyer = world.subscribe(&product).1;
    let (first, last): (UsageHour, UsageHour) = (
        "2026-11-21T01".parse().unwrap(),
        "2026-11-21T12".parse().unwrap(),
    );
    let sealed_at = last.end() + SignedDuration::from_mins(30);
    for hour in first.through(last) {
        let mut record = record(&buyer, hour, sealed_at);
        record.attempts = 9;
        record.sent.doubtful = doubtful;
        world.ledger.create_record(&record).await.unwrap();
    }
    world.set_time(sealed_at);
    let fault = Fault::rate("BatchMeterUsage", FaultKind::InternalError, 1.0);
    world.emulator.set_faults(Faults {
        seed: 7,
        faults: vec![fault],
    });
    world.sweep().await.unwrap();
    let calls = world.emulator.calls();
    calls.iter().map(|call| call.records.len()).collect()
}

#[test]
fn records_that_only_waited_are_not_taken_for_records_that_were_sent_in_vain() {
    on_a_thread(|| {
        Executor::default().finish(async {
            assert_eq!(requests_of(0).await, [12; 4]);
            assert_eq!(requests_of(11).await, [12; 4]);
            let in_parts = requests_of(12).await;
            assert_eq!(in_parts[..6], [12, 12, 12, 12, 6, 6]);
        });
    });
}

/// Whether a usage record in AWS Marketplace's log has the dimension and the customer of `key`.
fn names(slot: &Slot, record: &emulator::CallRecord) -> bool {
    let customer = record.customer_identifier.as_deref();
    record.dimension == slot.dimension.as_str()
        && customer.is_some_and(|customer| slot.subscription.to_string().ends_with(customer))
}

#[test]
fn an_invocation_that_ends_early_writes_every_transmission_down() {
    for fault in [FaultKind::MissingRecord, FaultKind::DropAfter] {
        let has_sent = |calls: &u64| {
            let calls = *calls;
            let sent = Rc::new(Cell::new(false));
            let slot = Rc::clone(&sent);
            Executor::default().finish(async move {
                slot.set(transmissions_within(calls, fault).await);
            });
            sent.get()
        };
        let budgets: Vec<u64> = (1..90).collect();
        let sent = on_all_cores(&budgets, has_sent);
        assert!(sent.into_iter().filter(|sent| *sent).count() > 20);
    }
}

#[test]
fn one_invocation_sends_at_a_time_and_a_dead_one_keeps_nobody_waiting_for_long() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let now: Timestamp = START.parse().unwrap();
            let world = World::at(now, 7);
            let ledger = &world.ledger;
            let until = now + SignedDuration::from_secs(70);
            let take = async |holder: &str, now: Timestamp| {
                let until = now + SignedDuration::from_secs(70);
                ledger.take_turn(holder, now, until).await.unwrap()
            };
            assert_eq!(take("one", now).await, Turn::Taken);
            assert_eq!(take("two", now).await, Turn::Busy { until });
            // Only the holder of the turn can end it.
            ledger.end_turn("two").await.unwrap();
            assert_eq!(take("two", now).await, Turn::Busy { until });
            ledger.end_turn("one").await.unwrap();
            assert_eq!(take("two", now).await, Turn::Taken);
            // The holder died, so the turn expires.
            assert_eq!(take("three", until).await, Turn::Taken);
            // If the turn cannot be read, no invocation waits for it.
            let table = &ledger.tables().metering_records;
            let sender = ("stack", "sender");
            world
                .set_attribute(table, sender, "until", "tomorrow")
                .await;
            assert_eq!(take("four", now).await, Turn::Taken);
        })
    });
}

#[test]
fn an_invocation_that_does_not_have_the_turn_sends_nothing_and_loses_nothing() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let world = World::at(START.parse().unwrap(), 7);
            let product = listing("bproduct");
            world.list(&product).await;
            let buyer = world.subscribe(&product).1;
            let hour: UsageHour = "2026-11-21T01".parse().unwrap();
            let now = hour.end() + SignedDuration::from_mins(30);
            world.set_time(now);
            let sealed = record(&buyer, hour, now);
            world.ledger.create_record(&sealed).await.unwrap();
            let mut app = world.functions.submitter.clone();
            app.pace = Pace::per_second(1_000);
            let sweep = async || {
                let trigger = serde_json::from_str("{}").unwrap();
                let answer = submitter::handle(&app, trigger, Budget::of(Duration::from_secs(60)));
                answer.await.unwrap().tally
            };
            // Another sweep is under way.
            let until = now + SignedDuration::from_mins(5);
            let turn = world.ledger.take_turn("another", now, until).await;
            assert_eq!(turn.unwrap(), Turn::Taken);
            let tally = sweep().await;
            assert!(tally.is_turn_taken && tally.calls == 0, "{tally:?}");
            world.set_time(until);
            let tally = sweep().await;
            assert!(!tally.is_turn_taken && tally.accepted == 1, "{tally:?}");
            // The invocation gave the turn back.
            let turn = world.ledger.take_turn("next", until, until).await;
            assert_eq!(turn.unwrap(), Turn::Taken);
        })
    });
}
