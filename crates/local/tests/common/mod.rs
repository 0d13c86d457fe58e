//! A database in memory with a clock, and an official client that talks to it over the wire.
#![allow(dead_code, reason = "each test file uses only a part of this module")]

use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use local::capacity::CapacityCounter;
use local::dynamodb::EmbeddedDynamoDb;
use local::pump::{EventSource, EventSourceOptions, PollOutcome};
use serde_json::{Value, json};

pub const TABLE: &str = "stack-UsageEvents";

#[derive(Clone)]
pub struct SetClock(Arc<AtomicI64>);

impl SetClock {
    pub fn new(time: &str) -> Self {
        Self(Arc::new(AtomicI64::new(
            time.parse::<Timestamp>().unwrap().as_second(),
        )))
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }

    pub fn advance(&self, by: SignedDuration) -> Timestamp {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
        self.now()
    }
}

pub struct World {
    pub clock: SetClock,
    pub database: EmbeddedDynamoDb,
    pub client: Client,
    pub capacity: CapacityCounter,
}

impl World {
    pub fn new() -> Self {
        Self::with_file(None, SetClock::new("2026-11-21T02:00:00Z"))
    }

    pub fn with_file(path: Option<&Path>, clock: SetClock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let reading = clock.clone();
        let database =
            EmbeddedDynamoDb::start(listener, path, Arc::new(move || reading.now())).unwrap();
        let capacity = CapacityCounter::new();
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "tests"))
            .endpoint_url(database.endpoint())
            .interceptor(capacity.interceptor())
            .build();
        Self {
            clock,
            database,
            client: Client::from_conf(config),
            capacity,
        }
    }

    pub fn streamed(view: &str) -> Self {
        let world = Self::new();
        world
            .database
            .create_table(table(TABLE, Some(view)))
            .unwrap();
        world
    }

    pub async fn put(&self, id: &str) {
        self.put_with(id, "quantity", AttributeValue::N("1".to_owned()))
            .await;
    }

    pub async fn put_with(&self, id: &str, attribute: &str, value: AttributeValue) {
        self.client
            .put_item()
            .table_name(TABLE)
            .item(
                "subscription_hour",
                AttributeValue::S("lic@2026-11-21T02".to_owned()),
            )
            .item("dimension_event", AttributeValue::S(id.to_owned()))
            .item(attribute, value)
            .send()
            .await
            .unwrap();
    }

    pub async fn put_many(&self, count: usize) {
        for number in 0..count {
            self.put(&format!("gb#{number:03}")).await;
        }
    }

    pub fn options(&self) -> EventSourceOptions {
        let arn = self.database.stream_arn(TABLE).unwrap().unwrap();
        EventSourceOptions::new(TABLE, arn)
    }
}

pub fn table(name: &str, view: Option<&str>) -> Value {
    let mut table = json!({
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "subscription_hour", "AttributeType": "S"},
            {"AttributeName": "dimension_event", "AttributeType": "S"}
        ],
        "KeySchema": [
            {"AttributeName": "subscription_hour", "KeyType": "HASH"},
            {"AttributeName": "dimension_event", "KeyType": "RANGE"}
        ]
    });
    if let Some(view) = view {
        table["StreamSpecification"] = json!({"StreamEnabled": true, "StreamViewType": view});
    }
    table
}

/// A function that records the events that it receives. The test gives its answers.
#[derive(Clone, Default)]
pub struct Function {
    pub events: Arc<Mutex<Vec<Value>>>,
}

impl Function {
    pub async fn poll(
        &self,
        source: &mut EventSource,
        world: &World,
        answer: impl Fn(&[String]) -> Result<Value, String>,
    ) -> PollOutcome {
        let now = world.clock.now();
        source
            .poll(now, &world.database, async |event: Value| {
                let ids = ids(&event);
                self.events.lock().unwrap().push(event);
                answer(&ids)
            })
            .await
            .unwrap()
    }

    /// Returns the event ids of each batch so far, in order.
    pub fn batches(&self) -> Vec<Vec<String>> {
        self.events.lock().unwrap().iter().map(ids).collect()
    }

    pub fn deliveries(&self) -> Vec<String> {
        self.batches().concat()
    }

    /// Returns the sequence number that an id had when it was last delivered.
    pub fn sequence_number(&self, id: &str) -> String {
        let events = self.events.lock().unwrap();
        let mut records = events
            .iter()
            .flat_map(|event| event["Records"].as_array().unwrap());
        let record = records.rfind(|record| record_id(record) == id).unwrap();
        record["dynamodb"]["SequenceNumber"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

pub fn done(_ids: &[String]) -> Result<Value, String> {
    Ok(Value::Null)
}

pub fn ids(event: &Value) -> Vec<String> {
    event["Records"]
        .as_array()
        .unwrap()
        .iter()
        .map(record_id)
        .collect()
}

fn record_id(record: &Value) -> String {
    record["dynamodb"]["Keys"]["dimension_event"]["S"]
        .as_str()
        .unwrap()
        .to_owned()
}

pub fn names(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("gb#{number:03}")).collect()
}
