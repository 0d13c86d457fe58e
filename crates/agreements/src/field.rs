//! Reads the members of a JSON message. Every error names the member and the rule that it breaks.

use std::fmt::Display;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use marketplace::hour::shift;
use marketplace::limits::{LIFECYCLE_EVENT_HOURS_AHEAD_MAX, LIFECYCLE_EVENT_TIME_MIN};
use marketplace::text::excerpt;
use serde_json::Value;

/// The largest number of characters of an event's id. The id becomes part of a sort key. The limit
/// is this project's.
const EVENT_ID_CHARS_MAX: usize = 128;

/// The error for a message that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {event_id}: {problem}")]
pub struct Malformed {
    /// The event's id, or a digest of the event if it has no id.
    pub event_id: String,
    /// The event's time, even if it is impossible; `None` if it cannot be read.
    pub at: Option<Timestamp>,
    /// The member, and the rule that it breaks.
    pub problem: String,
}

/// A message to read, with its id and time for errors.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    value: &'a Value,
    /// The event's id, or a digest of the event if it has no id.
    pub id: String,
    /// The event's time; `None` until it is read.
    pub at: Option<Timestamp>,
}

impl<'a> Fields<'a> {
    /// Creates a reader of a message. `id` is `None` if the message has no id.
    pub fn new(value: &'a Value, id: Option<&str>) -> Self {
        let id = match id.filter(|id| !id.is_empty()) {
            Some(id) => excerpt(id, EVENT_ID_CHARS_MAX),
            // The digest is the same in every version of this program, so that a repeated event has
            // the same id.
            None => format!("without-id-{}", ledger::content_digest(&value.to_string())),
        };
        Self {
            value,
            id,
            at: None,
        }
    }

    /// Returns the error for a member that breaks a rule.
    pub fn malformed(&self, path: &str, rule: impl Display) -> Malformed {
        Malformed {
            event_id: self.id.clone(),
            at: self.at,
            problem: format!("{path} {rule}"),
        }
    }

    /// Reads a text. Returns `None` if it is absent, null or empty. `path` is a JSON pointer.
    pub fn text_opt(&self, path: &str) -> Result<Option<&'a str>, Malformed> {
        match self.value.pointer(path) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.malformed(path, "is not a text")),
        }
    }

    /// Reads a text that must be present.
    pub fn text(&self, path: &str) -> Result<&'a str, Malformed> {
        self.text_opt(path)?
            .ok_or_else(|| self.malformed(path, "is missing"))
    }

    /// Reads a text and parses it. Returns `None` if it is absent, null or empty.
    pub fn parsed_opt<T>(&self, path: &str) -> Result<Option<T>, Malformed>
    where
        T: FromStr<Err: Display>,
    {
        self.text_opt(path)?
            .map(|text| self.read(path, text, str::parse))
            .transpose()
    }

    /// Reads a text that must be present, and parses it.
    pub fn parsed<T>(&self, path: &str) -> Result<T, Malformed>
    where
        T: FromStr<Err: Display>,
    {
        self.parsed_opt(path)?
            .ok_or_else(|| self.malformed(path, "is missing"))
    }

    /// Checks the event's time, which is the member at `path`. An event that is dated before AWS
    /// Marketplace existed, or long after `now`, would put a subscription into a status that it
    /// does not have.
    pub fn check_time(&self, path: &str, at: Timestamp, now: Timestamp) -> Result<(), Malformed> {
        let ahead = SignedDuration::from_hours(LIFECYCLE_EVENT_HOURS_AHEAD_MAX);
        let latest = shift(now, ahead);
        if (LIFECYCLE_EVENT_TIME_MIN..=latest).contains(&at) {
            return Ok(());
        }
        let rule = format!(
            "is {at}, but an event's time must not be before {LIFECYCLE_EVENT_TIME_MIN}, or more than {LIFECYCLE_EVENT_HOURS_AHEAD_MAX} hours later than the time at which the event is handled, {now}; find out when it happened, correct the time and send the event again"
        );
        Err(self.malformed(path, rule))
    }

    /// Parses the text of the member at `path` with `parse`.
    pub fn read<T, E: Display>(
        &self,
        path: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Malformed> {
        parse(text).map_err(|e| self.malformed(path, format!("is wrong: {e}")))
    }
}

/// Returns the beginning of a text, with at most `bytes` bytes, cut between characters.
pub fn bounded(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}
