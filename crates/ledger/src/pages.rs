//! The seller's settings of the registration pages: `pages`, `configuration`.
//!
//! The settings are kept as the JSON text in which they were written. Only the crate of the pages
//! reads their content.

use crate::Ledger;
use crate::error::{LedgerError, Malformed, Written};
use crate::item::{Item, Reader, number, text};

const KEY: (&str, &str) = ("pages", "configuration");

/// The settings of the registration pages as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPages {
    /// The settings in JSON.
    pub settings: String,
    /// The version of the item. Every write raises it.
    pub version: u64,
}

impl StoredPages {
    pub(crate) fn to_item(&self) -> Item {
        Item::from([
            ("subscription".to_owned(), text(KEY.0)),
            ("item".to_owned(), text(KEY.1)),
            ("version".to_owned(), number(self.version)),
            ("settings".to_owned(), text(&self.settings)),
        ])
    }

    pub(crate) fn from_item(item: &Item) -> Result<Self, Malformed> {
        let read = Reader::new(item);
        Ok(Self {
            settings: read.text("settings")?.to_owned(),
            version: read.version()?,
        })
    }
}

impl Ledger {
    /// The settings of the pages, strongly consistent; `None` if the seller has set none.
    pub async fn page_settings(&self) -> Result<Option<StoredPages>, LedgerError> {
        let item = self.get(&self.tables.subscriptions, KEY.0, KEY.1).await?;
        Ok(item.as_ref().map(StoredPages::from_item).transpose()?)
    }

    /// Creates the settings of the pages if `old` is `None`. Otherwise replaces them, if they were
    /// not changed since `old` was read.
    pub async fn write_page_settings(
        &self,
        old: Option<&StoredPages>,
        settings: &str,
    ) -> Result<Written, LedgerError> {
        let table = &self.tables.subscriptions;
        let new = StoredPages {
            settings: settings.to_owned(),
            version: old.map_or(1, |old| old.version),
        };
        match old {
            None => self.put_new(table, new.to_item()).await,
            Some(old) => self.change(table, &old.to_item(), &new.to_item()).await,
        }
    }
}
