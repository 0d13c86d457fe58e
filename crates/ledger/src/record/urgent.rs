//! Records whose subscription has only its final hour left. They are sent before all others.

use jiff::Timestamp;
use marketplace::record::MeteringRecord;
use marketplace::{State, Subscription, UsageHour};

use super::codec::{from_item, send_partition, urgent_partition};
use super::{Changes, DuePage, LifeSpan, RecordChange, Waiting};
use crate::error::{LedgerError, Written};
use crate::item::{Item, number, text};
use crate::{Ledger, shard_of};

impl Ledger {
    /// One page of the records of a shard that are due at `now` and may be sent only in their
    /// subscription's final hour, earliest first. The index lags behind the table, so read the
    /// records themselves before deciding anything.
    pub async fn due_urgent(
        &self,
        shard: u8,
        now: Timestamp,
        start: Option<Item>,
    ) -> Result<DuePage, LedgerError> {
        self.due_in(&urgent_partition(shard), now, start).await
    }

    /// The records of a subscription's hours `first` through `last` whose state allows sending;
    /// strongly consistent.
    pub async fn waiting_records(
        &self,
        subscription: &Subscription,
        first: UsageHour,
        last: UsageHour,
    ) -> Result<Waiting, LedgerError> {
        let table = &self.tables.metering_records;
        let mut waiting = Waiting::default();
        let mut start = None;
        loop {
            let answer = self
                .client
                .query()
                .table_name(table)
                .key_condition_expression("#p = :p AND #s BETWEEN :first AND :last")
                .filter_expression("#state = :sealed OR #state = :refused")
                .expression_attribute_names("#p", "subscription")
                .expression_attribute_names("#s", "item")
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":p", text(subscription))
                .expression_attribute_values(":first", text(format!("r#{first}#")))
                // `$` is the character after `#`, so the key comes after every dimension of the
                // hour.
                .expression_attribute_values(":last", text(format!("r#{last}$")))
                .expression_attribute_values(":sealed", text(State::Sealed))
                .expression_attribute_values(":refused", text(State::Refused))
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|e| LedgerError::unavailable("Query", table, e))?;
            for item in answer.items() {
                match from_item(item) {
                    Ok((record, _)) => waiting.records.push(record),
                    Err(damaged) => {
                        tracing::error!(%damaged, "a damaged record cannot be made urgent");
                        waiting.damaged += 1;
                    }
                }
            }
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(waiting);
            }
        }
    }

    /// Makes a record urgent, if it was not changed since it was read. `final_at` is the end of its
    /// subscription's final hour, and `due` is the record's new due time. A record that is not sent
    /// any more is not changed, which is a conflict.
    pub async fn make_urgent(
        &self,
        record: &MeteringRecord,
        final_at: Timestamp,
        due: Timestamp,
    ) -> Result<Written, LedgerError> {
        if !record.state.is_sendable() {
            return Ok(Written::Conflict);
        }
        let shard = shard_of(&record.slot.subscription);
        let change = RecordChange::new(LifeSpan::Open, Changes::NoBooks)
            .set("final_at", number(final_at.as_second()))
            .set("due", number(due.as_second()))
            .set("work", text(urgent_partition(shard)))
            .remove("send");
        self.change_record(record, change).await
    }

    /// Makes an urgent record an ordinary one again, if it was not changed since it was read,
    /// because its subscription has no final hour any more. Its due time stays. A record that is
    /// not sent any more is not changed, which is a conflict.
    pub async fn make_ordinary(&self, record: &MeteringRecord) -> Result<Written, LedgerError> {
        if !record.state.is_sendable() {
            return Ok(Written::Conflict);
        }
        let shard = shard_of(&record.slot.subscription);
        let change = RecordChange::new(LifeSpan::Open, Changes::NoBooks)
            .set("work", text(send_partition(shard)))
            .remove("final_at")
            .remove("send");
        self.change_record(record, change).await
    }
}
