//! Products that somebody lists in the emulator, configured in the stack's own tables when they are
//! first seen, so that a newcomer need not say the same twice.
//!
//! A seller does this by hand, with `metering products put`: AWS Marketplace tells nobody how a
//! product's buyers are named. A product that is configured already stays as it is; the emulator
//! cannot know of buyers that are named by account.

use std::collections::BTreeSet;

use emulator::{Emulator, Identity, NewProduct};
use ledger::product::Product;
use ledger::{Ledger, LedgerError, Written};
use marketplace::IdentityKind;
use tokio::sync::Mutex;

/// Keeps the configuration in step with the products listed.
pub(crate) struct Catalogue {
    emulator: Emulator,
    ledger: Ledger,
    /// Codes that need no second look.
    seen: Mutex<BTreeSet<String>>,
}

impl Catalogue {
    pub fn new(emulator: Emulator, ledger: Ledger) -> Self {
        Self {
            emulator,
            ledger,
            seen: Mutex::new(BTreeSet::new()),
        }
    }

    /// Configures what is listed and not configured. Called before anything that depends on how a
    /// product's buyers are named: a registration by the wrong identity would stay wrong.
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
                "this product's code or dimensions do not fit our own rules; configure it by hand"
            );
            return Ok(());
        };
        if self.ledger.product(&product.code).await?.is_some() {
            return Ok(());
        }
        // Whoever configures it at the same moment knows better.
        if self.ledger.write_product(None, &product).await? == Written::Done {
            tracing::info!(code = listed.code, identity = %product.identity, "configured");
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
