//! The life span of the items that belong to a record: its movements, and allocations in separate
//! items.
//!
//! They expire with their record, and never while anything about it is open. The record is closed
//! first, and its items get their end afterwards. A crash in between leaves items that only stay
//! longer, and [`settle_life_span`] gives them their end. If a record opens again, because late
//! usage of it is held, the same transaction removes the end of its items.
//!
//! [`settle_life_span`]: Ledger::settle_life_span

use aws_sdk_dynamodb::types::{ConditionCheck, TransactWriteItem};
use marketplace::record::MeteringRecord;
use marketplace::slot::Slot;

use crate::Ledger;
use crate::error::{LedgerError, Written};
use crate::item::{Item, number, text};
use crate::item_update::ItemUpdate;
use crate::movement::movement_key;
use crate::record::{LifeSpan, from_item, part_keys, sort_key};
use crate::tables::TTL_ATTRIBUTE;

/// The most items that one transaction changes besides the record. TransactWriteItems takes 100,
/// and these include the record and a movement. Source: TransactWriteItems API reference.
const CHANGED_AT_ONCE_MAX: usize = 90;

impl Ledger {
    /// Gives the movements and allocations of a record the record's own life span, and returns how
    /// many items it changed. The write that closes a record does not change these items, so this
    /// function gives them their end.
    ///
    /// An item gets an end only in a transaction that depends on the record's version. If the
    /// record is changed meanwhile, the other items are left to the next call.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]: the record cannot be read, or DynamoDB failed.
    pub async fn settle_life_span(&self, slot: &Slot) -> Result<u64, LedgerError> {
        let table = &self.tables.metering_records;
        let partition = slot.subscription.to_string();
        let sort = sort_key(slot.hour, &slot.dimension);
        // If the record has expired, its items have the same end or have expired too.
        let Some(item) = self.get(table, &partition, &sort).await? else {
            return Ok(0);
        };
        let record = from_item(&item)?.0;
        let life = LifeSpan::of(&record, self.retention);
        let mut wrong = Vec::new();
        for child in self.children(slot).await? {
            if child.contains_key(TTL_ATTRIBUTE) != life.attribute().is_some() {
                wrong.extend(child.get("item").and_then(|sort| sort.as_s().ok()).cloned());
            }
        }
        let mut changed = 0;
        for sorts in wrong.chunks(CHANGED_AT_ONCE_MAX) {
            let mut writes = vec![self.check_unchanged(&record)?];
            for sort in sorts {
                writes.push(self.child_update(slot, sort, life)?);
            }
            if self.transact(table, writes).await? == Written::Conflict {
                tracing::debug!(slot = %slot, "the record was changed, or one of its items was removed, meanwhile");
                break;
            }
            changed += u64::try_from(sorts.len()).unwrap_or(u64::MAX);
        }
        Ok(changed)
    }

    /// The writes that remove the end of all items of a closed record, for the transaction in which
    /// the record opens again. If a record has more items than fit into that transaction, earlier
    /// transactions remove the end of the first items.
    pub(crate) async fn reopening(
        &self,
        record: &MeteringRecord,
    ) -> Result<Vec<TransactWriteItem>, LedgerError> {
        let key = &record.slot;
        let mut sorts: Vec<String> = (1..=record.movements)
            .map(|number| movement_key(key.hour, &key.dimension, number))
            .chain(part_keys(record))
            .collect();
        let table = &self.tables.metering_records;
        while sorts.len() > CHANGED_AT_ONCE_MAX {
            let first: Vec<String> = sorts.drain(..CHANGED_AT_ONCE_MAX).collect();
            let mut writes = vec![self.check_unchanged(record)?];
            for sort in &first {
                writes.push(self.child_update(key, sort, LifeSpan::Open)?);
            }
            if self.transact(table, writes).await? == Written::Conflict {
                tracing::debug!(slot = %key, "the record was changed meanwhile");
            }
        }
        sorts
            .iter()
            .map(|sort| self.child_update(key, sort, LifeSpan::Open))
            .collect()
    }

    /// The items that belong to a record, strongly consistent.
    async fn children(&self, slot: &Slot) -> Result<Vec<Item>, LedgerError> {
        let table = &self.tables.metering_records;
        let partition = slot.subscription.to_string();
        let mut children = Vec::new();
        for kind in ["c", "a"] {
            let prefix = format!("{kind}#{}#{}#", slot.hour, slot.dimension);
            let items = self.query_all(table, &partition, &prefix).await?;
            // A dimension may contain `#`, so the keys of another dimension can have the same
            // prefix.
            children.extend(items.into_iter().filter(|item| {
                let sort = item.get("item").and_then(|sort| sort.as_s().ok());
                let rest = sort.and_then(|sort| sort.strip_prefix(&prefix));
                rest.is_some_and(|rest| !rest.contains('#'))
            }));
        }
        Ok(children)
    }

    /// A check that makes the transaction fail if the record was changed since it was read.
    fn check_unchanged(&self, record: &MeteringRecord) -> Result<TransactWriteItem, LedgerError> {
        let slot = &record.slot;
        let table = &self.tables.metering_records;
        let check = ConditionCheck::builder()
            .table_name(table)
            .key("subscription", text(&slot.subscription))
            .key("item", text(sort_key(slot.hour, &slot.dimension)))
            .condition_expression("#version = :read")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":read", number(record.version))
            .build()
            .map_err(|e| LedgerError::not_built("TransactWriteItems", table, &e))?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// The write that sets or removes the end of one of a record's items. It fails if the item does
    /// not exist.
    fn child_update(
        &self,
        slot: &Slot,
        sort: &str,
        life: LifeSpan,
    ) -> Result<TransactWriteItem, LedgerError> {
        let table = &self.tables.metering_records;
        let update = ItemUpdate::new().name("version");
        let update = match life.attribute() {
            Some(until) => update.set(TTL_ATTRIBUTE, until),
            None => update.remove(TTL_ATTRIBUTE),
        };
        let partition = slot.subscription.to_string();
        update.in_transaction(table, (&partition, sort), "attribute_exists(#version)")
    }
}
