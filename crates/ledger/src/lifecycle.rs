//! Merges the facts that lifecycle events state about a profile's agreements and customer into the
//! profile.
//!
//! Two sides write to a lifecycle key, in any order and possibly at the same time:
//! * The side that knows the **subscription** (a registration, a license event) writes the link,
//!   then writes the profile, and then reads the lifecycle key's facts.
//! * The side that knows a **sign** (a license, agreement or SNS event) writes the fact, then reads
//!   the links, and then updates the linked profiles.
//!
//! If the first side read the facts before the second side wrote them, then its link and its
//! profile existed before the second side read the links. So one of the two always sees both. If a
//! side crashes, its repetition completes the work. Until then a link without a profile is skipped,
//! and a fact without a link waits.
//!
//! The same holds for the key of a **license of an agreement**, to which only license events write:
//! * Most license events name the subscription, and are both sides at once. They write the fact,
//!   then the links of the agreement and of the license, then the profile, and then they read the
//!   facts of both. An agreement event that comes at the same time finds the link of the agreement,
//!   or has written its fact before that link.
//! * A license event of a legacy listing does not name the subscription, and a registration may
//!   not name the license. So one of them must find the other. The event writes the fact, then
//!   lists the license under the agreement and the product, and under the buyer's account. Then it
//!   reads the links of the agreement and of the account, and links the license to every
//!   subscription that it finds. The registration writes the links of the agreement and of the
//!   account, then reads the lists and links the licenses in them, then writes the profile, and
//!   then reads the facts. If the registration read the lists before the event wrote to them, then
//!   its links existed before the event read the links. So one of the two links the license, and
//!   reads its facts afterwards.
//!
//! If a side crashes before it has listed or linked a license, its repetition does so. A fact, a
//! link and an entry of a list are never removed, and writing one again changes nothing.

use jiff::Timestamp;
use marketplace::lifecycle::{Lifecycle, Sign, Status};
use marketplace::{AccountId, AgreementId, CustomerIdentifier, ProductCode, Subscription};

use crate::Ledger;
use crate::error::{LedgerError, Written};
use crate::lifecycle_key::{LifecycleKey, licenses_of};
use crate::profile::Profile;

/// The most tries of a conditional write; each try decides again. A try fails only if another
/// writer succeeded, and a subscription has few writers at the same time. Our own choice.
pub(crate) const TRIES_MAX: u32 = 12;

/// The facts about a subscription that an event or a registration names. They fill in missing parts
/// of a profile and replace nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// The buyer's account, if it is named.
    pub account: Option<AccountId>,
    /// The buyer's legacy identifier, if it is named.
    pub customer: Option<CustomerIdentifier>,
    /// The agreement that the subscription belongs to, if it is named.
    pub agreement: Option<AgreementId>,
    /// The time of the registration, if this is a registration.
    pub registered_at: Option<Timestamp>,
    /// A sign that names no lifecycle key, so that only the profile can keep it.
    pub sign: Option<(Sign, Timestamp)>,
}

impl Ledger {
    /// Adds a sign to the facts of a lifecycle key.
    pub async fn observe_at(
        &self,
        lifecycle_key: &LifecycleKey,
        sign: Sign,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        for _ in 0..TRIES_MAX {
            let facts = self.lifecycle_facts(lifecycle_key).await?;
            let mut lifecycle = facts.lifecycle.clone();
            if !lifecycle.observe(sign, at) {
                return Ok(());
            }
            let written = self
                .write_lifecycle_facts(lifecycle_key, &facts, &lifecycle)
                .await?;
            if written == Written::Done {
                return Ok(());
            }
        }
        Err(self.contended(lifecycle_key))
    }

    /// Links a subscription to its lifecycle keys, creates its profile or adds missing parts to it, and
    /// merges the facts of all its lifecycle keys into its lifecycle. Returns the profile as it is
    /// afterwards.
    pub async fn join(
        &self,
        subscription: &Subscription,
        product: &ProductCode,
        lifecycle_keys: &[LifecycleKey],
        known: &Known,
        now: Timestamp,
    ) -> Result<Profile, LedgerError> {
        for lifecycle_key in lifecycle_keys {
            self.link_both_ways(lifecycle_key, subscription).await?;
        }
        // License events may have listed agreements and licenses before it was known that they
        // belong to this subscription. The lists are read after the links were written, because
        // those events write to the lists first and read the links second.
        for list in lists_of(lifecycle_keys, subscription) {
            for lifecycle_key in self.lifecycle_keys(&list).await? {
                if !lifecycle_keys.contains(&lifecycle_key) {
                    self.link_both_ways(&lifecycle_key, subscription).await?;
                }
            }
        }
        for _ in 0..TRIES_MAX {
            let stored = match self.profile(subscription).await? {
                Some(stored) => stored,
                None => {
                    let mut new = Profile::new(subscription.clone(), product.clone(), now);
                    // The sign is added below, because it changes the status and calls attention.
                    let identities = Known {
                        sign: None,
                        ..known.clone()
                    };
                    identities.add_to(&mut new);
                    if self.create_profile(&new).await? == Written::Conflict {
                        continue;
                    }
                    new
                }
            };
            if let Some(merged) = self.write_merged(&stored, known, now).await? {
                return Ok(merged);
            }
        }
        Err(self.contended(subscription))
    }

