//! Reads timestamps in control requests. The error for a wrong timestamp shows its text.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de};

/// Reads an optional RFC 3339 timestamp. The error shows the text that was given.
pub(crate) fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|reason: jiff::Error| {
        de::Error::custom(format!(
            "`{text}` is not a timestamp such as 2026-11-21T12:00:00Z ({reason})"
        ))
    })
}
