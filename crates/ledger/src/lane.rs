//! Refused lanes: one item each in the partition `lanes` of MeteringRecords.
//!
//! A lane is a hint to the submitter, so it is written and removed without a condition, and it is
//! read eventually consistent. A damaged lane is reported and left out.
//!
//! # Why the last writer may win
//! Only the invocation that has the turn to send writes lanes. Two invocations can write at the
//! same time only if one has lost its turn and continues until its time is up. That lasts minutes,
//! and an item can then be out of date by these minutes:
//! * *A lane is remembered although a record of it was accepted meanwhile.* The lane's records are
//!   sent last and alone until the next of them is accepted, which removes the lane.
//! * *A lane is forgotten although it was refused again.* The next refusal finds it again, which
//!   costs the calls of one search.
//! * *An older refusal replaces a later one.* The lane is tried earlier, or becomes stale earlier.
//!
//! No outcome of a record is concluded from a lane, and every write of an outcome other than a
//! success depends on the record's own version. A version of the lane would not help. It could not
//! show which of two answers of AWS Marketplace is later, and a removed item has no version.

use jiff::Timestamp;
use marketplace::lane::{Lane, RefusedLane};
use marketplace::text::hex;
use sha2::{Digest, Sha256};

use crate::Ledger;
use crate::error::{LedgerError, Malformed};
use crate::item::{Item, Reader, number, text};

const LANES: &str = "lanes";

/// The number of lanes after which an invocation reads no further page. Our own choice: a lane has
/// about 300 bytes, so these take 15 MB of memory. Further lanes are unknown to the invocation
/// until they are refused again.
const LANES_MAX: usize = 50_000;

/// The most stale lanes that one call of [`Ledger::lanes`] removes. The next call removes more.
const FORGOTTEN_AT_ONCE_MAX: usize = 100;

/// The sort key of a lane. It is a digest, because a subscription and a dimension together can be
/// longer than a sort key.
fn sort_key(lane: &Lane) -> String {
    let named = match lane {
        Lane::Dimension(product, dimension) => format!("dimension\n{product}\n{dimension}"),
        Lane::SubscriptionDimension(subscription, dimension) => {
            format!("subscription dimension\n{subscription}\n{dimension}")
        }
        Lane::Subscription(subscription) => format!("subscription\n{subscription}"),
    };
    hex(&Sha256::digest(named))
}

fn to_item(guilt: &RefusedLane) -> Item {
    let mut item = Item::from([
        ("subscription".to_owned(), text(LANES)),
        ("item".to_owned(), text(sort_key(&guilt.lane))),
        ("code".to_owned(), text(&guilt.code)),
        (
            "refused_at".to_owned(),
            number(guilt.refused_at.as_second()),
        ),
    ]);
    let mut put = |name: &str, value: &dyn std::fmt::Display| {
        item.insert(name.to_owned(), text(value));
    };
    match &guilt.lane {
        Lane::Dimension(product, dimension) => {
            put("product_code", product);
            put("dimension", dimension);
        }
        Lane::SubscriptionDimension(subscription, dimension) => {
            put("of_subscription", subscription);
            put("dimension", dimension);
        }
        Lane::Subscription(subscription) => put("of_subscription", subscription),
    }
    item
}

fn from_item(item: &Item) -> Result<RefusedLane, Malformed> {
    let read = Reader::new(item);
    let product = read.parsed_opt("product_code")?;
    let subscription = read.parsed_opt("of_subscription")?;
    let dimension = read.parsed_opt("dimension")?;
    let lane = match (product, subscription, dimension) {
        (Some(product), None, Some(dimension)) => Lane::Dimension(product, dimension),
        (None, Some(subscription), Some(dimension)) => {
            Lane::SubscriptionDimension(subscription, dimension)
        }
        (None, Some(subscription), None) => Lane::Subscription(subscription),
        _ => {
            let rule = "does not fit product_code and dimension: a lane has a product and a dimension, a subscription and a dimension, or a subscription";
            return Err(read.malformed("of_subscription", rule));
        }
    };
    let guilt = RefusedLane {
        lane,
        code: read.text("code")?.to_owned(),
        refused_at: read.second("refused_at")?,
    };
    // Without one of its attributes, a lane would seem to be another one.
    match read.text("item")? == sort_key(&guilt.lane) {
        true => Ok(guilt),
        false => Err(read.malformed("item", "is not the key of the lane that the item names")),
    }
}

