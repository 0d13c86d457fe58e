//! CloudTrail's `LookupEvents`: the only way to read back what was metered.
//!
//! Only `BatchMeterUsage` is in the seller's event history. `MeterUsage` and `RegisterUsage` are
//! logged in the buyers' accounts, and `ResolveCustomer` is not logged.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use thiserror::Error;

use super::{Arrival, page};
use crate::ids::{self, Kind};
use crate::limits::{EVENT_HISTORY_DAYS, EVENTS_PAGE_MAX};
use crate::model::LookupEventsRequest;
use crate::rules::cloudtrail_event;
use crate::world::{CallEntry, World};

pub(super) const LOGGED: &str = "BatchMeterUsage";
pub(super) const SOURCE: &str = "metering-marketplace.amazonaws.com";
/// The only event category that a request can name. Metering calls have no such events.
const INSIGHT: &str = "insight";
/// The user to whom every call is attributed, because credentials are not verified.
pub(crate) const USERNAME: &str = "seller";

/// Why events cannot be looked up.
#[derive(Clone, Debug, Error, PartialEq)]
pub(crate) enum LookupEventsError {
    #[error("{count} lookup attributes are given; at most one is allowed")]
    Attributes { count: usize },
    #[error("The start time {start} is after the end time {end}")]
    TimeRange { start: Timestamp, end: Timestamp },
    #[error("EventCategory is '{given}', but must be {INSIGHT}, or absent for management events")]
    EventCategory { given: String },
    #[error("MaxResults is {given}, but must be 1 to {EVENTS_PAGE_MAX}")]
    MaxResults { given: i64 },
    #[error("The NextToken is not from an answer to this request")]
    NextToken,
}

impl LookupEventsError {
    /// The name of the exception in the API model.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            LookupEventsError::Attributes { .. } => "InvalidLookupAttributesException",
            LookupEventsError::TimeRange { .. } => "InvalidTimeRangeException",
            LookupEventsError::EventCategory { .. } => "InvalidEventCategoryException",
            LookupEventsError::MaxResults { .. } => "InvalidMaxResultsException",
            LookupEventsError::NextToken => "InvalidNextTokenException",
        }
    }
}

/// Returns one page of the called Region's events, newest first.
pub(crate) fn lookup_events(
    world: &World,
    request: &LookupEventsRequest,
    arrival: Arrival<'_>,
) -> Result<Value, LookupEventsError> {
    let page_size = check(request)?;
    let question = (
        (&request.attributes, &request.event_category),
        request.start.map(Timestamp::as_nanosecond),
        request.end.map(Timestamp::as_nanosecond),
        arrival.region,
    );
    // A page continues after the last event of the previous page, so that new events do not shift
    // the pages.
    let before = match &request.next_token {
        None => u64::MAX,
        Some(token) => page::position(token, &question).ok_or(LookupEventsError::NextToken)?,
    };
    if request.event_category.is_some() {
        return Ok(json!({"Events": []}));
    }
    let shown = Shown::of(world, request, arrival);
    let mut found = world
        .calls
        .iter()
        .rev()
        .filter(|entry| entry.number < before && shown.includes(world, entry));
    let mut page: Vec<&CallEntry> = found.by_ref().take(page_size).collect();
    repeat(world, &mut page, page_size);
    let events: Vec<Value> = page.iter().map(|entry| event(world, entry)).collect();
    let mut answer = json!({"Events": events});
    if let Some(last) = page.last()
        && found.next().is_some()
    {
        answer["NextToken"] = json!(page::token(last.number, &question));
    }
    Ok(answer)
}

/// Repeats some events at the start of their page, while the page has room.
fn repeat(world: &World, page: &mut Vec<&CallEntry>, page_size: usize) {
    let percent = u64::from(world.settings.cloudtrail_repeat_percent);
    let again: Vec<&CallEntry> = page
        .iter()
        .filter(|entry| draw(world, REPEATED, entry.number) % 100 < percent)
        .take(page_size.saturating_sub(page.len()))
        .copied()
        .collect();
    page.splice(0..0, again);
}

/// The number of the question to [`draw`] for an event's delay. The next three are the questions
/// for repetition, loss and gaps.
const DELAYED: u64 = 1;
pub(super) const REPEATED: u64 = 2;
const LOST: u64 = 3;
const GAP: u64 = 4;
/// The length of a gap, in seconds.
const GAP_S: i64 = 1_800;

