//! Late flags: sort key `l#<hour>`. A flag says that rows of a sealed hour may have changed.
//!
//! A flag is put without a condition, with a version that is never used again. It is removed only
//! if its version is still the one that was read before the recount. So a flag that is put
//! meanwhile survives.
//!
//! A flag whose hour cannot be recounted yet is postponed, longer each time, so that it does not
//! block the flags after it. A flag that is put meanwhile is due at once. So a caller who finds the
//! same uncounted rows again and again must not put the flag each time: see
//! [`Ledger::flagged_hours`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use marketplace::hour::shift;
use marketplace::{Subscription, UsageHour};

use crate::error::{LedgerError, Malformed, Written};
use crate::item::{Item, Reader, number, text};
use crate::item_update::ItemUpdate;
use crate::{Ledger, shard_of};

/// A late flag, as it was read before the recount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateFlag {
    /// The subscription whose hour is flagged.
    pub subscription: Subscription,
    /// The hour to recount.
    pub hour: UsageHour,
    /// The version of the item, which no other flag ever has.
    pub mark: String,
    /// The number of times that the flag was postponed.
    pub tries: u32,
}

impl LateFlag {
    /// The time at which the flag was put. Postponing it does not change that time. `None` if the
    /// mark was not made by this stack.
    pub fn put_at(&self) -> Option<Timestamp> {
        let (nanoseconds, _) = self.mark.split_once('-')?;
        Timestamp::from_nanosecond(nanoseconds.parse().ok()?).ok()
    }
}

/// Minutes by which a flag is postponed the first time: until the sealer's next run.
const POSTPONED_MINUTES_FIRST: i64 = 5;

/// How long a flag is postponed after `tries` earlier times: five minutes, doubled each time, and
/// at most `most`.
fn postponed_by(tries: u32, most: SignedDuration) -> SignedDuration {
    let doubled =
        POSTPONED_MINUTES_FIRST.saturating_mul(1_i64.checked_shl(tries.min(30)).unwrap_or(1));
    SignedDuration::from_mins(doubled).min(most)
}

/// A page of the late flags that are due.
#[derive(Debug, Default)]
pub struct FlagPage {
    /// The subscriptions and hours that are flagged.
    pub flags: Vec<(Subscription, UsageHour)>,
    /// The number of items on the page that cannot be read as flags. The log names them.
    pub damaged: u64,
    /// The start of the next page; `None` on the last page.
    pub next: Option<Item>,
}

fn sort_key(hour: UsageHour) -> String {
    format!("l#{hour}")
}

fn partition(shard: u8) -> String {
    format!("late#{shard}")
}

/// Reads the subscription and hour of a flag from an item of the work index.
fn read_key(item: &Item) -> Result<(Subscription, UsageHour), Malformed> {
    let read = Reader::new(item);
    let hour = read.text("item")?.trim_start_matches("l#");
    let hour = hour.parse().map_err(|e| read.malformed("item", e))?;
    Ok((read.parsed("subscription")?, hour))
}

/// Reads a whole flag.
fn read_flag(item: &Item) -> Result<LateFlag, Malformed> {
    let read = Reader::new(item);
    let (subscription, hour) = read_key(item)?;
    Ok(LateFlag {
        subscription,
        hour,
        mark: read.text("version")?.to_owned(),
        tries: read.number_opt("tries")?.unwrap_or_default(),
    })
}

/// Reads the hour of a flag. It is an error if the flag lacks something that its recount needs.
fn read_due_flag(item: &Item) -> Result<UsageHour, Malformed> {
    let read = Reader::new(item);
    let flag = read_flag(item)?;
    read.second("due")?;
    match read.text("work")? == partition(shard_of(&flag.subscription)) {
        true => Ok(flag.hour),
        false => Err(read.malformed("work", "is not the partition of its shard")),
    }
}

/// Makes the marks of flags. No two flags ever have the same mark. A mark begins with the time at
/// which its flag was put ([`LateFlag::put_at`]).
#[derive(Debug, Clone)]
pub(crate) struct Marks {
    salt: u64,
    count: Arc<AtomicU64>,
}

impl Marks {
    /// Marks with a salt that is random in each process.
    pub(crate) fn random() -> Self {
        use std::hash::{BuildHasher, Hasher, RandomState};
        Self::salted(RandomState::new().build_hasher().finish())
    }

    /// Repeatable marks. The caller must use each salt only once.
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
    /// Flags an hour of a subscription for a recount. A flag says that rows may have changed, so a
    /// note of the change is stored first, and the hour's day is proved again.
    pub async fn flag_late(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        self.note_change(subscription, hour, now).await?;
        let item = Item::from([
            ("subscription".to_owned(), text(subscription)),
            ("item".to_owned(), text(sort_key(hour))),
            ("version".to_owned(), text(self.marks.fresh(now))),
            ("work".to_owned(), text(partition(shard_of(subscription)))),
            ("due".to_owned(), number(now.as_second())),
        ]);
        self.put_any(&self.tables.metering_records, item).await
    }

