//! Handles a clock that is set back. This happens on a developer's machine and never on AWS.
//!
//! The functions only move forward: an hour behind the watermark counts as sealed, and usage that
//! is reported for it now counts as late. Usage from a past to which the clock was set back should
//! be metered like any other. So the local stack deletes its progress and starts again from the
//! present hour. Existing records stay. If an hour is sealed twice, its recount adds what is
//! missing.

use ledger::{Ledger, LedgerError, SHARDS};
use marketplace::UsageHour;
use serde_json::json;

use crate::dynamodb::EmbeddedDynamoDb;
use crate::stack::StackError;

/// Deletes the sealing progress if it is later than `due`, the latest hour that is due by the
/// clock.
pub(crate) async fn forget_progress(
    ledger: &Ledger,
    dynamodb: &EmbeddedDynamoDb,
    due: UsageHour,
) -> Result<(), StackError> {
    let failed = |error: LedgerError| StackError::failed(error);
    let Some(watermark) = ledger.watermark().await.map_err(failed)? else {
        return Ok(());
    };
    if watermark <= due {
        return Ok(());
    }
    tracing::warn!(%watermark, %due, "the clock was set back; sealing starts again there");
    let table = &ledger.tables().metering_records;
    // The items that the sealer writes first are deleted last, so that an interrupted deletion
    // starts over. The turn to send is deleted too, because a turn that was taken before the clock
    // was set back would last until the clock reaches its end.
    let mut keys = vec![
        ("audit".to_owned(), "progress".to_owned()),
        ("stack".to_owned(), "sender".to_owned()),
    ];
    for shard in 0..SHARDS {
        keys.push(("sweeps".to_owned(), format!("recount-first#{shard}")));
        for walk in ["recount-first", "recount-month", "books"] {
            keys.push(("stops".to_owned(), format!("{walk}#{shard}")));
        }
        keys.push((format!("shard#{shard}"), "progress".to_owned()));
    }
    keys.push(("stack".to_owned(), "watermark".to_owned()));
    for (partition, item) in keys {
        let key = json!({"subscription": {"S": partition}, "item": {"S": item}});
        dynamodb
            .delete_item(table, key)
            .map_err(StackError::failed)?;
    }
    Ok(())
}
