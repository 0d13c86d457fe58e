//! Late flags: sort key `l#<hour>`. One says that rows of a sealed hour may have changed.
//!
//! A flag is put unconditionally with a version that is never used again, and is removed only if its
//! version is still the one read before the recount: a flag put meanwhile survives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use marketplace::planted::{Bug, is_planted};
use marketplace::{Subscription, UsageHour};

use crate::error::{LedgerError, Malformed, Written};
use crate::item::{Item, Reader, number, text};
use crate::{Ledger, shard_of};

/// A flag as read, before the recount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateFlag {
    /// Whose rows.
    pub subscription: Subscription,
    /// Of which hour.
    pub hour: UsageHour,
    /// The flag's own mark.
    pub mark: String,
}

fn sort_key(hour: UsageHour) -> String {
    format!("l#{hour}")
}

fn partition(shard: u8) -> String {
    format!("late#{shard}")
}

/// Whose hour a flag in the index is about.
fn read_key(read: &Reader<'_>) -> Result<(Subscription, UsageHour), Malformed> {
    let hour = read.text("item")?.trim_start_matches("l#");
    let hour = hour.parse().map_err(|e| read.malformed("item", e))?;
    Ok((read.parsed("subscription")?, hour))
}

/// Where the marks of flags come from: no two flags ever have the same.
#[derive(Debug, Clone)]
pub(crate) struct Marks {
    salt: u64,
    count: Arc<AtomicU64>,
}

impl Marks {
    /// Random per process, counted within it.
    pub(crate) fn random() -> Self {
        use std::hash::{BuildHasher, Hasher, RandomState};
        Self::salted(RandomState::new().build_hasher().finish())
    }

    /// Repeatable; whoever chooses the salt answers for its being used once.
    pub(crate) fn salted(salt: u64) -> Self {
        Self {
            salt,
            count: Arc::new(AtomicU64::new(0)),
        }
    }

    fn fresh(&self, now: Timestamp) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        format!("{}-{:016x}-{count}", now.as_nanosecond(), self.salt)
    }
}

impl Ledger {
    /// Flags an hour of a subscription for a recount.
    pub async fn flag_late(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let item = Item::from([
            ("subscription".to_owned(), text(subscription)),
            ("item".to_owned(), text(sort_key(hour))),
            ("version".to_owned(), text(self.marks.fresh(now))),
            ("work".to_owned(), text(partition(shard_of(subscription)))),
            ("due".to_owned(), number(now.as_second())),
        ]);
        self.put_any(&self.tables.metering_records, item).await
    }

    /// One page of a shard's flags. The index lags behind, so each is read again with
    /// [`Ledger::late_flag`] before its recount.
    pub async fn late_flags(
        &self,
        shard: u8,
        now: Timestamp,
        start: Option<Item>,
    ) -> Result<(Vec<(Subscription, UsageHour)>, Option<Item>), LedgerError> {
        let table = &self.tables.metering_records;
        let answer = self
            .query_work(&partition(shard), now, start)
            .await
            .map_err(|e| LedgerError::unavailable("Query", table, e))?;
        let mut flags = Vec::new();
        for item in answer.items() {
            match read_key(&Reader::new(item)) {
                Ok(flag) => flags.push(flag),
                Err(damaged) => self.note_damaged(&damaged),
            }
        }
        Ok((flags, answer.last_evaluated_key))
    }

    /// A flag, strongly consistent.
    pub async fn late_flag(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
    ) -> Result<Option<LateFlag>, LedgerError> {
        let item = self
            .get(
                &self.tables.metering_records,
                &subscription.to_string(),
                &sort_key(hour),
            )
            .await?;
        let Some(item) = item else { return Ok(None) };
        Ok(Some(LateFlag {
            subscription: subscription.clone(),
            hour,
            mark: Reader::new(&item).text("version")?.to_owned(),
        }))
    }

    /// Removes a flag after its recount, unless it was put again meanwhile.
    pub async fn clear_late_flag(&self, flag: &LateFlag) -> Result<Written, LedgerError> {
        let table = &self.tables.metering_records;
        let request = self
            .client
            .delete_item()
            .table_name(table)
            .key("subscription", text(&flag.subscription))
            .key("item", text(sort_key(flag.hour)))
            .condition_expression(match is_planted(Bug::FlagClearedBlindly) {
                true => "attribute_exists(#version) OR #version = :read",
                false => "#version = :read",
            })
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":read", text(&flag.mark));
        self.write("DeleteItem", table, || request.clone().send())
            .await
    }
}
