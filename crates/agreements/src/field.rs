//! Members of a JSON message, read with suspicion: every complaint names the member and the rule.

use std::fmt::Display;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;

use jiff::Timestamp;
use serde_json::Value;

/// Characters kept of an event's id: it becomes part of a sort key. Ours.
const EVENT_ID_CHARS_MAX: usize = 128;

/// A message that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {event_id}: {problem}")]
pub struct Malformed {
    /// Its id, or a digest of it if it has none.
    pub event_id: String,
    /// Its time, if that can be read.
    pub at: Option<Timestamp>,
    /// Which member breaks which rule.
    pub problem: String,
}

/// One message and what is known of it for complaints.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    value: &'a Value,
    /// The event's id.
    pub id: String,
    /// The event's time.
    pub at: Option<Timestamp>,
}

impl<'a> Fields<'a> {
    /// Of a message with this id, if it has one.
    pub fn new(value: &'a Value, id: Option<&str>) -> Self {
        let id = match id.filter(|id| !id.is_empty()) {
            Some(id) => id.chars().take(EVENT_ID_CHARS_MAX).collect(),
            None => {
                let mut hasher = DefaultHasher::new();
                value.to_string().hash(&mut hasher);
                format!("without-id-{:016x}", hasher.finish())
            }
        };
        Self {
            value,
            id,
            at: None,
        }
    }

    /// A complaint about a member.
    pub fn malformed(&self, path: &str, rule: impl Display) -> Malformed {
        Malformed {
            event_id: self.id.clone(),
            at: self.at,
            problem: format!("{path} {rule}"),
        }
    }

    /// A text, if there; an empty one and null count as absent. `path` is a JSON pointer.
    pub fn text_opt(&self, path: &str) -> Result<Option<&'a str>, Malformed> {
        match self.value.pointer(path) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.malformed(path, "is not a text")),
        }
    }

    /// A text.
    pub fn text(&self, path: &str) -> Result<&'a str, Malformed> {
        self.text_opt(path)?
            .ok_or_else(|| self.malformed(path, "is missing"))
    }

    /// A text read as something, if there.
    pub fn parsed_opt<T>(&self, path: &str) -> Result<Option<T>, Malformed>
    where
        T: FromStr<Err: Display>,
    {
        self.text_opt(path)?
            .map(|text| self.read(path, text, str::parse))
            .transpose()
    }

    /// A text read as something.
    pub fn parsed<T>(&self, path: &str) -> Result<T, Malformed>
    where
        T: FromStr<Err: Display>,
    {
        self.parsed_opt(path)?
            .ok_or_else(|| self.malformed(path, "is missing"))
    }

    /// A text read with `parse`.
    pub fn read<T, E: Display>(
        &self,
        path: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Malformed> {
        parse(text).map_err(|e| self.malformed(path, format!("is wrong: {e}")))
    }
}

/// At most `bytes` of a text, cut between characters.
pub fn bounded(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}
