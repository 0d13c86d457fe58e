//! A clock that is set back, as happens on a developer's machine and never on AWS.
//!
//! The functions only ever move forward: an hour behind the watermark counts as sealed, and usage
//! reported for it now as late. So that usage of a past the stack has been sent to is metered like
//! any other, the local stack forgets how far it has come, and begins again from the present hour.
//! Records that exist already stay; an hour sealed twice recounts to what is missing.

use ledger::{Ledger, LedgerError, SHARDS};
use marketplace::UsageHour;
use serde_json::json;

use crate::dynamodb::EmbeddedDynamoDb;
use crate::stack::StackError;

/// Forgets the sealing progress if it lies behind `due`, the latest hour that is due by the clock.
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
    tracing::warn!(%watermark, %due, "the clock was set back; sealing begins again from there");
    let table = &ledger.tables().metering_records;
    // What comes first in a round is forgotten last, so that a round broken off here begins anew.
    let mut keys = vec![
        ("audit".to_owned(), "progress"),
        ("sweeps".to_owned(), "recount-first"),
        ("sweeps".to_owned(), "recount-last"),
    ];
    keys.extend((0..SHARDS).map(|shard| (format!("shard#{shard}"), "progress")));
    keys.push(("stack".to_owned(), "watermark"));
    for (partition, item) in keys {
        let key = json!({"subscription": {"S": partition}, "item": {"S": item}});
        dynamodb
            .delete_item(table, key)
            .map_err(StackError::failed)?;
    }
    Ok(())
}
