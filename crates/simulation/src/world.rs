//! The tables, AWS Marketplace, the seven functions and their triggers.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use emulator::{
    Agreement, Emulator, Identity, LifecycleMessage, NewAgreement, NewProduct, Settings,
};
use fastrand::Rng;
use http_body_util::BodyExt;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use jiff::{SignedDuration, Timestamp};
use ledger::product::Product;
use ledger::tables::{TTL_ATTRIBUTE, definitions};
use ledger::{Ledger, TableNames, Written};
use local::dynamodb::EmbeddedDynamoDb;
use local::pump::EventSource;
use local::stack::{DeliveryTrouble, event_sources, function_event};
use marketplace::audit::Source;
use marketplace::slot::Slot;
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, Subscription};
use reconciler::Task;
use runtime::Budget;
use serde_json::Value;
use tokio::sync::{Mutex, Notify};

use super::clients;
use super::functions::{Functions, Now, STACK};
use super::wire::{INVOCATION, Invocation, Wire};

/// The time that an invocation may take. No invocation takes that long on the real clock.
const INVOCATION_TIME: Duration = Duration::from_secs(890);
/// Rows in one BatchWriteItem. Source: BatchWriteItem API reference.
const ROWS_AT_ONCE: usize = 25;
/// The largest number of tries for a message or a row that must arrive.
const TRIES_MAX: u32 = 20;

/// A product that is listed in the world.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The code of the product.
    pub code: String,
    /// The identity by which usage records name its buyers.
    pub identity: IdentityKind,
    /// The dimensions in which it is metered.
    pub dimensions: Vec<String>,
}

/// One world with its own wire.
pub struct World {
    /// The emulated AWS Marketplace.
    pub emulator: Emulator,
    /// The wire through which all calls of the functions go.
    pub wire: Wire,
    /// The tables, for tests that set up or check the world. Its calls are not counted and meet no
    /// faults.
    pub ledger: Ledger,
    /// The seven functions, whose calls go to the wire.
    pub functions: Functions,
    /// The true time, which all clocks are based on.
    pub now: Now,
    /// The error of each function's clock in milliseconds, in the order of [`Functions`].
    pub off_ms: [Arc<AtomicI64>; 7],
    client: aws_sdk_dynamodb::Client,
    database: Arc<EmbeddedDynamoDb>,
    usage_stream: Mutex<Option<EventSource>>,
    record_stream: Mutex<Option<EventSource>>,
    budgets: std::sync::Mutex<Option<(Rng, u32)>>,
    /// The kinds of lifecycle messages so far, by the agreement or customer that they are about.
    kinds: std::sync::Mutex<HashMap<String, BTreeSet<String>>>,
}

impl World {
    /// An empty world at a given time.
    ///
    /// # Panics
    ///
    /// If a part of the world cannot be made.
    pub fn at(start: Timestamp, seed: u64) -> Self {
        Self::with_source(start, seed, Source::EventHistory)
    }

    /// An empty world whose audit reads CloudTrail's events from `source`.
    ///
    /// # Panics
    ///
    /// If a part of the world cannot be made.
    pub fn with_source(start: Timestamp, seed: u64, source: Source) -> Self {
        Self::with_streams(start, seed, None, source)
    }

    /// An empty world whose streams drop, repeat, reorder and delay records.
    ///
    /// # Panics
    ///
    /// If a part of the world cannot be made.
    pub fn with_streams(
        start: Timestamp,
        seed: u64,
        trouble: Option<DeliveryTrouble>,
        source: Source,
    ) -> Self {
        Self::of(start, seed, Some(trouble), source)
    }

    /// An empty world whose tables have no streams. Large tables are faster without them.
    ///
    /// # Panics
    ///
    /// If a part of the world cannot be made.
    pub fn without_streams(start: Timestamp, seed: u64) -> Self {
        Self::of(start, seed, None, Source::EventHistory)
    }

