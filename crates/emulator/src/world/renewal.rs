//! Changes of an agreement: renewal, amendment, suspension and resumption.
//!
//! Facts: M43, M44 (docs/marketplace-rules.md).

use jiff::Timestamp;

use super::licenses::seconds_after;
use super::{Agreement, AgreementState, World};
use crate::ids;
use crate::readings::{EndedOnRenewal, LicenseOnRenewal};
use crate::refusal::Refusal;

impl World {
    /// Renews an agreement. A new agreement replaces it. The readings in force decide whether the
    /// license stays or a new one replaces it, and whether an event reports the end of the old
    /// agreement.
    pub(crate) fn renew_agreement(
        &mut self,
        agreement_id: &str,
        now: Timestamp,
    ) -> Result<Agreement, Refusal> {
        let old = self.agreement_in_force(agreement_id)?;
        let Some(parts) = self.parts(old) else {
            return Err(Refusal::NoSuchAgreement {
                agreement_id: agreement_id.to_owned(),
            });
        };
        let (customer, old_license) = (parts.license.customer, parts.agreement.license);
        let entitlements = parts.agreement.entitlements.clone();
        let entitled = !entitlements.is_empty();
        let new = self.agreements.len();
        let survives = self.readings.license_on_renewal == LicenseOnRenewal::Survives;
        let license = match survives {
            true => old_license,
            false => self.add_license(customer, new, None, now, now),
        };
        self.push_agreement(AgreementState {
            agreement_id: ids::agreement(self.seed, new as u64),
            offer_id: ids::offer(self.seed, new as u64),
            license,
            accepted: now,
            start: now,
            free_trial: false,
            entitlements,
            ended: None,
            status_at_end: None,
            renews: Some(old),
        });
        self.end(old, "RENEWED", now);
        if survives && let Some(license) = self.licenses.get_mut(license) {
            license.agreement = new;
        }
        self.emit_agreement(new, "Created", now);
        let updated = self.emit_license_updated(new, now);
        if self.readings.ended_on_renewal == EndedOnRenewal::Sent {
            self.emit_ended(old, "RENEWED", now);
        }
        if !survives {
            let gone = seconds_after(now, self.settings.license_deprovisioned_delay_s);
            if let Some(license) = self.licenses.get_mut(old_license) {
                license.ended = Some(now);
                license.deprovisioned = Some(gone);
            }
            self.emit_license(old, "License Deprovisioned - Manufacturer", gone);
        }
        if entitled {
            self.emit_entitlement_updated(new, updated);
        }
        let token = self.issue_token(new, now);
        Ok(self.describe(new, token))
    }

    /// Amends an agreement. Its license stays the same.
    pub(crate) fn amend_agreement(
        &mut self,
        agreement_id: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let agreement = self.agreement_in_force(agreement_id)?;
        self.emit_agreement(agreement, "Amended", now);
        self.emit_license_updated(agreement, now);
        Ok(())
    }

    pub(crate) fn end(&mut self, agreement: usize, status: &'static str, now: Timestamp) {
        if let Some(agreement) = self.agreements.get_mut(agreement) {
            agreement.ended = Some(now);
            agreement.status_at_end = Some(status.to_owned());
        }
    }

    /// Suspends the buyer's account, or lifts the suspension. Usage of a suspended account is
    /// answered with `CustomerNotSubscribed`. No event reports the suspension to the seller.
    pub(crate) fn suspend(&mut self, agreement_id: &str, suspended: bool) -> Result<(), Refusal> {
        let agreement = self.agreement_in_force(agreement_id)?;
        let license = self.agreements.get(agreement).map(|a| a.license);
        if let Some(license) = license.and_then(|license| self.licenses.get_mut(license)) {
            license.suspended = suspended;
        }
        Ok(())
    }
}
