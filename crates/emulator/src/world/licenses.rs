//! Agreements, the licenses that they grant, and the customers who hold the licenses.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Identity, World};
use crate::ids;
use crate::limits::FINAL_HOUR_S;
use crate::model::is_digits;
use crate::readings::FinalHourFrom;
use crate::refusal::Refusal;

/// The request for a purchase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAgreement {
    /// The code of the product.
    pub product_code: String,
    /// The buyer's AWS account id, 12 digits. `None` for a new account. One account may hold
    /// several licenses.
    #[serde(default)]
    pub account_id: Option<String>,
    /// When the agreement starts. `None` for now.
    #[serde(default, deserialize_with = "crate::moment::optional")]
    pub start: Option<Timestamp>,
    /// Whether the agreement starts as a free trial.
    #[serde(default)]
    pub free_trial: bool,
    /// The entitlements of a contract. Empty for other agreements.
    #[serde(default)]
    pub entitlements: Vec<Entitlement>,
    /// The agreement's id. `None` makes one from the seed.
    #[serde(default)]
    pub agreement_id: Option<String>,
    /// The license's ARN. `None` makes one from the seed.
    #[serde(default)]
    pub license_arn: Option<String>,
    /// The account's customer identifier, for legacy products. `None` makes one from the seed.
    #[serde(default)]
    pub customer_identifier: Option<String>,
}

impl NewAgreement {
    /// A purchase of the product by a new account, which starts now.
    pub fn of(product_code: &str) -> NewAgreement {
        NewAgreement {
            product_code: product_code.to_owned(),
            ..NewAgreement::default()
        }
    }

    /// The same purchase, made by this account.
    pub fn by(mut self, account_id: &str) -> NewAgreement {
        self.account_id = Some(account_id.to_owned());
        self
    }
}

/// The quantity of one dimension that a contract grants its buyer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entitlement {
    /// The name of the dimension.
    pub dimension: String,
    /// The quantity in whole units.
    pub value: u32,
    /// When the entitlement expires. `None` for a year after the agreement's start.
    #[serde(default, deserialize_with = "crate::moment::optional")]
    pub expires: Option<Timestamp>,
}

/// A completed purchase with all its identifiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// The agreement's id, `agmt-...`.
    pub agreement_id: String,
    /// The ARN of the license that the agreement grants.
    pub license_arn: String,
    /// The customer identifier of legacy products. Empty for a product whose identity is the
    /// license.
    pub customer_identifier: String,
    /// The buyer's AWS account id.
    pub account_id: String,
    /// The token that the buyer's browser brings to the fulfillment URL.
    pub registration_token: String,
}

/// The terms and the state of an agreement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AgreementState {
    pub(crate) agreement_id: String,
    pub(crate) offer_id: String,
    pub(crate) license: usize,
    pub(crate) accepted: Timestamp,
    pub(crate) start: Timestamp,
    pub(crate) free_trial: bool,
    pub(crate) entitlements: Vec<Entitlement>,
    /// When it was cancelled or replaced by a renewal. `None` while it is in force.
    pub(crate) ended: Option<Timestamp>,
    /// `CANCELLED` or `RENEWED`. `None` while it is in force.
    pub(crate) status_at_end: Option<String>,
    /// The agreement that this one renews. `None` for a new purchase.
    pub(crate) renews: Option<usize>,
}

/// A license, against which usage is metered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct License {
    pub(crate) arn: String,
    pub(crate) customer: usize,
    /// The agreement in force, or the last one.
    pub(crate) agreement: usize,
    /// The start of the software usage.
    pub(crate) start: Timestamp,
    /// The time of `License Updated`. Usage is accepted from then on.
    pub(crate) updated: Timestamp,
    /// The time of `Purchase Agreement Ended`.
    pub(crate) ended: Option<Timestamp>,
    /// The time of `License Deprovisioned`.
    pub(crate) deprovisioned: Option<Timestamp>,
    pub(crate) suspended: bool,
}

/// A customer: one account as a buyer of one product.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Customer {
    pub(crate) product: usize,
    pub(crate) account_id: String,
    /// Empty for a product whose identity is the license.
    pub(crate) identifier: String,
    pub(crate) licenses: Vec<usize>,
}

