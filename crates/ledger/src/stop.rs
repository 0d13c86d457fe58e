//! Stops: items `stops`/`<task>`. A stop says where a run stopped in a task that takes several
//! runs.
//!
//! A stop only saves work. It is put without a condition, so the last writer wins. Two runs at the
//! same time do some work twice. Work that both leave out is done when the task begins again.

use crate::Ledger;
use crate::error::LedgerError;
use crate::item::{Item, Reader, number, put_opt, text};

/// The partition key of all stops.
const STOPS: &str = "stops";

impl Ledger {
    /// The place where the last run stopped in a task, strongly consistent; `None` if it finished
    /// the task. A damaged stop is reported and treated as missing, so the task begins again.
    pub async fn stopped_at(&self, task: &str) -> Result<Option<String>, LedgerError> {
        let item = self.get(&self.tables.metering_records, STOPS, task).await?;
        let Some(item) = item else { return Ok(None) };
        match Reader::new(&item).text_opt("place") {
            Ok(place) => Ok(place.map(str::to_owned)),
            Err(damaged) => {
                self.report_damaged(&damaged);
                Ok(None)
            }
        }
    }

    /// Stores the place where a run stops in a task; `None` if it finished the task.
    pub async fn stop_at(&self, task: &str, place: Option<&str>) -> Result<(), LedgerError> {
        let mut item = Item::from([
            ("subscription".to_owned(), text(STOPS)),
            ("item".to_owned(), text(task)),
            ("version".to_owned(), number(1)),
        ]);
        put_opt(&mut item, "place", place);
        self.put_any(&self.tables.metering_records, item).await
    }
}
