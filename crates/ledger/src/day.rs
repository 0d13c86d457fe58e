//! Days of a subscription that are proved: sort keys `d#<day>` and `d#<day>#changed`.
//!
//! A proof reads a day's records, movements and rows in full, and keeps their sums. Later proofs
//! read only these sums, as long as nothing of the day can have changed since. Two rules make that
//! sound:
//!
//! * Before every write that changes the books of a day, [`Ledger::note_change`] stores a note with
//!   the time. These writes are every write of a record's state, every movement, every new record,
//!   and every late flag, because a flag says that rows have changed.
//! * A proof counts only if it began at least [`SETTLE_MINUTES`] minutes after the latest note. An
//!   invocation lasts a quarter of an hour at most. So the change was written by then, or it is
//!   never written.
//!
//! No note is written in the first [`UNPROVED_HOURS`] hours after a day's end. No proof of the day
//! begins until six hours have passed, so the proof sees each change of that time anyway. Therefore
//! nearly all writes need no additional write.
//!
//! Both items expire together with the closed records of the day, or later if they are written
//! later. A day is not proved any more once its closed records may have expired. So a note exists
//! for as long as the sums of its day are read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use marketplace::books::Books;
use marketplace::hour::shift;
use marketplace::retention::Retention;
use marketplace::{Dimension, State, Subscription, Total, UsageHour};
use serde_json::{Map, Value};

use crate::error::{LedgerError, Malformed};
use crate::item::{Item, Reader, number, put_opt, text};
use crate::item_update::ItemUpdate;
use crate::tables::TTL_ATTRIBUTE;
use crate::{Ledger, content_digest};

/// Hours after a day's end in which no proof of it can have begun. Our own choice: a proof begins
/// six hours after the day's end or later, so three hours are left for clocks that differ.
pub const UNPROVED_HOURS: i64 = 3;
/// Minutes between the note of a change and the first proof that certainly sees the change. Our own
/// choice: an invocation lasts 15 minutes at most; the rest is for clocks that differ.
pub const SETTLE_MINUTES: i64 = 60;
/// Minutes by which a note lies in the future, so that one note serves for many changes of a day.
/// Our own choice.
const NOTE_AHEAD_MINUTES: i64 = 5;
/// The most notes that a process remembers. Our own choice: at this number it forgets all of them,
/// and later changes get new notes.
const NOTES_MAX: usize = 10_000;
/// The most bytes of a day's slots in one item. DynamoDB allows 400 KB for an item. A day with more
/// bytes is read in full each time.
const SLOTS_BYTES_MAX: usize = 300_000;
/// The length of a day's name in bytes.
const DAY_BYTES: usize = "2026-11-21".len();

/// Sums of usage of one subscription, by hour and dimension.
pub type Slots = BTreeMap<(UsageHour, Dimension), Total>;

/// The sums of one day of a subscription, from a proof that read the day in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaySums {
    /// The day's first hour. The sums are always those of all 24 hours.
    pub day: UsageHour,
    /// The sums of the day's slots.
    pub books: Books,
    /// The usage that the movements of the day's records carried away, by target slot.
    pub sent: Slots,
    /// The sums of the carried rows in the day's slots, by slot.
    pub arrived: Slots,
    /// A digest of the values in the day's records and movements on which the books depend. If the
    /// digest differs later although there is no note of a change, something other than this stack
    /// has changed the items.
    pub records: String,
    /// A digest of the dimensions that were known at the proof. Rows of other dimensions were set
    /// aside.
    pub known: String,
    /// `true` if each row of the day was counted by a record or a movement.
    pub is_counted: bool,
    /// The time at which the proof began, before it read anything, in whole seconds.
    pub proved_at: Timestamp,
}

/// The kept sums and the notes of some days of a subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProvedDays {
    /// The kept sums, by the day's first hour.
    pub sums: BTreeMap<UsageHour, DaySums>,
    /// The latest note of a change, by the day's first hour.
    pub changes: BTreeMap<UsageHour, Timestamp>,
}

impl ProvedDays {
    /// The kept sums of a day if they count; `None` if the day can have changed since it was
    /// proved. A day with uncounted rows, or with rows of a dimension that has become known since,
    /// is about to change, so its sums do not count. A proof later than `now` was made before the
    /// clock was set back, and its sums do not count either.
    pub fn kept_sums(&self, day: UsageHour, known: &str, now: Timestamp) -> Option<&DaySums> {
        let sums = self.sums.get(&day)?;
        let begins_late_enough = self.changes.get(&day).is_none_or(|changed| {
            shift(*changed, SignedDuration::from_mins(SETTLE_MINUTES)) <= sums.proved_at
        });
        let is_known = sums.books.rows_set_aside == 0 || sums.known == known;
        let is_past = sums.proved_at <= now;
        (begins_late_enough && is_known && is_past && sums.is_counted).then_some(sums)
    }

    /// The first hours of all days that have kept sums or a note.
    pub fn days(&self) -> BTreeSet<UsageHour> {
        let changed = self.changes.keys();
        self.sums.keys().chain(changed).copied().collect()
    }
}

