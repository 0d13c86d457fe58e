//! The source of an invocation's records, read a page at a time.
//!
//! Facts: M58, M59 (docs/marketplace-rules.md).

use std::collections::VecDeque;

use jiff::Timestamp;
use ledger::item::Item;
use ledger::{Ledger, LedgerError, SHARDS};
use marketplace::slot::Slot;

/// The largest number of slots that are returned at once. A record can have thousands of
/// allocations, so the number bounds the memory of an invocation. It is also the number of records
/// that DynamoDB reads with one request.
const SLOTS_AT_ONCE: usize = 100;
/// Seconds after which a sweep begins at the next shard: the interval of its schedule.
const SHARD_SECONDS: i64 = 300;

/// The slots of an invocation's records. A slot says nothing about whether its record may still be
/// sent. That is checked after the record is read.
#[derive(Debug)]
pub(crate) struct Source {
    /// Slots that were read and not returned yet.
    slots: VecDeque<Slot>,
    /// The index to read more slots from; `None` for a delivery of the stream, which names its
    /// slots.
    index: Option<WorkIndex>,
}

/// The part of the work index that a sweep must still read.
#[derive(Debug)]
struct WorkIndex {
    /// The start of the sweep. Records that become due later are left to the next sweep.
    now: Timestamp,
    /// The pages that must still be read. Those of subscriptions in their final hour come first,
    /// then one page of each shard in turn, so that no shard waits until another is empty.
    pages: VecDeque<Page>,
}

/// A page of the work index that must still be read.
#[derive(Debug)]
struct Page {
    shard: u8,
    is_urgent: bool,
    start: Option<Item>,
}

impl Source {
    /// Makes the source of a delivery of the stream, which names its slots.
    pub fn delivered(slots: Vec<Slot>) -> Self {
        Self {
            slots: slots.into(),
            index: None,
        }
    }

    /// Makes the source of a sweep: everything that is due at `now`. Each sweep begins at another
    /// shard.
    pub fn due(now: Timestamp) -> Self {
        let first = (now.as_second() / SHARD_SECONDS).rem_euclid(i64::from(SHARDS));
        let first = u8::try_from(first).unwrap_or_default();
        let shards = || (0..SHARDS).map(move |n| (first + n) % SHARDS);
        let page = |is_urgent| {
            move |shard| Page {
                shard,
                is_urgent,
                start: None,
            }
        };
        let pages = shards()
            .map(page(true))
            .chain(shards().map(page(false)))
            .collect();
        Self {
            slots: VecDeque::new(),
            index: Some(WorkIndex { now, pages }),
        }
    }

    /// Whether this is the source of a sweep.
    pub fn is_sweep(&self) -> bool {
        self.index.is_some()
    }

    /// The next slots, at most [`SLOTS_AT_ONCE`]; `None` if all were returned. The list is empty if
    /// a page of the index was.
    pub async fn next(&mut self, ledger: &Ledger) -> Result<Option<Vec<Slot>>, LedgerError> {
        if self.slots.is_empty() {
            let Some(page) = (match &mut self.index {
                Some(index) => index.next_page(ledger).await?,
                None => None,
            }) else {
                return Ok(None);
            };
            self.slots.extend(page);
        }
        let count = self.slots.len().min(SLOTS_AT_ONCE);
        Ok(Some(self.slots.drain(..count).collect()))
    }

    /// Puts slots back whose records could not be read.
    pub fn put_back(&mut self, slots: Vec<Slot>) {
        self.slots.extend(slots);
    }
}

impl WorkIndex {
    /// Reads the next page of slots; `None` if all were read. A page that cannot be read is read
    /// again after the others.
    async fn next_page(&mut self, ledger: &Ledger) -> Result<Option<Vec<Slot>>, LedgerError> {
        let Some(page) = self.pages.pop_front() else {
            return Ok(None);
        };
        let start = page.start.clone();
        let read = match page.is_urgent {
            true => ledger.due_urgent(page.shard, self.now, start).await,
            false => ledger.due_records(page.shard, self.now, start).await,
        };
        let read = match read {
            Ok(read) => read,
            Err(error) => {
                self.pages.push_back(page);
                return Err(error);
            }
        };
        if read.next.is_some() {
            let next = Page {
                start: read.next,
                ..page
            };
            match next.is_urgent {
                true => self.pages.push_front(next),
                false => self.pages.push_back(next),
            }
        }
        Ok(Some(read.slots))
    }
}
