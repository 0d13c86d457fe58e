//! A subscription's profile: the buyer, the state of the agreement, and the progress of sealing.

use aws_sdk_dynamodb::operation::query::QueryOutput;
use jiff::Timestamp;
use marketplace::lifecycle::{Lifecycle, Status};
use marketplace::record::Terms;
use marketplace::{
    AccountId, AgreementId, CustomerIdentifier, ProductCode, Subscription, UsageHour,
};

use crate::error::{LedgerError, Malformed, Written};
use crate::item::{Item, Reader, number, put_lifecycle, put_opt, text};
use crate::tables::{ATTENTION_INDEX, LIVE_INDEX};
use crate::{Ledger, shard_of};

const ITEM: &str = "profile";
/// The most subscriptions in one page of an index.
const PAGE: i32 = 500;

/// The profile of one subscription. Its contact data is in another item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The key of the subscription.
    pub subscription: Subscription,
    /// The product that the buyer subscribed to.
    pub product: ProductCode,
    /// The buyer's account, if known.
    pub account: Option<AccountId>,
    /// The buyer's legacy identifier, if known.
    pub customer: Option<CustomerIdentifier>,
    /// The agreement that the subscription belongs to now, if known.
    pub agreement: Option<AgreementId>,
    /// The signs of the subscription's lifecycle events.
    pub lifecycle: Lifecycle,
    /// The time at which the profile was created, when the stack first heard of the subscription.
    pub created_at: Timestamp,
    /// The time at which the buyer registered; `None` if the buyer has not.
    pub registered_at: Option<Timestamp>,
    /// The seller's own name for the buyer, if the seller has set one.
    pub reference: Option<String>,
    /// The time since which the subscription has attention; `None` if it has none. The sealer works
    /// on a subscription with attention individually in every run.
    pub attention_since: Option<Timestamp>,
    /// The hour through which the subscription was sealed individually, while it has attention.
    pub sealed_through: Option<UsageHour>,
    /// The version of the item. Every write raises it.
    pub version: u64,
}

impl Profile {
    /// Makes a profile that is not stored yet, with the subscription and product only.
    pub fn new(subscription: Subscription, product: ProductCode, now: Timestamp) -> Self {
        Self {
            subscription,
            product,
            account: None,
            customer: None,
            agreement: None,
            lifecycle: Lifecycle::default(),
            created_at: now,
            registered_at: None,
            reference: None,
            attention_since: None,
            sealed_through: None,
            version: 1,
        }
    }

    /// The status that follows from the lifecycle.
    pub fn status(&self) -> Status {
        self.lifecycle.status()
    }

    /// The terms that sealing needs; `None` if the subscription was never in force, because then
    /// nothing is sealed. A subscription that ended without ever being active is in force only at
    /// its end, so that usage before it is not billed.
    pub fn terms(&self) -> Option<Terms> {
        let spans = self.lifecycle.spans();
        spans.last()?;
        Some(Terms {
            product: self.product.clone(),
            account: self.account.clone(),
            spans,
        })
    }

    /// The first hour to which usage of the subscription can belong, by
    /// [`Lifecycle::first_possible_hour`].
    pub fn first_possible_hour(&self) -> UsageHour {
        self.lifecycle.first_possible_hour(self.created_at)
    }

    /// Gives the subscription attention from `now` on, after its status has changed.
    pub fn call_attention(&mut self, now: Timestamp) {
        self.attention_since = Some(now);
    }

    pub(crate) fn to_item(&self) -> Item {
        let mut item = Item::from([
            ("subscription".to_owned(), text(&self.subscription)),
            ("item".to_owned(), text(ITEM)),
            ("version".to_owned(), number(self.version)),
            ("product_code".to_owned(), text(&self.product)),
            ("status".to_owned(), text(self.status())),
            ("created_at".to_owned(), text(self.created_at)),
        ]);
        put_opt(&mut item, "account_id", self.account.as_ref());
        put_opt(&mut item, "customer_identifier", self.customer.as_ref());
        put_opt(&mut item, "agreement_id", self.agreement.as_ref());
        put_opt(&mut item, "registered_at", self.registered_at);
        put_opt(&mut item, "reference", self.reference.as_ref());
        put_opt(&mut item, "attention_since", self.attention_since);
        put_opt(&mut item, "sealed_through", self.sealed_through);
        put_lifecycle(&mut item, &self.lifecycle);
        if self.status() != Status::Ended {
            item.insert("live".to_owned(), text(shard_of(&self.subscription)));
        }
        if self.attention_since.is_some() {
            item.insert("attention".to_owned(), text("yes"));
        }
        item
    }

