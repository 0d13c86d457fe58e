//! The pages in the seller's design. The settings are in the table Subscriptions, and are read at
//! most once a minute.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use ledger::pages::StoredPages;
use ledger::{Ledger, LedgerError};
use runtime::Clock;
use runtime::metrics::{count, emit};

use crate::page::{Pages, Seller};
use crate::page_settings::PageSettings;

/// The time after which the settings are read again. So a change is visible after a minute at most.
const FRESH: SignedDuration = SignedDuration::from_secs(60);

/// The pages as they were last read. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Design {
    seller: Seller,
    last: Arc<Mutex<Option<LastRead>>>,
}

#[derive(Debug, Clone)]
struct LastRead {
    at: Timestamp,
    stored: Option<StoredPages>,
    pages: Pages,
}

impl LastRead {
    /// Whether the pages need not be read again. A clock that was set back proves nothing.
    fn is_fresh(&self, now: Timestamp) -> bool {
        now >= self.at && now.duration_since(self.at) < FRESH
    }
}

impl Design {
    /// Pages of a seller that were not read yet.
    pub fn of(seller: Seller) -> Self {
        Self {
            seller,
            last: Arc::default(),
        }
    }

    /// The pages as they are now. Neither settings that cannot be used nor a table that cannot be
    /// read keep a buyer out: then the pages have the built-in design, or the last known one.
    pub async fn pages(&self, ledger: &Ledger, clock: &Clock) -> Pages {
        let now = clock.now().await.ok();
        let last = self.last();
        if let (Some(now), Some(last)) = (now, &last)
            && last.is_fresh(now)
        {
            return last.pages.clone();
        }
        let stored = match ledger.page_settings().await {
            Ok(stored) => stored,
            Err(LedgerError::Malformed(damaged)) => {
                report(&damaged, now);
                None
            }
            Err(error) => {
                tracing::error!(%error, "the settings of the pages could not be read");
                return last.map_or_else(|| self.built_in(), |last| last.pages);
            }
        };
        let (stored, pages) = match last {
            Some(last) if last.stored == stored => (stored, last.pages),
            _ => self.pages_of(stored, now),
        };
        if let Some(at) = now {
            self.keep(LastRead {
                at,
                stored,
                pages: pages.clone(),
            });
        }
        pages
    }

    /// The pages with these settings. Settings that cannot be used are not kept, so that they are
    /// reported at every read.
    fn pages_of(
        &self,
        stored: Option<StoredPages>,
        now: Option<Timestamp>,
    ) -> (Option<StoredPages>, Pages) {
        let Some(stored) = stored else {
            return (None, self.built_in());
        };
        match PageSettings::from_json(&stored.settings) {
            Ok(settings) => {
                let pages = Pages::new(self.seller.clone(), settings);
                (Some(stored), pages)
            }
            Err(problem) => {
                report(&problem, now);
                (None, self.built_in())
            }
        }
    }

    fn built_in(&self) -> Pages {
        Pages::new(self.seller.clone(), PageSettings::default())
    }

    fn last(&self) -> Option<LastRead> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    fn keep(&self, read: LastRead) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
    }
}

/// Reports settings that cannot be used.
fn report(problem: &impl std::fmt::Display, now: Option<Timestamp>) {
    tracing::error!(%problem, "the settings of the pages cannot be used, so the pages have the built-in design; correct them with metering pages apply");
    if let Some(now) = now {
        emit("registration", now, &[count("PageSettingsInvalid", 1)]);
    }
}
