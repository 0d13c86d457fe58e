//! Refuses to count hours whose rows or records may have been removed.

use clap::Args;
use jiff::Timestamp;
use marketplace::UsageHour;
use marketplace::limits::ROWS_KEPT_DAYS;
use marketplace::retention::rows_may_be_gone;

use crate::failure::Failure;

/// The option that allows the count of hours whose rows and records may have been removed.
#[derive(Debug, Clone, Copy, Args)]
pub struct Kept {
    /// Also count hours of more than 100 days ago. Use this option only if you know that no row and
    /// no record of these hours was removed, because removed rows look like usage that was metered
    /// too much
    #[arg(long)]
    all_is_kept: bool,
}

impl Kept {
    /// Returns an error if rows or records of `hours`, which begin with `first`, may have been
    /// removed by `now`.
    pub fn check(self, hours: &str, first: UsageHour, now: Timestamp) -> Result<(), Failure> {
        if self.all_is_kept || !rows_may_be_gone(first, now) {
            return Ok(());
        }
        Err(Failure::failed(format!(
            "{hours} cannot be counted again: rows are kept for at least {ROWS_KEPT_DAYS} days, and rows of {first} may have been removed since then. Removed rows look like usage that was metered too much. `metering records list` shows the metered quantities. If you know that every row and record is still there, use --all-is-kept"
        )))
    }
}