    fn of(
        start: Timestamp,
        seed: u64,
        streams: Option<Option<DeliveryTrouble>>,
        source: Source,
    ) -> Self {
        let emulator = Emulator::new(emulator::Options {
            seed,
            now: Some(start),
            speed: 0.0,
            ..emulator::Options::default()
        });
        // Quotas are counted on the real clock, which must decide nothing in a repeatable world.
        emulator.set_settings(Settings {
            batch_meter_usage_per_s: 1_000_000,
            lookup_events_per_s: 1_000_000,
            ..emulator.settings()
        });
        let clock = emulator.clone();
        let database =
            EmbeddedDynamoDb::unserved(Arc::new(move || clock.now())).expect("a database");
        let names = TableNames::of_stack(STACK);
        for mut definition in definitions(&names) {
            if let (None, Some(definition)) = (streams, definition.as_object_mut()) {
                definition.remove("StreamSpecification");
            }
            database.create_table(definition).expect("a table");
        }
        for table in names.all() {
            database.enable_ttl(table, TTL_ATTRIBUTE).expect("TTL");
        }
        let sources = streams
            .map(|trouble| event_sources(&database, &names, trouble, seed).expect("streams"));
        let (usage_stream, record_stream) = match sources {
            Some(sources) => (Some(sources.usage), Some(sources.records)),
            None => (None, None),
        };
        let database = Arc::new(database);
        let wire = Wire::new(Arc::clone(&database), &emulator);
        let client = clients::dynamodb(&wire);
        let ledger = Ledger::new(client.clone(), names).with_marks(seed);
        let now = Now::at(start);
        let off_ms: [Arc<AtomicI64>; 7] = Default::default();
        let functions = Functions::on(&wire, &ledger, &now, &off_ms, source);
        Self {
            emulator,
            wire,
            ledger,
            functions,
            now,
            off_ms,
            client,
            database,
            usage_stream: Mutex::new(usage_stream),
            record_stream: Mutex::new(record_stream),
            budgets: std::sync::Mutex::default(),
            kinds: std::sync::Mutex::default(),
        }
    }

    /// Moves the true time and the clocks to `now`.
    pub fn set_time(&self, now: Timestamp) {
        self.now.set(now);
        self.emulator.set_clock(Some(now), None);
    }

    /// Lists a product at AWS Marketplace and configures it in the stack.
    ///
    /// # Panics
    ///
    /// If the product cannot be listed.
    pub async fn list(&self, listing: &Listing) {
        let dimensions: Vec<&str> = listing.dimensions.iter().map(String::as_str).collect();
        let identity = match listing.identity {
            IdentityKind::License => Identity::License,
            _ => Identity::Customer,
        };
        self.emulator
            .add_product(NewProduct::new(&listing.code, &dimensions, identity))
            .expect("a listing");
        let product = Product {
            code: listing.code.parse().expect("a product code"),
            identity: listing.identity,
            dimensions: listing
                .dimensions
                .iter()
                .map(|name| name.parse().expect("a dimension"))
                .collect(),
            version: 1,
        };
        let written = self.ledger.write_product(None, &product).await;
        assert_eq!(written.expect("configured"), Written::Done);
    }

    /// Adds a dimension to the seller's own list of a product's dimensions. AWS Marketplace does
    /// not know it.
    ///
    /// # Panics
    ///
    /// If the product is not listed.
    pub async fn list_renamed(&self, listing: &Listing, dimension: &str) {
        let code = listing.code.parse().expect("a product code");
        let before = self
            .ledger
            .product(&code)
            .await
            .expect("readable")
            .expect("listed");
        let mut after = before.clone();
        after
            .dimensions
            .insert(dimension.parse().expect("a dimension"));
        after.version += 1;
        let written = self.ledger.write_product(Some(&before), &after).await;
        assert_eq!(written.expect("configured"), Written::Done);
    }

    /// A buyer with a new AWS account subscribes to a product.
    ///
    /// # Panics
    ///
    /// If there is no such product.
    pub fn subscribe(&self, listing: &Listing) -> (Agreement, Subscription) {
        self.subscribe_as(listing, None)
    }

    /// A buyer subscribes to a product, with the given AWS account or a new one.
    ///
    /// # Panics
    ///
    /// If there is no such product.
    pub fn subscribe_as(
        &self,
        listing: &Listing,
        account: Option<&str>,
    ) -> (Agreement, Subscription) {
        let purchase = NewAgreement::of(&listing.code);
        let purchase = match account {
            Some(account) => purchase.by(account),
            None => purchase,
        };
        let agreement = self.emulator.add_agreement(purchase).expect("an agreement");
        let key = match listing.identity {
            IdentityKind::License => agreement.license_arn.clone(),
            IdentityKind::Customer => {
                format!("legacy|{}|{}", listing.code, agreement.customer_identifier)
            }
            IdentityKind::Account => format!("account|{}|{}", listing.code, agreement.account_id),
        };
        (agreement, key.parse().expect("a subscription"))
    }

