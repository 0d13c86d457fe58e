//! Transmissions that were made and are not stored yet.
//!
//! The audit may conclude that a record was not billed only if CloudTrail shows as many calls for
//! the record as were made without a clear answer. So each transmission is stored, including those
//! of records that wait in the queue when the invocation ends.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use ledger::record::DoubtfulWrite;
use ledger::{Ledger, LedgerError};
use marketplace::MeteringRecord;
use marketplace::record::Transmissions;
use marketplace::slot::Slot;

/// The number of writes at the same time.
const AT_ONCE: usize = 16;

/// The unwritten transmissions of this invocation, by record. There are no more entries than
/// records in the queue.
#[derive(Debug, Default)]
pub(crate) struct Unwritten(HashMap<Slot, Entry>);

#[derive(Debug, Default)]
struct Entry {
    transmissions: Transmissions,
    /// The failed write that should have stored them together with an outcome. It may have been
    /// done nevertheless.
    doubtful: Option<DoubtfulWrite>,
}

impl Unwritten {
    /// Counts a transmission of a record that had no definite answer.
    pub fn doubtful(&mut self, record: &mut MeteringRecord) {
        self.add(
            record,
            Transmissions {
                doubtful: 1,
                answered: 0,
            },
        );
    }

    /// Counts a transmission of a record whose answer says that nothing was recorded.
    pub fn answered(&mut self, record: &mut MeteringRecord) {
        self.add(
            record,
            Transmissions {
                doubtful: 0,
                answered: 1,
            },
        );
    }

    fn add(&mut self, record: &mut MeteringRecord, more: Transmissions) {
        record.sent = record.sent.plus(more);
        let unwritten = self.0.entry(record.slot.clone()).or_default();
        unwritten.transmissions = unwritten.transmissions.plus(more);
    }

    /// Removes and returns the unwritten transmissions of a record whose outcome is about to be
    /// written.
    pub fn take(&mut self, slot: &Slot) -> Transmissions {
        let entry = self.0.remove(slot).unwrap_or_default();
        entry.transmissions
    }

    /// Puts back the transmissions of a failed write. `doubtful` is that write, which may have been
    /// done nevertheless.
    pub fn put_back(&mut self, slot: Slot, transmissions: Transmissions, doubtful: DoubtfulWrite) {
        if !transmissions.is_empty() {
            let entry = Entry {
                transmissions,
                doubtful: Some(doubtful),
            };
            self.0.insert(slot, entry);
        }
    }

    /// Adds the transmissions of failed writes to those stored in the records. The ones that fail
    /// again stay here. Without this they would be lost if the process died before the end of a
    /// long invocation.
    pub async fn write_failed(&mut self, ledger: &Ledger) -> Result<(), LedgerError> {
        let failed = self.0.extract_if(|_, entry| entry.doubtful.is_some());
        let failed: Vec<_> = failed.collect();
        let mut written = stream::iter(failed)
            .map(|(slot, entry)| async move {
                let doubtful = entry.doubtful.as_ref();
                let written = ledger
                    .add_transmissions(&slot, entry.transmissions, doubtful)
                    .await;
                (written, slot, entry)
            })
            .buffer_unordered(AT_ONCE);
        let mut result = Ok(());
        while let Some((one, slot, entry)) = written.next().await {
            if let Err(error) = one {
                self.0.insert(slot, entry);
                result = Err(error);
            }
        }
        result
    }

    /// Adds all unwritten transmissions to those stored in the records. If one write fails, the
    /// others are still made.
    pub async fn write(&mut self, ledger: &Ledger) -> Result<(), LedgerError> {
        let all = std::mem::take(&mut self.0);
        let mut written = stream::iter(all)
            .map(|(slot, entry)| async move {
                let doubtful = entry.doubtful.as_ref();
                ledger
                    .add_transmissions(&slot, entry.transmissions, doubtful)
                    .await
            })
            .buffer_unordered(AT_ONCE);
        let mut result = Ok(());
        while let Some(one) = written.next().await {
            if let Err(error) = one {
                result = Err(error);
            }
        }
        result
    }
}
