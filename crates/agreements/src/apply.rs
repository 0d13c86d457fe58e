//! What news changes in the tables.
//!
//! The event is kept first, then its sign is written as a fact of the joint it names, then the
//! subscriptions linked to that joint are read and brought up to date. A crash between two of these
//! is repaired by the event's own redelivery, because each step can be repeated.

use jiff::Timestamp;
use ledger::joined::Known;
use ledger::joint::Joint;
use ledger::profile::Profile;
use ledger::{Ledger, LedgerError};
use marketplace::lifecycle::Sign;
use marketplace::{
    AccountId, AgreementId, CustomerIdentifier, IdentityKind, LicenseArn, ProductCode, Subscription,
};

use crate::App;
use crate::field::Malformed;
use crate::news::{Message, News};

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is in the tables.
    Applied,
    /// It is about a product this stack does not serve.
    Ignored,
    /// It lacks what its product's identity needs.
    Malformed(Malformed),
}

pub(crate) async fn apply(
    app: &App,
    message: &Message,
    received: &str,
    now: Timestamp,
) -> Result<Outcome, LedgerError> {
    let context = Context {
        ledger: &app.ledger,
        message,
        received,
        now,
    };
    match &message.news {
        News::License { product, .. } | News::Customer { product, .. }
            if !app.products.serve(product) =>
        {
            tracing::info!(%product, kind = message.kind, "not a product of this stack; passed over");
            Ok(Outcome::Ignored)
        }
        News::License {
            sign,
            product,
            license,
            account,
            agreement,
        } => {
            let names = LicenseNames {
                product,
                license: license.as_ref(),
                account: account.as_ref(),
                agreement: agreement.as_ref(),
            };
            context.license(*sign, names).await
        }
        News::Agreement { sign, agreement } => context.agreement(*sign, agreement).await,
        News::Customer {
            sign,
            product,
            customer,
        } => context.customer(*sign, product, customer).await,
    }
}

/// What a licence event names.
#[derive(Clone, Copy)]
struct LicenseNames<'a> {
    product: &'a ProductCode,
    license: Option<&'a LicenseArn>,
    account: Option<&'a AccountId>,
    agreement: Option<&'a AgreementId>,
}

/// One message being applied.
struct Context<'a> {
    ledger: &'a Ledger,
    message: &'a Message,
    received: &'a str,
    now: Timestamp,
}

