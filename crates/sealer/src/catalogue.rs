//! Product configurations, read once per run and product.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ledger::product::Product;
use ledger::{Ledger, LedgerError};
use marketplace::ProductCode;

/// The configurations read so far.
pub(crate) struct Catalogue<'a> {
    ledger: &'a Ledger,
    known: Mutex<BTreeMap<ProductCode, Option<Arc<Product>>>>,
}

impl<'a> Catalogue<'a> {
    pub fn new(ledger: &'a Ledger) -> Self {
        Self {
            ledger,
            known: Mutex::default(),
        }
    }

    /// A product's configuration; `None` while it has none, and then every dimension is taken.
    pub async fn product(&self, code: &ProductCode) -> Result<Option<Arc<Product>>, LedgerError> {
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(code)
            .cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let product = self.ledger.product(code).await?.map(Arc::new);
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(code.clone(), product.clone());
        Ok(product)
    }
}
