//! Reads the subscriptions and products that one request names. Each is read once, strongly
//! consistent.

use std::collections::{BTreeSet, HashMap};

use futures_util::{StreamExt, stream};
use ledger::product::Product;
use ledger::profile::Profile;
use ledger::{Ledger, LedgerError};
use marketplace::lifecycle::Status;
use marketplace::text::excerpt;
use marketplace::{ProductCode, Subscription};
use runtime::Budget;

use crate::event::Usage;
use crate::event_result::{EventResult, Unavailable, within};
use crate::limits::AT_ONCE;
use crate::rejection::Rejection;

/// The profiles and products of one request, with an error for each item that could not be read.
#[derive(Default)]
pub(crate) struct RequestData {
    profiles: HashMap<Subscription, Result<Option<Profile>, Unavailable>>,
    products: HashMap<ProductCode, Result<Option<Product>, Unavailable>>,
}

impl RequestData {
    /// Reads the profiles of `usages` and then the products of those profiles.
    pub async fn read<'u>(
        ledger: &Ledger,
        usages: impl Iterator<Item = &'u Usage>,
        budget: Budget,
    ) -> Self {
        let subscriptions: BTreeSet<Subscription> =
            usages.map(|usage| usage.subscription.clone()).collect();
        let profiles: HashMap<_, _> = stream::iter(subscriptions)
            .map(|subscription| async move {
                let profile = within(budget, ledger.profile(&subscription)).await;
                (subscription, profile)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let codes: BTreeSet<ProductCode> = profiles
            .values()
            .filter_map(|profile| Some(profile.as_ref().ok()?.as_ref()?.product.clone()))
            .collect();
        let products = stream::iter(codes)
            .map(|code| async move {
                let product = within(budget, ledger.product(&code)).await;
                (code, product)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        Self { profiles, products }
    }

    /// The result for an event that must not be stored; `None` if it may be stored.
    ///
    /// Usage of a pending subscription is accepted. Its rows wait, and are metered as soon as the
    /// subscription is active. For a product without a configuration every dimension is accepted,
    /// as in the sealer.
    pub fn objection(&self, usage: &Usage) -> Option<EventResult> {
        let profile = match self.profiles.get(&usage.subscription) {
            Some(Ok(Some(profile))) => profile,
            Some(Ok(None)) => {
                let name = shown(&usage.subscription);
                return Some(Rejection::UnknownSubscription(name).into());
            }
            Some(Err(unavailable)) => return Some(EventResult::Failed(*unavailable)),
            None => return Some(EventResult::Failed(Unavailable)),
        };
        if profile.status() == Status::Ended {
            return Some(Rejection::Ended(shown(&usage.subscription)).into());
        }
        match self.products.get(&profile.product) {
            Some(Ok(Some(product))) => unknown_dimension(product, usage),
            Some(Ok(None)) => None,
            Some(Err(unavailable)) => Some(EventResult::Failed(*unavailable)),
            None => Some(EventResult::Failed(Unavailable)),
        }
    }
}

/// The most dimensions that an error message lists.
const DIMENSIONS_SHOWN_MAX: usize = 10;

fn unknown_dimension(product: &Product, usage: &Usage) -> Option<EventResult> {
    if product.dimensions.contains(&usage.event.dimension) {
        return None;
    }
    let names: Vec<String> = product
        .dimensions
        .iter()
        .take(DIMENSIONS_SHOWN_MAX)
        .map(shown)
        .collect();
    let known = match product.dimensions.len().saturating_sub(names.len()) {
        0 if names.is_empty() => "none".to_owned(),
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    };
    Some(
        Rejection::UnknownDimension {
            product: shown(&product.code),
            dimension: shown(&usage.event.dimension),
            known,
        }
        .into(),
    )
}

fn shown(value: impl std::fmt::Display) -> String {
    excerpt(&value.to_string(), 100)
}

/// Logs the error of a read or write that [`within`] awaited. Until a person has corrected a
/// damaged item, it has the same effect as an unavailable table.
pub(crate) fn log_unavailable(error: &LedgerError) {
    tracing::error!(%error, "an event could not be checked or stored; its producer must send it again");
}
