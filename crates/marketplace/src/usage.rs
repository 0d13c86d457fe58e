//! One row of UsageEvents. The table is a public interface, so every attribute is checked.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::hour::UsageHour;
use crate::ids::{Dimension, EventId};
use crate::limits::{DIMENSION_EVENT_BYTES_MAX, ROWS_KEPT_DAYS};
use crate::quantity::{InvalidQuantity, Quantity};
use crate::retention::rows_kept_until;
use crate::tags::{InvalidTags, TagSet, Tags};
use crate::text::excerpt;

/// The prefix of event ids that are reserved for late usage carried from an earlier hour.
pub const CARRY_PREFIX: &str = "carry:";

/// An attribute of a row before it is checked. The seller's software may have written anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field<T> {
    /// The row has no such attribute.
    Absent,
    /// The attribute has a wrong type. The text is the name of the right type.
    WrongType(&'static str),
    /// The value of the right type, not yet checked.
    Value(T),
}

/// A row as it is stored, without its partition key.
#[derive(Debug, Clone)]
pub struct UsageRow<'a> {
    /// The sort key, `<dimension>#<event id>`.
    pub dimension_event: Cow<'a, str>,
    /// The number as DynamoDB prints it.
    pub quantity: Field<Cow<'a, str>>,
    /// The time of usage in RFC 3339.
    pub time: Field<Cow<'a, str>>,
    /// The tags for usage allocations; may be absent.
    pub tags: Field<Tags>,
    /// The second since the epoch at which DynamoDB may remove the row, as DynamoDB prints the
    /// number; may be absent. DynamoDB ignores an attribute that is not a number, so such an
    /// attribute counts as absent.
    pub expires_at: Option<Cow<'a, str>>,
}

/// A row that passed all checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageEvent {
    /// The dimension that was used.
    pub dimension: Dimension,
    /// The seller's id of the event.
    pub id: EventId,
    /// The quantity that was used.
    pub quantity: Quantity,
    /// The time of usage, inside the hour of the partition key.
    pub time: Timestamp,
    /// The tags for usage allocations; may be empty.
    pub tags: TagSet,
}

/// Why a row is not metered. The row stays in the table, and the other rows of its hour are
/// metered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetAsideReason {
    /// The sort key is not `<dimension>#<event id>`.
    #[error(
        "sort key {0:?} is not <dimension>#<event id>: a dimension, #, and an id of 1 to 128 characters A-Z a-z 0-9 . _ : -"
    )]
    Key(String),
    /// The row has no quantity.
    #[error("the row has no quantity: write a number of at most 6 decimals")]
    NoQuantity,
    /// The row has no time.
    #[error("the row has no time: write RFC 3339, inside the hour of the partition key")]
    NoTime,
    /// An attribute has the wrong type.
    #[error("attribute {attribute} is not a {expected}")]
    WrongType {
        /// The name of the attribute.
        attribute: &'static str,
        /// The type that it should have.
        expected: &'static str,
    },
    /// The quantity is negative, too large, too precise, or no number.
    #[error(transparent)]
    Quantity(#[from] InvalidQuantity),
    /// The time is not RFC 3339.
    #[error("time {0:?} is not RFC 3339, as in 2026-11-21T02:15:00Z")]
    Time(String),
    /// The time lies outside the hour of the partition key.
    #[error(
        "time {time} lies outside the hour {hour} of its key: write the event again under its own hour"
    )]
    OutsideHour {
        /// The time in the row.
        time: Timestamp,
        /// The hour in the partition key.
        hour: UsageHour,
    },
    /// DynamoDB would remove the row while it is still needed for recounts.
    #[error(
        "expires_at {expires_at} is less than {ROWS_KEPT_DAYS} days after the start of hour {hour}: set a later second since the epoch, or remove the attribute"
    )]
    ExpiresTooSoon {
        /// The row's attribute as DynamoDB prints it.
        expires_at: String,
        /// The hour in the partition key.
        hour: UsageHour,
    },
    /// AWS Marketplace would refuse the tags.
    #[error(transparent)]
    Tags(#[from] InvalidTags),
    /// The product has no such dimension.
    #[error(
        "the product has no dimension {0:?}: correct the producer, or add the dimension to the product's configuration"
    )]
    UnknownDimension(String),
    /// The id is reserved for carried usage, and no movement of carried usage matches it.
    #[error(
        "event id {0:?} is reserved for carried usage and no such movement exists: use another id"
    )]
    ForeignCarry(String),
    /// The partition key is not `<subscription>@<hour>`.
    #[error("partition key {0:?} is not <subscription>@<YYYY-MM-DDThh>")]
    PartitionKey(String),
    /// The subscription is not known.
    #[error(
        "no subscription {0:?}: it is metered once the buyer has registered and the agreement is active"
    )]
    UnknownSubscription(String),
    /// The records of its hour are no longer kept.
    #[error(
        "the records of hour {0} are no longer kept, so nothing shows whether this row was billed: it is not counted; if it must be billed, bill it outside AWS Marketplace"
    )]
    HourTooOld(UsageHour),
}