    pub(crate) fn from_item(item: &Item) -> Result<Self, Malformed> {
        let read = Reader::new(item);
        Ok(Self {
            subscription: read.parsed("subscription")?,
            product: read.parsed("product_code")?,
            account: read.parsed_opt("account_id")?,
            customer: read.parsed_opt("customer_identifier")?,
            agreement: read.parsed_opt("agreement_id")?,
            lifecycle: read.lifecycle()?,
            created_at: read.parsed("created_at")?,
            registered_at: read.parsed_opt("registered_at")?,
            reference: read.text_opt("reference")?.map(str::to_owned),
            attention_since: read.parsed_opt("attention_since")?,
            sealed_through: read.parsed_opt("sealed_through")?,
            version: read.version()?,
        })
    }
}

/// A page of subscriptions, and the place where the next page begins.
#[derive(Debug, Clone, Default)]
pub struct SubscriptionPage {
    /// Up to 500 subscriptions.
    pub subscriptions: Vec<Subscription>,
    /// The number of items on the page that name no valid subscription. The log names them.
    pub damaged: u64,
    /// The subscription after which the next page begins; `None` on the last page.
    pub next: Option<Subscription>,
}

impl Ledger {
    /// Reads a profile, strongly consistent.
    pub async fn profile(
        &self,
        subscription: &Subscription,
    ) -> Result<Option<Profile>, LedgerError> {
        let item = self
            .get(&self.tables.subscriptions, &subscription.to_string(), ITEM)
            .await?;
        Ok(item.as_ref().map(Profile::from_item).transpose()?)
    }

    /// Creates a profile, unless there is one.
    pub async fn create_profile(&self, profile: &Profile) -> Result<Written, LedgerError> {
        self.put_new(&self.tables.subscriptions, profile.to_item())
            .await
    }

    /// Writes the differences between two versions of a profile, if it was not changed since `old`
    /// was read.
    pub async fn change_profile(
        &self,
        old: &Profile,
        new: &Profile,
    ) -> Result<Written, LedgerError> {
        self.change(&self.tables.subscriptions, &old.to_item(), &new.to_item())
            .await
    }

    /// A page of the subscriptions of one shard that have not ended, after `after`.
    pub async fn live_page(
        &self,
        shard: u8,
        after: Option<&Subscription>,
    ) -> Result<SubscriptionPage, LedgerError> {
        self.index_page(LIVE_INDEX, "live", &shard.to_string(), after)
            .await
    }

    /// A page of the subscriptions that have attention.
    pub async fn attention_page(
        &self,
        after: Option<&Subscription>,
    ) -> Result<SubscriptionPage, LedgerError> {
        self.index_page(ATTENTION_INDEX, "attention", "yes", after)
            .await
    }

    /// A page of all profiles, also of ended subscriptions, in no particular order. A damaged
    /// profile is reported and left out.
    pub async fn profiles_page(
        &self,
        start: Option<Item>,
    ) -> Result<(Vec<Profile>, Option<Item>), LedgerError> {
        let table = &self.tables.subscriptions;
        let answer = self
            .client
            .scan()
            .table_name(table)
            .filter_expression("#item = :profile")
            .expression_attribute_names("#item", "item")
            .expression_attribute_values(":profile", text(ITEM))
            .consistent_read(true)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|e| LedgerError::unavailable("Scan", table, e))?;
        let mut profiles = Vec::new();
        for item in answer.items() {
            match Profile::from_item(item) {
                Ok(profile) => profiles.push(profile),
                Err(damaged) => self.report_damaged(&damaged),
            }
        }
        Ok((profiles, answer.last_evaluated_key))
    }

    /// Reads a page of an index. An item that names no valid subscription is reported and skipped,
    /// so that it does not block the others.
    async fn index_page(
        &self,
        index: &str,
        attribute: &str,
        value: &str,
        after: Option<&Subscription>,
    ) -> Result<SubscriptionPage, LedgerError> {
        let mut page = SubscriptionPage::default();
        let mut start = after.map(|subscription| {
            Item::from([
                (attribute.to_owned(), text(value)),
                ("subscription".to_owned(), text(subscription)),
                ("item".to_owned(), text(ITEM)),
            ])
        });
        loop {
            let answer = self.query_index(index, attribute, value, start).await?;
            for item in answer.items() {
                match Reader::new(item).parsed::<Subscription>("subscription") {
                    Ok(subscription) => page.subscriptions.push(subscription),
                    Err(damaged) => {
                        self.report_damaged(&damaged);
                        page.damaged += 1;
                    }
                }
            }
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(page);
            }
            // The next page begins after a subscription, so this page must have at least one.
            page.next = page.subscriptions.last().cloned();
            if page.next.is_some() {
                return Ok(page);
            }
        }
    }

    async fn query_index(
        &self,
        index: &str,
        attribute: &str,
        value: &str,
        start: Option<Item>,
    ) -> Result<QueryOutput, LedgerError> {
        let table = &self.tables.subscriptions;
        self.client
            .query()
            .table_name(table)
            .index_name(index)
            .key_condition_expression("#a = :a")
            .expression_attribute_names("#a", attribute)
            .expression_attribute_values(":a", text(value))
            .limit(PAGE)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|e| LedgerError::unavailable("Query", table, e))
    }
}

#[cfg(test)]
mod tests;
