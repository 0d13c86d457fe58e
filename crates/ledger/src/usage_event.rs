//! The table UsageEvents, the public interface: producers may write rows into it directly.
//!
//! * `subscription_hour` is the partition key: `<subscription>@2026-11-21T02`.
//! * `dimension_event` is the sort key: `<dimension>#<event id>`.
//! * `quantity` is a number with at most six decimals.
//! * `time` is in RFC 3339 and inside the key's hour.
//! * `tags` is an optional map of strings.
//! * `expires_at` is the optional second since the epoch for TTL, at least 100 days after the start
//!   of the key's hour.

use std::borrow::Cow;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use jiff::{SignedDuration, Timestamp};
use marketplace::hour::shift;
use marketplace::quantity::Overflow;
use marketplace::tags::Tags;
use marketplace::text::excerpt;
use marketplace::usage::{Field, SetAsideReason, UsageEvent, UsageRow, read_row};
use marketplace::{Subscription, TagSet, UsageHour};

use crate::Ledger;
use crate::error::LedgerError;
use crate::item::{Item, number, text};
use crate::tables::TTL_ATTRIBUTE;

/// Days after which rows that the stack writes may be deleted. That is over a year of evidence, and
/// well over the 100 days for which every row must stay.
pub const RETENTION_DAYS: i64 = 400;

/// The partition key of an hour's rows: `<subscription>@<hour>`.
pub fn partition_key(subscription: &Subscription, hour: UsageHour) -> String {
    format!("{subscription}@{hour}")
}

/// Reads a partition key, `<subscription>@<hour>`. It is split at the last `@`.
pub fn read_partition_key(key: &str) -> Result<(Subscription, UsageHour), SetAsideReason> {
    let malformed = || SetAsideReason::PartitionKey(excerpt(key, 200));
    let (subscription, hour) = key.rsplit_once('@').ok_or_else(malformed)?;
    let subscription = subscription.parse().map_err(|_| malformed())?;
    let hour = hour.parse().map_err(|_| malformed())?;
    Ok((subscription, hour))
}

/// The result of storing an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutEvent {
    /// The event was new and is stored now.
    Stored,
    /// The same event was stored before.
    Repeated,
    /// An event with the same id but another content was stored before.
    Different {
        /// A description of the stored event for a person.
        stored: String,
    },
}

/// Writes an event as an item of UsageEvents.
pub fn to_item(subscription: &Subscription, event: &UsageEvent) -> Item {
    let hour = UsageHour::of(event.time);
    let expires_at = shift(
        hour.start(),
        SignedDuration::from_hours(24 * RETENTION_DAYS),
    );
    let mut item = Item::from([
        (
            "subscription_hour".to_owned(),
            text(partition_key(subscription, hour)),
        ),
        (
            "dimension_event".to_owned(),
            text(format!("{}#{}", event.dimension, event.id)),
        ),
        ("quantity".to_owned(), number(event.quantity)),
        ("time".to_owned(), text(event.time)),
        (TTL_ATTRIBUTE.to_owned(), number(expires_at.as_second())),
    ]);
    if !event.tags.is_empty() {
        item.insert("tags".to_owned(), tags_attribute(&event.tags));
    }
    item
}

pub(crate) fn tags_attribute(tags: &TagSet) -> AttributeValue {
    AttributeValue::M(
        tags.iter()
            .map(|(key, value)| (key.to_owned(), text(value)))
            .collect(),
    )
}

/// Reads an item as a row for the fold, without checking its values.
pub fn to_row(item: &Item) -> UsageRow<'_> {
    UsageRow {
        dimension_event: Cow::Borrowed(
            item.get("dimension_event")
                .and_then(|v| v.as_s().ok())
                .map_or("", String::as_str),
        ),
        quantity: match item.get("quantity") {
            None => Field::Absent,
            Some(AttributeValue::N(digits)) => Field::Value(Cow::Borrowed(digits)),
            Some(_) => Field::WrongType("number"),
        },
        time: match item.get("time") {
            None => Field::Absent,
            Some(AttributeValue::S(time)) => Field::Value(Cow::Borrowed(time)),
            Some(_) => Field::WrongType("string"),
        },
        tags: match item.get("tags") {
            None | Some(AttributeValue::Null(_)) => Field::Absent,
            Some(AttributeValue::M(map)) => {
                to_tags(map).map_or(Field::WrongType("map of strings"), Field::Value)
            }
            Some(_) => Field::WrongType("map"),
        },
        expires_at: item
            .get(TTL_ATTRIBUTE)
            .and_then(|value| value.as_n().ok())
            .map(|digits| Cow::Borrowed(digits.as_str())),
    }
}

