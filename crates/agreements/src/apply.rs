//! Writes the changes of a message to the tables.
//!
//! First the event is stored. Then its sign is written under the agreement or the customer that the
//! event names. Then the subscriptions linked to that agreement or customer are read and brought up
//! to date. After a crash between two steps the event is delivered again. Each step can be
//! repeated, so the second delivery completes them all.

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

/// The result of applying a message.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The message is written to the tables.
    Applied,
    /// The message changes nothing: this stack does not serve its product, or follows other events
    /// for it.
    Ignored,
    /// The message lacks an identifier that its product's identity needs.
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
            tracing::info!(%product, kind = message.kind, "the message is about a product that this stack does not serve; it is ignored");
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

/// The identifiers in a license event.
#[derive(Clone, Copy)]
struct LicenseNames<'a> {
    product: &'a ProductCode,
    license: Option<&'a LicenseArn>,
    account: Option<&'a AccountId>,
    agreement: Option<&'a AgreementId>,
}

/// One message with the tables that it is written to, and the current time.
struct Context<'a> {
    ledger: &'a Ledger,
    message: &'a Message,
    received: &'a str,
    now: Timestamp,
}

impl Context<'_> {
    /// Applies License Updated and License Deprovisioned. They create the subscription if it is
    /// missing, because they may come before the buyer's registration.
    async fn license(&self, sign: Sign, names: LicenseNames<'_>) -> Result<Outcome, LedgerError> {
        let configured = self.ledger.product(names.product).await?;
        // A product without a configuration is assumed to be metered by license, because the event
        // names a license.
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
        self.store_event(&subscription.to_string()).await?;
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

    /// Applies a license event of a legacy listing. The event names the account but not the
    /// customer identifier. Its sign is written under the agreement. It updates the subscriptions
    /// that are linked to the agreement or to the account, because a renewal's agreement is not
    /// linked to any subscription yet.
    ///
    /// The agreement is written under the account before the account's subscription is read. The
    /// registration first writes the subscription and then reads the agreements. So at least one of
    /// the two finds what the other wrote.
    async fn license_of_customer(
        &self,
        sign: Sign,
        names: LicenseNames<'_>,
    ) -> Result<Outcome, LedgerError> {
        let Some(agreement) = names.agreement else {
            return Ok(self.lacks("/detail/agreement/id", IdentityKind::Customer));
        };
        let joint = Joint::Agreement(agreement.clone());
        self.store_event(&joint.to_string()).await?;
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
            tracing::info!(%agreement, "no buyer has registered for this agreement yet; the event is stored until a buyer registers");
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

    /// Applies Purchase Agreement events. They name neither a product nor a license, so they only
    /// update subscriptions that are linked already. A subscription that is linked later finds the
    /// stored fact.
    async fn agreement(
        &self,
        sign: Option<Sign>,
        agreement: &AgreementId,
    ) -> Result<Outcome, LedgerError> {
        let joint = Joint::Agreement(agreement.clone());
        self.store_event(&joint.to_string()).await?;
        if let Some(sign) = sign {
            self.observe(&joint, sign).await?;
            self.bring_linked_up_to_date(&joint).await?;
        }
        Ok(Outcome::Applied)
    }

    /// Applies SNS messages. A customer identifier covers all of a buyer's licenses of a product,
    /// so a message says nothing about a single license. Products metered by license follow license
    /// events only.
    async fn customer(
        &self,
        sign: Option<Sign>,
        product: &ProductCode,
        customer: &CustomerIdentifier,
    ) -> Result<Outcome, LedgerError> {
        let kind = self.ledger.product(product).await?.map(|p| p.identity);
        if kind == Some(IdentityKind::License) {
            tracing::info!(%product, kind = self.message.kind, "the product is metered by license, so the message is ignored");
            return Ok(Outcome::Ignored);
        }
        let joint = Joint::Customer(product.clone(), customer.clone());
        self.store_event(&joint.to_string()).await?;
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
            // The product is metered by account, or not configured. Only the registration knows the
            // subscription.
            self.bring_linked_up_to_date(&joint).await?;
        }
        Ok(Outcome::Applied)
    }

    async fn store_event(&self, about: &str) -> Result<(), LedgerError> {
        self.message.store(self.ledger, about, self.received).await
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
        self.log_applied(&profile);
        Ok(())
    }

    async fn bring_linked_up_to_date(&self, joint: &Joint) -> Result<(), LedgerError> {
        for subscription in self.ledger.linked(joint).await? {
            let profile = self
                .ledger
                .bring_up_to_date(&subscription, self.now)
                .await?;
            if let Some(profile) = profile {
                self.log_applied(&profile);
            }
        }
        Ok(())
    }

    fn log_applied(&self, profile: &Profile) {
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
