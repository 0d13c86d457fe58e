//! The life span of what belongs to a record: its movements, and allocations in items of their own.
//!
//! They expire with their record, and never while anything is open about it. A record closes first
//! and they follow, so a crash in between leaves items that only stay longer; [`settle_life_span`]
//! finishes it. A record that opens again, because late usage of it is held, takes their end away in
//! the same transaction.
//!
//! [`settle_life_span`]: Ledger::settle_life_span

use aws_sdk_dynamodb::types::{ConditionCheck, TransactWriteItem, Update};
use marketplace::record::{MeteringRecord, RecordKey};

use crate::Ledger;
use crate::error::{LedgerError, Written};
use crate::item::{Item, number, text};
use crate::movement::movement_key;
use crate::record::{LifeSpan, from_item, part_keys, sort_key};
use crate::tables::TTL_ATTRIBUTE;

/// Items that one transaction changes beside the record: TransactWriteItems takes 100, and the record
/// and a movement are among them. Source: TransactWriteItems API reference.
const CHANGED_AT_ONCE_MAX: usize = 90;

impl Ledger {
    /// Gives the movements and allocations of a record the life span that the record has, and returns
    /// how many items it changed. For the proof of the books, which reads every record of a day: a
    /// record closes in its own write, and what belongs to it follows here.
    ///
    /// An item gets an end only in a transaction that depends on the record being as it was read. If
    /// somebody writes to the record meanwhile, the rest is left to the next call.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]: the record cannot be read, or DynamoDB failed.
    pub async fn settle_life_span(&self, key: &RecordKey) -> Result<u64, LedgerError> {
        let table = &self.tables.metering_records;
        let partition = key.subscription.to_string();
        let sort = sort_key(key.hour, &key.dimension);
        // What belongs to a record that is gone has the same end, or had it already.
        let Some(item) = self.get(table, &partition, &sort).await? else {
            return Ok(0);
        };
        let record = from_item(&item)?.0;
        let life = LifeSpan::of(&record, self.retention);
        let mut wrong = Vec::new();
        for child in self.children(key).await? {
            if child.contains_key(TTL_ATTRIBUTE) != life.attribute().is_some() {
                wrong.extend(child.get("item").and_then(|sort| sort.as_s().ok()).cloned());
            }
        }
        let mut changed = 0;
        for sorts in wrong.chunks(CHANGED_AT_ONCE_MAX) {
            let mut writes = vec![self.as_read(&record)?];
            for sort in sorts {
                writes.push(self.child_update(key, sort, life)?);
            }
            if self.transact(table, writes).await? == Written::Conflict {
                tracing::debug!(slot = %key, "somebody else wrote to the record or removed an item of it");
                break;
            }
            changed += u64::try_from(sorts.len()).unwrap_or(u64::MAX);
        }
        Ok(changed)
    }

    /// The writes that take away the end of everything that belongs to a closed record, for the
    /// transaction in which it opens again. Of a record with more movements than fit, the earliest
    /// lose their end before that.
    pub(crate) async fn reopening(
        &self,
        record: &MeteringRecord,
    ) -> Result<Vec<TransactWriteItem>, LedgerError> {
        let key = &record.key;
        let mut sorts: Vec<String> = (1..=record.movements)
            .map(|number| movement_key(key.hour, &key.dimension, number))
            .chain(part_keys(record))
            .collect();
        let table = &self.tables.metering_records;
        while sorts.len() > CHANGED_AT_ONCE_MAX {
            let first: Vec<String> = sorts.drain(..CHANGED_AT_ONCE_MAX).collect();
            let mut writes = vec![self.as_read(record)?];
            for sort in &first {
                writes.push(self.child_update(key, sort, LifeSpan::Open)?);
            }
            if self.transact(table, writes).await? == Written::Conflict {
                tracing::debug!(slot = %key, "somebody else wrote to the record meanwhile");
            }
        }
        sorts
            .iter()
            .map(|sort| self.child_update(key, sort, LifeSpan::Open))
            .collect()
    }

    /// The items that belong to a record, strongly consistent.
    async fn children(&self, key: &RecordKey) -> Result<Vec<Item>, LedgerError> {
        let table = &self.tables.metering_records;
        let partition = key.subscription.to_string();
        let mut children = Vec::new();
        for kind in ["c", "a"] {
            let prefix = format!("{kind}#{}#{}#", key.hour, key.dimension);
            let items = self.query_all(table, &partition, &prefix).await?;
            // A dimension may contain `#`, so another one's keys can begin alike.
            children.extend(items.into_iter().filter(|item| {
                let sort = item.get("item").and_then(|sort| sort.as_s().ok());
                let rest = sort.and_then(|sort| sort.strip_prefix(&prefix));
                rest.is_some_and(|rest| !rest.contains('#'))
            }));
        }
        Ok(children)
    }

    /// Fails the transaction if the record was written to since it was read.
    fn as_read(&self, record: &MeteringRecord) -> Result<TransactWriteItem, LedgerError> {
        let key = &record.key;
        let table = &self.tables.metering_records;
        let check = ConditionCheck::builder()
            .table_name(table)
            .key("subscription", text(&key.subscription))
            .key("item", text(sort_key(key.hour, &key.dimension)))
            .condition_expression("#version = :read")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":read", number(record.version))
            .build()
            .map_err(|e| LedgerError::not_built("TransactWriteItems", table, &e))?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// Gives one of a record's items an end, or takes it away. One that is not there is not made.
    fn child_update(
        &self,
        key: &RecordKey,
        sort: &str,
        life: LifeSpan,
    ) -> Result<TransactWriteItem, LedgerError> {
        let table = &self.tables.metering_records;
        let update = Update::builder()
            .table_name(table)
            .key("subscription", text(&key.subscription))
            .key("item", text(sort))
            .condition_expression("attribute_exists(#version)")
            .expression_attribute_names("#version", "version")
            .expression_attribute_names("#expires_at", TTL_ATTRIBUTE);
        let update = match life.attribute() {
            Some(until) => update
                .update_expression("SET #expires_at = :expires_at")
                .expression_attribute_values(":expires_at", until),
            None => update.update_expression("REMOVE #expires_at"),
        };
        let update = update
            .build()
            .map_err(|e| LedgerError::not_built("TransactWriteItems", table, &e))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}
