//! Items that cannot be read. They are set aside and reported, so that they do not block the
//! others.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Ledger;
use crate::error::{LedgerError, Malformed};

/// The most names that are kept. Further names are only in the log. Our own choice.
const NAMES_MAX: usize = 10_000;

/// The names of the damaged items that were found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Damage(Arc<Mutex<BTreeSet<String>>>);

impl Ledger {
    /// Returns a ledger of the same tables with a new, empty list of damaged items, for one run.
    #[must_use]
    pub fn with_new_damage_list(&self) -> Self {
        Self {
            damage: Damage::default(),
            ..self.clone()
        }
    }

    /// Adds an item that cannot be read to the list, and logs it if it is new in the list.
    pub fn report_damaged(&self, damaged: &Malformed) {
        let mut names = self.damage.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !names.contains(&damaged.item);
        if is_new && names.len() < NAMES_MAX {
            names.insert(damaged.item.clone());
        }
        drop(names);
        if is_new {
            tracing::error!(%damaged, "a damaged item is set aside");
        }
    }

    /// The names of the damaged items in the list.
    pub fn damaged(&self) -> Vec<String> {
        let names = self.damage.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().cloned().collect()
    }

    /// Reports damage, and returns `None` for it. Damage is a damaged item, or a sum of quantities
    /// that exceeds its range; such a sum is reported under the name `of`. Every other error stays
    /// an error.
    pub fn unless_damaged<T>(
        &self,
        of: &impl Display,
        read: Result<T, LedgerError>,
    ) -> Result<Option<T>, LedgerError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(LedgerError::Malformed(damaged)) => {
                self.report_damaged(&damaged);
                Ok(None)
            }
            Err(LedgerError::Overflow(overflow)) => {
                self.report_damaged(&Malformed {
                    item: of.to_string(),
                    attribute: "quantity".to_owned(),
                    rule: format!("is out of range: {overflow}"),
                });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
