//! Product configurations, read once per run and product.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ledger::product::Product;
use ledger::{Ledger, LedgerError};
use marketplace::ProductCode;

/// The configurations read so far.
pub(crate) struct ProductCache<'a> {
    ledger: &'a Ledger,
    known: Mutex<BTreeMap<ProductCode, Option<Arc<Product>>>>,
    damaged: AtomicU64,
}

impl<'a> ProductCache<'a> {
    pub fn new(ledger: &'a Ledger) -> Self {
        Self {
            ledger,
            known: Mutex::default(),
            damaged: AtomicU64::new(0),
        }
    }

    /// Returns the number of damaged configurations that this run has read.
    pub fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Reads a product's configuration. `None` means that the product has none, and then usage of
    /// every dimension is metered. A damaged configuration counts as none, because usage would
    /// otherwise wait past its deadline. If AWS Marketplace refuses a dimension, the record is kept
    /// for a person to decide.
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
        let product = match self.ledger.product(code).await {
            Ok(product) => product.map(Arc::new),
            Err(LedgerError::Malformed(damaged)) => {
                tracing::error!(%code, %damaged, "this product's configuration is damaged; its usage is metered as if there were none");
                self.damaged.fetch_add(1, Ordering::Relaxed);
                None
            }
            Err(error) => return Err(error),
        };
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(code.clone(), product.clone());
        Ok(product)
    }
}
