//! Access to the three tables: one codec per item, conditional writes, paged queries.
//!
//! # Layout
//! * [`tables`]: keys, indexes and streams of all tables
//! * [`item`], `item_update`: reading, writing and updating attributes
//! * [`profile`], [`contact`], [`buyer`], [`lifecycle_key`], [`facts`], [`lifecycle`], [`product`],
//!   [`pages`], [`ticket`]: the table Subscriptions
//! * [`usage_event`]: the table UsageEvents, the public interface
//! * [`record`], [`movement`], [`flag`], [`progress`], [`place`], [`set_aside`]: the table
//!   MeteringRecords
//! * [`day`], [`ended`]: days that are proved, and ended subscriptions whose days are still to be
//!   proved
//! * `life_span`: when the movements and allocations of a record may expire
//! * [`damage`]: items that cannot be read, which are set aside and reported
//! * [`audit`], [`audit_steps`]: the audit's conclusions about records, its progress, and the calls
//!   that it has settled
//! * [`lane`], [`sender`]: the refused lanes that the submitter remembers, and the turn to send
//! * [`hour`]: an hour's records, movements and rows, read in an order in which no row is lost
//! * [`books`], [`transit`]: the books, counted again from the rows
//! * [`stream`]: reads the deliveries of the tables' streams
//!
//! An item has a `version`. A write after its creation depends on the version that was read before
//! the decision, and does not replace the whole item. There are four exceptions:
//! * A success is a fact. It is written whatever the version is, and changes only the outcome.
//! * A late flag is put without a condition, with a version that is never used again.
//! * A lane is a hint. It is put whole and without a condition.
//! * The writes of the watermark, of a note of a change and of the turn to send depend on another
//!   attribute. The version of these items is always 1.

pub mod audit;
pub mod audit_steps;
pub mod books;
pub mod buyer;
pub mod contact;
pub mod damage;
pub mod day;
pub mod ended;
pub mod error;
pub mod facts;
pub mod flag;
pub mod hour;
pub mod item;
mod item_update;
pub mod lane;
mod life_span;
pub mod lifecycle;
pub mod lifecycle_key;
pub mod movement;
pub mod pages;
pub mod place;
pub mod product;
pub mod profile;
pub mod progress;
mod query;
pub mod record;
#[cfg(test)]
mod round_trips;
pub mod sender;
pub mod set_aside;
pub mod stream;
pub mod tables;
pub mod ticket;
mod transaction;
pub mod transit;
pub mod usage_event;

use aws_sdk_dynamodb::Client;
use marketplace::Subscription;
use marketplace::retention::Retention;
use marketplace::text::hex;
use sha2::{Digest, Sha256};

pub use error::{LedgerError, Malformed, Written};
pub use query::Consistency;
pub use tables::TableNames;

/// The number of shards of the index `live`, and of each kind of work in the index `work`. It must
/// never change, because items in other partitions would not be found.
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
    /// Makes a ledger that reads and writes the tables with these names through `client`.
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

    /// Returns the ledger with another retention of closed records.
    #[must_use]
    pub fn keeping(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// The time for which closed records are kept.
    pub fn retention(&self) -> Retention {
        self.retention
    }

    /// Returns the ledger with repeatable marks for late flags, which simulations need. Two ledgers
    /// of one stack must not have the same salt.
    #[must_use]
    pub fn with_marks(mut self, salt: u64) -> Self {
        self.marks = flag::Marks::salted(salt);
        self
    }

    /// The names of the stack's three tables.
    pub fn tables(&self) -> &TableNames {
        &self.tables
    }
}

/// The shard of a subscription in the sparse indexes, 0 to [`SHARDS`] - 1.
pub fn shard_of(subscription: &Subscription) -> u8 {
    let digest = Sha256::digest(subscription.to_string());
    digest.first().copied().unwrap_or_default() % SHARDS
}

/// A short digest of a text: 32 hexadecimal digits.
pub fn content_digest(content: &str) -> String {
    hex(&Sha256::digest(content)[..16])
}
