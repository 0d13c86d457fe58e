//! Changes of a record's item. Each change says how long the record is kept afterwards.
//!
//! DynamoDB removes an item automatically after its `expires_at`. So only a closed record may have
//! that attribute, and a change that leaves a record open removes it. [`RecordChange`] is the only
//! way to change a record's item, and it cannot be made without a [`LifeSpan`].

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use jiff::Timestamp;
use marketplace::record::{MeteringRecord, State, is_closed};
use marketplace::retention::Retention;
use marketplace::slot::Slot;

use super::codec::{part_keys, sort_key};
use crate::Ledger;
use crate::error::{LedgerError, Written};
use crate::item::number;
use crate::item_update::ItemUpdate;
use crate::tables::TTL_ATTRIBUTE;

/// The time for which an item is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LifeSpan {
    /// The item is kept without an end, because something about it is open.
    Open,
    /// The item is closed and is kept at least until this time.
    Until(Timestamp),
    /// The change does not close or open the item, so its end stays the same.
    AsBefore,
}

impl LifeSpan {
    /// The life span of a record in its present state.
    pub fn of(record: &MeteringRecord, retention: Retention) -> Self {
        Self::after(
            &record.slot,
            (record.state, record.due, record.open_holds),
            retention,
        )
    }

    /// The life span of a record that will have this state, due time and number of open holds.
    pub fn after(
        slot: &Slot,
        (state, due, open_holds): (State, Option<Timestamp>, u32),
        retention: Retention,
    ) -> Self {
        match is_closed(state, due, open_holds) {
            true => Self::Until(retention.ends(slot.hour)),
            false => Self::Open,
        }
    }

    /// The value of [`TTL_ATTRIBUTE`]; `None` if the change does not set it.
    pub fn attribute(self) -> Option<AttributeValue> {
        match self {
            Self::Until(time) => Some(number(time.as_second())),
            Self::Open | Self::AsBefore => None,
        }
    }
}

/// The effect of a record's change on the books of its day.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Changes {
    /// The books stay the same. Only the time or the way of sending the record changes.
    NoBooks,
    /// The books change at this time, so the day must be proved again.
    Books(Timestamp),
}

/// A change of a record's item, which also raises its version.
#[derive(Debug, Clone)]
pub(crate) struct RecordChange {
    life: LifeSpan,
    changes: Changes,
    update: ItemUpdate,
}

impl RecordChange {
    /// A change after which the record has this life span.
    pub fn new(life: LifeSpan, changes: Changes) -> Self {
        let update = ItemUpdate::new().raise_version();
        let update = match (life, life.attribute()) {
            (_, Some(until)) => update.set(TTL_ATTRIBUTE, until),
            (LifeSpan::Open, None) => update.remove(TTL_ATTRIBUTE),
            _ => update,
        };
        Self {
            life,
            changes,
            update,
        }
    }

    /// The life span of the record after the change.
    pub fn life(&self) -> LifeSpan {
        self.life
    }

    pub fn set(self, attribute: &str, value: AttributeValue) -> Self {
        self.with(|update| update.set(attribute, value))
    }

    /// Adds `more` to a number. An absent number counts as zero.
    pub fn add(self, attribute: &str, more: u32) -> Self {
        self.with(|update| update.add(attribute, more))
    }

    /// Sets an attribute, or removes it if `value` is `None`.
    pub fn set_opt(self, attribute: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(attribute, value),
            None => self.remove(attribute),
        }
    }

    pub fn remove(self, attribute: &str) -> Self {
        self.with(|update| update.remove(attribute))
    }

    /// Defines `#<attribute>`, for a condition.
    pub fn name(self, attribute: &str) -> Self {
        self.with(|update| update.name(attribute))
    }

    /// Defines `:<name>`, for a condition.
    pub fn value(self, name: &str, value: AttributeValue) -> Self {
        self.with(|update| update.value(name, value))
    }

    fn with(mut self, change: impl FnOnce(ItemUpdate) -> ItemUpdate) -> Self {
        self.update = change(self.update);
        self
    }
}

impl Ledger {
    /// Changes a record, if it was not changed since it was read.
    pub(crate) async fn change_record(
        &self,
        record: &MeteringRecord,
        change: RecordChange,
    ) -> Result<Written, LedgerError> {
        self.note_books(&record.slot, &change).await?;
        let life = change.life;
        let table = &self.tables.metering_records;
        let change = change.value("read", number(record.version));
        if record.is_closed() && life == LifeSpan::Open {
            let update = self.transact_update(&record.slot, change, "#version = :read")?;
            let mut writes = vec![update];
            writes.extend(self.reopening(record).await?);
            return self.transact(table, writes).await;
        }
        let request = self.request_of(&record.slot, change, "#version = :read");
        let written = self
            .write("UpdateItem", table, || request.clone().send())
            .await?;
        if written == Written::Done {
            self.expire_parts(record, life).await;
        }
        Ok(written)
    }

    /// Stores a note that the books of a record's day are about to change, if the change affects
    /// them. Every change of a record begins with this call.
    pub(crate) async fn note_books(
        &self,
        slot: &Slot,
        change: &RecordChange,
    ) -> Result<(), LedgerError> {
        match change.changes {
            Changes::NoBooks => Ok(()),
            Changes::Books(now) => self.note_change(&slot.subscription, slot.hour, now).await,
        }
    }

    /// Calls [`Ledger::note_books`], and makes the request that changes a record under a condition.
    pub(crate) async fn update_of_record(
        &self,
        slot: &Slot,
        change: RecordChange,
        condition: &str,
    ) -> Result<UpdateItemFluentBuilder, LedgerError> {
        self.note_books(slot, &change).await?;
        Ok(self.request_of(slot, change, condition))
    }

    fn request_of(
        &self,
        slot: &Slot,
        change: RecordChange,
        condition: &str,
    ) -> UpdateItemFluentBuilder {
        let table = &self.tables.metering_records;
        let (partition, sort) = key_of(slot);
        change
            .update
            .request(self, table, (&partition, &sort))
            .condition_expression(condition)
    }

    /// Makes the part of a transaction that changes a record under a condition.
    pub(crate) fn transact_update(
        &self,
        slot: &Slot,
        change: RecordChange,
        condition: &str,
    ) -> Result<TransactWriteItem, LedgerError> {
        let (partition, sort) = key_of(slot);
        let table = &self.tables.metering_records;
        change
            .update
            .in_transaction(table, (&partition, &sort), condition)
    }

    /// Gives the items that hold a closed record's allocations the same end as the record.
    ///
    /// This happens after the record's own write, and an error is only logged. Items that got no
    /// end because of an error or a crash stay until [`Ledger::settle_life_span`] gives them one.
    pub(crate) async fn expire_parts(&self, record: &MeteringRecord, life: LifeSpan) {
        let Some(until) = life.attribute() else {
            return;
        };
        let table = &self.tables.metering_records;
        for part in part_keys(record) {
            let partition = record.slot.subscription.to_string();
            let request = ItemUpdate::new()
                .set(TTL_ATTRIBUTE, until.clone())
                .name("version")
                .request(self, table, (&partition, &part))
                .condition_expression("attribute_exists(#version)");
            let written = self.write("UpdateItem", table, || request.clone().send());
            if let Err(error) = written.await {
                tracing::warn!(slot = %record.slot, part, %error, "allocations of a closed record have no expiry yet; the reconciler sets it");
            }
        }
    }
}

/// The partition and sort key of a record's item.
fn key_of(slot: &Slot) -> (String, String) {
    (
        slot.subscription.to_string(),
        sort_key(slot.hour, &slot.dimension),
    )
}
