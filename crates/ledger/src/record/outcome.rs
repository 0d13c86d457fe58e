//! Writes the outcome of a record: a verdict, a success, a new state, or its transmissions.

use jiff::Timestamp;
use marketplace::answer::{Next, Verdict};
use marketplace::audit::due;
use marketplace::record::{MeteringRecord, State, Transmissions};
use marketplace::slot::Slot;

use super::codec::audit_partition;
use super::{Changes, LifeSpan, RecordChange, waiting_partition};
use crate::error::{LedgerError, Written};
use crate::item::{number, text};
use crate::{Ledger, shard_of};

/// The most tries of the write of a success. Our own choice. A try fails if the record does not
/// exist. It also fails if the record got its first hold, or lost its last one, since the previous
/// try.
const SUCCESS_TRIES_MAX: u32 = 4;

/// A write of an outcome that seemed to fail. It may have been done nevertheless: if DynamoDB's
/// answer is lost, the writer does not learn of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoubtfulWrite {
    version: u64,
    sent: Transmissions,
    code: String,
    at: Timestamp,
}

impl DoubtfulWrite {
    /// The write of this verdict at `now`. `record` has the version that was read, and the
    /// transmissions that the write stores.
    pub fn of(record: &MeteringRecord, verdict: &Verdict, now: Timestamp) -> Self {
        Self {
            version: record.version,
            sent: record.sent,
            code: verdict.code().to_owned(),
            at: now,
        }
    }

    /// Returns whether the record shows that the write was done. The time distinguishes it from the
    /// write of another invocation. If another outcome was written afterwards, the write is not
    /// recognised.
    fn is_in(&self, record: &MeteringRecord) -> bool {
        let outcome = record.outcome.as_ref();
        record.version > self.version
            && record.sent == self.sent
            && outcome.is_some_and(|outcome| outcome.code == self.code && outcome.at == self.at)
    }
}

impl Ledger {
    /// Writes a verdict and the state that follows from it. A success is a fact and is written
    /// whatever the version is. Every other verdict is written only if the record was not changed
    /// since it was read.
    pub async fn write_outcome(
        &self,
        record: &MeteringRecord,
        verdict: &Verdict,
        next: &Next,
        now: Timestamp,
    ) -> Result<Written, LedgerError> {
        if next.state == State::Accepted {
            return self.write_success(record, verdict, now).await;
        }
        let (again, partition) = match next.retry_after {
            Some(after) => (Some(record.retry_at(now, after)), waiting_partition(record)),
            None => (
                due(next.state, record.deadline, now),
                audit_partition(shard_of(&record.slot.subscription)),
            ),
        };
        let changes = match next.state == record.state {
            true => Changes::NoBooks,
            false => Changes::Books(now),
        };
        let mut change = self
            .change_to(record, next.state, again, partition, changes)
            .set("outcome", text(verdict.code()))
            .set("outcome_at", text(now));
        if !record.sent.is_empty() {
            change = change
                .set("doubtful", number(record.sent.doubtful))
                .set("answered", number(record.sent.answered));
        }
        if next.retry_after.is_some() {
            change = change.set("attempts", number(record.attempts.saturating_add(1)));
        }
        self.change_record(record, change).await
    }

