//! Transactions: several writes that happen together or not at all.
//!
//! Facts: M57, M60 (docs/marketplace-rules.md).

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};

use crate::Ledger;
use crate::error::{LedgerError, Written};
use crate::item::Item;

impl Ledger {
    /// Runs a transaction. A failed condition is a conflict, and so is another transaction on the
    /// same items.
    pub(crate) async fn transact(
        &self,
        table: &str,
        writes: Vec<TransactWriteItem>,
    ) -> Result<Written, LedgerError> {
        let result = self
            .client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .send()
            .await;
        let error = match result {
            Ok(_) => return Ok(Written::Done),
            Err(error) => error,
        };
        if let Some(TransactWriteItemsError::TransactionCanceledException(e)) =
            error.as_service_error()
        {
            let codes: Vec<&str> = e
                .cancellation_reasons()
                .iter()
                .filter_map(|r| r.code())
                .collect();
            let is_conflict = |code: &&str| {
                matches!(
                    *code,
                    "None" | "ConditionalCheckFailed" | "TransactionConflict"
                )
            };
            if codes.iter().all(is_conflict) && codes.iter().any(|code| *code != "None") {
                return Ok(Written::Conflict);
            }
        }
        Err(LedgerError::unavailable("TransactWriteItems", table, error))
    }
}

/// A put that fails if the item exists.
pub(crate) fn put_if_absent(table: &str, item: Item) -> TransactWriteItem {
    let key = if item.contains_key("subscription_hour") {
        "subscription_hour"
    } else {
        "subscription"
    };
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(item))
        .condition_expression("attribute_not_exists(#key)")
        .expression_attribute_names("#key", key)
        .build()
        .ok();
    TransactWriteItem::builder().set_put(put).build()
}

/// A put that replaces the item if it exists.
pub(crate) fn put_over(table: &str, item: Item) -> TransactWriteItem {
    // Table name and item are the only required members, and both are given.
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(item))
        .build()
        .ok();
    TransactWriteItem::builder().set_put(put).build()
}
