//! Reads one event, and checks all rules that need no table.

use jiff::Timestamp;
use marketplace::hour::shift;
use marketplace::schedule::catch_due;
use marketplace::text::excerpt;
use marketplace::usage::{CARRY_PREFIX, UsageEvent, split_key};
use marketplace::{Dimension, EventId, Month, Quantity, Subscription, TagSet};
use serde_json::value::RawValue;

use crate::limits::{CLOCK_SKEW_MAX, SUBSCRIPTION_BYTES_MAX};
use crate::members::{Members, shown, tags, text, wrong_type};
use crate::rejection::Rejection;

/// An event that follows these rules, and its subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Usage {
    pub subscription: Subscription,
    pub event: UsageEvent,
}

/// The result of reading one event.
#[derive(Debug)]
pub(crate) struct Read {
    /// The event's id as it was sent, cut off after 128 characters; `None` if it is missing or not
    /// a string.
    pub id: Option<String>,
    /// The event, or the first rule that it breaks.
    pub usage: Result<Usage, Rejection>,
}

/// Reads one element of `events`.
pub(crate) fn read(raw: &RawValue, now: Timestamp) -> Read {
    let Ok(members) = serde_json::from_str::<Members<'_>>(raw.get()) else {
        return Read {
            id: None,
            usage: Err(Rejection::NotAnEvent(shown(raw))),
        };
    };
    let id = text("id", members.id).ok();
    Read {
        id: id.map(|id| excerpt(&id, 128)),
        usage: judge(members, now),
    }
}

fn judge(members: Members<'_>, now: Timestamp) -> Result<Usage, Rejection> {
    if let Some(fault) = members.fault {
        return Err(fault);
    }
    let id: EventId = text("id", members.id)?.parse().map_err(Rejection::Id)?;
    if id.as_str().starts_with(CARRY_PREFIX) {
        return Err(Rejection::ReservedId(id.to_string()));
    }
    let subscription = read_subscription(&text("subscription", members.subscription)?)?;
    let dimension: Dimension = text("dimension", members.dimension)?
        .parse()
        .map_err(Rejection::Dimension)?;
    let key = format!("{dimension}#{id}");
    if split_key(&key).is_err() {
        return Err(Rejection::KeyTooLong(format!(
            "dimension and id have {} bytes",
            dimension.as_str().len() + id.as_str().len()
        )));
    }
    let quantity = read_quantity(members.quantity)?;
    let time = read_time(&text("time", members.time)?, now)?;
    let tags = TagSet::try_from(tags(members.tags)?)?;
    Ok(Usage {
        subscription,
        event: UsageEvent {
            dimension,
            id,
            quantity,
            time,
            tags,
        },
    })
}

fn read_subscription(text: &str) -> Result<Subscription, Rejection> {
    let subscription: Subscription = text.parse().map_err(Rejection::Subscription)?;
    if text.len() > SUBSCRIPTION_BYTES_MAX {
        return Err(Rejection::SubscriptionTooLong(text.len()));
    }
    Ok(subscription)
}

/// Reads a quantity. A string must follow the rule of AWS's API model. A JSON number is read from
/// its digits, so that it stays exact.
fn read_quantity(value: Option<&RawValue>) -> Result<Quantity, Rejection> {
    let raw = value.ok_or(Rejection::MissingMember("quantity"))?;
    match raw.get().bytes().next() {
        Some(b'"') => Ok(text("quantity", value)?.parse()?),
        Some(b'-' | b'0'..=b'9') => Ok(Quantity::from_number(raw.get())?),
        _ => Err(wrong_type(
            "quantity",
            raw,
            "a decimal number in a JSON string",
        )),
    }
}