    /// One page of the flags of a shard that are due at `now`. The index lags behind the table, so
    /// read each flag with [`Ledger::late_flag`] before its recount.
    pub async fn late_flags(
        &self,
        shard: u8,
        now: Timestamp,
        start: Option<Item>,
    ) -> Result<FlagPage, LedgerError> {
        let table = &self.tables.metering_records;
        let answer = self
            .query_work(&partition(shard), now, start)
            .await
            .map_err(|e| LedgerError::unavailable("Query", table, e))?;
        let mut page = FlagPage::default();
        for item in answer.items() {
            match read_key(item) {
                Ok(flag) => page.flags.push(flag),
                Err(damaged) => {
                    self.report_damaged(&damaged);
                    page.damaged += 1;
                }
            }
        }
        page.next = answer.last_evaluated_key;
        Ok(page)
    }

    /// The late flag of an hour, strongly consistent; `None` if the hour is not flagged.
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
        Ok(item.as_ref().map(read_flag).transpose()?)
    }

    /// The hours from `first` through `last` that are flagged, strongly consistent, read with one
    /// query. A damaged flag is reported and left out, because no recount follows from it. If it is
    /// put again, it is whole again.
    ///
    /// An hour that is flagged already need not be flagged again, unless a recount may be under way
    /// that has read the hour before the caller has. That recount removes the flag, although it has
    /// not counted the newer rows.
    pub async fn flagged_hours(
        &self,
        subscription: &Subscription,
        first: UsageHour,
        last: UsageHour,
    ) -> Result<BTreeSet<UsageHour>, LedgerError> {
        let table = &self.tables.metering_records;
        let partition = subscription.to_string();
        let bounds = (&*sort_key(first), &*sort_key(last));
        let mut hours = BTreeSet::new();
        for item in self.query_between(table, &partition, bounds).await? {
            match read_due_flag(&item) {
                Ok(hour) => {
                    hours.insert(hour);
                }
                Err(damaged) => self.report_damaged(&damaged),
            }
        }
        Ok(hours)
    }

    /// Postpones a flag whose hour cannot be recounted now, longer each time and `most` at most,
    /// unless the flag was put again meanwhile. Its mark stays the same.
    pub async fn postpone_late_flag(
        &self,
        flag: &LateFlag,
        now: Timestamp,
        most: SignedDuration,
    ) -> Result<Written, LedgerError> {
        let due = shift(now, postponed_by(flag.tries, most));
        self.postpone_late_flag_until(flag, due).await
    }

    /// Postpones a flag until `due`, unless the flag was put again meanwhile. Its mark stays the
    /// same.
    pub async fn postpone_late_flag_until(
        &self,
        flag: &LateFlag,
        due: Timestamp,
    ) -> Result<Written, LedgerError> {
        let table = &self.tables.metering_records;
        let (partition, sort) = (flag.subscription.to_string(), sort_key(flag.hour));
        let request = ItemUpdate::new()
            .set("due", number(due.as_second()))
            .set("tries", number(flag.tries.saturating_add(1)))
            .name("version")
            .value("read", text(&flag.mark))
            .request(self, table, (&partition, &sort))
            .condition_expression("#version = :read");
        self.write("UpdateItem", table, || request.clone().send())
            .await
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
            .condition_expression("#version = :read")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":read", text(&flag.mark));
        self.write("DeleteItem", table, || request.clone().send())
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_postponed_longer_each_time_up_to_a_bound() {
        let most = SignedDuration::from_hours(6);
        let minutes = |tries| postponed_by(tries, most).as_mins();
        assert_eq!([0, 1, 2, 6].map(minutes), [5, 10, 20, 320]);
        assert_eq!([7, 30, u32::MAX].map(minutes), [360, 360, 360]);
    }

    #[test]
    fn a_flag_knows_when_it_was_put() {
        let put_at: Timestamp = "2026-11-21T04:40:00.5Z".parse().unwrap();
        let flag = |mark: String| LateFlag {
            subscription: "account|code1|111122223333".parse().unwrap(),
            hour: UsageHour::of(put_at),
            mark,
            tries: 3,
        };
        for marks in [Marks::salted(7), Marks::random()] {
            assert_eq!(flag(marks.fresh(put_at)).put_at(), Some(put_at));
        }
        for foreign in ["mark", "-1-2-3", "1795235400", ""] {
            assert_eq!(flag(foreign.to_owned()).put_at(), None, "{foreign:?}");
        }
    }
}
