//! Lifecycle keys connect lifecycle events with subscriptions. A lifecycle key is an agreement, a
//! license of an agreement, a legacy customer of a product, or an AWS account that bought a
//! product.
//!
//! Agreement events name no product and no license. They and the license's events may come in any
//! order. So each side first stores its facts under the lifecycle key, and then reads the facts of
//! the other side. The side that stores second sees both.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use marketplace::ids::InvalidId;
use marketplace::lifecycle::Lifecycle;
use marketplace::{
    AccountId, AgreementId, CustomerIdentifier, LicenseArn, ProductCode, Subscription,
};

use crate::Ledger;
use crate::error::{LedgerError, Malformed, Written};
use crate::item::{Item, Reader, number, put_lifecycle, text};
use crate::tables::TTL_ATTRIBUTE;

/// A name that a lifecycle event can have instead of the subscription's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LifecycleKey {
    /// An agreement, by its agreement id. Its facts are the signs of agreement events, and of
    /// license events that name no license.
    Agreement(AgreementId),
    /// A license that an agreement grants. Its facts are the signs of license events. An agreement
    /// can grant several licenses, and each of them is removed by itself.
    License {
        /// The agreement that grants the license.
        agreement: AgreementId,
        /// The license.
        license: LicenseArn,
    },
    /// A customer of a product, by the legacy customer identifier.
    Customer(ProductCode, CustomerIdentifier),
    /// An AWS account that bought a product. It connects license events, which name no customer
    /// identifier, with the legacy subscription of the same account. It has no facts of its own.
    Buyer(ProductCode, AccountId),
}

impl fmt::Display for LifecycleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agreement(id) => write!(f, "agreement|{id}"),
            Self::License { agreement, license } => write!(f, "license|{agreement}|{license}"),
            Self::Customer(product, customer) => write!(f, "customer|{product}|{customer}"),
            Self::Buyer(product, account) => write!(f, "buyer|{product}|{account}"),
        }
    }
}

impl FromStr for LifecycleKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = |e: InvalidId| e.to_string();
        let mut parts = text.splitn(3, '|');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("agreement"), Some(id), None) => id.parse().map(Self::Agreement).map_err(invalid),
            (Some("license"), Some(agreement), Some(license)) => Ok(Self::License {
                agreement: agreement.parse().map_err(invalid)?,
                license: license.parse().map_err(invalid)?,
            }),
            (Some("customer"), Some(product), Some(customer)) => Ok(Self::Customer(
                product.parse().map_err(invalid)?,
                customer.parse().map_err(invalid)?,
            )),
            (Some("buyer"), Some(product), Some(account)) => Ok(Self::Buyer(
                product.parse().map_err(invalid)?,
                account.parse().map_err(invalid)?,
            )),
            _ => Err(format!(
                "{text:?} is not an agreement, license, customer or buyer"
            )),
        }
    }
}

/// The partition that lists the licenses of one product in an agreement, each by its lifecycle key.
/// A subscription that is identified by its account or its legacy customer finds its licenses here,
/// even if a registration names neither a license nor an account.
pub fn licenses_of(agreement: &AgreementId, product: &ProductCode) -> String {
    format!("agreement|{agreement}|{product}")
}

/// The stored facts about a lifecycle key, from lifecycle events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleFacts {
    /// The signs of the lifecycle events that named the lifecycle key.
    pub lifecycle: Lifecycle,
    /// The version of the item; 0 if nothing is stored. Every write raises it.
    pub version: u64,
}

/// The subscriptions that are linked to a lifecycle key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Linked {
    /// The subscriptions whose link can be read.
    pub subscriptions: Vec<Subscription>,
    /// The links that cannot be read.
    pub damaged: Vec<Malformed>,
}

impl Ledger {
    /// The facts about a lifecycle key, strongly consistent; an empty lifecycle if nothing is stored.
    pub async fn lifecycle_facts(
        &self,
        lifecycle_key: &LifecycleKey,
    ) -> Result<LifecycleFacts, LedgerError> {
        let item = self
            .get(
                &self.tables.subscriptions,
                &lifecycle_key.to_string(),
                "facts",
            )
            .await?;
        let Some(item) = item else {
            return Ok(LifecycleFacts {
                lifecycle: Lifecycle::default(),
                version: 0,
            });
        };
        let read = Reader::new(&item);
        Ok(LifecycleFacts {
            lifecycle: read.lifecycle()?,
            version: read.version()?,
        })
    }

    /// Writes the facts about a lifecycle key, if they were not changed since `old` was read.
    pub async fn write_lifecycle_facts(
        &self,
        lifecycle_key: &LifecycleKey,
        old: &LifecycleFacts,
        lifecycle: &Lifecycle,
    ) -> Result<Written, LedgerError> {
        let item = |lifecycle: &Lifecycle, version: u64| {
            let mut item = Item::from([
                ("subscription".to_owned(), text(lifecycle_key)),
                ("item".to_owned(), text("facts")),
                ("version".to_owned(), number(version)),
            ]);
            put_lifecycle(&mut item, lifecycle);
            item
        };
        let table = &self.tables.subscriptions;
        if old.version == 0 {
            return self.put_new(table, item(lifecycle, 1)).await;
        }
        self.change(
            table,
            &item(&old.lifecycle, old.version),
            &item(lifecycle, old.version),
        )
        .await
    }

