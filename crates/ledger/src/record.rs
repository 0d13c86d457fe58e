//! Metering records: sort key `r#<hour>#<dimension>`.
//!
//! The attribute `send` exists only from the write that freezes the record to the next write. The
//! submitter's stream filter matches it, so the submitter does not receive its own writes.
//!
//! The attributes `work` and `due` put a record into the work index while there is something to do
//! about it. While it may be sent, it is in a partition `send#<n>`, or in `urgent#<n>` if it may be
//! sent only in its subscription's final hour. While it waits for the audit, it is in `audit#<n>`.

mod change;
mod codec;
mod outcome;
mod urgent;
mod withdraw;

use std::time::Duration;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use jiff::Timestamp;
use marketplace::record::{MeteringRecord, State};
use marketplace::slot::Slot;
use marketplace::{Subscription, UsageHour};

use crate::Ledger;
use crate::error::{LedgerError, Malformed, Written};
use crate::item::{Item, Reader, text};
use crate::query::Consistency;
use crate::transaction::{put_if_absent, put_over};

pub use outcome::DoubtfulWrite;

pub(crate) use change::{Changes, LifeSpan, RecordChange};
use codec::{RecordItem, digest_of, part_key, read_allocations, waiting_partition};
pub(crate) use codec::{audit_partition, from_item, part_keys, to_item};
pub use codec::{read_sort_key, send_partition, sort_key, urgent_partition};

/// The most keys in one call of BatchGetItem. Source: BatchGetItem API reference.
const BATCH_GET_MAX: usize = 100;
/// The most calls of BatchGetItem for one list of keys. Keys that are left unprocessed are asked
/// for again.
const BATCH_GET_ROUNDS_MAX: u32 = 8;

/// A page of the records that are due in a partition of the work index.
#[derive(Debug, Clone)]
pub struct DuePage {
    /// The slots of the records that are due, earliest first.
    pub slots: Vec<Slot>,
    /// The start of the next page; `None` on the last page.
    pub next: Option<Item>,
}

/// Records that may still be sent.
#[derive(Debug, Clone, Default)]
pub struct Waiting {
    /// The records, without allocations that are in separate items.
    pub records: Vec<MeteringRecord>,
    /// The number of further records that are damaged. The log names them.
    pub damaged: u64,
}

impl Ledger {
    /// Creates a record, unless its slot has one. A new record that will be sent has the attribute
    /// `send`.
    pub async fn create_record(&self, record: &MeteringRecord) -> Result<Written, LedgerError> {
        let RecordItem { mut item, parts } = to_item(record, self.retention);
        if record.state == State::Sealed {
            item.insert("send".to_owned(), text("yes"));
        }
        let table = &self.tables.metering_records;
        let slot = &record.slot;
        self.note_change(&slot.subscription, slot.hour, record.sealed_at)
            .await?;
        if parts.is_empty() {
            return self.put_new(table, item).await;
        }
        let mut writes = vec![put_if_absent(table, item)];
        for part in parts {
            // The sort key of a part contains a digest of its content. So a part that a crash has
            // left has the same content, and may be replaced.
            writes.push(put_over(table, part));
        }
        self.transact(table, writes).await
    }

    /// Reads records, strongly consistent. Records that do not exist are left out. A damaged record
    /// is reported in the log and left out, so that it does not block the others.
    pub async fn records(&self, slots: &[Slot]) -> Result<Vec<MeteringRecord>, LedgerError> {
        self.records_as(slots, Consistency::Strong).await
    }

    /// Reads records as [`Ledger::records`] does, with a chosen consistency.
    pub async fn records_as(
        &self,
        slots: &[Slot],
        consistency: Consistency,
    ) -> Result<Vec<MeteringRecord>, LedgerError> {
        let mut records = Vec::new();
        for chunk in slots.chunks(BATCH_GET_MAX) {
            let keys = chunk
                .iter()
                .map(|slot| {
                    Item::from([
                        ("subscription".to_owned(), text(&slot.subscription)),
                        (
                            "item".to_owned(),
                            text(sort_key(slot.hour, &slot.dimension)),
                        ),
                    ])
                })
                .collect();
            for item in self.batch_get(keys, consistency).await? {
                records.extend(self.unless_item_damaged(&item).await?);
            }
        }
        records.sort_by(|a, b| a.slot.cmp(&b.slot));
        Ok(records)
    }

