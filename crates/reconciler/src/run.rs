//! The state of one run: the time, the watermark, and the dimensions of the products read so far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use ledger::LedgerError;
use marketplace::{Dimension, ProductCode, UsageHour};

use crate::App;

/// The dimensions of a product. The option is `None` if none are configured, and then every
/// dimension is accepted.
pub(crate) type Known = Arc<Option<BTreeSet<Dimension>>>;

/// The state of one run.
pub(crate) struct Run<'a> {
    pub(crate) app: &'a App,
    pub(crate) now: Timestamp,
    pub(crate) watermark: UsageHour,
    products: Mutex<BTreeMap<ProductCode, Known>>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(app: &'a App, now: Timestamp, watermark: UsageHour) -> Self {
        Self {
            app,
            now,
            watermark,
            products: Mutex::default(),
        }
    }

    /// Returns the dimensions of a product. They are read once in a run, because thousands of
    /// subscriptions share one product.
    pub(crate) async fn known(&self, product: &ProductCode) -> Result<Known, LedgerError> {
        let products = || self.products.lock().unwrap_or_else(PoisonError::into_inner);
        let read = products().get(product).cloned();
        if let Some(known) = read {
            return Ok(known);
        }
        let configured = self.app.ledger.product(product).await?;
        let known = Arc::new(configured.map(|product| product.dimensions));
        products().insert(product.clone(), Arc::clone(&known));
        Ok(known)
    }
}
