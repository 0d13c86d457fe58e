//! Reads the deliveries of the tables' streams: only keys for UsageEvents, and new images for
//! MeteringRecords.
//!
//! A delivery may repeat, come late or not come at all, so it is only a hint that a row or record
//! may have changed.

use std::borrow::Cow;

use crate::record::read_sort_key;
use marketplace::slot::Slot;

/// Reads the slot of the metering record that a stream record of MeteringRecords is about; `None` if
/// it is about another item.
///
/// # Errors
///
/// The error of `serde_json` if the text is not a stream record with the keys of its item.
pub fn changed_record(json: &str) -> Result<Option<Slot>, serde_json::Error> {
    let record: wire::RecordChange<'_> = serde_json::from_str(json)?;
    let wire::RecordKeys { subscription, item } = record.dynamodb.keys;
    let (Some(subscription), Some(item)) = (subscription, item) else {
        return Ok(None);
    };
    let slot = read_sort_key(&item.s).and_then(|(hour, dimension)| {
        Some(Slot {
            subscription: subscription.s.parse().ok()?,
            hour,
            dimension,
        })
    });
    Ok(slot)
}

/// A change in UsageEvents, borrowed from its delivery. One delivery has up to 10,000 changes, and
/// it would cost more to copy their texts than to read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageChange<'a> {
    /// The kind of the change.
    pub kind: ChangeKind,
    /// The row's partition key, not yet parsed.
    pub subscription_hour: Cow<'a, str>,
    /// The row's sort key, not yet parsed.
    pub dimension_event: Cow<'a, str>,
    /// The change's place in the stream; empty if the stream record does not have it.
    pub sequence_number: Cow<'a, str>,
}

/// The kind of a change of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// The row was put or changed.
    Written,
    /// A producer or a person removed the row.
    Removed,
    /// DynamoDB's TTL removed the row, long after it was metered. That is no change in usage.
    Expired,
}

/// The `principalId` of TTL in a stream record.
const TTL_PRINCIPAL: &str = "dynamodb.amazonaws.com";

impl<'a> UsageChange<'a> {
    /// Reads one stream record.
    ///
    /// # Errors
    ///
    /// The error of `serde_json` if the text is not a stream record of UsageEvents: it is not JSON,
    /// or it does not have both keys as strings.
    pub fn read(json: &'a str) -> Result<Self, serde_json::Error> {
        let record: wire::Record<'a> = serde_json::from_str(json)?;
        let principal = record.user_identity.and_then(|who| who.principal_id);
        let kind = if record.event_name.as_ref() != "REMOVE" {
            ChangeKind::Written
        } else if principal.is_some_and(|name| name.0 == TTL_PRINCIPAL) {
            ChangeKind::Expired
        } else {
            ChangeKind::Removed
        };
        Ok(Self {
            kind,
            subscription_hour: record.dynamodb.keys.subscription_hour.s,
            dimension_event: record.dynamodb.keys.dimension_event.s,
            sequence_number: record.dynamodb.sequence_number,
        })
    }
}

/// A stream record of UsageEvents as Lambda delivers it, without the members that are not needed.
mod wire {
    use std::borrow::Cow;

    use serde::Deserialize;

