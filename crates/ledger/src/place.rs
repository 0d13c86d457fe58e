//! Places. A place says where work that takes several runs broke off, so that the next run
//! continues there.
//!
//! A place is only a hint. Work that continues at a wrong place does something twice, or leaves
//! something to the next run. So a run does not move a place that another run has moved meanwhile.

use std::fmt::Display;
use std::str::FromStr;

use marketplace::{Subscription, UsageHour};

use crate::Ledger;
use crate::error::{LedgerError, Written};
use crate::item::{Item, Reader, number, put_opt, text};

/// The partition key of the places in work that concerns the whole stack or one of its shards.
const PLACES: &str = "places";
/// The sort key of the place in the recount of one subscription's hours.
const RECOUNT: &str = "p#recount";

/// The place where work broke off, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<T> {
    /// Where the work broke off: a subscription, an hour, a time or a text that the work itself
    /// reads. `None` means that the work starts from the beginning.
    pub at: Option<T>,
    key: (String, String),
    version: u64,
    /// `true` if the item cannot be read. Then the next write replaces it.
    is_damaged: bool,
}

impl<T: Display> Place<T> {
    fn to_item(&self) -> Item {
        let mut item = Item::from([
            ("subscription".to_owned(), text(&self.key.0)),
            ("item".to_owned(), text(&self.key.1)),
            ("version".to_owned(), number(self.version)),
        ]);
        put_opt(&mut item, "place", self.at.as_ref());
        item
    }
}

impl Ledger {
    /// Where the work with this name broke off.
    pub async fn place_of<T: FromStr>(&self, name: &str) -> Result<Place<T>, LedgerError>
    where
        T::Err: Display,
    {
        self.place(PLACES.to_owned(), name).await
    }

    /// The subscription after which a pass over many subscriptions broke off.
    pub async fn place_of_pass(&self, pass: &str) -> Result<Place<Subscription>, LedgerError> {
        self.place_of(pass).await
    }

    /// The hour at which the recount of a subscription's hours broke off.
    pub async fn place_of_recount(
        &self,
        subscription: &Subscription,
    ) -> Result<Place<UsageHour>, LedgerError> {
        self.place(subscription.to_string(), RECOUNT).await
    }

    async fn place<T: FromStr>(
        &self,
        partition: String,
        sort: &str,
    ) -> Result<Place<T>, LedgerError>
    where
        T::Err: Display,
    {
        let table = &self.tables.metering_records;
        let item = self.get(table, &partition, sort).await?;
        let mut place = Place {
            at: None,
            key: (partition, sort.to_owned()),
            version: 0,
            is_damaged: false,
        };
        let Some(item) = item else { return Ok(place) };
        let read = Reader::new(&item);
        // A place is only a hint, so a damaged place is treated as missing.
        match read.version() {
            Ok(version) => place.version = version,
            Err(damaged) => {
                self.report_damaged(&damaged);
                place.is_damaged = true;
            }
        }
        match read.parsed_opt("place") {
            Ok(at) => place.at = at,
            Err(damaged) => {
                self.report_damaged(&damaged);
                place.is_damaged = true;
            }
        }
        Ok(place)
    }

    /// Stores where work broke off, if the place was not moved since it was read. `None` means that
    /// the work is finished. Nothing is written if the place stays the same. After a write `place`
    /// is the stored place, so that it can be moved again.
    pub async fn move_place<T>(
        &self,
        place: &mut Place<T>,
        at: Option<T>,
    ) -> Result<Written, LedgerError>
    where
        T: Display + PartialEq,
    {
        if place.at == at && !place.is_damaged {
            return Ok(Written::Done);
        }
        let table = &self.tables.metering_records;
        let new = Place {
            at,
            key: place.key.clone(),
            version: place.version.saturating_add(1),
            is_damaged: false,
        };
        let written = match place.version {
            // The item cannot be read, so the write has no condition. A hint needs none.
            _ if place.is_damaged => {
                self.put_any(table, new.to_item()).await?;
                Written::Done
            }
            0 => self.put_new(table, new.to_item()).await?,
            _ => self.change(table, &place.to_item(), &new.to_item()).await?,
        };
        if written == Written::Done {
            *place = new;
        }
        Ok(written)
    }
}
