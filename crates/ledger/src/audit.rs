//! Writes the audit's conclusions about records, and stores the audit's progress.
//!
//! The item `audit`/`progress` has the progress; `audit_steps` has the other items of that
//! partition. The item `stack`/`witness` says since when the audit waits for a later call in the
//! history. Records in dispute, and records past their deadline without an outcome, are in the
//! partitions `audit#<shard>` of the work index. They are due when CloudTrail can show the answers
//! to all calls that sent them.

use jiff::Timestamp;
use marketplace::answer::{Next, Verdict};
use marketplace::error_table::INFERRED;
use marketplace::{MeteringRecord, Quantity, Slot, State, UsageHour};

use crate::Ledger;
use crate::error::{LedgerError, Written};
use crate::item::{Item, Reader, number, text};
use crate::item_update::ItemUpdate;
use crate::record::{Changes, DuePage, LifeSpan, RecordChange, audit_partition, sort_key};

const PROGRESS: (&str, &str) = ("audit", "progress");
const WITNESS: (&str, &str) = ("stack", "witness");

/// The progress of the hourly comparison with CloudTrail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditProgress {
    /// Every call before this time was compared with the ledger.
    pub calls_through: Timestamp,
    /// The accepted records of every hour up to and including this one were looked for in the
    /// history.
    pub hours_through: UsageHour,
    /// The version of the item. Every write raises it.
    pub version: u64,
}

impl AuditProgress {
    fn to_item(self) -> Item {
        Item::from([
            ("subscription".to_owned(), text(PROGRESS.0)),
            ("item".to_owned(), text(PROGRESS.1)),
            ("version".to_owned(), number(self.version)),
            ("calls_through".to_owned(), text(self.calls_through)),
            ("hours_through".to_owned(), text(self.hours_through)),
        ])
    }
}

/// The audit's request for a call of BatchMeterUsage that will appear in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WitnessWanted {
    /// The time of the request. The call must be later.
    pub since: Timestamp,
}

impl Ledger {
    /// Requests a call of BatchMeterUsage later than `now`, and replaces an earlier request.
    pub async fn request_witness(&self, now: Timestamp) -> Result<(), LedgerError> {
        let item = Item::from([
            ("subscription".to_owned(), text(WITNESS.0)),
            ("item".to_owned(), text(WITNESS.1)),
            ("version".to_owned(), number(1)),
            ("wanted_since".to_owned(), text(now)),
        ]);
        self.put_any(&self.tables.metering_records, item).await
    }

    /// The audit's request for a call, strongly consistent; `None` if there is none.
    pub async fn witness_wanted(&self) -> Result<Option<WitnessWanted>, LedgerError> {
        let item = self
            .get(&self.tables.metering_records, WITNESS.0, WITNESS.1)
            .await?;
        let Some(item) = item else { return Ok(None) };
        let since = Reader::new(&item).parsed_opt("wanted_since")?;
        Ok(since.map(|since| WitnessWanted { since }))
    }

    /// Removes the request after the call was made, unless a later request was made meanwhile.
    pub async fn clear_witness_request(
        &self,
        wanted: &WitnessWanted,
    ) -> Result<Written, LedgerError> {
        let table = &self.tables.metering_records;
        let request = ItemUpdate::new()
            .remove("wanted_since")
            .value("wanted_since", text(wanted.since))
            .request(self, table, WITNESS)
            .condition_expression("#wanted_since = :wanted_since");
        self.write("UpdateItem", table, || request.clone().send())
            .await
    }

    /// One page of the records of a shard that are due for the audit at `now`, earliest first. The
    /// index lags behind the table, so read the records themselves before deciding anything.
    pub async fn due_for_audit(
        &self,
        shard: u8,
        now: Timestamp,
        start: Option<Item>,
    ) -> Result<DuePage, LedgerError> {
        self.due_in(&audit_partition(shard), now, start).await
    }

