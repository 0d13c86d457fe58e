//! Records that are given up before their deadline.

use jiff::Timestamp;
use marketplace::State;
use marketplace::audit::due;
use marketplace::error_table::STAMP_NOT_IN_FORCE;
use marketplace::record::MeteringRecord;

use super::codec::audit_partition;
use super::{Changes, LifeSpan, RecordChange};
use crate::error::{LedgerError, Written};
use crate::item::{number, text};
use crate::{Ledger, shard_of};

impl Ledger {
    /// Gives a record up at `now`, if it was not changed since it was read: it becomes Unconfirmed,
    /// and it is not sent any more. A call that is under way may still record it at AWS
    /// Marketplace, so the audit decides whether it was billed, as it does for every record past
    /// its deadline.
    pub async fn withdraw(
        &self,
        record: &MeteringRecord,
        now: Timestamp,
    ) -> Result<Written, LedgerError> {
        let look_at = due(State::Unconfirmed, now, now).unwrap_or(now);
        let partition = audit_partition(shard_of(&record.slot.subscription));
        let change = RecordChange::new(LifeSpan::Open, Changes::Books(now))
            .set("state", text(State::Unconfirmed))
            .set("deadline", number(now.as_second()))
            .set("outcome", text(STAMP_NOT_IN_FORCE))
            .set("outcome_at", text(now))
            .set("due", number(look_at.as_second()))
            .set("work", text(partition))
            .remove("send");
        self.change_record(record, change).await
    }
}
