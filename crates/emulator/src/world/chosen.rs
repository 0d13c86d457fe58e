//! Identifiers that the caller chooses. Other identifiers are made from the seed. Chosen
//! identifiers are for a world whose names appear in documents, in samples or in another system.

use jiff::Timestamp;

use super::licenses::seconds_after;
use super::{Identity, NewAgreement, Token, World};
use crate::limits::{CUSTOMER_CHARS_MAX, REGISTRATION_TOKEN_CHARS_MAX, RESOURCE_ID_CHARS_MAX};
use crate::model::is_license_arn;
use crate::refusal::{ChosenError, Refusal};

impl World {
    /// Checks the identifiers that are chosen for a purchase.
    pub(super) fn check_chosen(
        &self,
        new: &NewAgreement,
        product: usize,
    ) -> Result<(), ChosenError> {
        if let Some(id) = &new.agreement_id {
            let fits = is_visible(id, RESOURCE_ID_CHARS_MAX);
            let rule = "1 to 64 visible ASCII characters";
            check(
                "agreement_id",
                id,
                fits,
                rule,
                self.agreement_by_id.contains_key(id),
            )?;
        }
        if let Some(arn) = &new.license_arn {
            let rule = "an ARN, as in arn:aws:license-manager::294406891311:license:l-1";
            let taken = self.license_by_arn.contains_key(arn);
            check("license_arn", arn, is_license_arn(arn), rule, taken)?;
        }
        match &new.customer_identifier {
            Some(identifier) => self.check_customer(new.account_id.as_deref(), identifier, product),
            None => Ok(()),
        }
    }

    fn check_customer(
        &self,
        account: Option<&str>,
        identifier: &str,
        product: usize,
    ) -> Result<(), ChosenError> {
        let value = identifier.to_owned();
        let identity = self.products.get(product).map(|p| p.listing.identity);
        if identity == Some(Identity::License) {
            return Err(ChosenError::LicenseOnly { value });
        }
        let known = account
            .and_then(|account| self.customer_by_account.get(&(product, account.to_owned())))
            .and_then(|customer| self.customers.get(*customer));
        match known {
            Some(known) if known.identifier == identifier => Ok(()),
            Some(known) => Err(ChosenError::Renamed {
                value,
                known: known.identifier.clone(),
            }),
            None => {
                let fits = is_visible(identifier, CUSTOMER_CHARS_MAX);
                let rule = "1 to 255 visible ASCII characters";
                let taken = self.customer_by_identifier.contains_key(&(product, value));
                check("customer_identifier", identifier, fits, rule, taken)
            }
        }
    }

    /// Makes `token` a registration token of the agreement. Choosing the same token again renews
    /// its lifetime.
    pub(crate) fn choose_token(
        &mut self,
        agreement_id: &str,
        token: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let agreement = self.agreement(agreement_id)?;
        let fits = is_visible(token, REGISTRATION_TOKEN_CHARS_MAX);
        let rule = "1 to 8192 visible ASCII characters";
        let taken = self
            .tokens
            .get(token)
            .is_some_and(|known| known.agreement != agreement);
        check("token", token, fits, rule, taken)?;
        let expires = seconds_after(now, self.settings.token_lifetime_s);
        self.tokens
            .insert(token.to_owned(), Token { agreement, expires });
        Ok(())
    }
}

fn check(
    member: &'static str,
    value: &str,
    fits: bool,
    rule: &'static str,
    taken: bool,
) -> Result<(), ChosenError> {
    let value = value.chars().take(300).collect();
    match (fits, taken) {
        (false, _) => Err(ChosenError::Form {
            member,
            value,
            rule,
        }),
        (true, true) => Err(ChosenError::Taken { member, value }),
        (true, false) => Ok(()),
    }
}

fn is_visible(text: &str, chars_max: usize) -> bool {
    (1..=chars_max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}
