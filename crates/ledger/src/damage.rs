//! Items that cannot be read. They are set aside and named, so that nothing beside them is held up.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Ledger;
use crate::error::{LedgerError, Malformed};

/// Names that are kept; more are in the log only. Ours.
const NAMES_MAX: usize = 10_000;

/// The names of the damaged items that somebody met.
#[derive(Debug, Clone, Default)]
pub(crate) struct Damage(Arc<Mutex<BTreeSet<String>>>);

impl Ledger {
    /// The same tables, with a list of its own of the damaged items met: for one run.
    #[must_use]
    pub fn noting_damage(&self) -> Self {
        Self {
            damage: Damage::default(),
            ..self.clone()
        }
    }

    /// Notes an item that was set aside because it cannot be read, and names it in the log, once for
    /// each list.
    pub fn note_damaged(&self, damaged: &Malformed) {
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

    /// The names of the damaged items met so far.
    pub fn damaged(&self) -> Vec<String> {
        let names = self.damage.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().cloned().collect()
    }

    /// What was read of `of`; nothing, and a note, if an item is damaged, or quantities are so that
    /// their sum is out of range. Every other failure stays one.
    pub fn unless_damaged<T>(
        &self,
        of: &impl Display,
        read: Result<T, LedgerError>,
    ) -> Result<Option<T>, LedgerError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(LedgerError::Malformed(damaged)) => {
                self.note_damaged(&damaged);
                Ok(None)
            }
            Err(LedgerError::Overflow(overflow)) => {
                self.note_damaged(&Malformed {
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
