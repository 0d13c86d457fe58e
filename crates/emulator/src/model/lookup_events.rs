//! The request of CloudTrail's `LookupEvents`.

use jiff::Timestamp;

use super::reader::{ANY_STRING, Members, ShapeError};
use super::shapes::LOOKUP_VALUE;
use super::usage::Stamp;

const KEYS: &[&str] = &[
    "EventId",
    "EventName",
    "ReadOnly",
    "Username",
    "ResourceType",
    "ResourceName",
    "EventSource",
    "AccessKeyId",
];

/// A page of the event history.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LookupEventsRequest {
    pub(crate) attributes: Vec<(&'static str, String)>,
    pub(crate) start: Option<Timestamp>,
    pub(crate) end: Option<Timestamp>,
    pub(crate) event_category: Option<String>,
    pub(crate) max_results: Option<i64>,
    pub(crate) next_token: Option<String>,
}

impl LookupEventsRequest {
    pub(crate) fn read(members: &mut Members<'_>) -> Result<Self, ShapeError> {
        let attributes = members.list("LookupAttributes", 0, usize::MAX, |attribute| {
            let key = attribute.one_of("AttributeKey", KEYS)?;
            let value = attribute.string("AttributeValue", &LOOKUP_VALUE)?;
            if key.is_none() {
                attribute.missing("AttributeKey");
            }
            if value.is_none() {
                attribute.missing("AttributeValue");
            }
            Ok((key.unwrap_or_default(), value.unwrap_or_default()))
        })?;
        Ok(LookupEventsRequest {
            attributes: attributes.unwrap_or_default(),
            start: Stamp::read_optional(members, "StartTime")?.map(|stamp| stamp.at),
            end: Stamp::read_optional(members, "EndTime")?.map(|stamp| stamp.at),
            // These two members have exceptions of their own, so a bad value does not violate the
            // model.
            event_category: members.string("EventCategory", &ANY_STRING)?,
            max_results: members.integer("MaxResults", i64::MIN, i64::MAX)?,
            next_token: members.string("NextToken", &ANY_STRING)?,
        })
    }
}
