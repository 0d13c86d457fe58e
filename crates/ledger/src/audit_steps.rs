//! Settled steps of the comparison by the time of the call: items `audit`/`step#<from>`.
//!
//! A settled step says which calls a period had when it was compared for the first time, and that
//! each success among them belonged to an accepted record with the same quantity. Neither the state
//! nor the quantity of an accepted record changes, so this stays true. The second comparison of the
//! period only checks whether the history shows other calls by then.
//!
//! A settled step only saves reading records. It is put without a condition, because it is true
//! whichever run wrote it last. If it is missing or damaged, the records are read again. It has
//! `expires_at`, so that it disappears after the second comparison.

use jiff::{SignedDuration, Timestamp};
use marketplace::hour::shift;

use crate::Ledger;
use crate::error::{LedgerError, Malformed};
use crate::item::{Item, Reader, number, text};
use crate::query::Consistency;
use crate::tables::TTL_ATTRIBUTE;

/// The partition key of all settled steps.
const PARTITION: &str = "audit";
/// Days for which a settled step is kept. Our own choice: calls are compared again some ten hours
/// later, and after a longer outage the records are simply read again.
const KEPT_DAYS: i64 = 3;

/// A period whose calls were compared, and all of whose successes belong to accepted records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledStep {
    /// The beginning of the period.
    pub from: Timestamp,
    /// The end of the period, which does not belong to it.
    pub until: Timestamp,
    /// The number of different calls in the period.
    pub calls: u64,
    /// A digest of the ids of these calls.
    pub digest: String,
}

impl SettledStep {
    fn to_item(&self, now: Timestamp) -> Item {
        let expires_at = shift(now, SignedDuration::from_hours(24 * KEPT_DAYS));
        Item::from([
            ("subscription".to_owned(), text(PARTITION)),
            ("item".to_owned(), text(sort_key(self.from))),
            ("version".to_owned(), number(1)),
            ("from".to_owned(), text(self.from)),
            ("until".to_owned(), text(self.until)),
            ("calls".to_owned(), number(self.calls)),
            ("digest".to_owned(), text(&self.digest)),
            (TTL_ATTRIBUTE.to_owned(), number(expires_at.as_second())),
        ])
    }

    fn from_item(item: &Item) -> Result<Self, Malformed> {
        let read = Reader::new(item);
        let step = Self {
            from: read.parsed("from")?,
            until: read.parsed("until")?,
            calls: read.number("calls")?,
            digest: read.text("digest")?.to_owned(),
        };
        match step.from < step.until {
            true => Ok(step),
            false => Err(read.malformed("until", "is not after from")),
        }
    }
}

fn sort_key(from: Timestamp) -> String {
    format!("step#{from}")
}

impl Ledger {
    /// Stores a settled step, which expires three days after `now`.
    pub async fn keep_settled_step(
        &self,
        step: &SettledStep,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        self.put_any(&self.tables.metering_records, step.to_item(now))
            .await
    }

    /// The settled steps that begin between `from` and `to`, both included, in the order of their
    /// times. They were written hours before they are needed, so they are read eventually
    /// consistent. A damaged step is reported and left out.
    pub async fn settled_steps(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SettledStep>, LedgerError> {
        let table = &self.tables.metering_records;
        let bounds = (&*sort_key(from), &*sort_key(to));
        let items = self
            .query_between_as(table, PARTITION, bounds, Consistency::Eventual)
            .await?;
        let mut steps = Vec::new();
        for item in items {
            match SettledStep::from_item(&item) {
                Ok(step) => steps.push(step),
                Err(damaged) => self.report_damaged(&damaged),
            }
        }
        steps.sort_by_key(|step| step.from);
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_survives_its_item_and_expires() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let step = SettledStep {
            from: at("2026-11-27T03:11:00Z"),
            until: at("2026-11-27T03:55:00Z"),
            calls: 3,
            digest: "0123456789abcdef".to_owned(),
        };
        let mut item = step.to_item(at("2026-11-27T04:15:00Z"));
        assert_eq!(SettledStep::from_item(&item).unwrap(), step);
        let end = at("2026-11-30T04:15:00Z").as_second();
        assert_eq!(item.get(TTL_ATTRIBUTE), Some(&number(end)));
        item.insert("until".to_owned(), text(step.from));
        let damaged = SettledStep::from_item(&item).unwrap_err();
        assert!(
            damaged.to_string().contains("is not after from"),
            "{damaged}"
        );
    }
}
