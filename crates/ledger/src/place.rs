//! Where a run broke off in a task that is longer than a run: items `places`/`<task>`.
//!
//! A place only saves work. It is put without a condition, so the last writer wins; two runs at the
//! same time make some of the work be done twice, and none be left out for longer than a round.

use crate::Ledger;
use crate::error::LedgerError;
use crate::item::{Item, Reader, number, put_opt, text};

/// Partition of the places.
const PLACES: &str = "places";

impl Ledger {
    /// Where the last run broke off in a task, strongly consistent; `None` if it came to the end. A
    /// damaged place is noted, and the task begins again.
    pub async fn place(&self, task: &str) -> Result<Option<String>, LedgerError> {
        let item = self
            .get(&self.tables.metering_records, PLACES, task)
            .await?;
        let Some(item) = item else { return Ok(None) };
        match Reader::new(&item).text_opt("place") {
            Ok(place) => Ok(place.map(str::to_owned)),
            Err(damaged) => {
                self.note_damaged(&damaged);
                Ok(None)
            }
        }
    }

    /// Keeps where a run breaks off in a task, or with `None` that it came to the end.
    pub async fn keep_place(&self, task: &str, place: Option<&str>) -> Result<(), LedgerError> {
        let mut item = Item::from([
            ("subscription".to_owned(), text(PLACES)),
            ("item".to_owned(), text(task)),
            ("version".to_owned(), number(1)),
        ]);
        put_opt(&mut item, "place", place);
        self.put_any(&self.tables.metering_records, item).await
    }
}
