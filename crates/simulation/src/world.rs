//! The tables, AWS Marketplace, the seven functions and their triggers.

mod actors;
mod by_hand;
mod deliveries;
mod invocations;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use emulator::{Emulator, Settings};
use fastrand::Rng;
use jiff::Timestamp;
use ledger::tables::{TTL_ATTRIBUTE, definitions};
use ledger::{Ledger, TableNames};
use local::dynamodb::EmbeddedDynamoDb;
use local::pump::EventSource;
use local::stack::{DeliveryTrouble, event_sources};
use marketplace::IdentityKind;
use marketplace::audit::Source;
use tokio::sync::Mutex;

use super::clients;
use super::functions::{Functions, Now, STACK};
use super::wire::Wire;

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

    /// Removes the items that have expired by the time of this world, as DynamoDB does. Returns
    /// their number.
    ///
    /// # Panics
    ///
    /// If the tables cannot be written.
    pub fn sweep_ttl(&self) -> usize {
        self.database.sweep_ttl().expect("a sweep")
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
