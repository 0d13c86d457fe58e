//! Writes the changes of a message to the tables.
//!
//! First the event is stored. Then its sign is written under the license, the agreement or the
//! customer that the event names. Then the subscriptions linked to that license, agreement or
//! customer are read and brought up to date. After a crash between two steps the event is delivered
//! again. Each step can be repeated, so the second delivery completes them all.
//!
//! A damaged item does not keep the other subscriptions of an agreement from being brought up to
//! date ([`Damage`]).

use jiff::Timestamp;
use ledger::lifecycle::Known;
use ledger::lifecycle_key::{LifecycleKey, licenses_of};
use ledger::profile::Profile;
use ledger::{Ledger, LedgerError};
use marketplace::lifecycle::Sign;
use marketplace::subscription::BuyerIdentifiers;
use marketplace::{
    AccountId, AgreementId, CustomerIdentifier, IdentityKind, LicenseArn, ProductCode, Subscription,
};

use crate::App;
use crate::content::{Content, Message};
use crate::damage::Damage;
use crate::field::Malformed;

/// The result of applying a message.
#[derive(Debug)]
pub(crate) enum MessageResult {
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
) -> Result<MessageResult, LedgerError> {
    let context = Context {
        ledger: &app.ledger,
        message,
        received,
        now,
    };
    match &message.content {
        Content::License { product, .. } | Content::Customer { product, .. }
            if !app.products.serve(product) =>
        {
            tracing::info!(%product, kind = message.kind, "the message is about a product that this stack does not serve; it is ignored");
            Ok(MessageResult::Ignored)
        }
        Content::License {
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
        Content::Agreement { sign, agreement } => context.agreement(*sign, agreement).await,
        Content::Customer {
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

impl LicenseNames<'_> {
    /// The keys to which the event's subscription is linked: the agreement, and the license of the
    /// agreement. The sign of the event is written under the last one. A license has its own sign,
    /// because the removal of one license does not end another one of its agreement.
    fn lifecycle_keys(&self) -> Vec<LifecycleKey> {
        let agreement = self.agreement.cloned().map(LifecycleKey::Agreement);
        agreement.into_iter().chain(self.license_key()).collect()
    }

    /// The license of the agreement; `None` if the event does not name both.
    fn license_key(&self) -> Option<LifecycleKey> {
        Some(LifecycleKey::License {
            agreement: self.agreement?.clone(),
            license: self.license?.clone(),
        })
    }
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
    async fn license(
        &self,
        sign: Sign,
        names: LicenseNames<'_>,
    ) -> Result<MessageResult, LedgerError> {
        let configured = self.ledger.product(names.product).await?;
        // A product without a configuration is assumed to be metered by license, because the event
        // names a license.
        let kind = configured.map_or(IdentityKind::License, |product| product.identity);
        let missing = match kind {
            IdentityKind::License => "/detail/license/arn",
            IdentityKind::Account => "/detail/acceptor/accountId",
            IdentityKind::Customer => return self.license_of_customer(sign, names).await,
        };
        let buyer = BuyerIdentifiers {
            license: names.license,
            account: names.account,
            customer: None,
        };
        let Some(subscription) = Subscription::of_buyer(names.product, kind, buyer) else {
            return Ok(self.lacks(missing, kind));
        };
        self.store_event(&subscription.to_string()).await?;
        let mut known = Known {
            account: names.account.cloned(),
            agreement: names.agreement.cloned(),
            ..Known::default()
        };
        let lifecycle_keys = names.lifecycle_keys();
        match lifecycle_keys.last() {
            Some(lifecycle_key) => self.observe(lifecycle_key, sign).await?,
            None => known.sign = Some((sign, self.message.at)),
        }
        self.list_license(names).await?;
        self.join(&subscription, names.product, &lifecycle_keys, &known)
            .await?;
        Ok(MessageResult::Applied)
    }

    /// Applies a license event of a legacy listing. The event names the account but not the
    /// customer identifier. Its sign is written under the license, or under the agreement if it
    /// names no license. It updates the product's subscriptions that are linked to the agreement or
    /// to the account, because a renewal's agreement is not linked to any subscription yet.
    /// Subscriptions of other products are not linked to the license, even if the agreement covers
    /// them too.
    ///
    /// The license is listed under the agreement and the product, and with the agreement under the
    /// account, before their subscriptions are read. The registration first writes the
    /// subscription's links and then reads these lists. So at least one of the two finds what the
    /// other wrote.
    async fn license_of_customer(
        &self,
        sign: Sign,
        names: LicenseNames<'_>,
    ) -> Result<MessageResult, LedgerError> {
        let Some(agreement) = names.agreement else {
            return Ok(self.lacks("/detail/agreement/id", IdentityKind::Customer));
        };
        let lifecycle_keys = names.lifecycle_keys();
        let agreement_key = LifecycleKey::Agreement(agreement.clone());
        let sign_key = lifecycle_keys.last().unwrap_or(&agreement_key);
        self.store_event(&agreement_key.to_string()).await?;
        self.observe(sign_key, sign).await?;
        let mut damage = Damage::default();
        let mut subscriptions: Vec<Subscription> = Vec::new();
        if let Some(account) = names.account {
            let buyer = LifecycleKey::Buyer(names.product.clone(), account.clone());
            for lifecycle_key in &lifecycle_keys {
                self.ledger
                    .store_lifecycle_key(&buyer.to_string(), lifecycle_key)
                    .await?;
            }
            subscriptions.extend(self.linked(&buyer, &mut damage).await?);
        }
        self.list_license(names).await?;
        subscriptions.extend(self.linked(&agreement_key, &mut damage).await?);
        subscriptions.retain(|one| one.product() == Some(names.product));
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
            let joined = self
                .join(subscription, names.product, &lifecycle_keys, &known)
                .await;
            damage.set_aside(self.ledger, joined)?;
        }
        // The sign may also count for a subscription that was linked to its key while the product
        // had another identity, or for the other products of the agreement.
        self.bring_linked_up_to_date(sign_key, &subscriptions, damage)
            .await?;
        Ok(MessageResult::Applied)
    }

    /// Lists the license of an event under its agreement and product. A subscription that is not
    /// identified by the license finds it there. This event may not name that subscription, or the
    /// product's configured identity may change later.
    async fn list_license(&self, names: LicenseNames<'_>) -> Result<(), LedgerError> {
        let (Some(agreement), Some(license_key)) = (names.agreement, names.license_key()) else {
            return Ok(());
        };
        let licenses = licenses_of(agreement, names.product);
        self.ledger
            .store_lifecycle_key(&licenses, &license_key)
            .await
    }

    /// Applies Purchase Agreement events. They name neither a product nor a license, so they only
    /// update subscriptions that are linked already. A subscription that is linked later finds the
    /// stored fact.
    async fn agreement(
        &self,
        sign: Option<Sign>,
        agreement: &AgreementId,
    ) -> Result<MessageResult, LedgerError> {
        let lifecycle_key = LifecycleKey::Agreement(agreement.clone());
        self.store_event(&lifecycle_key.to_string()).await?;
        if let Some(sign) = sign {
            self.observe(&lifecycle_key, sign).await?;
            self.bring_linked_up_to_date(&lifecycle_key, &[], Damage::default())
                .await?;
        }
        Ok(MessageResult::Applied)
    }

    /// Applies SNS messages. A customer identifier covers all of a buyer's licenses of a product,
    /// so a message says nothing about a single license. Products metered by license follow license
    /// events only.
    async fn customer(
        &self,
        sign: Option<Sign>,
        product: &ProductCode,
        customer: &CustomerIdentifier,
    ) -> Result<MessageResult, LedgerError> {
        let kind = self.ledger.product(product).await?.map(|p| p.identity);
        if kind == Some(IdentityKind::License) {
            tracing::info!(%product, kind = self.message.kind, "the product is metered by license, so the message is ignored");
            return Ok(MessageResult::Ignored);
        }
        let lifecycle_key = LifecycleKey::Customer(product.clone(), customer.clone());
        self.store_event(&lifecycle_key.to_string()).await?;
        let Some(sign) = sign else {
            return Ok(MessageResult::Applied);
        };
        self.observe(&lifecycle_key, sign).await?;
        if kind == Some(IdentityKind::Customer) {
            let subscription = Subscription::Customer(product.clone(), customer.clone());
            let known = Known {
                customer: Some(customer.clone()),
                ..Known::default()
            };
            self.join(&subscription, product, &[lifecycle_key], &known)
                .await?;
        } else {
            // The product is metered by account, or not configured. Only the registration knows the
            // subscription.
            self.bring_linked_up_to_date(&lifecycle_key, &[], Damage::default())
                .await?;
        }
        Ok(MessageResult::Applied)
    }

    async fn store_event(&self, about: &str) -> Result<(), LedgerError> {
        self.message.store(self.ledger, about, self.received).await
    }

    async fn observe(&self, lifecycle_key: &LifecycleKey, sign: Sign) -> Result<(), LedgerError> {
        self.ledger
            .observe_at(lifecycle_key, sign, self.message.at)
            .await
    }

    async fn join(
        &self,
        subscription: &Subscription,
        product: &ProductCode,
        lifecycle_keys: &[LifecycleKey],
        known: &Known,
    ) -> Result<(), LedgerError> {
        let profile = self
            .ledger
            .join(subscription, product, lifecycle_keys, known, self.now)
            .await?;
        self.log_applied(&profile);
        Ok(())
    }

    /// The subscriptions that are linked to a lifecycle key, without those whose link is damaged.
    async fn linked(
        &self,
        lifecycle_key: &LifecycleKey,
        damage: &mut Damage,
    ) -> Result<Vec<Subscription>, LedgerError> {
        let linked = self.ledger.linked(lifecycle_key).await?;
        for damaged in linked.damaged {
            damage.add(self.ledger, damaged);
        }
        Ok(linked.subscriptions)
    }

    /// Brings the subscriptions that are linked to a lifecycle key up to date, without those in
    /// `done`. Then it fails if an item is damaged, here or in an earlier step of the message.
    async fn bring_linked_up_to_date(
        &self,
        lifecycle_key: &LifecycleKey,
        done: &[Subscription],
        mut damage: Damage,
    ) -> Result<(), LedgerError> {
        for subscription in self.linked(lifecycle_key, &mut damage).await? {
            if done.contains(&subscription) {
                continue;
            }
            let updated = self.ledger.bring_up_to_date(&subscription, self.now).await;
            if let Some(Some(profile)) = damage.set_aside(self.ledger, updated)? {
                self.log_applied(&profile);
            }
        }
        damage.result()
    }

    fn log_applied(&self, profile: &Profile) {
        tracing::info!(
            subscription = %profile.subscription,
            kind = self.message.kind,
            event = self.message.id,
            status = %profile.status(),
            "a lifecycle event was applied"
        );
    }

    fn lacks(&self, path: &str, kind: IdentityKind) -> MessageResult {
        MessageResult::Malformed(Malformed {
            event_id: self.message.id.clone(),
            at: Some(self.message.at),
            problem: format!(
                "{path} is missing, and the product's records are identified by {kind}"
            ),
        })
    }
}