/// A registration token: its agreement and when it expires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) agreement: usize,
    pub(crate) expires: Timestamp,
}

impl License {
    /// The end of the software usage, according to the reading in force.
    pub(crate) fn end(&self, reading: FinalHourFrom) -> Option<Timestamp> {
        match reading {
            FinalHourFrom::Ended => self.ended,
            FinalHourFrom::Deprovisioned => self.deprovisioned,
        }
    }

    /// Whether usage is accepted now: the license is active, or within its final hour.
    pub(crate) fn accepts_usage(&self, now: Timestamp, reading: FinalHourFrom) -> bool {
        let within_final_hour = self
            .end(reading)
            .is_none_or(|end| now.as_second() < end.as_second() + FINAL_HOUR_S);
        now >= self.updated && !self.suspended && within_final_hour
    }
}

pub(crate) fn seconds_after(moment: Timestamp, seconds: u32) -> Timestamp {
    moment
        .saturating_add(SignedDuration::from_secs(i64::from(seconds)))
        .unwrap_or(Timestamp::MAX)
}

impl World {
    /// Makes a purchase: a buyer accepts an offer.
    pub(crate) fn add_agreement(
        &mut self,
        new: NewAgreement,
        now: Timestamp,
    ) -> Result<Agreement, Refusal> {
        let product = self.check_agreement(&new)?;
        self.check_chosen(&new, product)?;
        let account = match new.account_id {
            Some(account) => account,
            None => self.new_account(),
        };
        let customer = self.customer(product, account, new.customer_identifier);
        let agreement = self.agreements.len();
        let start = new.start.unwrap_or(now);
        let license = self.add_license(customer, agreement, new.license_arn, start, now);
        self.push_agreement(AgreementState {
            agreement_id: new
                .agreement_id
                .unwrap_or_else(|| ids::agreement(self.seed, agreement as u64)),
            offer_id: ids::offer(self.seed, agreement as u64),
            license,
            accepted: start.min(now),
            start,
            free_trial: new.free_trial,
            entitlements: new.entitlements,
            ended: None,
            status_at_end: None,
            renews: None,
        });
        self.emit_created(agreement, now);
        let token = self.issue_token(agreement, now);
        Ok(self.describe(agreement, token))
    }

    fn check_agreement(&self, new: &NewAgreement) -> Result<usize, Refusal> {
        let unknown = || Refusal::NoSuchProduct {
            code: new.product_code.clone(),
        };
        let number = *self
            .product_by_code
            .get(&new.product_code)
            .ok_or_else(unknown)?;
        let product = self.products.get(number).ok_or_else(unknown)?;
        if let Some(account) = &new.account_id
            && (account.len() != 12 || !is_digits(account))
        {
            return Err(Refusal::AccountId {
                account_id: account.clone(),
            });
        }
        for entitlement in &new.entitlements {
            if product.dimension(&entitlement.dimension).is_none() {
                return Err(Refusal::EntitledDimension {
                    dimension: entitlement.dimension.clone(),
                    code: new.product_code.clone(),
                });
            }
        }
        Ok(number)
    }

    fn new_account(&mut self) -> String {
        self.accounts += 1;
        ids::account(self.seed, self.accounts)
    }

    fn customer(
        &mut self,
        product: usize,
        account_id: String,
        identifier: Option<String>,
    ) -> usize {
        let key = (product, account_id.clone());
        if let Some(customer) = self.customer_by_account.get(&key) {
            return *customer;
        }
        let customer = self.customers.len();
        let legacy = self
            .products
            .get(product)
            .is_some_and(|p| p.listing.identity == Identity::Customer);
        let identifier = match legacy {
            true => {
                identifier.unwrap_or_else(|| ids::customer_identifier(self.seed, customer as u64))
            }
            false => String::new(),
        };
        if legacy {
            let key = (product, identifier.clone());
            self.customer_by_identifier.insert(key, customer);
        }
        self.customer_by_account.insert(key, customer);
        self.customers.push(Customer {
            product,
            account_id,
            identifier,
            licenses: Vec::new(),
        });
        customer
    }

