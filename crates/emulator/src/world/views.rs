//! Views of the world for people.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::World;

/// An agreement with its identifiers and its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreementView {
    /// The agreement's id, `agmt-...`.
    pub agreement_id: String,
    /// The code of the product.
    pub product_code: String,
    /// The ARN of the license that the agreement grants.
    pub license_arn: String,
    /// The customer identifier of legacy products. Empty for a product whose identity is the
    /// license.
    pub customer_identifier: String,
    /// The buyer's AWS account id.
    pub account_id: String,
    /// Whether the agreement started as a free trial.
    #[serde(default)]
    pub free_trial: bool,
    /// The state of the agreement: `ACTIVE`, `CANCELLED` or `RENEWED`.
    pub status: String,
    /// When the agreement starts.
    pub start: Timestamp,
    /// When the agreement ended. `None` while it is in force.
    pub ended: Option<Timestamp>,
    /// Whether the buyer's account is suspended.
    pub suspended: bool,
    /// Whether usage is accepted now: the license is active, or within its final hour.
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
