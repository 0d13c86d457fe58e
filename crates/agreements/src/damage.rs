//! Damaged items that keep a message from being applied to some of its subscriptions.

use ledger::{Ledger, LedgerError, Malformed};

/// The damage that was found while a message was applied.
///
/// A damaged item does not keep the message from being applied to the subscriptions that do not
/// depend on the item. When that is done, the message fails. So it is delivered again, and the
/// other subscriptions follow once the item is corrected. If nobody corrects it, the message ends
/// in the dead-letter queue. Its error names the item.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    first: Option<Malformed>,
}

impl Damage {
    /// Reports a damaged item.
    pub(crate) fn add(&mut self, ledger: &Ledger, damaged: Malformed) {
        ledger.report_damaged(&damaged);
        self.first.get_or_insert(damaged);
    }

    /// Reports a damaged item, and returns `None` for it. Every other error stays an error.
    pub(crate) fn set_aside<T>(
        &mut self,
        ledger: &Ledger,
        result: Result<T, LedgerError>,
    ) -> Result<Option<T>, LedgerError> {
        match result {
            Ok(done) => Ok(Some(done)),
            Err(LedgerError::Malformed(damaged)) => {
                self.add(ledger, damaged);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The result of the message: an error that names the first damaged item, if there is one.
    pub(crate) fn result(self) -> Result<(), LedgerError> {
        match self.first {
            Some(damaged) => Err(damaged.into()),
            None => Ok(()),
        }
    }
}
