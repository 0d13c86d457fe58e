//! Deliveries from the stream of a real table, and the samples of `events/`.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use late_usage::App;
use ledger::profile::Profile;
use ledger::{Ledger, TableNames, tables};
use local::dynamodb::EmbeddedDynamoDb;
use local::pump::{EventSource, EventSourceOptions, PollOutcome};
use marketplace::Subscription;
use runtime::{BatchResponse, Budget, Clock};
use serde_json::Value;

const NOW: &str = "2026-11-21T04:40:00Z";
const BUYER: &str = "account|examplecode3|111122223333";
const LICENSE: &str =
    "arn:aws:license-manager::294406891311:license:l-0123456789abcdef0123456789abcdef";
const LEGACY: &str = "legacy|examplecode2|CUSTEXAMPLE2";

struct World {
    database: EmbeddedDynamoDb,
    client: Client,
    names: TableNames,
    source: EventSource,
}

impl World {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let database = EmbeddedDynamoDb::start(listener, None, Arc::new(now)).unwrap();
        let names = TableNames::of_stack("metering");
        for definition in tables::definitions(&names) {
            database.create_table(definition).unwrap();
        }
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "tests"))
            .endpoint_url(database.endpoint())
            .build();
        let arn = database.stream_arn(&names.usage_events).unwrap().unwrap();
        let mut options = EventSourceOptions::new(&names.usage_events, arn);
        options.batch_size_max = 10_000;
        options.report_batch_item_failures = true;
        Self {
            source: EventSource::new(options).unwrap(),
            client: Client::from_conf(config),
            database,
            names,
        }
    }

    fn ledger(&self) -> Ledger {
        Ledger::new(self.client.clone(), self.names.clone())
    }

    fn app(&self) -> App {
        App {
            ledger: self.ledger(),
            clock: Clock::InProcess(Arc::new(now)),
        }
    }

    /// The function with access to only two of the tables. `table` selects the missing one.
    fn app_without(&self, table: fn(&mut TableNames) -> &mut String) -> App {
        let mut names = self.names.clone();
        *table(&mut names) = "no-such-table".to_owned();
        App {
            ledger: Ledger::new(self.client.clone(), names),
            ..self.app()
        }
    }

    async fn register(&self, subscription: &str) {
        let subscription: Subscription = subscription.parse().unwrap();
        let product = subscription.product().cloned();
        let product = product.unwrap_or_else(|| "examplecode1".parse().unwrap());
        let profile = Profile::new(subscription, product, now());
        self.ledger().create_profile(&profile).await.unwrap();
    }

    async fn seal_through(&self, hour: &str) {
        let hour = hour.parse().unwrap();
        self.ledger().raise_watermark(hour).await.unwrap();
    }

    /// Puts a row directly, as a producer does.
    async fn put(&self, partition: &str, row: &str) {
        self.client
            .put_item()
            .table_name(&self.names.usage_events)
            .item("subscription_hour", AttributeValue::S(partition.to_owned()))
            .item("dimension_event", AttributeValue::S(row.to_owned()))
            .item("quantity", AttributeValue::N("1".to_owned()))
            .send()
            .await
            .unwrap();
    }

    /// Delivers the changes that are in the stream.
    async fn deliver(&mut self, app: &App) -> PollOutcome {
        self.deliver_at(now(), app).await
    }

    async fn deliver_at(&mut self, time: Timestamp, app: &App) -> PollOutcome {
        self.source
            .poll(time, &self.database, |event| async move {
                let answer = invoke(app, event).await;
                Ok(serde_json::to_value(answer).unwrap())
            })
            .await
            .unwrap()
    }

    async fn is_flagged(&self, subscription: &str, hour: &str) -> bool {
        let (subscription, hour) = (subscription.parse().unwrap(), hour.parse().unwrap());
        let flag = self.ledger().late_flag(&subscription, hour).await.unwrap();
        flag.is_some()
    }

    /// The sort key and reason code of every itemised row of no known subscription.
    async fn unattributed(&self) -> Vec<(String, String)> {
        let (rows, are_more) = self.ledger().itemised_unattributed(20_000).await.unwrap();
        assert!(!are_more);
        let mut rows: Vec<_> = rows
            .into_iter()
            .map(|row| (row.dimension_event, row.code))
            .collect();
        rows.sort();
        rows
    }
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