    /// Stores that a subscription belongs to a lifecycle key. Storing it twice changes nothing.
    pub async fn link(
        &self,
        lifecycle_key: &LifecycleKey,
        subscription: &Subscription,
    ) -> Result<(), LedgerError> {
        let item = Item::from([
            ("subscription".to_owned(), text(lifecycle_key)),
            ("item".to_owned(), text(format!("link#{subscription}"))),
            ("version".to_owned(), number(1)),
        ]);
        self.put_any(&self.tables.subscriptions, item).await
    }

    /// The subscriptions that belong to a lifecycle key, strongly consistent. A damaged link is
    /// returned apart, because the status of the other subscriptions does not depend on it. The
    /// caller brings the others up to date, and reports the damage.
    pub async fn linked(&self, lifecycle_key: &LifecycleKey) -> Result<Linked, LedgerError> {
        let items = self
            .query_all(
                &self.tables.subscriptions,
                &lifecycle_key.to_string(),
                "link#",
            )
            .await?;
        let read = |item: &Item| -> Result<Subscription, Malformed> {
            let read = Reader::new(item);
            let key = read.text("item")?;
            let key = key.strip_prefix("link#").unwrap_or(key);
            key.parse().map_err(|e| read.malformed("item", e))
        };
        let mut linked = Linked::default();
        for item in &items {
            match read(item) {
                Ok(subscription) => linked.subscriptions.push(subscription),
                Err(damaged) => linked.damaged.push(damaged),
            }
        }
        Ok(linked)
    }

    /// Stores a lifecycle key under `about`, which is a subscription, another lifecycle key or a
    /// list of licenses ([`licenses_of`]). For a subscription, this is the opposite direction of
    /// [`Ledger::link`]. Storing it twice changes nothing.
    ///
    /// Items that are stored already have the prefix `joint#`. Under another prefix they would not
    /// be found, and the end of an agreement would not be seen.
    pub async fn store_lifecycle_key(
        &self,
        about: &str,
        lifecycle_key: &LifecycleKey,
    ) -> Result<(), LedgerError> {
        let item = Item::from([
            ("subscription".to_owned(), text(about)),
            ("item".to_owned(), text(format!("joint#{lifecycle_key}"))),
            ("version".to_owned(), number(1)),
        ]);
        self.put_any(&self.tables.subscriptions, item).await
    }

    /// The lifecycle keys that are stored under `about`, strongly consistent.
    ///
    /// One damaged item fails the whole read. A subscription's status follows from the facts of all
    /// its lifecycle keys, so a status from a part of them would be wrong. It could lack the
    /// removal of a license, or the renewal that overrules an end.
    pub async fn lifecycle_keys(&self, about: &str) -> Result<Vec<LifecycleKey>, LedgerError> {
        let items = self
            .query_all(&self.tables.subscriptions, about, "joint#")
            .await?;
        let read = |item: &Item| -> Result<LifecycleKey, Malformed> {
            let read = Reader::new(item);
            let key = read.text("item")?;
            let key = key.strip_prefix("joint#").unwrap_or(key);
            key.parse().map_err(|e| read.malformed("item", e))
        };
        Ok(items.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Keeps a lifecycle event as it was received, under the subscription or lifecycle key that it
    /// names. Storing the same event twice changes nothing.
    ///
    /// The item is only evidence. The content of an event goes into the facts and the profile, and
    /// no decision reads this item again. So an event that was understood expires, even while its
    /// subscription is active. An event that was not understood waits for a person. Nothing shows
    /// when the person is done, so the event never expires.
    ///
    /// Besides events, only used tickets ever expire in Subscriptions. Facts, links and lifecycle keys
    /// are read when a buyer comes back or an event comes late. A profile says when a subscription
    /// was in force. The list of an account is read when its buyer comes back. Products, contacts
    /// and the settings of the pages are the seller's own data.
    pub async fn store_event(
        &self,
        about: &str,
        event_id: &str,
        kind: &str,
        at: Timestamp,
        body: &str,
        is_understood: bool,
    ) -> Result<(), LedgerError> {
        let mut item = Item::from([
            ("subscription".to_owned(), text(about)),
            ("item".to_owned(), text(format!("event#{at}#{event_id}"))),
            ("version".to_owned(), number(1)),
            ("kind".to_owned(), text(kind)),
            ("body".to_owned(), text(body)),
        ]);
        if is_understood {
            let expires_at = self.retention.after(at);
            item.insert(TTL_ATTRIBUTE.to_owned(), number(expires_at.as_second()));
        }
        self.put_any(&self.tables.subscriptions, item).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_survives_its_text() {
        for text in [
            "agreement|agmt-1",
            "license|agmt-1|arn:aws:license-manager::1:license:l-1",
            "customer|code1|cust|with a bar",
            "buyer|code1|111122223333",
        ] {
            assert_eq!(text.parse::<LifecycleKey>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "agreement|",
            "agreement|agmt-1|code1",
            "buyer|code1|abc",
            "license|x",
            "license|agmt-1|l-1",
            "license||arn:aws:license-manager::1:license:l-1",
        ] {
            assert!(text.parse::<LifecycleKey>().is_err(), "{text:?}");
        }
    }
}
