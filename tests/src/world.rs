//! The world that the samples in `events/` refer to, and the functions as processes in it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use emulator::{Emulator, Options};
use ledger::tables::{TTL_ATTRIBUTE, definitions};
use ledger::{Ledger, TableNames};
use local::dynamodb::EmbeddedDynamoDb;
use local::sample;
use metering_api::MeteringApi;
use runtime::{Env, clients};
use serde_json::{Map, Value, json};

use crate::bootstrap::{binary, environment};
use crate::recorder::Recorder;
use crate::runtime_api::{Answer, Bootstrap};
use crate::template::{Call, Template, workspace};

/// The name of the stack in the samples.
pub const STACK: &str = local::stack::STACK_NAME;

/// The example world of `metering local --sample`, without the functions.
pub struct World {
    /// The emulated AWS Marketplace.
    pub emulator: Emulator,
    /// Typed access to the tables.
    pub ledger: Ledger,
    client: Client,
    database: EmbeddedDynamoDb,
    marketplace: String,
}

/// A function of the world, running as a process.
pub struct Function {
    name: &'static str,
    bootstrap: Bootstrap,
    allowed: BTreeSet<Call>,
    recorders: [Recorder; 2],
}

impl World {
    /// Loads the world at its own time, on a clock that stands still.
    ///
    /// # Panics
    ///
    /// If the world cannot be loaded.
    pub async fn start() -> Self {
        let emulator = Emulator::new(Options {
            now: Some(sample::NOW.parse().expect("a time")),
            speed: 0.0,
            ..Options::default()
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let marketplace = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = emulator.clone();
        tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });

        let clock = emulator.clone();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let database = EmbeddedDynamoDb::start(listener, None, Arc::new(move || clock.now()))
            .expect("a DynamoDB");
        let names = TableNames::of_stack(STACK);
        for definition in definitions(&names) {
            database.create_table(definition).expect("a table");
        }
        for table in names.all() {
            database.enable_ttl(table, TTL_ATTRIBUTE).expect("TTL");
        }
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("example", "example", None, None, "tests"))
            .endpoint_url(database.endpoint())
            .build();
        let client = Client::from_conf(config);
        let ledger = Ledger::new(client.clone(), names);
        sample::load(&ledger, &emulator)
            .await
            .expect("the example world");