fn to_tags(map: &Item) -> Option<Tags> {
    map.iter()
        .map(|(key, value)| Some((key.clone(), value.as_s().ok()?.clone())))
        .collect()
}

/// One page of an hour's rows.
#[derive(Debug, Clone, Default)]
pub struct RowPage {
    /// The items as they are stored; [`to_row`] reads them.
    pub items: Vec<Item>,
    /// The start of the next page; `None` on the last page.
    pub next: Option<Item>,
}

impl Ledger {
    /// Stores an event, unless there is one with the same id.
    pub async fn put_event(
        &self,
        subscription: &Subscription,
        event: &UsageEvent,
    ) -> Result<PutEvent, LedgerError> {
        let table = &self.tables.usage_events;
        let result = self
            .client
            .put_item()
            .table_name(table)
            .set_item(Some(to_item(subscription, event)))
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", "subscription_hour")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match result {
            Ok(_) => return Ok(PutEvent::Stored),
            Err(error) => error,
        };
        let stored = match error.as_service_error() {
            Some(
                aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(e),
            ) => e.item().cloned().unwrap_or_default(),
            _ => return Err(LedgerError::unavailable("PutItem", table, error)),
        };
        let hour = UsageHour::of(event.time);
        match read_row(&to_row(&stored), hour) {
            Ok(old) if old == *event => Ok(PutEvent::Repeated),
            Ok(old) => Ok(PutEvent::Different {
                stored: format!(
                    "quantity {}, time {}, {} tags",
                    old.quantity,
                    old.time,
                    old.tags.len()
                ),
            }),
            Err(reason) => Ok(PutEvent::Different {
                stored: reason.to_string(),
            }),
        }
    }

    /// One page of the rows of an hour, strongly consistent.
    pub async fn row_page(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
        start: Option<Item>,
    ) -> Result<RowPage, LedgerError> {
        let table = &self.tables.usage_events;
        let answer = self
            .client
            .query()
            .table_name(table)
            .key_condition_expression("#p = :p")
            .expression_attribute_names("#p", "subscription_hour")
            .expression_attribute_values(":p", text(partition_key(subscription, hour)))
            .consistent_read(true)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|e| LedgerError::unavailable("Query", table, e))?;
        Ok(RowPage {
            items: answer.items.unwrap_or_default(),
            next: answer.last_evaluated_key,
        })
    }

    /// Passes every row of an hour to `each`, page by page.
    pub async fn for_each_row(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
        mut each: impl FnMut(&UsageRow<'_>) -> Result<(), Overflow>,
    ) -> Result<(), LedgerError> {
        let mut start = None;
        loop {
            let page = self.row_page(subscription, hour, start).await?;
            for item in &page.items {
                each(&to_row(item))?;
            }
            start = page.next;
            if start.is_none() {
                return Ok(());
            }
        }
    }
}

/// The `time` of carried rows. Any time inside the target hour is correct.
pub(crate) fn carried_time(target: UsageHour) -> Timestamp {
    target.start()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_key_is_split_at_its_last_at_sign() {
        let (subscription, hour) = read_partition_key("legacy|a@b|c@d@2026-11-21T02").unwrap();
        assert_eq!(subscription.to_string(), "legacy|a@b|c@d");
        assert_eq!(hour.to_string(), "2026-11-21T02");
        for bad in [
            "",
            "x",
            "legacy|a|b",
            "legacy|a|b@2026-11-21",
            "nobody@2026-11-21T02",
        ] {
            assert_eq!(
                read_partition_key(bad).unwrap_err().code(),
                "malformed-partition-key",
                "{bad}"
            );
        }
    }

    #[test]
    fn an_event_survives_its_item() {
        let event = UsageEvent {
            dimension: "gb#x".parse().unwrap(),
            id: "e-1".parse().unwrap(),
            quantity: "1.5".parse().unwrap(),
            time: "2026-11-21T02:15:00.25Z".parse().unwrap(),
            tags: TagSet::try_from(Tags::from([("team".to_owned(), "a b".to_owned())])).unwrap(),
        };
        let item = to_item(&"account|code|1".parse().unwrap(), &event);
        assert_eq!(
            read_row(&to_row(&item), UsageHour::of(event.time)).unwrap(),
            event
        );
    }
}