    #[derive(Deserialize)]
    pub(super) struct Record<'a> {
        #[serde(rename = "eventName", borrow)]
        pub event_name: Cow<'a, str>,
        #[serde(borrow)]
        pub dynamodb: Change<'a>,
        #[serde(rename = "userIdentity", default, borrow)]
        pub user_identity: Option<Identity<'a>>,
    }

    #[derive(Deserialize)]
    pub(super) struct Change<'a> {
        #[serde(rename = "Keys", borrow)]
        pub keys: Keys<'a>,
        #[serde(rename = "SequenceNumber", default, borrow)]
        pub sequence_number: Cow<'a, str>,
    }

    #[derive(Deserialize)]
    pub(super) struct Keys<'a> {
        #[serde(borrow)]
        pub subscription_hour: Text<'a>,
        #[serde(borrow)]
        pub dimension_event: Text<'a>,
    }

    /// A stream record of MeteringRecords.
    #[derive(Deserialize)]
    pub(super) struct RecordChange<'a> {
        #[serde(borrow)]
        pub dynamodb: RecordItem<'a>,
    }

    #[derive(Deserialize)]
    pub(super) struct RecordItem<'a> {
        #[serde(rename = "Keys", borrow)]
        pub keys: RecordKeys<'a>,
    }

    #[derive(Deserialize)]
    pub(super) struct RecordKeys<'a> {
        #[serde(default, borrow)]
        pub subscription: Option<Text<'a>>,
        #[serde(default, borrow)]
        pub item: Option<Text<'a>>,
    }

    #[derive(Deserialize)]
    pub(super) struct Text<'a> {
        #[serde(rename = "S", borrow)]
        pub s: Cow<'a, str>,
    }

    #[derive(Deserialize)]
    pub(super) struct Identity<'a> {
        #[serde(rename = "principalId", default, borrow)]
        pub principal_id: Option<Name<'a>>,
    }

    /// A separate type, because serde cannot borrow a string directly inside an `Option`.
    #[derive(Deserialize)]
    pub(super) struct Name<'a>(#[serde(borrow)] pub Cow<'a, str>);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(event: &str, identity: &str, row: &str) -> String {
        format!(
            r#"{{"eventID":"1","eventName":"{event}","eventVersion":"1.1","dynamodb":{{"Keys":{{
            "dimension_event":{{"S":"{row}"}},"subscription_hour":{{"S":"account|c|1@2026-11-21T02"}}}},
            "SequenceNumber":"700000000000000000001","SizeBytes":9}}{identity}}}"#
        )
    }

    #[track_caller]
    fn check(event: &str, identity: &str, expected: ChangeKind) {
        let json = record(event, identity, "gb#e-1");
        let change = UsageChange::read(&json).unwrap();
        assert_eq!(change.kind, expected, "{json}");
        assert_eq!(change.subscription_hour, "account|c|1@2026-11-21T02");
        assert_eq!(change.dimension_event, "gb#e-1");
        assert_eq!(change.sequence_number, "700000000000000000001");
    }

    #[test]
    fn only_ttl_lets_a_row_expire() {
        let ttl = r#","userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"}"#;
        let person = r#","userIdentity":{"principalId":"someone"}"#;
        check("INSERT", "", ChangeKind::Written);
        check("MODIFY", ttl, ChangeKind::Written);
        check("REMOVE", ttl, ChangeKind::Expired);
        check("REMOVE", person, ChangeKind::Removed);
        check("REMOVE", r#","userIdentity":null"#, ChangeKind::Removed);
    }

    #[test]
    fn a_change_is_borrowed_unless_json_had_to_escape_it() {
        let json = record("INSERT", "", "gb#e-1");
        let change = UsageChange::read(&json).unwrap();
        assert!(matches!(change.dimension_event, Cow::Borrowed(_)));
        let json = record("INSERT", "", r"g\u0062#e-1");
        assert_eq!(UsageChange::read(&json).unwrap().dimension_event, "gb#e-1");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            event in "\\PC{0,10}", row in "\\PC{0,40}", cut in 0_usize..300,
        ) {
            let text = String::from_utf8_lossy(&bytes);
            let whole = record(&event, "", &row);
            let part: String = whole.chars().take(cut).collect();
            for json in [text.as_ref(), &whole, &part] {
                let _change = UsageChange::read(json);
                let _record = changed_record(json);
            }
        }
    }

    #[test]
    fn a_record_without_both_keys_is_unreadable() {
        for bad in [
            "",
            "null",
            "[]",
            r#"{"eventName":"INSERT"}"#,
            r#"{"eventName":"INSERT","dynamodb":{"SequenceNumber":"1"}}"#,
            r#"{"eventName":"INSERT","dynamodb":{"Keys":{"subscription_hour":{"S":"a"}}}}"#,
            r#"{"eventName":"INSERT","dynamodb":{"Keys":{"subscription_hour":{"S":"a"},"dimension_event":{"N":"1"}}}}"#,
        ] {
            assert!(UsageChange::read(bad).is_err(), "{bad}");
        }
    }
}