    /// A subscription's records of the hours `first` through `last`, in the order of their hours. A
    /// damaged record is reported in the log and left out, so that it does not hide the others.
    pub async fn records_of_hours(
        &self,
        subscription: &Subscription,
        (first, last): (UsageHour, UsageHour),
        consistency: Consistency,
    ) -> Result<Vec<MeteringRecord>, LedgerError> {
        let table = &self.tables.metering_records;
        let bounds = bounds_of_hours(first, last);
        let bounds = (&*bounds.0, &*bounds.1);
        let items = self
            .query_between_as(table, &subscription.to_string(), bounds, consistency)
            .await?;
        let mut records = Vec::new();
        for item in items {
            records.extend(self.unless_item_damaged(&item).await?);
        }
        Ok(records)
    }

    /// The record of an item; `None` if the item is damaged. The damage is reported.
    async fn unless_item_damaged(
        &self,
        item: &Item,
    ) -> Result<Option<MeteringRecord>, LedgerError> {
        let read = match from_item(item) {
            // Allocations in separate items never change, and they are written together with the
            // record. So a strongly consistent read finds the allocations of every record that was
            // read.
            Ok(read) => self.complete(read).await,
            Err(damaged) => Err(damaged.into()),
        };
        self.unless_damaged(&"a metering record", read)
    }

    /// The records of one hour of a subscription, strongly consistent.
    pub async fn records_of_hour(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
    ) -> Result<Vec<MeteringRecord>, LedgerError> {
        self.records_with_prefix(subscription, &format!("r#{hour}#"))
            .await
    }

    /// All records of a subscription whose sort keys begin with `prefix`, for example `r#2026-11`
    /// for a month. The prefix begins with `r#`.
    pub async fn records_with_prefix(
        &self,
        subscription: &Subscription,
        prefix: &str,
    ) -> Result<Vec<MeteringRecord>, LedgerError> {
        let table = &self.tables.metering_records;
        let mut records = Vec::new();
        for item in self
            .query_all(table, &subscription.to_string(), prefix)
            .await?
        {
            records.push(self.complete(from_item(&item)?).await?);
        }
        Ok(records)
    }

    /// The records of the hours `first` through `last`, without allocations that are in separate
    /// items. Sums do not need allocations.
    pub(crate) async fn records_without_allocations(
        &self,
        subscription: &Subscription,
        first: UsageHour,
        last: UsageHour,
    ) -> Result<Vec<MeteringRecord>, LedgerError> {
        let table = &self.tables.metering_records;
        let bounds = bounds_of_hours(first, last);
        let bounds = (&*bounds.0, &*bounds.1);
        let items = self
            .query_between(table, &subscription.to_string(), bounds)
            .await?;
        let read = items.iter().map(|item| Ok(from_item(item)?.0));
        read.collect()
    }

    /// One page of the records of a shard that are due at `now`, earliest first. The index lags
    /// behind the table, so read the records themselves before deciding anything.
    pub async fn due_records(
        &self,
        shard: u8,
        now: Timestamp,
        start: Option<Item>,
    ) -> Result<DuePage, LedgerError> {
        self.due_in(&send_partition(shard), now, start).await
    }

    /// One page of a partition of the work index that holds records.
    pub(crate) async fn due_in(
        &self,
        partition: &str,
        now: Timestamp,
        start: Option<Item>,
    ) -> Result<DuePage, LedgerError> {
        let table = &self.tables.metering_records;
        let answer = self
            .query_work(partition, now, start)
            .await
            .map_err(|e| LedgerError::unavailable("Query", table, e))?;
        let mut slots = Vec::new();
        for item in answer.items() {
            match read_slot(&Reader::new(item)) {
                Ok(slot) => slots.push(slot),
                Err(damaged) => self.report_damaged(&damaged),
            }
        }
        Ok(DuePage {
            slots,
            next: answer.last_evaluated_key,
        })
    }

