//! The world as people look at it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::World;

/// An agreement with everything that names it and its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreementView {
    /// `agmt-...`.
    pub agreement_id: String,
    /// The product.
    pub product_code: String,
    /// The license the agreement grants.
    pub license_arn: String,
    /// The legacy identifier; empty for a product whose identity is the license.
    pub customer_identifier: String,
    /// The buyer's AWS account.
    pub account_id: String,
    /// Whether it began as a free trial.
    #[serde(default)]
    pub free_trial: bool,
    /// `ACTIVE`, `CANCELLED` or `RENEWED`.
    pub status: String,
    /// When its terms start.
    pub start: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Whether the buyer's account is suspended.
    pub suspended: bool,
    /// Whether usage is accepted now: active, or within the final hour.
    pub accepts_usage: bool,
}

impl World {
    pub(crate) fn agreement_views(&self, now: Timestamp) -> Vec<AgreementView> {
        (0..self.agreements.len())
            .filter_map(|number| self.agreement_view(number, now))
            .collect()
    }

    pub(crate) fn agreement_view(&self, number: usize, now: Timestamp) -> Option<AgreementView> {
        let parts = self.parts(number)?;
        let state = parts.agreement;
        let status = match (&state.ended, &state.status_at_end) {
            (None, _) => "ACTIVE",
            (Some(_), status) => status.as_deref().unwrap_or("CANCELLED"),
        };
        let reading = self.readings.final_hour_from;
        Some(AgreementView {
            agreement_id: state.agreement_id.clone(),
            product_code: parts.product.listing.code.clone(),
            license_arn: parts.license.arn.clone(),
            customer_identifier: parts.customer.identifier.clone(),
            account_id: parts.customer.account_id.clone(),
            free_trial: state.free_trial,
            status: status.to_owned(),
            start: state.start,
            ended: state.ended,
            suspended: parts.license.suspended,
            accepts_usage: parts.license.accepts_usage(now, reading),
        })
    }
}
