//! Transmissions that were made and are not written down yet.
//!
//! Before the audit concludes anything from silence it must find as many calls for a record as were
//! sent without a clear answer. So each transmission is written down, also of a record that waits in
//! the queue when the invocation ends.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use ledger::record::DoubtfulWrite;
use ledger::{Ledger, LedgerError};
use marketplace::MeteringRecord;
use marketplace::record::{RecordKey, Transmissions};

/// Numbers written at the same time.
const AT_ONCE: usize = 16;

/// The transmissions of this invocation, by record. It has no more entries than the queue has records.
#[derive(Debug, Default)]
pub(crate) struct Unwritten(HashMap<RecordKey, Entry>);

#[derive(Debug, Default)]
struct Entry {
    transmissions: Transmissions,
    /// The write that was to write them with an outcome and failed.
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
        let unwritten = self.0.entry(record.key.clone()).or_default();
        unwritten.transmissions = unwritten.transmissions.plus(more);
    }

    /// Takes out what is unwritten of a record, which is about to be written.
    pub fn take(&mut self, key: &RecordKey) -> Transmissions {
        let entry = self.0.remove(key).unwrap_or_default();
        entry.transmissions
    }

    /// Puts back what a failed write was to write. It may have been done nevertheless.
    pub fn put_back(
        &mut self,
        key: RecordKey,
        transmissions: Transmissions,
        doubtful: DoubtfulWrite,
    ) {
        if !transmissions.is_empty() {
            let entry = Entry {
                transmissions,
                doubtful: Some(doubtful),
            };
            self.0.insert(key, entry);
        }
    }

    /// Adds everything to what the records have. All are tried even when one fails.
    pub async fn write(&mut self, ledger: &Ledger) -> Result<(), LedgerError> {
        let all = std::mem::take(&mut self.0);
        let mut written = stream::iter(all)
            .map(|(key, entry)| async move {
                let doubtful = entry.doubtful.as_ref();
                ledger
                    .add_transmissions(&key, entry.transmissions, doubtful)
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
