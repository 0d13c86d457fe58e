//! Rows that are not metered, itemised: sort key `x#<hour>#<digest of the row's sort key>`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use marketplace::Subscription;
use marketplace::UsageHour;
use marketplace::fold::SetAside;
use sha2::{Digest, Sha256};

use crate::Ledger;
use crate::error::LedgerError;
use crate::item::{Item, Reader, number, text};

/// An itemised row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemisedRow {
    /// The row's partition key.
    pub partition: String,
    /// The row's sort key.
    pub dimension_event: String,
    /// A short name of the reason.
    pub code: String,
    /// The reason in words.
    pub reason: String,
    /// When it was found.
    pub at: String,
}

/// Partition of rows whose own partition key names no subscription.
const UNATTRIBUTED: &str = "unattributed";

fn sort_key(hour: &str, dimension_event: &str) -> String {
    let digest = Sha256::digest(dimension_event);
    let digest: String = digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("x#{hour}#{digest}")
}

impl Ledger {
    /// Itemises the rows of an hour that were set aside, each once.
    pub async fn itemise(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
        rows: &[SetAside],
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        if rows.is_empty() {
            return Ok(());
        }
        let table = &self.tables.metering_records;
        let partition = subscription.to_string();
        let stored = self
            .query_all(table, &partition, &format!("x#{hour}#"))
            .await?;
        let known: BTreeSet<&str> = stored
            .iter()
            .filter_map(|item| item.get("item")?.as_s().ok())
            .map(String::as_str)
            .collect();
        let row_partition = crate::usage_event::partition_key(subscription, hour);
        for row in rows {
            let sort = sort_key(&hour.to_string(), &row.dimension_event);
            if !known.contains(sort.as_str()) {
                let item = to_item(
                    &partition,
                    sort,
                    &row_partition,
                    &row.dimension_event,
                    &row.reason,
                    now,
                );
                self.put_any(table, item).await?;
            }
        }
        Ok(())
    }

    /// Itemises one row whose partition key names no subscription that we know.
    pub async fn itemise_unattributed(
        &self,
        row_partition: &str,
        dimension_event: &str,
        reason: &marketplace::usage::SetAsideReason,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let sort = sort_key(
            "unattributed",
            &format!("{row_partition}\n{dimension_event}"),
        );
        let item = to_item(
            UNATTRIBUTED,
            sort,
            row_partition,
            dimension_event,
            reason,
            now,
        );
        self.put_any(&self.tables.metering_records, item).await
    }

    /// The itemised rows of one hour.
    pub async fn itemised(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
    ) -> Result<Vec<ItemisedRow>, LedgerError> {
        self.itemised_under(&subscription.to_string(), &format!("x#{hour}#"))
            .await
    }

    /// The itemised rows that belong to no subscription we know.
    pub async fn itemised_unattributed(&self) -> Result<Vec<ItemisedRow>, LedgerError> {
        self.itemised_under(UNATTRIBUTED, "x#").await
    }

    async fn itemised_under(
        &self,
        partition: &str,
        prefix: &str,
    ) -> Result<Vec<ItemisedRow>, LedgerError> {
        let items = self
            .query_all(&self.tables.metering_records, partition, prefix)
            .await?;
        let mut rows = Vec::new();
        for item in &items {
            let read = Reader::new(item);
            rows.push(ItemisedRow {
                partition: read.text("row_partition")?.to_owned(),
                dimension_event: read.text("row_key")?.to_owned(),
                code: read.text("code")?.to_owned(),
                reason: read.text("reason")?.to_owned(),
                at: read.text("at")?.to_owned(),
            });
        }
        Ok(rows)
    }
}

fn to_item(
    partition: &str,
    sort: String,
    row_partition: &str,
    row_key: &str,
    reason: &marketplace::usage::SetAsideReason,
    now: Timestamp,
) -> Item {
    Item::from([
        ("subscription".to_owned(), text(partition)),
        ("item".to_owned(), text(sort)),
        ("version".to_owned(), number(1)),
        ("row_partition".to_owned(), text(row_partition)),
        ("row_key".to_owned(), text(row_key)),
        ("code".to_owned(), text(reason.code())),
        ("reason".to_owned(), text(reason)),
        ("at".to_owned(), text(now)),
    ])
}