impl SetAsideReason {
    /// A short, fixed name of the reason for reports and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Key(_) => "malformed-key",
            Self::NoQuantity => "no-quantity",
            Self::NoTime => "no-time",
            Self::WrongType { .. } => "wrong-type",
            Self::Quantity(_) => "invalid-quantity",
            Self::Time(_) => "invalid-time",
            Self::OutsideHour { .. } => "time-outside-hour",
            Self::ExpiresTooSoon { .. } => "expires-too-soon",
            Self::Tags(_) => "invalid-tags",
            Self::UnknownDimension(_) => "unknown-dimension",
            Self::ForeignCarry(_) => "reserved-id",
            Self::PartitionKey(_) => "malformed-partition-key",
            Self::UnknownSubscription(_) => "unknown-subscription",
            Self::HourTooOld(_) => "hour-too-old",
        }
    }
}

/// Splits `<dimension>#<event id>` at the last `#`: a dimension may contain one, an id may not.
pub fn split_key(dimension_event: &str) -> Result<(&str, &str), SetAsideReason> {
    let malformed = || SetAsideReason::Key(excerpt(dimension_event, 100));
    let (dimension, id) = dimension_event.rsplit_once('#').ok_or_else(malformed)?;
    Dimension::check(dimension).map_err(|_| malformed())?;
    EventId::check(id).map_err(|_| malformed())?;
    if dimension_event.len() > DIMENSION_EVENT_BYTES_MAX {
        return Err(malformed());
    }
    Ok((dimension, id))
}

/// A row that passed all checks, with borrowed texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckedRow<'r> {
    pub dimension: &'r str,
    pub id: &'r str,
    pub quantity: Quantity,
    pub time: Timestamp,
    pub tags: TagSet,
}

/// Checks everything that can be checked with only the row and its hour.
pub(crate) fn check_row<'r>(
    row: &'r UsageRow<'_>,
    hour: UsageHour,
) -> Result<CheckedRow<'r>, SetAsideReason> {
    let (dimension, id) = split_key(&row.dimension_event)?;
    let quantity = match &row.quantity {
        Field::Value(text) => Quantity::from_number(text)?,
        Field::Absent => return Err(SetAsideReason::NoQuantity),
        Field::WrongType(expected) => {
            return Err(SetAsideReason::WrongType {
                attribute: "quantity",
                expected,
            });
        }
    };
    let time = match &row.time {
        Field::Value(text) => text
            .parse::<Timestamp>()
            .map_err(|_| SetAsideReason::Time(excerpt(text, 60)))?,
        Field::Absent => return Err(SetAsideReason::NoTime),
        Field::WrongType(expected) => {
            return Err(SetAsideReason::WrongType {
                attribute: "time",
                expected,
            });
        }
    };
    if !hour.contains(time) {
        return Err(SetAsideReason::OutsideHour { time, hour });
    }
    if let Some(expires_at) = &row.expires_at
        && expires_too_soon(expires_at, hour)
    {
        return Err(SetAsideReason::ExpiresTooSoon {
            expires_at: excerpt(expires_at, 60),
            hour,
        });
    }
    let tags = match &row.tags {
        Field::Absent => TagSet::untagged(),
        Field::Value(tags) => TagSet::try_from(tags.clone())?,
        Field::WrongType(expected) => {
            return Err(SetAsideReason::WrongType {
                attribute: "tags",
                expected,
            });
        }
    };
    Ok(CheckedRow {
        dimension,
        id,
        quantity,
        time,
        tags,
    })
}

/// Returns whether a row with this `expires_at` may be removed before [`rows_may_be_gone`] expects
/// it. Such a row would make usage that was billed correctly look over-metered.
fn expires_too_soon(expires_at: &str, hour: UsageHour) -> bool {
    let whole = expires_at.split('.').next().unwrap_or_default();
    // A number that does not fit is so far from the present that DynamoDB does not remove the row.
    whole
        .parse::<i64>()
        .is_ok_and(|second| second < rows_kept_until(hour).as_second())
}

