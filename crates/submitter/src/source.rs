//! The source of an invocation's records, read a page at a time.
//!
//! Facts: M58, M59 (docs/marketplace-rules.md).

use std::collections::VecDeque;

use jiff::Timestamp;
use ledger::item::Item;
use ledger::{Ledger, LedgerError, SHARDS};
use marketplace::slot::Slot;

/// The largest number of keys in one page of a delivery.
const DELIVERED_AT_ONCE: usize = 1_000;
/// Seconds after which a sweep begins at the next shard: the interval of its schedule.
const SHARD_SECONDS: i64 = 300;

/// The keys of an invocation's records. A key says nothing about whether its record may still be
/// sent. That is checked after the record is read.
#[derive(Debug)]
pub(crate) enum Source {
    /// The keys that a delivery of the stream names.
    Delivered(VecDeque<Slot>),
    /// The keys that are due in the work index.
    Due {
        /// The start of the sweep. Records that become due later are left to the next sweep.
        now: Timestamp,
        /// The pages that must still be read. Those of subscriptions in their final hour come
        /// first, then one page of each shard in turn, so that no shard waits until another is
        /// empty.
        pages: VecDeque<Page>,
    },
}

/// A page of the work index that must still be read.
#[derive(Debug)]
pub(crate) struct Page {
    shard: u8,
    is_urgent: bool,
    start: Option<Item>,
}

impl Source {
    pub fn delivered(keys: Vec<Slot>) -> Self {
        Self::Delivered(keys.into())
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
        Self::Due {
            now,
            pages: shards()
                .map(page(true))
                .chain(shards().map(page(false)))
                .collect(),
        }
    }

    /// Reads the next page of keys; `None` if all were read. A page may be empty.
    pub async fn next(&mut self, ledger: &Ledger) -> Result<Option<Vec<Slot>>, LedgerError> {
        match self {
            Self::Delivered(keys) => {
                let count = keys.len().min(DELIVERED_AT_ONCE);
                let next: Vec<Slot> = keys.drain(..count).collect();
                Ok((!next.is_empty()).then_some(next))
            }
            Self::Due { now, pages } => {
                let Some(Page {
                    shard,
                    is_urgent,
                    start,
                }) = pages.pop_front()
                else {
                    return Ok(None);
                };
                let page = match is_urgent {
                    true => ledger.due_urgent(shard, *now, start).await?,
                    false => ledger.due_records(shard, *now, start).await?,
                };
                if page.next.is_some() {
                    let start = page.next;
                    let next = Page {
                        shard,
                        is_urgent,
                        start,
                    };
                    match is_urgent {
                        true => pages.push_front(next),
                        false => pages.push_back(next),
                    }
                }
                Ok(Some(page.keys))
            }
        }
    }
}