        Self {
            emulator,
            ledger,
            client,
            database,
            marketplace,
        }
    }

    /// Starts a function's bootstrap in this world. `name` is the prefix of its resources' names.
    ///
    /// # Panics
    ///
    /// If the bootstrap cannot be started.
    pub async fn function(&self, name: &'static str) -> Function {
        self.function_with(name, &[]).await
    }

    /// Starts a function's bootstrap with settings that differ from the template's.
    ///
    /// # Panics
    ///
    /// If the bootstrap cannot be started.
    pub async fn function_with(&self, name: &'static str, settings: &[(&str, &str)]) -> Function {
        let timeout = Template::read().function(name)["Timeout"].as_u64();
        let timeout = Duration::from_secs(timeout.expect("a timeout"));
        self.start_function(name, settings, timeout).await
    }

    /// Starts a function's bootstrap whose invocations have no more than this time.
    ///
    /// # Panics
    ///
    /// If the bootstrap cannot be started.
    pub async fn function_within(&self, name: &'static str, time: Duration) -> Function {
        self.start_function(name, &[], time).await
    }

    async fn start_function(
        &self,
        name: &'static str,
        settings: &[(&str, &str)],
        timeout: Duration,
    ) -> Function {
        let template = Template::read();
        let (dynamodb, dynamodb_url) = Recorder::start(&self.database.endpoint(), STACK).await;
        let (marketplace, marketplace_url) = Recorder::start(&self.marketplace, STACK).await;
        let mut environment = environment(&template, name, &dynamodb_url, &marketplace_url);
        for (name, value) in settings {
            environment.insert((*name).to_owned(), (*value).to_owned());
        }
        let bootstrap = Bootstrap::start(
            &binary(name),
            &format!("{STACK}-{name}Function"),
            &environment,
            timeout,
        )
        .await;
        Function {
            name,
            bootstrap,
            allowed: template.allowed(name),
            recorders: [dynamodb, marketplace],
        }
    }

    /// A client of AWS Marketplace with the seller's credentials, for calls that no function makes.
    ///
    /// # Panics
    ///
    /// If the client cannot be made.
    pub async fn metering_api(&self) -> MeteringApi {
        let env = Env::of([
            ("MARKETPLACE_ENDPOINT", self.marketplace.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]);
        let api = clients::metering_api(&env, 3).await;
        api.expect("a client")
    }

    /// Every item of every table, as JSON.
    ///
    /// # Panics
    ///
    /// If a table cannot be read.
    pub async fn tables(&self) -> BTreeMap<String, Vec<Value>> {
        let names = self.ledger.tables();
        let mut all = BTreeMap::new();
        for table in [
            &names.subscriptions,
            &names.usage_events,
            &names.metering_records,
        ] {
            let mut pages = self
                .client
                .scan()
                .table_name(table)
                .into_paginator()
                .items()
                .send();
            let mut items = Vec::new();
            while let Some(item) = pages.next().await {
                items.push(plain_item(&item.expect("an item")));
            }
            items.sort_by_key(Value::to_string);
            let name = table.trim_start_matches(STACK).trim_start_matches('-');
            all.insert(name.to_owned(), items);
        }
        all
    }

    /// Deletes an item, so that the event that wrote it has not happened yet.
    ///
    /// # Panics
    ///
    /// If the table cannot be written.
    pub async fn forget(&self, table: &str, partition: &str, sort: &str) {
        let keys = key_names(table);
        self.client
            .delete_item()
            .table_name(format!("{STACK}-{table}"))
            .key(keys[0], AttributeValue::S(partition.to_owned()))
            .key(keys[1], AttributeValue::S(sort.to_owned()))
            .condition_expression("attribute_exists(#key)")
            .expression_attribute_names("#key", keys[0])
            .send()
            .await
            .expect("an item to forget");
    }

    /// Puts an item. All its attributes are strings, except `quantity`, which is a number.
    ///
    /// # Panics
    ///
    /// If the item is malformed, or the table cannot be written.
    pub async fn put(&self, table: &str, item: Value) {
        let mut request = self
            .client
            .put_item()
            .table_name(format!("{STACK}-{table}"));
        for (name, value) in item.as_object().expect("an item") {
            let text = value.as_str().expect("a text").to_owned();
            request = request.item(
                name,
                match name.as_str() {
                    "quantity" => AttributeValue::N(text),
                    _ => AttributeValue::S(text),
                },
            );
        }
        request.send().await.expect("a table");
    }

    /// One item as JSON, or null if it does not exist. `table` is the template's name of the table.
    ///
    /// # Panics
    ///
    /// If the table cannot be read.
    pub async fn item(&self, table: &str, partition: &str, sort: &str) -> Value {
        let keys = key_names(table);
        let answer = self
            .client
            .get_item()
            .table_name(format!("{STACK}-{table}"))
            .key(keys[0], AttributeValue::S(partition.to_owned()))
            .key(keys[1], AttributeValue::S(sort.to_owned()))
            .send()
            .await
            .expect("a table");
        answer.item.as_ref().map_or(Value::Null, plain_item)
    }
}

impl Function {
    /// Invokes the function with one of the samples. Returns its answer.
    ///
    /// # Panics
    ///
    /// If the invocation failed, or made a call that the function's role does not allow.
    pub async fn answer(&self, name: &str) -> Value {
        self.invoke(&sample(name)).await.response()
    }

    /// The lines that the function has printed so far, including its metrics.
    ///
    /// # Panics
    ///
    /// If its output cannot be read.
    pub fn printed(&self) -> Vec<String> {
        self.bootstrap.printed()
    }

    /// Lets the function's calls to DynamoDB fail, or succeed again.
    pub fn break_dynamodb(&self, broken: bool) {
        self.recorders[0].set_broken(broken);
    }

    /// Invokes the function with any event.
    ///
    /// # Panics
    ///
    /// If the invocation made a call that the function's role does not allow.
    pub async fn invoke(&self, event: &Value) -> Answer {
        let answer = self.bootstrap.invoke(event).await;
        let made = self.recorders.iter().flat_map(Recorder::calls);
        let denied: Vec<String> = made
            .filter(|call| !self.allowed.contains(call))
            .map(|call| call.to_string())
            .collect();
        assert!(
            denied.is_empty(),
            "{} would be denied {denied:?}",
            self.name
        );
        answer
    }
}

/// A sample of `events/`, by its name without `.json`.
///
/// # Panics
///
/// If there is no such sample.
pub fn sample(name: &str) -> Value {
    let path = workspace().join("events").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn key_names(table: &str) -> [&'static str; 2] {
    match table {
        "UsageEvents" => ["subscription_hour", "dimension_event"],
        _ => ["subscription", "item"],
    }
}

fn plain_item(item: &std::collections::HashMap<String, AttributeValue>) -> Value {
    let pairs: Map<String, Value> = item
        .iter()
        .map(|(name, value)| (name.clone(), plain(value)))
        .collect();
    Value::Object(pairs)
}

fn plain(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => json!(text),
        AttributeValue::Bool(value) => json!(value),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::L(values) => values.iter().map(plain).collect(),
        AttributeValue::M(item) => plain_item(item),
        other => panic!("no table holds {other:?}"),
    }
}