/// Checks a row of `hour` and copies it into an event.
pub fn read_row(row: &UsageRow<'_>, hour: UsageHour) -> Result<UsageEvent, SetAsideReason> {
    let checked = check_row(row, hour)?;
    let malformed = |_| SetAsideReason::Key(excerpt(&row.dimension_event, 100));
    Ok(UsageEvent {
        dimension: checked.dimension.parse().map_err(malformed)?,
        id: checked.id.parse().map_err(malformed)?,
        quantity: checked.quantity,
        time: checked.time,
        tags: checked.tags,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(key: &str) -> UsageRow<'_> {
        UsageRow {
            dimension_event: key.into(),
            quantity: Field::Value("1.5".into()),
            time: Field::Value("2026-11-21T02:15:00Z".into()),
            tags: Field::Absent,
            expires_at: None,
        }
    }

    fn code(row: &UsageRow<'_>) -> &'static str {
        read_row(row, "2026-11-21T02".parse().unwrap()).map_or_else(|e| e.code(), |_| "ok")
    }

    #[test]
    fn a_key_is_split_at_its_last_hash() {
        assert_eq!(split_key("gb#x#event-1").unwrap(), ("gb#x", "event-1"));
        for bad in [
            "gb",
            "#id",
            "gb#",
            "gb#a b",
            &format!("{}#{}", "x".repeat(256), "i"),
        ] {
            assert!(split_key(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_may_be_as_long_as_the_table_takes() {
        let dimension = "𝄞".repeat(225);
        let key = |id: usize| format!("{dimension}#{}", "x".repeat(id));
        assert_eq!(key(122).len(), DIMENSION_EVENT_BYTES_MAX);
        assert!(split_key(&key(122)).is_ok());
        assert!(split_key(&key(123)).is_err());
        assert!(split_key(&key(128)).is_err());
    }

    #[test]
    fn each_fault_of_a_row_has_its_own_name() {
        assert_eq!(code(&row("gb#1")), "ok");
        assert_eq!(code(&row("gb")), "malformed-key");
        let with = |change: fn(&mut UsageRow<'_>)| {
            let mut row = row("gb#1");
            change(&mut row);
            code(&row)
        };
        assert_eq!(with(|r| r.quantity = Field::Absent), "no-quantity");
        assert_eq!(
            with(|r| r.quantity = Field::WrongType("number")),
            "wrong-type"
        );
        assert_eq!(
            with(|r| r.quantity = Field::Value("-1".into())),
            "invalid-quantity"
        );
        assert_eq!(with(|r| r.time = Field::Absent), "no-time");
        assert_eq!(
            with(|r| r.time = Field::Value("noon".into())),
            "invalid-time"
        );
        assert_eq!(
            with(|r| r.time = Field::Value("2026-11-21T03:00:00Z".into())),
            "time-outside-hour"
        );
        assert_eq!(
            with(|r| r.time = Field::Value("2026-11-21T03:15:00+01:00".into())),
            "ok"
        );
        assert_eq!(with(|r| r.tags = Field::WrongType("map")), "wrong-type");
        assert_eq!(
            with(|r| r.tags = Field::Value(Tags::from([("k".into(), String::new())]))),
            "invalid-tags"
        );
    }

    #[test]
    fn a_row_must_stay_for_a_hundred_days_after_the_start_of_its_hour() {
        let earliest: Timestamp = "2027-03-01T02:00:00Z".parse().unwrap();
        let earliest = earliest.as_second();
        for (expires_at, expect) in [
            (earliest.to_string(), "ok"),
            ((earliest - 1).to_string(), "expires-too-soon"),
            (format!("{}.5", earliest - 1), "expires-too-soon"),
            (format!("{earliest}.5"), "ok"),
            ("0".to_owned(), "expires-too-soon"),
            ("-1".to_owned(), "expires-too-soon"),
            // Milliseconds instead of seconds lie in the far future.
            (format!("{earliest}000"), "ok"),
            ("9".repeat(38), "ok"),
        ] {
            let mut row = row("gb#1");
            row.expires_at = Some(expires_at.clone().into());
            assert_eq!(code(&row), expect, "{expires_at}");
        }
        let mut row = row("gb#1");
        row.expires_at = Some("1".into());
        let reason = read_row(&row, "2026-11-21T02".parse().unwrap()).unwrap_err();
        let text = reason.to_string();
        for words in ["expires_at 1 ", "100 days", "2026-11-21T02", "remove"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    proptest! {
        #[test]
        fn no_row_makes_the_reader_panic(key in ".{0,60}", quantity in ".{0,20}", time in ".{0,30}", expires_at in ".{0,25}") {
            let row = UsageRow {
                dimension_event: key.into(),
                quantity: Field::Value(quantity.into()),
                time: Field::Value(time.into()),
                tags: Field::Absent,
                expires_at: Some(expires_at.into()),
            };
            let _verdict = code(&row);
        }
    }
}
