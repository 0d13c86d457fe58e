//! What is counted from rows and records, as long as all of them are there.

use clap::Args;
use jiff::Timestamp;
use marketplace::UsageHour;
use marketplace::limits::ROWS_KEPT_DAYS;
use marketplace::retention::rows_may_be_gone;

use crate::failure::Failure;

/// Whether rows and records that may have been removed are there all the same.
#[derive(Debug, Clone, Copy, Args)]
pub struct Kept {
    /// Count hours of more than 100 days ago too, because you know that neither a row nor a record of
    /// them has been removed since. Rows that are gone look like usage that was metered too much
    #[arg(long)]
    all_is_kept: bool,
}

impl Kept {
    /// Refuses to count `hours` whose earliest is `first` where something of them may be gone at `now`.
    pub fn check(self, hours: &str, first: UsageHour, now: Timestamp) -> Result<(), Failure> {
        if self.all_is_kept || !rows_may_be_gone(first, now) {
            return Ok(());
        }
        Err(Failure::failed(format!(
            "{hours} cannot be counted again: rows are kept for {ROWS_KEPT_DAYS} days at least, and those of {first} may have been removed since, which would look like usage that was metered too much. `metering records list` shows what was metered; if you know that every row and record is still there, say so with --all-is-kept"
        )))
    }
}