    pub(crate) fn add_license(
        &mut self,
        customer: usize,
        agreement: usize,
        arn: Option<String>,
        start: Timestamp,
        now: Timestamp,
    ) -> usize {
        let license = self.licenses.len();
        let arn = arn.unwrap_or_else(|| ids::license_arn(self.seed, license as u64));
        self.license_by_arn.insert(arn.clone(), license);
        self.licenses.push(License {
            arn,
            customer,
            agreement,
            start,
            updated: seconds_after(start.max(now), self.settings.license_updated_delay_s),
            ended: None,
            deprovisioned: None,
            suspended: false,
        });
        if let Some(customer) = self.customers.get_mut(customer) {
            customer.licenses.push(license);
        }
        license
    }

    pub(crate) fn push_agreement(&mut self, agreement: AgreementState) {
        self.agreement_by_id
            .insert(agreement.agreement_id.clone(), self.agreements.len());
        self.agreements.push(agreement);
    }

    /// Cancels an agreement, as the buyer does. Usage is accepted until the final hour is over.
    pub(crate) fn cancel_agreement(
        &mut self,
        agreement_id: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let agreement = self.agreement_in_force(agreement_id)?;
        let deprovisioned = seconds_after(now, self.settings.license_deprovisioned_delay_s);
        self.end(agreement, "CANCELLED", now);
        let license = self.agreements.get(agreement).map(|a| a.license);
        if let Some(license) = license.and_then(|license| self.licenses.get_mut(license)) {
            license.ended = Some(now);
            license.deprovisioned = Some(deprovisioned);
        }
        self.emit_cancelled(agreement, now, deprovisioned);
        Ok(())
    }

    /// Issues a new registration token, as "Set up your account" in the AWS console does.
    pub(crate) fn registration_token(
        &mut self,
        agreement_id: &str,
        now: Timestamp,
    ) -> Result<String, Refusal> {
        let agreement = self.agreement(agreement_id)?;
        Ok(self.issue_token(agreement, now))
    }

    pub(crate) fn issue_token(&mut self, agreement: usize, now: Timestamp) -> String {
        self.tokens_made += 1;
        let token = ids::token(self.seed, self.tokens_made);
        let expires = seconds_after(now, self.settings.token_lifetime_s);
        self.tokens
            .insert(token.clone(), Token { agreement, expires });
        token
    }

    pub(crate) fn agreement(&self, agreement_id: &str) -> Result<usize, Refusal> {
        self.agreement_by_id
            .get(agreement_id)
            .copied()
            .ok_or_else(|| Refusal::NoSuchAgreement {
                agreement_id: agreement_id.to_owned(),
            })
    }

    pub(crate) fn agreement_in_force(&self, agreement_id: &str) -> Result<usize, Refusal> {
        let agreement = self.agreement(agreement_id)?;
        match self.agreements.get(agreement).and_then(|a| a.ended) {
            None => Ok(agreement),
            Some(ended) => Err(Refusal::AgreementEnded {
                agreement_id: agreement_id.to_owned(),
                ended,
            }),
        }
    }

    pub(crate) fn describe(&self, agreement: usize, registration_token: String) -> Agreement {
        let parts = self.parts(agreement);
        Agreement {
            agreement_id: parts.map_or(String::new(), |p| p.agreement.agreement_id.clone()),
            license_arn: parts.map_or(String::new(), |p| p.license.arn.clone()),
            customer_identifier: parts.map_or(String::new(), |p| p.customer.identifier.clone()),
            account_id: parts.map_or(String::new(), |p| p.customer.account_id.clone()),
            registration_token,
        }
    }

    /// An agreement with its license, customer and product. `None` if the number is unknown.
    pub(crate) fn parts(&self, agreement: usize) -> Option<Parts<'_>> {
        let agreement = self.agreements.get(agreement)?;
        let license = self.licenses.get(agreement.license)?;
        let customer = self.customers.get(license.customer)?;
        let product = self.products.get(customer.product)?;
        Some(Parts {
            agreement,
            license,
            customer,
            product,
        })
    }
}

/// An agreement, its license, its customer and its product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) agreement: &'a AgreementState,
    pub(crate) license: &'a License,
    pub(crate) customer: &'a Customer,
    pub(crate) product: &'a super::Product,
}
