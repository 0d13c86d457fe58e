//! Configures the emulator's products in the stack's own tables as soon as they are listed, so that
//! a newcomer need not enter them twice.
//!
//! On AWS a seller does this by hand, with `metering products put`, because no API of AWS
//! Marketplace reports how a product's buyers are identified. A product that is already configured
//! stays unchanged. A product with the identity `account` must be configured by hand, because the
//! emulator lists only the identities `license` and `customer`.

use std::collections::BTreeSet;

use emulator::{Emulator, Identity, NewProduct};
use ledger::product::Product;
use ledger::{Ledger, LedgerError, Written};
use marketplace::IdentityKind;
use tokio::sync::Mutex;

/// Configures products that are listed in the emulator and not yet in the tables.
pub(crate) struct ProductSetup {
    emulator: Emulator,
    ledger: Ledger,
    /// The product codes that need no second check.
    seen: Mutex<BTreeSet<String>>,
}

impl ProductSetup {
    pub fn new(emulator: Emulator, ledger: Ledger) -> Self {
        Self {
            emulator,
            ledger,
            seen: Mutex::new(BTreeSet::new()),
        }
    }

    /// Configures the products that are listed and not yet configured. It must run before anything
    /// that depends on how a product's buyers are identified, because a registration with the wrong
    /// identity would stay wrong.
    pub async fn bring_up_to_date(&self) -> Result<(), LedgerError> {
        let mut seen = self.seen.lock().await;
        for listed in self.emulator.products() {
            if seen.contains(&listed.code) {
                continue;
            }
            self.configure(&listed).await?;
            seen.insert(listed.code);
        }
        Ok(())
    }

    async fn configure(&self, listed: &NewProduct) -> Result<(), LedgerError> {
        let Some(product) = configuration(listed) else {
            tracing::warn!(
                code = listed.code,
                "this product's code or dimensions break the rules of this stack; configure it by hand"
            );
            return Ok(());
        };
        if self.ledger.product(&product.code).await?.is_some() {
            return Ok(());
        }
        // If somebody else configures the product at the same moment, their configuration wins.
        if self.ledger.write_product(None, &product).await? == Written::Done {
            tracing::info!(code = listed.code, identity = %product.identity, "a product was configured");
        }
        Ok(())
    }
}

fn configuration(listed: &NewProduct) -> Option<Product> {
    let dimensions = listed.dimensions.iter().map(|name| name.parse());
    Some(Product {
        code: listed.code.parse().ok()?,
        identity: match listed.identity {
            Identity::License => IdentityKind::License,
            Identity::Customer => IdentityKind::Customer,
        },
        dimensions: dimensions.collect::<Result<_, _>>().ok()?,
        version: 1,
    })
}