    /// From now on this percentage of invocations runs out of time after some calls. `None` stops
    /// that.
    pub fn cut_short(&self, budgets: Option<(Rng, u32)>) {
        *self.budgets.lock().unwrap_or_else(PoisonError::into_inner) = budgets;
    }

    /// The time or the number of calls that an invocation may take.
    fn budget(&self, function: &'static str) -> Budget {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((draws, percent)) = budgets.as_mut() else {
            return Budget::of(INVOCATION_TIME);
        };
        let is_cut_short = draws.u32(0..100) < *percent;
        let most = [10, 60, 400][draws.usize(0..3)];
        let calls = draws.u64(1..=most);
        match is_cut_short {
            true => {
                self.wire.mark_one(&format!("budget of {function}"));
                Budget::of_calls(made_by(function), calls)
            }
            false => Budget::of(INVOCATION_TIME),
        }
    }

    /// Invokes the sealer as its schedule does.
    pub async fn seal(&self) -> Result<sealer::Report, String> {
        self.seal_within(self.budget("sealer")).await
    }

    /// Invokes the sealer, which ends when its budget is spent.
    pub async fn seal_within(&self, budget: Budget) -> Result<sealer::Report, String> {
        let app = self.functions.sealer.clone();
        invoke("sealer", async move {
            sealer::handle(&app, budget)
                .await
                .map_err(|e| e.to_string())
        })
        .await
    }

    /// Invokes the submitter as its schedule does.
    pub async fn sweep(&self) -> Result<(), String> {
        let budget = self.budget("submitter");
        submit(self.functions.submitter.clone(), "{}".to_owned(), budget)
            .await
            .map(drop)
    }

    /// Invokes the submitter as its schedule does, with time for this many calls.
    pub async fn sweep_within(&self, calls: u64) -> Result<(), String> {
        let budget = Budget::of_calls(made_by("submitter"), calls);
        submit(self.functions.submitter.clone(), "{}".to_owned(), budget)
            .await
            .map(drop)
    }

    /// Invokes the reconciler as its schedule does.
    pub async fn reconcile(&self) -> Result<reconciler::Report, String> {
        self.reconcile_as(self.budget("reconciler")).await
    }

    /// Invokes the reconciler with this much time.
    pub async fn reconcile_within(&self, time: Duration) -> Result<reconciler::Report, String> {
        self.reconcile_as(Budget::of(time)).await
    }

    /// Invokes one of the reconciler's tasks as its schedule does.
    pub async fn reconcile_task(&self, task: Task) -> Result<reconciler::Report, String> {
        self.reconcile_task_as(task, self.budget("reconciler"))
            .await
    }

    async fn reconcile_as(&self, budget: Budget) -> Result<reconciler::Report, String> {
        self.reconcile_task_as(Task::Everything, budget).await
    }

    /// Invokes one of the reconciler's tasks, which ends when its budget is spent.
    pub async fn reconcile_task_as(
        &self,
        task: Task,
        budget: Budget,
    ) -> Result<reconciler::Report, String> {
        let app = self.functions.reconciler.clone();
        invoke("reconciler", async move {
            reconciler::handle_task(&app, task, budget)
                .await
                .map_err(|e| e.to_string())
        })
        .await
    }

    /// Polls the stream of UsageEvents once, as Lambda would at `now`.
    ///
    /// # Panics
    ///
    /// If the stream cannot be read.
    pub async fn pump_usage(&self, now: Timestamp) {
        let app = &self.functions.late_usage;
        let mut stream = self.usage_stream.lock().await;
        let Some(stream) = stream.as_mut() else {
            return;
        };
        stream
            .poll(now, &self.database, |event| {
                let app = app.clone();
                let budget = self.budget("late-usage");
                invoke("late-usage", async move {
                    let event =
                        serde_json::value::to_raw_value(&event).map_err(|e| e.to_string())?;
                    let answer = late_usage::handle(&app, event, budget).await;
                    serde_json::to_value(answer.map_err(|e| e.to_string())?)
                        .map_err(|e| e.to_string())
                })
            })
            .await
            .expect("a stream");
    }

    /// Invokes the late-usage function with a delivery that the test made up instead of the stream.
    /// Returns the answer, which lists the records that must be delivered again.
    pub async fn deliver_usage(&self, event: &Value) -> Result<Value, String> {
        let app = self.functions.late_usage.clone();
        let budget = self.budget("late-usage");
        let event = serde_json::value::to_raw_value(event).map_err(|e| e.to_string())?;
        invoke("late-usage", async move {
            let answer = late_usage::handle(&app, event, budget).await;
            serde_json::to_value(answer.map_err(|e| e.to_string())?).map_err(|e| e.to_string())
        })
        .await
    }

    /// Removes the items that have expired by the time of this world, as DynamoDB does. Returns
    /// their number.
    ///
    /// # Panics
    ///
    /// If the tables cannot be written.
    pub fn sweep_ttl(&self) -> usize {
        self.database.sweep_ttl().expect("a sweep")
    }

    /// Polls the stream of MeteringRecords once, as Lambda would at `now`.
    ///
    /// # Panics
    ///
    /// If the stream cannot be read.
    pub async fn pump_records(&self, now: Timestamp) {
        let app = &self.functions.submitter;
        let mut stream = self.record_stream.lock().await;
        let Some(stream) = stream.as_mut() else {
            return;
        };
        stream
            .poll(now, &self.database, |event| {
                submit(app.clone(), event.to_string(), self.budget("submitter"))
            })
            .await
            .expect("a stream");
    }

    /// Drops all records that the stream of UsageEvents holds now.
    ///
    /// # Panics
    ///
    /// If the stream cannot be read.
    pub async fn forget_usage_stream(&self) {
        let long_after = self.now.get().checked_add(SignedDuration::from_hours(1));
        let mut stream = self.usage_stream.lock().await;
        let Some(stream) = stream.as_mut() else {
            return;
        };
        stream
            .poll(long_after.expect("a time"), &self.database, |_| async {
                Ok(serde_json::json!({"batchItemFailures": []}))
            })
            .await
            .expect("a stream");
    }

    /// Delivers AWS Marketplace's messages to the agreements function. A message that fails is
    /// delivered again.
    pub async fn deliver_lifecycle(&self) {
        for message in self.emulator.take_lifecycle() {
            self.mark_order(&message);
            let event = function_event(message);
            let mut tries = 1;
            while let Err(last) = self.deliver_event(event.clone()).await {
                assert!(
                    tries < TRIES_MAX,
                    "the lifecycle event {event} could not be delivered in {TRIES_MAX} tries: {last}"
                );
                tries += 1;
            }
        }
    }

    /// Marks each kind of message about the same agreement or customer that came before this one.
    fn mark_order(&self, message: &LifecycleMessage) {
        let (whom, kind) = match message {
            LifecycleMessage::EventBridge(event) => (
                event["detail"]["agreement"]["id"].to_string(),
                event["detail-type"].as_str().unwrap_or_default().to_owned(),
            ),
            LifecycleMessage::Sns { message, .. } => {
                let body: Value = serde_json::from_str(message).unwrap_or_default();
                let action = body["action"].as_str().unwrap_or_default().to_owned();
                let customer = &body["customer-identifier"];
                (format!("{customer} {}", body["product-code"]), action)
            }
        };
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = kinds.entry(whom).or_default();
        for other in &*earlier {
            self.wire
                .mark_one(&format!("message {other} before {kind}"));
        }
        earlier.insert(kind);
    }

    /// Delivers one message to the agreements function. `Err` means that it has to be delivered
    /// again.
    pub async fn deliver_event(&self, event: Value) -> Result<(), String> {
        let app = self.functions.agreements.clone();
        let answer = invoke("agreements", async move {
            agreements::handle(&app, event, Budget::of(INVOCATION_TIME))
                .await
                .map_err(|e| e.to_string())
        })
        .await?;
        if answer.batch_item_failures.is_empty() {
            Ok(())
        } else {
            Err("the queue delivers it again".to_owned())
        }
    }

    /// Posts the registration form as the buyer's browser does, and again after an error. Returns
    /// the last status.
    pub async fn register(&self, token: &str) -> u16 {
        let mut status = 0;
        for _ in 0..TRIES_MAX {
            let request = http::Request::post("/register")
                .header("content-type", "application/x-www-form-urlencoded")
                .body(axum::body::Body::from(format!(
                    "x-amzn-marketplace-token={}",
                    form_encoded(token)
                )))
                .expect("a request");
            let app = Arc::new(self.functions.registration.clone());
            let answer = invoke("registration", async move {
                let service = TowerToHyperService::new(registration::router(app));
                let answer = service.call(request).await.map_err(|never| match never {});
                answer.map(|answer| answer.status().as_u16())
            })
            .await;
            status = answer.unwrap_or(500);
            if status < 500 {
                break;
            }
        }
        status
    }

    /// Writes one row as the seller's software does, and again until the write succeeds.
    ///
    /// # Panics
    ///
    /// If twenty tries fail. Otherwise the books would be compared with a row that was never
    /// written.
    pub async fn report(&self, subscription: &Subscription, event: &UsageEvent) {
        let mut last = String::new();
        for _ in 0..TRIES_MAX {
            let ledger = self.ledger.clone();
            let put = invoke("seller", async move {
                ledger
                    .put_event(subscription, event)
                    .await
                    .map_err(|e| e.to_string())
            })
            .await;
            match put {
                Ok(_) => return,
                Err(error) => last = error,
            }
        }
        panic!(
            "the row {} of {subscription} could not be written in {TRIES_MAX} tries: {last}",
            event.id
        );
    }

    /// Reports usage over HTTP as the seller's software does. Returns the answer's status and body.
    pub async fn post_usage(&self, body: &Value) -> (u16, Value) {
        let mut last = (500, Value::Null);
        for _ in 0..TRIES_MAX {
            let request = http::Request::post("/usage")
                .header("content-type", "application/json")
                .body(axum::body::Body::from(body.to_string()))
                .expect("a request");
            let app = Arc::new(self.functions.intake.clone());
            let answer = invoke("intake", async move {
                let service = TowerToHyperService::new(intake::router(app));
                let answer = service
                    .call(request)
                    .await
                    .unwrap_or_else(|never: std::convert::Infallible| match never {});
                let status = answer.status().as_u16();
                let body = answer
                    .into_body()
                    .collect()
                    .await
                    .map_err(|e| e.to_string())?;
                let body = serde_json::from_slice(&body.to_bytes()).map_err(|e| e.to_string())?;
                Ok((status, body))
            })
            .await;
            last = answer.unwrap_or((500, Value::Null));
            if last.0 == 200 {
                break;
            }
        }
        last
    }

    /// Writes a row without the checks of the ledger, so that it may be malformed.
    ///
    /// # Panics
    ///
    /// If DynamoDB refuses the row.
    pub async fn put_raw(&self, partition: &str, sort: &str, quantity: &str, time: &str) {
        self.client
            .put_item()
            .table_name(&self.ledger.tables().usage_events)
            .item("subscription_hour", AttributeValue::S(partition.to_owned()))
            .item("dimension_event", AttributeValue::S(sort.to_owned()))
            .item("quantity", AttributeValue::N(quantity.to_owned()))
            .item("time", AttributeValue::S(time.to_owned()))
            .send()
            .await
            .expect("a row");
    }

    /// Writes many rows of one partition without the checks of the ledger. Each has the quantity 1.
    ///
    /// # Panics
    ///
    /// If DynamoDB refuses the rows.
    pub async fn put_many(&self, partition: &str, sorts: &[String], time: &str) {
        let table = &self.ledger.tables().usage_events;
        for sorts in sorts.chunks(ROWS_AT_ONCE) {
            let text = |value: &str| AttributeValue::S(value.to_owned());
            let puts = sorts.iter().map(|sort| {
                let put = PutRequest::builder()
                    .item("subscription_hour", text(partition))
                    .item("dimension_event", text(sort))
                    .item("quantity", AttributeValue::N("1".to_owned()))
                    .item("time", text(time))
                    .build()
                    .expect("an item");
                WriteRequest::builder().put_request(put).build()
            });
            self.client
                .batch_write_item()
                .request_items(table, puts.collect())
                .send()
                .await
                .expect("rows");
        }
    }

    /// Sets one attribute of an item to a text, as somebody might do by hand. The attribute need
    /// not exist.
    ///
    /// # Panics
    ///
    /// If DynamoDB refuses the change.
    pub async fn set_attribute(
        &self,
        table: &str,
        key: (&str, &str),
        attribute: &str,
        value: &str,
    ) {
        self.client
            .update_item()
            .table_name(table)
            .key("subscription", AttributeValue::S(key.0.to_owned()))
            .key("item", AttributeValue::S(key.1.to_owned()))
            .update_expression("SET #attribute = :value")
            .expression_attribute_names("#attribute", attribute)
            .expression_attribute_values(":value", AttributeValue::S(value.to_owned()))
            .send()
            .await
            .expect("an item");
    }

    /// Changes a record so that it cannot be read, as somebody might do by hand.
    ///
    /// # Panics
    ///
    /// If there is no such record.
    pub async fn damage(&self, slot: &Slot) {
        let sort = ledger::record::sort_key(slot.hour, &slot.dimension);
        self.client
            .update_item()
            .table_name(&self.ledger.tables().metering_records)
            .key(
                "subscription",
                AttributeValue::S(slot.subscription.to_string()),
            )
            .key("item", AttributeValue::S(sort))
            .update_expression("SET stamp = :nothing")
            .condition_expression("attribute_exists(stamp)")
            .expression_attribute_values(":nothing", AttributeValue::S("nothing".to_owned()))
            .send()
            .await
            .expect("a record");
    }

    /// Deletes a row, as DynamoDB does when its time to live is over.
    pub async fn delete_row(&self, partition: &str, sort: &str) {
        self.client
            .delete_item()
            .table_name(&self.ledger.tables().usage_events)
            .key("subscription_hour", AttributeValue::S(partition.to_owned()))
            .key("dimension_event", AttributeValue::S(sort.to_owned()))
            .send()
            .await
            .expect("a row removed");
    }

    /// Delivers all messages and fires all schedules once, function by function. The reconciler
    /// runs only if `reconcile` is true.
    pub async fn tick(&self, reconcile: bool) {
        let now = self.now.get();
        self.deliver_lifecycle().await;
        self.pump_usage(now).await;
        self.pump_records(now).await;
        // The next run makes up for a run that fails or dies.
        let outcomes = [
            self.seal().await.map(drop),
            self.sweep().await,
            match reconcile {
                true => self.reconcile().await.map(drop),
                false => Ok(()),
            },
        ];
        for outcome in outcomes {
            if let Err(problem) = outcome {
                self.wire.note(&problem);
            }
        }
        self.pump_usage(now).await;
        self.pump_records(now).await;
    }
}

