//! Products, and the actions of buyers: purchases, changes of agreements, and registration tokens.

use super::Emulator;
use crate::refusal::Refusal;
use crate::world::{Agreement, AgreementView, NewAgreement, NewProduct};

impl Emulator {
    /// Lists a product. Listing the same product again changes nothing.
    pub fn add_product(&self, product: NewProduct) -> Result<(), Refusal> {
        self.core().world.add_product(product)
    }

    /// Makes a purchase: a buyer accepts an offer. This creates an agreement, a license and a
    /// registration token, and emits the lifecycle messages about them.
    pub fn add_agreement(&self, agreement: NewAgreement) -> Result<Agreement, Refusal> {
        let core = &mut *self.core();
        let now = core.clock.now();
        core.world.add_agreement(agreement, now)
    }

    /// Cancels the agreement, as the buyer does. Usage is accepted through the final hour.
    pub fn cancel_agreement(&self, agreement_id: &str) -> Result<(), Refusal> {
        let core = &mut *self.core();
        let now = core.clock.now();
        core.world.cancel_agreement(agreement_id, now)
    }

    /// Renews the agreement. A new agreement replaces it, with the same license or a new one
    /// according to [`Readings::license_on_renewal`]. [`Readings::ended_on_renewal`] decides whether
    /// a message reports the end of the old agreement.
    pub fn renew_agreement(&self, agreement_id: &str) -> Result<Agreement, Refusal> {
        let core = &mut *self.core();
        let now = core.clock.now();
        core.world.renew_agreement(agreement_id, now)
    }

    /// Amends the agreement. Messages report it, and the license stays the same.
    pub fn amend_agreement(&self, agreement_id: &str) -> Result<(), Refusal> {
        let core = &mut *self.core();
        let now = core.clock.now();
        core.world.amend_agreement(agreement_id, now)
    }

    /// Every agreement with its license and its state, in the order of purchase.
    pub fn agreements(&self) -> Vec<AgreementView> {
        let core = &*self.core();
        core.world.agreement_views(core.clock.now())
    }

    /// One agreement with its license and its state.
    pub fn agreement(&self, agreement_id: &str) -> Result<AgreementView, Refusal> {
        let core = &*self.core();
        let number = core.world.agreement(agreement_id)?;
        let view = core.world.agreement_view(number, core.clock.now());
        view.ok_or_else(|| Refusal::NoSuchAgreement {
            agreement_id: agreement_id.to_owned(),
        })
    }

    /// Suspends the buyer's account: its usage is answered with `CustomerNotSubscribed`. No message
    /// reports this to the seller.
    pub fn suspend_agreement(&self, agreement_id: &str) -> Result<(), Refusal> {
        self.core().world.suspend(agreement_id, true)
    }

    /// Lifts the suspension of the buyer's account.
    pub fn resume_agreement(&self, agreement_id: &str) -> Result<(), Refusal> {
        self.core().world.suspend(agreement_id, false)
    }

    /// Makes a registration token, as a click on "Set up your account" does.
    pub fn registration_token(&self, agreement_id: &str) -> Result<String, Refusal> {
        let core = &mut *self.core();
        let now = core.clock.now();
        core.world.registration_token(agreement_id, now)
    }

    /// Makes `token` a registration token of the agreement. It is valid from now for the usual
    /// lifetime.
    pub fn choose_registration_token(
        &self,
        agreement_id: &str,
        token: &str,
    ) -> Result<(), Refusal> {
        let core = &mut *self.core();
        let now = core.clock.now();
        core.world.choose_token(agreement_id, token, now)
    }

    /// The products, in the order in which they were added.
    pub fn products(&self) -> Vec<NewProduct> {
        let core = &*self.core();
        let listings = core.world.products.iter().map(|p| p.listing.clone());
        listings.collect()
    }
}