/// Draws a random value for a question about a call or a time. The same seed always gives the same
/// value.
pub(super) fn draw(world: &World, question: u64, number: u64) -> u64 {
    ids::mix(ids::mix(ids::mix(world.seed) ^ question) ^ number)
}

/// The time from which the history shows an event, in epoch seconds. `None` if it never does.
pub(super) fn shown_from(world: &World, entry: &CallEntry) -> Option<i64> {
    let settings = &world.settings;
    if draw(world, LOST, entry.number) % 1_000 < u64::from(settings.cloudtrail_lost_per_mille) {
        return None;
    }
    let at = entry.at.as_second();
    let half_hour = at.div_euclid(GAP_S).unsigned_abs();
    let is_in_gap = draw(world, GAP, half_hour) % 100 < u64::from(settings.cloudtrail_gaps_percent);
    let spread = u64::from(settings.cloudtrail_spread_s);
    let later = match is_in_gap {
        true => spread,
        false => draw(world, DELAYED, entry.number) % (spread + 1),
    };
    let delay = u64::from(settings.cloudtrail_delay_s).saturating_add(later);
    Some(at.saturating_add(i64::try_from(delay).unwrap_or(i64::MAX)))
}

fn check(request: &LookupEventsRequest) -> Result<usize, LookupEventsError> {
    if request.attributes.len() > 1 {
        let count = request.attributes.len();
        return Err(LookupEventsError::Attributes { count });
    }
    if let (Some(start), Some(end)) = (request.start, request.end)
        && start > end
    {
        return Err(LookupEventsError::TimeRange { start, end });
    }
    if let Some(given) = &request.event_category
        && given != INSIGHT
    {
        let given = given.clone();
        return Err(LookupEventsError::EventCategory { given });
    }
    match request.max_results {
        None => Ok(EVENTS_PAGE_MAX),
        Some(given) => usize::try_from(given)
            .ok()
            .filter(|size| (1..=EVENTS_PAGE_MAX).contains(size))
            .ok_or(LookupEventsError::MaxResults { given }),
    }
}

/// The part of the log that the history shows to a request.
struct Shown<'a> {
    now: Timestamp,
    oldest: Timestamp,
    newest: Timestamp,
    region: &'a str,
    attribute: Option<&'a (&'static str, String)>,
}

impl<'a> Shown<'a> {
    fn of(world: &World, request: &'a LookupEventsRequest, arrival: Arrival<'a>) -> Shown<'a> {
        let back = |seconds: i64| {
            arrival
                .now
                .saturating_sub(SignedDuration::from_secs(seconds))
                .unwrap_or(Timestamp::MIN)
        };
        let delay = i64::from(world.settings.cloudtrail_delay_s);
        let oldest = back(EVENT_HISTORY_DAYS * 24 * 3_600);
        let newest = back(delay);
        Shown {
            now: arrival.now,
            oldest: request.start.map_or(oldest, |start| start.max(oldest)),
            newest: request.end.map_or(newest, |end| end.min(newest)),
            region: arrival.region,
            attribute: request.attributes.first(),
        }
    }

    fn includes(&self, world: &World, entry: &CallEntry) -> bool {
        // Event times are whole seconds.
        let at = entry.at.as_second();
        entry.operation == LOGGED
            && entry.reached_aws()
            && entry.region == self.region
            && at >= self.oldest.as_second()
            && at <= self.newest.as_second()
            && shown_from(world, entry).is_some_and(|shown| shown <= self.now.as_second())
            && self.attribute.is_none_or(|(key, value)| match *key {
                "EventName" => entry.operation == value.as_str(),
                "EventSource" => value == SOURCE,
                "EventId" => *value == event_id(world, entry),
                "ReadOnly" => value == "false",
                "Username" => value == USERNAME,
                "AccessKeyId" => *value == entry.access_key_id,
                _ => false,
            })
    }
}

pub(crate) fn event_id(world: &World, entry: &CallEntry) -> String {
    ids::uuid(world.seed, Kind::Event, entry.number)
}

fn event(world: &World, entry: &CallEntry) -> Value {
    json!({
        "EventId": event_id(world, entry),
        "EventName": entry.operation,
        "ReadOnly": "false",
        "AccessKeyId": entry.access_key_id,
        "EventTime": entry.at.as_second(),
        "EventSource": SOURCE,
        "Username": USERNAME,
        "Resources": [],
        "CloudTrailEvent": cloudtrail_event::whole(world, entry, SOURCE).to_string(),
    })
}