async fn submit(app: submitter::App, event: String, budget: Budget) -> Result<Value, String> {
    invoke("submitter", async move {
        let trigger = serde_json::from_str(&event).map_err(|e| e.to_string())?;
        let answer = submitter::handle(&app, trigger, budget).await;
        serde_json::to_value(answer.map_err(|e| e.to_string())?).map_err(|e| e.to_string())
    })
    .await
}

thread_local! {
    /// The number of calls of each function in all worlds of this thread. The worlds exist one
    /// after the other, and a budget counts the calls from its start.
    static MADE: RefCell<HashMap<&'static str, &'static AtomicU64>> = RefCell::default();
}

fn made_by(function: &'static str) -> &'static AtomicU64 {
    MADE.with_borrow_mut(|made| {
        let made: &mut &'static AtomicU64 = made
            .entry(function)
            .or_insert_with(|| Box::leak(Box::default()));
        *made
    })
}

/// Runs one invocation of a function. If its process dies at a call, the invocation ends there.
async fn invoke<T>(
    function: &'static str,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let invocation = Arc::new(Invocation {
        function,
        died: Notify::new(),
        calls: AtomicU64::new(0),
        made: made_by(function),
    });
    INVOCATION
        .scope(Arc::clone(&invocation), async {
            tokio::select! {
                biased;
                () = invocation.died.notified() => Err(format!("{function} died")),
                answer = work => answer,
            }
        })
        .await
}

/// Percent-encodes every byte except the ones that a form never encodes.
fn form_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Executor, on_a_thread};
    use crate::wire::Fate;

    #[test]
    #[should_panic(expected = "the lifecycle event {")]
    fn a_lifecycle_event_that_cannot_be_delivered_fails_its_test() {
        on_a_thread(|| Executor::default().finish(give_up()));
    }

    async fn give_up() {
        let world = World::at("2026-11-21T08:20:00Z".parse().expect("a time"), 7);
        let listing = Listing {
            code: "aproduct".to_owned(),
            identity: IdentityKind::Customer,
            dimensions: vec!["gb".to_owned()],
        };
        world.list(&listing).await;
        world.subscribe(&listing);
        world.wire.follow(Box::new(|call| match call.function {
            "agreements" => Fate::Failed,
            _ => Fate::Answered,
        }));
        world.deliver_lifecycle().await;
    }
}