    /// Writes a success, whatever the version is. A record with open holds stays open, and holds
    /// may have been added since the record was read. So there is one form of the write for a
    /// record without open holds and one for a record with them. The condition of one form fails,
    /// and then the other form is tried.
    async fn write_success(
        &self,
        record: &MeteringRecord,
        verdict: &Verdict,
        now: Timestamp,
    ) -> Result<Written, LedgerError> {
        let table = &self.tables.metering_records;
        let mut holds = record.open_holds;
        for _ in 0..SUCCESS_TRIES_MAX {
            let state = (State::Accepted, None, holds);
            let life = LifeSpan::after(&record.slot, state, self.retention);
            let mut change = RecordChange::new(life, Changes::Books(now))
                .set("state", text(State::Accepted))
                .set("outcome", text(verdict.code()))
                .set("outcome_at", text(now))
                .remove("send")
                .remove("due")
                .remove("work")
                .name("open_holds");
            if let Verdict::Accepted {
                metering_record_id: Some(id),
            } = verdict
            {
                change = change.set("metering_record_id", text(id));
            }
            let condition = match holds {
                0 => "attribute_exists(#version) AND attribute_not_exists(#open_holds)",
                _ => "attribute_exists(#version) AND attribute_exists(#open_holds)",
            };
            let request = self
                .update_of_record(&record.slot, change, condition)
                .await?;
            // A success must be written. So if a transaction holds the item, the write is tried
            // again.
            let written = self
                .write_if("UpdateItem", table, || request.clone().send())
                .await?;
            if written == Written::Done {
                self.expire_parts(record, life).await;
                return Ok(Written::Done);
            }
            holds = u32::from(holds == 0);
        }
        Ok(Written::Conflict)
    }

    /// A change of state. Afterwards the record is due at `again` in `partition` of the work index;
    /// if `again` is `None`, it leaves the index.
    fn change_to(
        &self,
        record: &MeteringRecord,
        state: State,
        again: Option<Timestamp>,
        partition: String,
        changes: Changes,
    ) -> RecordChange {
        let life = LifeSpan::after(
            &record.slot,
            (state, again, record.open_holds),
            self.retention,
        );
        RecordChange::new(life, changes)
            .set("state", text(state))
            .set_opt("due", again.map(|due| number(due.as_second())))
            .set_opt("work", again.map(|_| text(partition)))
            .remove("send")
    }

    /// Adds transmissions to a record, whatever its version is, because the audit must find all of
    /// them. `doubtful` is the write that should have stored them together with the outcome. If the
    /// record shows that this write was done, nothing is added: if transmissions were added twice,
    /// the audit would look for more calls than there were, and leave the record to a person.
    ///
    /// If the answer to this write itself is lost and the SDK repeats it, they are added twice.
    pub async fn add_transmissions(
        &self,
        slot: &Slot,
        transmissions: Transmissions,
        doubtful: Option<&DoubtfulWrite>,
    ) -> Result<Written, LedgerError> {
        if let Some(doubtful) = doubtful {
            match self.records(std::slice::from_ref(slot)).await {
                Ok(records) if records.iter().any(|record| doubtful.is_in(record)) => {
                    return Ok(Written::Done);
                }
                Ok(_) => {}
                // Too many transmissions only leave the record to a person. With too few, the audit
                // could conclude something although it has not found every call.
                Err(error) => {
                    tracing::warn!(slot = %slot, %error, "transmissions may be added twice, because the record could not be read");
                }
            }
        }
        let change = RecordChange::new(LifeSpan::AsBefore, Changes::NoBooks)
            .add("doubtful", transmissions.doubtful)
            .add("answered", transmissions.answered)
            .remove("send");
        let request = self
            .update_of_record(slot, change, "attribute_exists(#version)")
            .await?;
        let table = &self.tables.metering_records;
        self.write_if("UpdateItem", table, || request.clone().send())
            .await
    }

    /// Changes a record's state without an answer of AWS Marketplace, if it was not changed since
    /// it was read. The record leaves the work index, unless the new state needs the audit.
    pub async fn write_state(
        &self,
        record: &MeteringRecord,
        state: State,
        code: &str,
        now: Timestamp,
    ) -> Result<Written, LedgerError> {
        let again = due(state, record.deadline, now);
        let partition = audit_partition(shard_of(&record.slot.subscription));
        let change = self
            .change_to(record, state, again, partition, Changes::Books(now))
            .set("outcome", text(code))
            .set("outcome_at", text(now));
        self.change_record(record, change).await
    }
}