async fn invoke(app: &App, event: Value) -> BatchResponse {
    let event = serde_json::value::to_raw_value(&event).unwrap();
    let budget = Budget::of(Duration::from_secs(60));
    late_usage::handle(app, event, budget).await.unwrap()
}

fn sample(name: &str) -> Value {
    let path = format!("{}/../../events/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn pair(row: &str, code: &str) -> (String, String) {
    (row.to_owned(), code.to_owned())
}

#[tokio::test]
async fn only_hours_at_or_below_the_watermark_are_flagged() {
    let mut world = World::new();
    world.register(BUYER).await;
    world.seal_through("2026-11-21T02").await;
    for hour in ["01", "02", "03"] {
        for row in ["gb#1", "gb#2"] {
            world.put(&format!("{BUYER}@2026-11-21T{hour}"), row).await;
        }
    }
    let app = world.app();
    assert_eq!(world.deliver(&app).await.delivered, 6);
    assert!(world.is_flagged(BUYER, "2026-11-21T01").await);
    assert!(world.is_flagged(BUYER, "2026-11-21T02").await);
    assert!(!world.is_flagged(BUYER, "2026-11-21T03").await);
    assert_eq!(world.unattributed().await, []);
}

#[tokio::test]
async fn before_anything_is_sealed_nothing_is_late() {
    let mut world = World::new();
    world.register(BUYER).await;
    world.put(&format!("{BUYER}@2026-11-21T02"), "gb#1").await;
    let app = world.app();
    world.deliver(&app).await;
    assert!(!world.is_flagged(BUYER, "2026-11-21T02").await);
}

#[tokio::test]
async fn a_row_put_between_two_runs_of_the_sealer_is_flagged_by_the_watermark_of_its_delivery() {
    let mut world = World::new();
    world.register(BUYER).await;
    world.seal_through("2026-11-21T01").await;
    // The row is put while hour 2 is open, and delivered after the hour was sealed.
    world.put(&format!("{BUYER}@2026-11-21T02"), "gb#1").await;
    world.seal_through("2026-11-21T02").await;
    let app = world.app();
    world.deliver(&app).await;
    assert!(world.is_flagged(BUYER, "2026-11-21T02").await);
}

#[tokio::test]
async fn a_row_removed_by_hand_flags_its_hour() {
    let mut world = World::new();
    world.register(BUYER).await;
    let partition = format!("{BUYER}@2026-11-21T02");
    world.put(&partition, "gb#1").await;
    let app = world.app();
    world.deliver(&app).await;
    world.seal_through("2026-11-21T02").await;
    world
        .client
        .delete_item()
        .table_name(&world.names.usage_events)
        .key("subscription_hour", AttributeValue::S(partition))
        .key("dimension_event", AttributeValue::S("gb#1".to_owned()))
        .send()
        .await
        .unwrap();
    world.deliver(&app).await;
    assert!(world.is_flagged(BUYER, "2026-11-21T02").await);
}

#[tokio::test]
async fn a_row_of_no_known_subscription_is_itemised_and_flags_nothing() {
    let mut world = World::new();
    world.seal_through("2026-11-21T02").await;
    world.put(&format!("{BUYER}@2026-11-21T02"), "gb#1").await;
    world.put(&format!("{BUYER}@2026-11-21T09"), "gb#2").await;
    world.put("nobody@yesterday", "gb#3").await;
    let app = world.app();
    world.deliver(&app).await;
    assert_eq!(
        world.unattributed().await,
        [
            pair("gb#1", "unknown-subscription"),
            pair("gb#2", "unknown-subscription"),
            pair("gb#3", "malformed-partition-key"),
        ]
    );
    assert!(!world.is_flagged(BUYER, "2026-11-21T02").await);
}

#[tokio::test]
async fn a_subscription_that_appears_later_is_known_to_the_next_delivery() {
    let mut world = World::new();
    world.seal_through("2026-11-21T02").await;
    let app = world.app();
    world.put(&format!("{BUYER}@2026-11-21T02"), "gb#1").await;
    world.deliver(&app).await;
    world.register(BUYER).await;
    world.put(&format!("{BUYER}@2026-11-21T02"), "gb#2").await;
    world.deliver(&app).await;
    assert!(world.is_flagged(BUYER, "2026-11-21T02").await);
    assert_eq!(
        world.unattributed().await,
        [pair("gb#1", "unknown-subscription")]
    );
}

#[tokio::test]
async fn after_a_failure_the_batch_is_delivered_again_from_the_failed_change() {
    let mut world = World::new();
    world.register(BUYER).await;
    world.seal_through("2026-11-21T02").await;
    world.put("nobody@yesterday", "gb#1").await;
    world.put(&format!("{BUYER}@2026-11-21T02"), "gb#2").await;

    let without_profiles = world.app_without(|names| &mut names.subscriptions);
    let outcome = world.deliver(&without_profiles).await;
    assert_eq!((outcome.delivered, outcome.failures > 0), (1, true));
    assert_eq!(
        world.unattributed().await,
        [pair("gb#1", "malformed-partition-key")]
    );
    assert!(!world.is_flagged(BUYER, "2026-11-21T02").await);

    let app = world.app();
    let again = outcome.next_due.unwrap();
    assert_eq!(world.deliver_at(again, &app).await.delivered, 1);
    assert!(world.is_flagged(BUYER, "2026-11-21T02").await);
}

#[tokio::test]
async fn without_the_watermark_nothing_is_decided() {
    let world = World::new();
    let app = world.app_without(|names| &mut names.metering_records);
    let event = sample("late-usage-insert.json");
    let first = event["Records"][0]["dynamodb"]["SequenceNumber"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(invoke(&app, event).await, BatchResponse::failed([first]));
}

#[tokio::test]
async fn an_invocation_without_time_leaves_the_rest_to_the_next_delivery() {
    let world = World::new();
    world.register(LICENSE).await;
    world.seal_through("2026-11-21T02").await;
    let event = serde_json::value::to_raw_value(&sample("late-usage-insert.json")).unwrap();
    let spent = Budget::of(Duration::ZERO);
    let answer = late_usage::handle(&world.app(), event, spent)
        .await
        .unwrap();
    assert_eq!(answer.batch_item_failures.len(), 1);
    assert!(!world.is_flagged(LICENSE, "2026-11-21T02").await);
}

#[tokio::test]
async fn the_samples_are_answered_with_nothing_to_repeat() {
    let world = World::new();
    for subscription in [LICENSE, LEGACY, BUYER] {
        world.register(subscription).await;
    }
    world.seal_through("2026-11-21T02").await;
    let app = world.app();

    let removal = invoke(&app, sample("late-usage-ttl-removal.json")).await;
    assert_eq!(removal, BatchResponse::done());
    assert!(!world.is_flagged(LICENSE, "2025-10-17T02").await);

    let inserts = invoke(&app, sample("late-usage-insert.json")).await;
    assert_eq!(inserts, BatchResponse::done());
    assert!(world.is_flagged(LICENSE, "2026-11-21T02").await);
    assert!(world.is_flagged(LEGACY, "2026-11-21T02").await);
    assert!(!world.is_flagged(LICENSE, "2026-11-21T03").await);

    let unreadable = invoke(&app, sample("late-usage-unreadable.json")).await;
    assert_eq!(unreadable, BatchResponse::done());
    assert!(world.is_flagged(BUYER, "2026-11-21T02").await);
    assert_eq!(
        world.unattributed().await,
        [
            pair("gb#lost-0001", "malformed-partition-key"),
            pair("gb#lost-0002", "unknown-subscription"),
        ]
    );
}

#[tokio::test]
async fn an_event_that_is_not_a_batch_is_skipped() {
    let world = World::new();
    let answer = invoke(&world.app(), serde_json::json!({"key1": "value1"})).await;
    assert_eq!(answer, BatchResponse::done());
}