impl Context<'_> {
    /// License Updated and License Deprovisioned: they create the subscription, as they may come
    /// before the buyer's registration.
    async fn license(&self, sign: Sign, names: LicenseNames<'_>) -> Result<Outcome, LedgerError> {
        let configured = self.ledger.product(names.product).await?;
        // A product nobody has configured is taken for what licence events name: a licence.
        let kind = configured.map_or(IdentityKind::License, |product| product.identity);
        let subscription = match (kind, names.license, names.account) {
            (IdentityKind::License, Some(arn), _) => Subscription::License(arn.clone()),
            (IdentityKind::License, None, _) => return Ok(self.lacks("/detail/license/arn", kind)),
            (IdentityKind::Account, _, Some(account)) => {
                Subscription::Account(names.product.clone(), account.clone())
            }
            (IdentityKind::Account, _, None) => {
                return Ok(self.lacks("/detail/acceptor/accountId", kind));
            }
            (IdentityKind::Customer, _, _) => return self.license_of_customer(sign, names).await,
        };
        self.note(&subscription.to_string()).await?;
        let mut known = Known {
            account: names.account.cloned(),
            agreement: names.agreement.cloned(),
            ..Known::default()
        };
        let joint = names.agreement.cloned().map(Joint::Agreement);
        match &joint {
            Some(joint) => self.observe(joint, sign).await?,
            None => known.sign = Some((sign, self.message.at)),
        }
        self.join(&subscription, names.product, joint.as_slice(), &known)
            .await?;
        Ok(Outcome::Applied)
    }

    /// A licence event of a legacy listing names the account but not the customer identifier. The
    /// sign is a fact of the agreement; the subscription is the one linked to the agreement, or to
    /// the account: a renewal's agreement is linked to nothing yet. The agreement is noted under
    /// the account before the account's subscription is read, as registration does the reverse.
    async fn license_of_customer(
        &self,
        sign: Sign,
        names: LicenseNames<'_>,
    ) -> Result<Outcome, LedgerError> {
        let Some(agreement) = names.agreement else {
            return Ok(self.lacks("/detail/agreement/id", IdentityKind::Customer));
        };
        let joint = Joint::Agreement(agreement.clone());
        self.note(&joint.to_string()).await?;
        self.observe(&joint, sign).await?;
        let mut subscriptions = Vec::new();
        if let Some(account) = names.account {
            let buyer = Joint::Buyer(names.product.clone(), account.clone());
            self.ledger.note_joint(&buyer.to_string(), &joint).await?;
            subscriptions.extend(self.ledger.linked(&buyer).await?);
        }
        subscriptions.extend(self.ledger.linked(&joint).await?);
        subscriptions.sort();
        subscriptions.dedup();
        if subscriptions.is_empty() {
            tracing::info!(%agreement, "nobody has registered for this agreement yet; it is remembered");
        }
        let known = Known {
            account: names.account.cloned(),
            agreement: Some(agreement.clone()),
            ..Known::default()
        };
        for subscription in &subscriptions {
            self.join(
                subscription,
                names.product,
                std::slice::from_ref(&joint),
                &known,
            )
            .await?;
        }
        Ok(Outcome::Applied)
    }

    /// Purchase Agreement events name neither product nor licence, so they only touch what is
    /// linked already; what is linked later finds the fact.
    async fn agreement(
        &self,
        sign: Option<Sign>,
        agreement: &AgreementId,
    ) -> Result<Outcome, LedgerError> {
        let joint = Joint::Agreement(agreement.clone());
        self.note(&joint.to_string()).await?;
        if let Some(sign) = sign {
            self.observe(&joint, sign).await?;
            self.bring_linked_up_to_date(&joint).await?;
        }
        Ok(Outcome::Applied)
    }

    /// SNS messages. A customer identifier covers all of a buyer's licences of a product, so it says
    /// nothing about one licence: products metered by licence follow their licence events alone.
    async fn customer(
        &self,
        sign: Option<Sign>,
        product: &ProductCode,
        customer: &CustomerIdentifier,
    ) -> Result<Outcome, LedgerError> {
        let kind = self.ledger.product(product).await?.map(|p| p.identity);
        if kind == Some(IdentityKind::License) {
            tracing::info!(%product, kind = self.message.kind, "the product is metered by licence; passed over");
            return Ok(Outcome::Ignored);
        }
        let joint = Joint::Customer(product.clone(), customer.clone());
        self.note(&joint.to_string()).await?;
        let Some(sign) = sign else {
            return Ok(Outcome::Applied);
        };
        self.observe(&joint, sign).await?;
        if kind == Some(IdentityKind::Customer) {
            let subscription = Subscription::Customer(product.clone(), customer.clone());
            let known = Known {
                customer: Some(customer.clone()),
                ..Known::default()
            };
            self.join(&subscription, product, &[joint], &known).await?;
        } else {
            // By account, or not configured: registration knows which subscription this is.
            self.bring_linked_up_to_date(&joint).await?;
        }
        Ok(Outcome::Applied)
    }

    async fn note(&self, about: &str) -> Result<(), LedgerError> {
        self.message.note(self.ledger, about, self.received).await
    }

    async fn observe(&self, joint: &Joint, sign: Sign) -> Result<(), LedgerError> {
        self.ledger.observe_at(joint, sign, self.message.at).await
    }

    async fn join(
        &self,
        subscription: &Subscription,
        product: &ProductCode,
        joints: &[Joint],
        known: &Known,
    ) -> Result<(), LedgerError> {
        let profile = self
            .ledger
            .join(subscription, product, joints, known, self.now)
            .await?;
        self.tell(&profile);
        Ok(())
    }

    async fn bring_linked_up_to_date(&self, joint: &Joint) -> Result<(), LedgerError> {
        for subscription in self.ledger.linked(joint).await? {
            let profile = self
                .ledger
                .bring_up_to_date(&subscription, self.now)
                .await?;
            if let Some(profile) = profile {
                self.tell(&profile);
            }
        }
        Ok(())
    }

    fn tell(&self, profile: &Profile) {
        tracing::info!(
            subscription = %profile.subscription,
            kind = self.message.kind,
            event = self.message.id,
            status = %profile.status(),
            "applied"
        );
    }

    fn lacks(&self, path: &str, kind: IdentityKind) -> Outcome {
        Outcome::Malformed(Malformed {
            event_id: self.message.id.clone(),
            at: Some(self.message.at),
            problem: format!(
                "{path} is missing, and the product's records are identified by {kind}"
            ),
        })
    }
}
