//! The three tables: one codec per item, conditional writes, paged queries.
//!
//! # Layout
//! * [`tables`]: keys, indexes and streams, in one place
//! * [`item`]: reading and writing attributes
//! * [`profile`], [`joint`], [`joined`], [`product`]: Subscriptions
//! * [`usage_event`]: UsageEvents, the public interface
//! * [`record`], [`movement`], [`flag`], [`progress`], [`stop`], [`set_aside`]: MeteringRecords
//! * [`day`], [`ended`]: days that were proved once, and ended subscriptions whose days still are
//! * `life_span`: when what belongs to a record may expire
//! * [`damage`]: items that cannot be read, set aside and named
//! * [`audit`]: what the audit concludes about records, and how far it has come
//! * [`lane`], [`sender`]: what the submitter remembers, and whose turn it is to send
//! * [`hour`]: an hour's records, movements and rows, read in the order that loses nothing
//! * [`stream`]: what the streams of the tables deliver
//!
//! Every item has a `version`; every write after creation is conditional on the version read before
//! the decision, and none replaces a whole item. Three exceptions: a success is a fact and is written
//! whatever the version, touching only the outcome; a late flag is put with a random version; a lane
//! is a hint and a stop saves work, and each is put whole.

pub mod audit;
#[cfg(test)]
mod codecs;
pub mod damage;
pub mod day;
pub mod ended;
pub mod error;
pub mod flag;
pub mod hour;
pub mod item;
pub mod joined;
pub mod joint;
pub mod lane;
mod life_span;
pub mod movement;
pub mod place;
pub mod product;
pub mod profile;
pub mod progress;
mod query;
pub mod record;
pub mod sender;
pub mod set_aside;
pub mod stop;
pub mod stream;
pub mod tables;
mod transaction;
pub mod usage_event;

use aws_sdk_dynamodb::Client;
use marketplace::Subscription;
use marketplace::retention::Retention;
use sha2::{Digest, Sha256};

pub use error::{LedgerError, Malformed, Written};
pub use tables::TableNames;

/// Partitions of each sparse index: a constant, or items would be lost from their index's readers.
pub const SHARDS: u8 = 8;

/// The three tables of one stack.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub(crate) client: Client,
    pub(crate) tables: TableNames,
    pub(crate) marks: flag::Marks,
    pub(crate) damage: damage::Damage,
    pub(crate) retention: Retention,
    pub(crate) notes: day::Notes,
}

impl Ledger {
    /// The tables behind `client`.
    pub fn new(client: Client, tables: TableNames) -> Self {
        Self {
            client,
            tables,
            marks: flag::Marks::random(),
            damage: damage::Damage::default(),
            retention: Retention::default(),
            notes: day::Notes::default(),
        }
    }

    /// The same, which keeps closed records for so long.
    #[must_use]
    pub fn keeping(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// For how long closed records are kept.
    pub fn retention(&self) -> Retention {
        self.retention
    }

    /// The same with repeatable marks for late flags, for simulations. Two ledgers of one stack must
    /// not have the same salt.
    #[must_use]
    pub fn with_marks(mut self, salt: u64) -> Self {
        self.marks = flag::Marks::salted(salt);
        self
    }

    /// Their names.
    pub fn tables(&self) -> &TableNames {
        &self.tables
    }
}

/// The shard of the sparse indexes that a subscription belongs to, 0 to [`SHARDS`] - 1.
pub fn shard_of(subscription: &Subscription) -> u8 {
    let digest = Sha256::digest(subscription.to_string());
    digest.first().copied().unwrap_or_default() % SHARDS
}

/// A short name for a content: 32 hexadecimal digits, the same for the same content.
pub fn content_digest(content: &str) -> String {
    Sha256::digest(content)
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