/// The notes that a process has written: the second up to which each note reaches, by subscription
/// and day. A change that a note covers is not written again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<BTreeMap<(Subscription, UsageHour), i64>>>);

impl Notes {
    fn covers(&self, key: &(Subscription, UsageHour), second: i64) -> bool {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.get(key).is_some_and(|until| *until >= second)
    }

    fn keep(&self, key: (Subscription, UsageHour), until: i64) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() >= NOTES_MAX {
            notes.clear();
        }
        notes.insert(key, until);
    }
}

/// The first hour of the day that an hour belongs to.
pub fn first_of_day(hour: UsageHour) -> UsageHour {
    hour.plus(-hour.number().rem_euclid(24))
}

/// A digest of a product's dimensions. If no dimensions are configured (`None`), the digest is
/// `any`.
pub fn digest_of_known(known: Option<&BTreeSet<Dimension>>) -> String {
    match known {
        None => "any".to_owned(),
        Some(known) => {
            let names: Vec<String> = known.iter().map(Dimension::to_string).collect();
            content_digest(&names.join("\n"))
        }
    }
}

/// The time from which DynamoDB may remove an item about a day that is written at `written`. The
/// closed records of the day may be removed at the same time or earlier.
fn end_of_day(day: UsageHour, written: Timestamp, retention: Retention) -> Timestamp {
    retention.after(day.plus(23).end().max(written))
}

fn day_key(day: UsageHour) -> String {
    let mut name = day.to_string();
    name.truncate(DAY_BYTES);
    format!("d#{name}")
}

fn change_key(day: UsageHour) -> String {
    format!("{}#changed", day_key(day))
}

/// Reads the day from a sort key, and whether the item is a note of a change.
fn read_key(read: &Reader<'_>) -> Result<(UsageHour, bool), Malformed> {
    let sort = read.text("item")?;
    let key = || {
        let rest = sort.strip_prefix("d#")?;
        let (day, is_change) = match rest.strip_suffix("#changed") {
            Some(day) => (day, true),
            None => (rest, false),
        };
        Some((format!("{day}T00").parse().ok()?, is_change))
    };
    key().ok_or_else(|| read.malformed("item", "is not d#<day> or d#<day>#changed"))
}

impl DaySums {
    pub(crate) fn to_item(&self, subscription: &Subscription, retention: Retention) -> Item {
        let end = end_of_day(self.day, self.proved_at, retention);
        let mut item = Item::from([
            ("subscription".to_owned(), text(subscription)),
            ("item".to_owned(), text(day_key(self.day))),
            ("version".to_owned(), number(1)),
            ("books".to_owned(), text(books_text(&self.books))),
            ("records".to_owned(), text(&self.records)),
            ("known".to_owned(), text(&self.known)),
            ("proved_at".to_owned(), number(self.proved_at.as_second())),
            (TTL_ATTRIBUTE.to_owned(), number(end.as_second())),
        ]);
        let (sent, arrived) = (slots_text(&self.sent), slots_text(&self.arrived));
        let fits = sent.len().saturating_add(arrived.len()) <= SLOTS_BYTES_MAX;
        if fits {
            item.insert("sent".to_owned(), text(sent));
            item.insert("arrived".to_owned(), text(arrived));
        }
        // A day with this attribute is read in full each time.
        let unsettled = match (self.is_counted, fits) {
            (false, _) => Some("has rows that nothing has counted"),
            (true, false) => Some("has too many carried slots for one item"),
            (true, true) => None,
        };
        put_opt(&mut item, "unsettled", unsettled);
        item
    }

    pub(crate) fn from_item(item: &Item) -> Result<Self, Malformed> {
        let read = Reader::new(item);
        let (day, _) = read_key(&read)?;
        let slots = |attribute: &str| match read.text_opt(attribute)? {
            None => Ok(Slots::new()),
            Some(text) => read_slots(text)
                .ok_or_else(|| read.malformed(attribute, "is not a list of slots and totals")),
        };
        Ok(Self {
            day,
            books: read_books(read.text("books")?)
                .ok_or_else(|| read.malformed("books", "is not the sums of a day"))?,
            sent: slots("sent")?,
            arrived: slots("arrived")?,
            records: read.text("records")?.to_owned(),
            known: read.text("known")?.to_owned(),
            is_counted: read.text_opt("unsettled")?.is_none(),
            proved_at: read.second("proved_at")?,
        })
    }
}

