//! Places: where work that takes several runs broke off, and where the next run goes on.
//!
//! A place is a hint and no proof: work that goes on at a wrong one does something twice, or leaves it
//! to its next turn. So whoever finds that another run has moved a place lets it be.

use marketplace::{Subscription, UsageHour};

use crate::Ledger;
use crate::error::{LedgerError, Written};
use crate::item::{Item, Reader, number, put_opt, text};

/// Partition of the places that are about many subscriptions.
const PLACES: &str = "places";
/// Sort key of the place in one subscription's hours.
const RECOUNT: &str = "p#recount";

/// Where work broke off. Without anything stored it begins at the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<T> {
    /// What was done last.
    pub at: Option<T>,
    key: (String, &'static str),
    version: u64,
}

impl<T: std::fmt::Display> Place<T> {
    fn to_item(&self) -> Item {
        let mut item = Item::from([
            ("subscription".to_owned(), text(&self.key.0)),
            ("item".to_owned(), text(self.key.1)),
            ("version".to_owned(), number(self.version)),
        ]);
        put_opt(&mut item, "place", self.at.as_ref());
        item
    }
}

impl Ledger {
    /// Where a pass over many subscriptions broke off: after which of them.
    pub async fn place_of_pass(
        &self,
        pass: &'static str,
    ) -> Result<Place<Subscription>, LedgerError> {
        self.place(PLACES.to_owned(), pass).await
    }

    /// Where the recount of a subscription's hours broke off: at which of them.
    pub async fn place_of_recount(
        &self,
        subscription: &Subscription,
    ) -> Result<Place<UsageHour>, LedgerError> {
        self.place(subscription.to_string(), RECOUNT).await
    }

    async fn place<T: std::str::FromStr>(
        &self,
        partition: String,
        sort: &'static str,
    ) -> Result<Place<T>, LedgerError>
    where
        T::Err: std::fmt::Display,
    {
        let table = &self.tables.metering_records;
        let item = self.get(table, &partition, sort).await?;
        let mut place = Place {
            at: None,
            key: (partition, sort),
            version: 0,
        };
        let Some(item) = item else { return Ok(place) };
        let read = Reader::new(&item);
        // A hint that cannot be read is as good as none.
        match read.version() {
            Ok(version) => place.version = version,
            Err(damaged) => self.note_damaged(&damaged),
        }
        match read.parsed_opt("place") {
            Ok(at) => place.at = at,
            Err(damaged) => self.note_damaged(&damaged),
        }
        Ok(place)
    }

    /// Says where work broke off, or with `None` that it came to its end, if nobody has said so since
    /// `place` was read. What is so already is not written.
    pub async fn move_place<T>(
        &self,
        place: &Place<T>,
        at: Option<T>,
    ) -> Result<Written, LedgerError>
    where
        T: std::fmt::Display + Clone + PartialEq,
    {
        if place.at == at {
            return Ok(Written::Done);
        }
        let table = &self.tables.metering_records;
        let new = Place {
            at,
            key: place.key.clone(),
            version: place.version.saturating_add(1),
        };
        match place.version {
            0 => self.put_new(table, new.to_item()).await,
            _ => self.change(table, &place.to_item(), &new.to_item()).await,
        }
    }
}