impl Ledger {
    /// The lanes that are remembered at `now`, about [`LANES_MAX`] at most. Stale lanes are
    /// removed.
    pub async fn lanes(&self, now: Timestamp) -> Result<Vec<RefusedLane>, LedgerError> {
        let table = &self.tables.metering_records;
        let mut lanes = Vec::new();
        let mut stale = Vec::new();
        let mut start = None;
        while lanes.len() < LANES_MAX {
            let page = self
                .client
                .query()
                .table_name(table)
                .key_condition_expression("#p = :p")
                .expression_attribute_names("#p", "subscription")
                .expression_attribute_values(":p", text(LANES))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|e| LedgerError::unavailable("Query", table, e))?;
            for item in page.items() {
                match from_item(item) {
                    Ok(guilt) if guilt.is_stale(now) => stale.push(guilt.lane),
                    Ok(guilt) => lanes.push(guilt),
                    Err(damaged) => self.report_damaged(&damaged),
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        for lane in stale.iter().take(FORGOTTEN_AT_ONCE_MAX) {
            // A stale lane has no effect, so a failure must not stop the invocation.
            if let Err(error) = self.forget_lane(lane).await {
                tracing::warn!(%error, ?lane, "a stale lane could not be removed; a later invocation tries again");
            }
        }
        Ok(lanes)
    }

    /// Stores that a lane was refused, and replaces its earlier refusal.
    pub async fn remember_lane(&self, guilt: &RefusedLane) -> Result<(), LedgerError> {
        self.put_any(&self.tables.metering_records, to_item(guilt))
            .await
    }

    /// Removes a lane, because a record in it was accepted or it is stale.
    pub async fn forget_lane(&self, lane: &Lane) -> Result<(), LedgerError> {
        let table = &self.tables.metering_records;
        let request = self
            .client
            .delete_item()
            .table_name(table)
            .key("subscription", text(LANES))
            .key("item", text(sort_key(lane)));
        self.write_always("DeleteItem", table, || request.clone().send())
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guilt(lane: Lane) -> RefusedLane {
        RefusedLane {
            lane,
            code: "InvalidUsageDimensionException".to_owned(),
            refused_at: Timestamp::from_second(1_795_226_400).unwrap(),
        }
    }

    fn lanes() -> [Lane; 3] {
        let subscription = || "legacy|code|customer".parse().unwrap();
        let dimension = || "gb#x".parse().unwrap();
        [
            Lane::Dimension("code".parse().unwrap(), dimension()),
            Lane::SubscriptionDimension(subscription(), dimension()),
            Lane::Subscription(subscription()),
        ]
    }

    #[test]
    fn lanes_are_read_as_they_were_written() {
        for lane in lanes() {
            let guilt = guilt(lane);
            assert_eq!(from_item(&to_item(&guilt)).as_ref(), Ok(&guilt));
        }
        let keys: std::collections::BTreeSet<_> = lanes().iter().map(sort_key).collect();
        assert_eq!(keys.len(), 3);
    }

    #[test]
    fn a_damaged_lane_is_named() {
        for attribute in ["code", "refused_at", "of_subscription"] {
            let mut item = to_item(&guilt(lanes()[2].clone()));
            item.remove(attribute);
            assert_eq!(from_item(&item).unwrap_err().attribute, attribute);
        }
        // This item still names a lane, but another one.
        let mut item = to_item(&guilt(lanes()[1].clone()));
        item.remove("dimension");
        assert_eq!(from_item(&item).unwrap_err().attribute, "item");
    }
}
