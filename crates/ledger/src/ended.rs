//! Ended subscriptions, by the months that are still to be proved: items
//! `ended#<shard>`/`<month>#<subscription>`.
//!
//! The live index has no ended subscriptions, but the books of their last months must be proved as
//! well. So the reconciler lists a subscription before it ends it: under the month of its last
//! hour, the current month and the month of the watermark.
//!
//! An entry is needed until its month is proved for the last time. That is two days after the
//! month's end, or later while nothing is sealed. A day is not proved any more once its closed
//! records may have expired. So an entry expires `RetentionMonths` after its month's last hour,
//! like the closed records of that hour, or `RetentionMonths` after it was written if that is
//! later. A subscription whose closing is still due is in the live index, and does not depend on
//! its entry. If it is listed again, because it did not end or has ended once more, the new entry
//! replaces the old one and expires later.

use jiff::Timestamp;
use marketplace::{Month, Subscription};

use crate::error::LedgerError;
use crate::item::{Item, Reader, number, text};
use crate::profile::SubscriptionPage;
use crate::tables::TTL_ATTRIBUTE;
use crate::{Ledger, shard_of};

/// The most subscriptions in one page.
const PAGE: i32 = 500;

fn partition(shard: u8) -> String {
    format!("ended#{shard}")
}

impl Ledger {
    /// Lists a subscription under a month, so that the month is proved. The reconciler calls this
    /// before it ends the subscription. Listing it twice only lets the entry expire later.
    pub async fn list_ended(
        &self,
        subscription: &Subscription,
        month: Month,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let end = self.retention.after(month.last_hour().end().max(now));
        let item = Item::from([
            (
                "subscription".to_owned(),
                text(partition(shard_of(subscription))),
            ),
            ("item".to_owned(), text(format!("{month}#{subscription}"))),
            ("version".to_owned(), number(1)),
            (TTL_ATTRIBUTE.to_owned(), number(end.as_second())),
        ]);
        self.put_any(&self.tables.metering_records, item).await
    }

    /// A page of the subscriptions of a shard that are listed under a month, after `after`;
    /// strongly consistent.
    pub async fn ended_page(
        &self,
        shard: u8,
        month: Month,
        after: Option<&Subscription>,
    ) -> Result<SubscriptionPage, LedgerError> {
        let table = &self.tables.metering_records;
        let partition = partition(shard);
        let prefix = format!("{month}#");
        let mut page = SubscriptionPage::default();
        let mut start = after.map(|after| {
            Item::from([
                ("subscription".to_owned(), text(&partition)),
                ("item".to_owned(), text(format!("{prefix}{after}"))),
            ])
        });
        loop {
            let answer = self
                .client
                .query()
                .table_name(table)
                .key_condition_expression("#p = :p AND begins_with(#s, :s)")
                .expression_attribute_names("#p", "subscription")
                .expression_attribute_names("#s", "item")
                .expression_attribute_values(":p", text(&partition))
                .expression_attribute_values(":s", text(&prefix))
                .consistent_read(true)
                .limit(PAGE)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|e| LedgerError::unavailable("Query", table, e))?;
            for item in answer.items() {
                let read = Reader::new(item);
                let name = read.text("item")?.trim_start_matches(&prefix);
                match name.parse() {
                    Ok(subscription) => page.subscriptions.push(subscription),
                    Err(error) => {
                        self.report_damaged(&read.malformed("item", error));
                        page.damaged += 1;
                    }
                }
            }
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(page);
            }
            page.next = page.subscriptions.last().cloned();
            if page.next.is_some() {
                return Ok(page);
            }
        }
    }
}