fn read_time(text: &str, now: Timestamp) -> Result<Timestamp, Rejection> {
    let time: Timestamp = text
        .parse()
        .map_err(|_| Rejection::Time(excerpt(text, 60)))?;
    if time > shift(now, CLOCK_SKEW_MAX) {
        return Err(Rejection::InFuture { time, now });
    }
    // A month's late usage is carried into its last hour, the catch hour, until that hour is
    // sealed. Afterwards AWS Marketplace accepts no usage of the month.
    let month = Month::of(time);
    let closed = catch_due(month);
    if now >= closed {
        return Err(Rejection::TooOld {
            time,
            month,
            closed,
        });
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const NOW: &str = "2026-11-21T04:40:00Z";

    fn event() -> Value {
        json!({"id": "e-1", "subscription": "account|code|1", "dimension": "gb",
            "quantity": "1.5", "time": "2026-11-21T04:35:00Z"})
    }

    fn read_at(json: &str, now: &str) -> Read {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        read(&raw, now.parse().unwrap())
    }

    fn code(json: &str, now: &str) -> &'static str {
        read_at(json, now)
            .usage
            .map_or_else(|rejection| rejection.code(), |_| "ok")
    }

    #[track_caller]
    fn check(member: &str, value: impl Into<Value>, expected: &str) {
        let mut event = event();
        event[member] = value.into();
        assert_eq!(code(&event.to_string(), NOW), expected, "{event}");
    }

    /// Checks a quantity given as JSON text, because `json!` would turn a number into a float.
    #[track_caller]
    fn check_quantity(raw: &str, expected: Result<&str, &str>) {
        let json = event().to_string().replace(r#""1.5""#, raw);
        match (read_at(&json, NOW).usage, expected) {
            (Ok(usage), Ok(quantity)) => assert_eq!(usage.event.quantity.to_string(), quantity),
            (Err(rejection), Err(code)) => assert_eq!(rejection.code(), code, "{rejection}"),
            (other, _) => panic!("{raw}: {other:?}"),
        }
    }

    #[test]
    fn a_quantity_is_a_decimal_string_or_an_exact_number() {
        for (raw, quantity) in [
            (r#""0""#, "0"),
            (r#""9999999999.999999""#, "9999999999.999999"),
            ("9999999999.999999", "9999999999.999999"),
            ("1e2", "100"),
            ("0.1000000", "0.1"),
            (r#""1.500000""#, "1.5"),
        ] {
            check_quantity(raw, Ok(quantity));
        }
        for raw in [
            r#""-1""#,
            "-0.000001",
            r#""1.0000001""#,
            "0.0000001",
            r#""10000000000""#,
            r#""lots""#,
            r#""1e2""#,
            r#""""#,
            &"9".repeat(100),
        ] {
            check_quantity(raw, Err("invalid-quantity"));
        }
        for raw in ["null", "true", "[1]", "{}"] {
            check_quantity(raw, Err("wrong-type"));
        }
    }

    #[test]
    fn each_member_has_its_rule() {
        check("id", "e 1", "invalid-id");
        check("id", "x".repeat(129), "invalid-id");
        check("id", 7, "wrong-type");
        check("id", "carry:2026-11-21T02:x:1", "reserved-id");
        check("subscription", "somebody", "invalid-subscription");
        let partition = format!("arn:aws{}:license-manager::1:x", "a".repeat(2_048));
        check("subscription", partition, "invalid-subscription");
        check("dimension", "", "invalid-dimension");
        check("dimension", "gb#x", "ok");
        check("tags", json!({"team": "a"}), "ok");
        check("tags", Value::Null, "ok");
        check("tags", json!({"team": 1}), "wrong-type");
        check("tags", json!({"team": ""}), "invalid-tags");
        let six = json!({"a": "1", "b": "1", "c": "1", "d": "1", "e": "1", "f": "1"});
        check("tags", six, "invalid-tags");
        check("quantitty", "1", "unknown-member");
    }

    #[test]
    fn dimension_and_id_must_fit_one_key() {
        let mut long = event();
        long["dimension"] = json!("𝄞".repeat(225));
        long["id"] = json!("x".repeat(122));
        assert_eq!(code(&long.to_string(), NOW), "ok");
        long["id"] = json!("x".repeat(123));
        assert_eq!(code(&long.to_string(), NOW), "key-too-long");
    }

    #[test]
    fn a_repeated_member_or_tag_is_rejected() {
        let twice = event().to_string().replacen('{', r#"{"quantity":"3","#, 1);
        assert_eq!(code(&twice, NOW), "repeated-member");
        let tags = event()
            .to_string()
            .replacen('{', r#"{"tags":{"a":"1","a":"2"},"#, 1);
        assert_eq!(code(&tags, NOW), "invalid-tags");
    }

    #[test]
    fn every_member_except_tags_is_required() {
        for member in ["id", "subscription", "dimension", "quantity", "time"] {
            let mut event = event();
            event.as_object_mut().unwrap().remove(member);
            assert_eq!(code(&event.to_string(), NOW), "missing-member", "{member}");
        }
        for other in ["1", "null", "[]", r#""event""#] {
            assert_eq!(code(other, NOW), "not-an-event", "{other}");
        }
    }

    #[test]
    fn usage_is_accepted_until_its_months_catch_hour_is_sealed() {
        let at = |time: &str, now: &str| {
            let mut event = event();
            event["time"] = json!(time);
            code(&event.to_string(), now)
        };
        assert_eq!(at("2026-11-21T04:45:00Z", NOW), "ok");
        assert_eq!(at("2026-11-21T04:45:00.000000001Z", NOW), "time-in-future");
        assert_eq!(at("2026-11-21T05:35:00+01:00", NOW), "ok");
        assert_eq!(at("2026-11-01T00:00:00Z", NOW), "ok");
        assert_eq!(at("2026-10-31T23:59:59Z", NOW), "time-too-old");
        assert_eq!(at("2026-11-30T23:59:59Z", "2026-12-01T04:59:59Z"), "ok");
        assert_eq!(
            at("2026-11-30T23:59:59Z", "2026-12-01T05:00:00Z"),
            "time-too-old"
        );
        assert_eq!(at("1960-01-01T00:00:00Z", NOW), "time-too-old");
        assert_eq!(at("yesterday", NOW), "invalid-time");
        assert_eq!(at("2026-11-21T04:35:00", NOW), "invalid-time");
    }

    proptest! {
        #[test]
        fn nothing_makes_the_reader_panic(
            id in ".{0,20}", subscription in ".{0,40}", dimension in ".{0,20}",
            quantity in "-?[0-9]{0,40}(\\.[0-9]{0,40})?([eE][+-]?[0-9]{1,12})?", time in ".{0,30}",
        ) {
            let json = json!({"id": id, "subscription": subscription, "dimension": dimension,
                "quantity": quantity, "time": time, "tags": {&*id: time}}).to_string();
            let _verdict = code(&json, NOW);
            let number = event().to_string().replace(r#""1.5""#, &quantity);
            if let Ok(raw) = RawValue::from_string(number) {
                let _verdict = read(&raw, NOW.parse().unwrap());
            }
        }
    }
}
