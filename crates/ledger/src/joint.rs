//! What lifecycle events are joined on: an agreement, or a legacy customer of a product.
//!
//! Agreement events name no product and no licence; they and the licence's events may come in any
//! order. So each side stores what it knows under the joint first and reads the other side second:
//! whichever is second sees both.

use std::fmt;

use jiff::Timestamp;
use marketplace::lifecycle::Lifecycle;
use marketplace::{AgreementId, CustomerIdentifier, ProductCode, Subscription};

use crate::Ledger;
use crate::error::{LedgerError, Malformed, Written};
use crate::item::{Item, Reader, number, put_lifecycle, text};

/// What an event names besides the subscription itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Joint {
    /// A purchase agreement.
    Agreement(AgreementId),
    /// A legacy customer of a product.
    Customer(ProductCode, CustomerIdentifier),
}

impl fmt::Display for Joint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agreement(id) => write!(f, "agreement|{id}"),
            Self::Customer(product, customer) => write!(f, "customer|{product}|{customer}"),
        }
    }
}

/// What was said about a joint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JointFacts {
    /// The lifecycle events that named it.
    pub lifecycle: Lifecycle,
    /// Raised by every write; 0 while nothing is stored.
    pub version: u64,
}

impl Ledger {
    /// What is known of a joint; empty when nothing is.
    pub async fn joint_facts(&self, joint: &Joint) -> Result<JointFacts, LedgerError> {
        let item = self
            .get(&self.tables.subscriptions, &joint.to_string(), "facts")
            .await?;
        let Some(item) = item else {
            return Ok(JointFacts {
                lifecycle: Lifecycle::default(),
                version: 0,
            });
        };
        let read = Reader::new(&item);
        Ok(JointFacts {
            lifecycle: read.lifecycle()?,
            version: read.version()?,
        })
    }

    /// Writes what is known of a joint, if nobody has written since `old` was read.
    pub async fn write_joint_facts(
        &self,
        joint: &Joint,
        old: &JointFacts,
        lifecycle: &Lifecycle,
    ) -> Result<Written, LedgerError> {
        let item = |lifecycle: &Lifecycle, version: u64| {
            let mut item = Item::from([
                ("subscription".to_owned(), text(joint)),
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

    /// Notes that a subscription belongs to a joint. Said twice it stays said.
    pub async fn link(
        &self,
        joint: &Joint,
        subscription: &Subscription,
    ) -> Result<(), LedgerError> {
        let item = Item::from([
            ("subscription".to_owned(), text(joint)),
            ("item".to_owned(), text(format!("link#{subscription}"))),
            ("version".to_owned(), number(1)),
        ]);
        self.put_any(&self.tables.subscriptions, item).await
    }

    /// The subscriptions that belong to a joint, strongly consistent.
    pub async fn linked(&self, joint: &Joint) -> Result<Vec<Subscription>, LedgerError> {
        let items = self
            .query_all(&self.tables.subscriptions, &joint.to_string(), "link#")
            .await?;
        let read = |item: &Item| -> Result<Subscription, Malformed> {
            let read = Reader::new(item);
            let key = read.text("item")?.trim_start_matches("link#");
            key.parse().map_err(|e| read.malformed("item", e))
        };
        Ok(items.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Keeps a lifecycle event as it was received, under the subscription or joint it names. The
    /// same event stored twice is stored once.
    pub async fn note_event(
        &self,
        about: &str,
        event_id: &str,
        kind: &str,
        at: Timestamp,
        body: &str,
    ) -> Result<(), LedgerError> {
        let item = Item::from([
            ("subscription".to_owned(), text(about)),
            ("item".to_owned(), text(format!("event#{at}#{event_id}"))),
            ("version".to_owned(), number(1)),
            ("kind".to_owned(), text(kind)),
            ("body".to_owned(), text(body)),
        ]);
        self.put_any(&self.tables.subscriptions, item).await
    }
}