/// The sums with the names under which they are stored.
fn sums(books: &mut Books) -> [(&'static str, &mut Total); 10] {
    [
        ("ingested", &mut books.ingested),
        ("accepted", &mut books.accepted),
        ("pending", &mut books.pending),
        ("held", &mut books.held),
        ("dry_run", &mut books.dry_run),
        ("lost", &mut books.lost),
        ("over_metered", &mut books.over_metered),
        ("refunded", &mut books.refunded),
        ("carried_in", &mut books.carried_in),
        ("carried_out", &mut books.carried_out),
    ]
}

fn books_text(books: &Books) -> String {
    let mut copy = books.clone();
    let mut all = Map::new();
    for (name, total) in sums(&mut copy) {
        if !total.is_zero() {
            all.insert(name.to_owned(), total.to_string().into());
        }
    }
    let states = books.records.iter();
    let records: Map<String, Value> = states
        .map(|(state, count)| (state.to_string(), (*count).into()))
        .collect();
    all.insert("records".to_owned(), records.into());
    all.insert("rows".to_owned(), books.rows.into());
    all.insert("rows_set_aside".to_owned(), books.rows_set_aside.into());
    Value::Object(all).to_string()
}

fn read_books(text: &str) -> Option<Books> {
    let all: Map<String, Value> = serde_json::from_str(text).ok()?;
    let mut books = Books {
        rows: all.get("rows")?.as_u64()?,
        rows_set_aside: all.get("rows_set_aside")?.as_u64()?,
        ..Books::default()
    };
    for (state, count) in all.get("records")?.as_object()? {
        let state: State = state.parse().ok()?;
        books.records.insert(state, count.as_u64()?);
    }
    for (name, total) in sums(&mut books) {
        if let Some(written) = all.get(name) {
            *total = Total::from_number(written.as_str()?).ok()?;
        }
    }
    Some(books)
}

fn slots_text(slots: &Slots) -> String {
    let all: Vec<[String; 3]> = slots
        .iter()
        .map(|((hour, dimension), total)| {
            [hour.to_string(), dimension.to_string(), total.to_string()]
        })
        .collect();
    Value::from_iter(all.into_iter().map(Value::from_iter)).to_string()
}

fn read_slots(text: &str) -> Option<Slots> {
    let all: Vec<[String; 3]> = serde_json::from_str(text).ok()?;
    all.into_iter()
        .map(|[hour, dimension, total]| {
            let slot = (hour.parse().ok()?, dimension.parse().ok()?);
            Some((slot, Total::from_number(&total).ok()?))
        })
        .collect()
}

impl Ledger {
    /// Stores a note that the books of an hour's day are about to change, so that the day is proved
    /// again. Call it **before** the change; `now` is the time of the invocation. If no change
    /// follows, the note only costs another proof of the day. A note reaches some minutes ahead,
    /// and serves for every change until then.
    pub(crate) async fn note_change(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let day = first_of_day(hour);
        let unproved = SignedDuration::from_hours(UNPROVED_HOURS);
        if now < shift(day.plus(24).start(), unproved) {
            return Ok(());
        }
        let key = (subscription.clone(), day);
        if self.notes.covers(&key, now.as_second()) {
            return Ok(());
        }
        let until = shift(now, SignedDuration::from_mins(NOTE_AHEAD_MINUTES));
        let end = end_of_day(day, until, self.retention).as_second();
        let until = until.as_second();
        let table = &self.tables.metering_records;
        let (partition, sort) = (subscription.to_string(), change_key(day));
        let request = ItemUpdate::new()
            .set("changed_at", number(until))
            .set(TTL_ATTRIBUTE, number(end))
            .fixed_version()
            .request(self, table, (&partition, &sort))
            .condition_expression("attribute_not_exists(#changed_at) OR #changed_at < :changed_at");
        // A failed condition means that there is a note of this time or a later one.
        self.write_if("UpdateItem", table, || request.clone().send())
            .await?;
        self.notes.keep(key, until);
        Ok(())
    }

    /// The kept sums and the notes of the days of the hours `first` through `last`, strongly
    /// consistent. A damaged item is reported and left out, so its day is proved again. If a note
    /// of a change is damaged, the day counts as changed at `now`.
    pub async fn proved_days(
        &self,
        subscription: &Subscription,
        first: UsageHour,
        last: UsageHour,
        now: Timestamp,
    ) -> Result<ProvedDays, LedgerError> {
        let mut days = ProvedDays::default();
        let bounds = (&*day_key(first), &*format!("{}$", day_key(last)));
        let table = &self.tables.metering_records;
        let partition = subscription.to_string();
        for item in self.query_between(table, &partition, bounds).await? {
            let read = Reader::new(&item);
            match read_key(&read) {
                Ok((day, true)) => {
                    let changed = read.second("changed_at").unwrap_or_else(|damaged| {
                        self.report_damaged(&damaged);
                        now
                    });
                    days.changes.insert(day, changed);
                }
                Ok((day, false)) => match DaySums::from_item(&item) {
                    Ok(sums) => {
                        days.sums.insert(day, sums);
                    }
                    Err(damaged) => self.report_damaged(&damaged),
                },
                Err(damaged) => self.report_damaged(&damaged),
            }
        }
        Ok(days)
    }

    /// Stores the sums of a day. If two proofs run at the same time, the last write counts. Its
    /// `proved_at` says when that proof began.
    pub async fn put_day(
        &self,
        subscription: &Subscription,
        sums: &DaySums,
    ) -> Result<(), LedgerError> {
        let table = &self.tables.metering_records;
        let item = sums.to_item(subscription, self.retention);
        self.put_any(table, item).await
    }
}
