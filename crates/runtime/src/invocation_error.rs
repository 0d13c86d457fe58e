//! The error that ends an invocation early.

use ledger::LedgerError;

use crate::ClockError;

/// The reason why an invocation ended early. Everything that it did not finish stays due, and a
/// later invocation continues.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    /// A table could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The time could not be read.
    #[error(transparent)]
    Clock(#[from] ClockError),
}
