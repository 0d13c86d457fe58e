//! Reads one delivery of the stream and groups its changes by hour. It does no I/O.

use std::borrow::Cow;
use std::collections::HashMap;

use ledger::stream::{ChangeKind, UsageChange};
use ledger::usage_event::read_partition_key;
use marketplace::usage::SetAsideReason;
use marketplace::{Subscription, UsageHour};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The place of a change in its delivery and in the stream.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    /// The index within the delivery, from 0.
    pub index: usize,
    /// The sequence number within the stream. If Lambda gets an empty one, it delivers the whole
    /// batch again.
    pub sequence_number: Cow<'a, str>,
}

/// A row that was put or changed.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub place: Place<'a>,
    pub dimension_event: Cow<'a, str>,
}

/// All changes of one delivery with the same partition key.
#[derive(Debug)]
pub(crate) struct TouchedHour<'a> {
    /// The partition key as it is in the rows.
    pub partition: Cow<'a, str>,
    /// The subscription and hour that the key names, or the reason why the key is malformed.
    pub key: Result<(Subscription, UsageHour), SetAsideReason>,
    /// The place of the first change.
    pub first: Place<'a>,
    /// The rows that were put or changed, and so must be metered or itemised. The list is empty if
    /// rows were only removed.
    pub written: Vec<Row<'a>>,
}

/// The changes of one delivery of the stream.
#[derive(Debug, Default)]
pub(crate) struct Delivery<'a> {
    /// The hours with changes, in the order of their first changes.
    pub hours: Vec<TouchedHour<'a>>,
    /// The number of changes in usage. A removal by TTL is no such change.
    pub changes: u64,
    /// The number of rows that TTL has removed.
    pub expired: u64,
    /// The number of stream records that cannot be read. They are logged and skipped. A repeated
    /// delivery would not make them readable, and would block all records after them.
    pub unreadable: u64,
}

#[derive(Deserialize)]
struct Batch<'a> {
    /// Each record is decoded individually, so that an unreadable record does not affect the
    /// others.
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a RawValue>,
}

impl<'a> Delivery<'a> {
    /// Reads the event of an invocation.
    pub fn read(event: &'a RawValue) -> Self {
        let mut delivery = Self::default();
        let batch: Batch<'a> = match serde_json::from_str(event.get()) {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(%error, "this event is not a batch of stream records and is skipped; check the function's trigger");
                delivery.unreadable = 1;
                return delivery;
            }
        };
        // The index of each partition key in `hours`. Each key is parsed only once, even if it has
        // many rows.
        let mut known: HashMap<Cow<'a, str>, usize> = HashMap::new();
        for (index, raw) in batch.records.iter().enumerate() {
            match UsageChange::read(raw.get()) {
                Ok(change) => delivery.add(&mut known, index, change),
                Err(error) => {
                    let sequence_number = sequence_number(raw);
                    tracing::error!(
                        index,
                        sequence_number,
                        %error,
                        "this stream record could not be read and is skipped; the reconciler recounts its hour anyway, six hours after the hour was due"
                    );
                    delivery.unreadable += 1;
                }
            }
        }
        delivery
    }

    fn add(
        &mut self,
        known: &mut HashMap<Cow<'a, str>, usize>,
        index: usize,
        change: UsageChange<'a>,
    ) {
        if change.kind == ChangeKind::Expired {
            self.expired += 1;
            return;
        }
        self.changes += 1;
        let place = Place {
            index,
            sequence_number: change.sequence_number,
        };
        let position = match known.get(&change.subscription_hour) {
            Some(position) => *position,
            None => {
                known.insert(change.subscription_hour.clone(), self.hours.len());
                self.hours.push(TouchedHour {
                    key: read_partition_key(&change.subscription_hour),
                    partition: change.subscription_hour,
                    first: place.clone(),
                    written: Vec::new(),
                });
                self.hours.len() - 1
            }
        };
        if change.kind == ChangeKind::Written
            && let Some(hour) = self.hours.get_mut(position)
        {
            hour.written.push(Row {
                place,
                dimension_event: change.dimension_event,
            });
        }
    }
}

/// The sequence number of a record that could not be read, for the log.
fn sequence_number(raw: &RawValue) -> String {
    serde_json::from_str::<serde_json::Value>(raw.get())
        .ok()
        .and_then(|record| {
            Some(
                record
                    .pointer("/dynamodb/SequenceNumber")?
                    .as_str()?
                    .to_owned(),
            )
        })
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn event(records: &[serde_json::Value]) -> Box<RawValue> {
        serde_json::value::to_raw_value(&json!({ "Records": records })).unwrap()
    }

    fn record(name: &str, number: usize, partition: &str, row: &str) -> serde_json::Value {
        json!({"eventName": name, "dynamodb": {
            "Keys": {"subscription_hour": {"S": partition}, "dimension_event": {"S": row}},
            "SequenceNumber": number.to_string(),
        }})
    }

    const HOUR_2: &str = "account|code|1@2026-11-21T02";
    const HOUR_3: &str = "account|code|1@2026-11-21T03";

    #[test]
    fn an_hour_with_many_rows_is_touched_once() {
        let event = event(&[
            record("INSERT", 1, HOUR_2, "gb#1"),
            record("INSERT", 2, HOUR_3, "gb#2"),
            record("MODIFY", 3, HOUR_2, "gb#3"),
            record("REMOVE", 4, HOUR_2, "gb#4"),
        ]);
        let delivery = Delivery::read(&event);
        let touched: Vec<_> = delivery
            .hours
            .iter()
            .map(|hour| {
                (
                    hour.partition.as_ref(),
                    hour.first.sequence_number.as_ref(),
                    hour.written.len(),
                )
            })
            .collect();
        assert_eq!(touched, [(HOUR_2, "1", 2), (HOUR_3, "2", 1)]);
        assert_eq!(delivery.changes, 4);
    }

    #[test]
    fn an_unreadable_record_does_not_affect_the_others() {
        let event = event(&[
            json!("nonsense"),
            record("INSERT", 1, HOUR_2, "gb#1"),
            json!({"eventName": "INSERT", "dynamodb": {"SequenceNumber": "2"}}),
        ]);
        let delivery = Delivery::read(&event);
        assert_eq!(
            (delivery.hours.len(), delivery.changes, delivery.unreadable),
            (1, 1, 2)
        );
    }

    #[test]
    fn a_removal_by_ttl_touches_nothing() {
        let mut expiry = record("REMOVE", 1, HOUR_2, "gb#1");
        expiry["userIdentity"] =
            json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"});
        let event = event(&[expiry]);
        let delivery = Delivery::read(&event);
        assert_eq!((delivery.hours.len(), delivery.expired), (0, 1));
    }

    proptest! {
        #[test]
        fn no_event_makes_the_reader_panic(key in ".{0,40}", row in ".{0,40}", name in "INSERT|REMOVE|.{0,6}") {
            let odd = event(&[record(&name, 1, &key, &row), json!([key]), json!({ "dynamodb": row })]);
            prop_assert_eq!(Delivery::read(&odd).unreadable, 2);
            let other = serde_json::value::to_raw_value(&json!({ "Records": key })).unwrap();
            prop_assert_eq!(Delivery::read(&other).unreadable, 1);
        }
    }
}