    /// Merges the facts of all its lifecycle keys into a profile's lifecycle. `None` if there is no
    /// profile; the writer that creates it reads the facts afterwards.
    pub async fn bring_up_to_date(
        &self,
        subscription: &Subscription,
        now: Timestamp,
    ) -> Result<Option<Profile>, LedgerError> {
        for _ in 0..TRIES_MAX {
            let Some(stored) = self.profile(subscription).await? else {
                return Ok(None);
            };
            if let Some(merged) = self.write_merged(&stored, &Known::default(), now).await? {
                return Ok(Some(merged));
            }
        }
        Err(self.contended(subscription))
    }

    /// Stores the lifecycle key under the subscription first. A reader that finds a subscription
    /// through a lifecycle key must find the lifecycle key under the subscription as well.
    async fn link_both_ways(
        &self,
        lifecycle_key: &LifecycleKey,
        subscription: &Subscription,
    ) -> Result<(), LedgerError> {
        self.store_lifecycle_key(&subscription.to_string(), lifecycle_key)
            .await?;
        self.link(lifecycle_key, subscription).await
    }

    /// Reads the facts after the profile was read, merges them into the profile, and writes it if
    /// it differs. `None` if the profile was changed meanwhile.
    async fn write_merged(
        &self,
        stored: &Profile,
        known: &Known,
        now: Timestamp,
    ) -> Result<Option<Profile>, LedgerError> {
        let facts = self.subscription_facts(&stored.subscription).await?;
        let mut new = stored.clone();
        known.add_to(&mut new);
        if let Some(current) = current_agreement(&facts.agreements()) {
            new.agreement = Some(current.clone());
        }
        new.lifecycle = facts.lifecycle_of(new.lifecycle.clone());
        call_attention_if_due(stored, &mut new, now);
        if new == *stored {
            return Ok(Some(new));
        }
        match self.change_profile(stored, &new).await? {
            Written::Conflict => Ok(None),
            Written::Done => {
                new.version = stored.version.saturating_add(1);
                Ok(Some(new))
            }
        }
    }

    /// The error after [`TRIES_MAX`] tries to write an item of this partition.
    pub(crate) fn contended(&self, partition: &impl ToString) -> LedgerError {
        LedgerError::Contended {
            item: partition.to_string(),
            table: self.tables.subscriptions.clone(),
            tries: TRIES_MAX,
        }
    }
}

impl Known {
    fn add_to(&self, profile: &mut Profile) {
        fn add<T: Clone>(known: &mut Option<T>, more: &Option<T>) {
            if known.is_none() {
                known.clone_from(more);
            }
        }
        add(&mut profile.account, &self.account);
        add(&mut profile.customer, &self.customer);
        add(&mut profile.agreement, &self.agreement);
        add(&mut profile.registered_at, &self.registered_at);
        if let Some((sign, at)) = self.sign {
            profile.lifecycle.observe(sign, at);
        }
    }
}

/// The partitions that list further lifecycle keys of a subscription: those of the buyer's account,
/// and those of the subscription's product in each agreement. A subscription that is identified by
/// its license has no such lists, because other licenses do not belong to it.
fn lists_of(lifecycle_keys: &[LifecycleKey], subscription: &Subscription) -> Vec<String> {
    let list = |lifecycle_key: &LifecycleKey| match lifecycle_key {
        LifecycleKey::Buyer(..) => Some(lifecycle_key.to_string()),
        LifecycleKey::Agreement(agreement) => Some(licenses_of(agreement, subscription.product()?)),
        LifecycleKey::License { .. } | LifecycleKey::Customer(..) => None,
    };
    lifecycle_keys.iter().filter_map(list).collect()
}

/// The agreement whose license was updated last, by the time of the events.
fn current_agreement(agreements: &[(AgreementId, Lifecycle)]) -> Option<&AgreementId> {
    agreements
        .iter()
        .filter(|(_, life)| life.last_activated_at().is_some())
        .max_by_key(|(id, life)| (life.last_activated_at(), id))
        .map(|(id, _)| id)
}

/// Gives a subscription attention if its status or its spans have changed, because then other hours
/// may be billed. Hours that were sealed individually before were sealed by other terms, so that
/// work starts again. If an hour is sealed twice, its recount finds a difference of zero.
fn call_attention_if_due(old: &Profile, new: &mut Profile, now: Timestamp) {
    let terms = |p: &Profile| (p.status(), p.lifecycle.spans());
    let billed = matches!(new.status(), Status::Active | Status::Ending);
    if billed && terms(old) != terms(new) {
        new.call_attention(now);
        new.sealed_through = None;
    }
}