    /// Closes a record as accepted, because its success was found in the history at `now`. A
    /// success is a fact, so it is written whatever the version is. `at` is the time at which AWS
    /// Marketplace recorded it.
    pub async fn write_success_found(
        &self,
        record: &MeteringRecord,
        metering_record_id: Option<String>,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<Written, LedgerError> {
        let slot = &record.slot;
        self.note_change(&slot.subscription, slot.hour, now).await?;
        let verdict = Verdict::Accepted { metering_record_id };
        let next = Next {
            state: State::Accepted,
            retry_after: None,
        };
        self.write_outcome(record, &verdict, &next, at).await
    }

    /// Closes a disputed record as accepted, because nothing else can have taken its slot, if it
    /// was not changed since it was read.
    pub async fn write_inferred(
        &self,
        record: &MeteringRecord,
        now: Timestamp,
    ) -> Result<Written, LedgerError> {
        self.write_state(record, State::Accepted, INFERRED, now)
            .await
    }

    /// Closes a record as Conflict, if it was not changed since it was read. Stores the quantity
    /// that AWS Marketplace holds in the slot, and the metering record id of that quantity if
    /// known.
    pub async fn write_conflict(
        &self,
        record: &MeteringRecord,
        quantity_at_aws: Quantity,
        metering_record_id: Option<&str>,
        now: Timestamp,
    ) -> Result<Written, LedgerError> {
        let life = LifeSpan::after(
            &record.slot,
            (State::Conflict, None, record.open_holds),
            self.retention,
        );
        let mut change = RecordChange::new(life, Changes::Books(now))
            .set("state", text(State::Conflict))
            .set("outcome", text("Conflict"))
            .set("outcome_at", text(now))
            .set("quantity_at_aws", number(quantity_at_aws))
            .remove("send")
            .remove("due")
            .remove("work");
        if let Some(id) = metering_record_id {
            change = change.set("metering_record_id", text(id));
        }
        self.change_record(record, change).await
    }

    /// Stores when the audit examines a record again, if it was not changed since it was read.
    /// `due` is `None` if the audit does not examine it again. `doubt` says why the audit could not
    /// close the record.
    pub async fn postpone_audit(
        &self,
        record: &MeteringRecord,
        due: Option<Timestamp>,
        doubt: Option<&str>,
    ) -> Result<Written, LedgerError> {
        let life = LifeSpan::after(
            &record.slot,
            (record.state, due, record.open_holds),
            self.retention,
        );
        let mut change = RecordChange::new(life, Changes::NoBooks);
        if let Some(doubt) = doubt {
            change = change.set("doubt", text(doubt));
        }
        let change = match due {
            Some(due) => change.set("due", number(due.as_second())),
            None => change.remove("due").remove("work"),
        };
        self.change_record(record, change).await
    }

    /// The reason why the audit could not close a record when it last examined it; `None` if there
    /// is no doubt.
    pub async fn doubt_about(&self, slot: &Slot) -> Result<Option<String>, LedgerError> {
        let table = &self.tables.metering_records;
        let sort = sort_key(slot.hour, &slot.dimension);
        let item = self
            .get(table, &slot.subscription.to_string(), &sort)
            .await?;
        let Some(item) = item else { return Ok(None) };
        let doubt = Reader::new(&item).text_opt("doubt")?;
        Ok(doubt.map(str::to_owned))
    }

    /// The progress of the comparison with CloudTrail, strongly consistent; `None` before its first
    /// run.
    pub async fn audit_progress(&self) -> Result<Option<AuditProgress>, LedgerError> {
        let item = self
            .get(&self.tables.metering_records, PROGRESS.0, PROGRESS.1)
            .await?;
        let Some(item) = item else { return Ok(None) };
        let read = Reader::new(&item);
        Ok(Some(AuditProgress {
            calls_through: read.parsed("calls_through")?,
            hours_through: read.parsed("hours_through")?,
            version: read.version()?,
        }))
    }

    /// Creates the progress of the comparison, unless there is one.
    pub async fn create_audit_progress(
        &self,
        calls_through: Timestamp,
        hours_through: UsageHour,
    ) -> Result<Written, LedgerError> {
        let progress = AuditProgress {
            calls_through,
            hours_through,
            version: 1,
        };
        self.put_new(&self.tables.metering_records, progress.to_item())
            .await
    }

    /// Moves the progress of the comparison on, if it was not changed since it was read. `progress`
    /// becomes what was written.
    pub async fn advance_audit_progress(
        &self,
        progress: &mut AuditProgress,
        calls_through: Timestamp,
        hours_through: UsageHour,
    ) -> Result<Written, LedgerError> {
        let new = AuditProgress {
            calls_through,
            hours_through,
            version: progress.version + 1,
        };
        let table = &self.tables.metering_records;
        let written = self
            .change(table, &progress.to_item(), &new.to_item())
            .await?;
        if written == Written::Done {
            *progress = new;
        }
        Ok(written)
    }
}