    async fn complete(
        &self,
        (mut record, parts): (MeteringRecord, Option<(usize, String)>),
    ) -> Result<MeteringRecord, LedgerError> {
        let Some((count, digest)) = parts else {
            return Ok(record);
        };
        let table = &self.tables.metering_records;
        let subscription = record.slot.subscription.to_string();
        let mut written = String::new();
        for part in 0..count {
            let key = part_key(record.slot.hour, &record.slot.dimension, &digest, part);
            let missing = || Malformed {
                item: format!("{subscription} / {key}"),
                attribute: "allocations".to_owned(),
                rule: "is missing, but its record needs it".to_owned(),
            };
            let item = self
                .get(table, &subscription, &key)
                .await?
                .ok_or_else(missing)?;
            written.push_str(Reader::new(&item).text("allocations")?);
        }
        let damaged = |rule: String| {
            let key = part_key(record.slot.hour, &record.slot.dimension, &digest, 0);
            Malformed {
                item: format!("{subscription} / {key}"),
                attribute: "allocations".to_owned(),
                rule,
            }
        };
        // Other allocations than those that were frozen must never be sent.
        if digest_of(&written) != digest {
            let rule = "is not the text that was frozen, in this item or in a later part of it";
            return Err(damaged(rule.to_owned()).into());
        }
        record.allocations = read_allocations(&written).map_err(damaged)?;
        Ok(record)
    }

    pub(crate) async fn batch_get(
        &self,
        keys: Vec<Item>,
        consistency: Consistency,
    ) -> Result<Vec<Item>, LedgerError> {
        let table = &self.tables.metering_records;
        let mut items = Vec::new();
        let mut wanted = keys;
        for round in 0..BATCH_GET_ROUNDS_MAX {
            if wanted.is_empty() {
                return Ok(items);
            }
            // The pauses are about as long as those before the SDK's own retries.
            if round > 0 {
                self.sleep(Duration::from_millis(25 << round)).await;
            }
            let request = KeysAndAttributes::builder()
                .set_keys(Some(std::mem::take(&mut wanted)))
                .consistent_read(consistency.is_strong())
                .build()
                .map_err(|e| LedgerError::not_built("BatchGetItem", table, &e))?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(table, request)
                .send()
                .await
                .map_err(|e| LedgerError::unavailable("BatchGetItem", table, e))?;
            for (_, found) in answer.responses.unwrap_or_default() {
                items.extend(found);
            }
            for (_, left) in answer.unprocessed_keys.unwrap_or_default() {
                wanted.extend(left.keys);
            }
        }
        if wanted.is_empty() {
            return Ok(items);
        }
        Err(LedgerError::Unavailable {
            operation: "BatchGetItem",
            table: table.clone(),
            code: "unprocessed keys".to_owned(),
            message: format!(
                "{} keys were left unprocessed {BATCH_GET_ROUNDS_MAX} times",
                wanted.len()
            ),
        })
    }
}

/// The first and the last possible sort key of the records of the hours `first` through `last`. `$`
/// is the character after `#`, so the second key comes after every dimension of the last hour.
fn bounds_of_hours(first: UsageHour, last: UsageHour) -> (String, String) {
    (format!("r#{first}#"), format!("r#{last}$"))
}

/// Reads the slot of a record from an item of the work index.
fn read_slot(read: &Reader<'_>) -> Result<Slot, Malformed> {
    let (hour, dimension) = read_sort_key(read.text("item")?)
        .ok_or_else(|| read.malformed("item", "is not r#<hour>#<dimension>"))?;
    Ok(Slot {
        subscription: read.parsed("subscription")?,
        hour,
        dimension,
    })
}
