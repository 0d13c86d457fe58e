//! The fields that a buyer types into the contact form.

use std::fmt;

use serde::Deserialize;

/// The largest number of characters of one field. An e-mail address has at most 254 (RFC 5321).
pub const CONTACT_CHARS_MAX: usize = 254;

/// The fields of the form as they were posted.
#[derive(Clone, Default, Deserialize)]
pub(crate) struct Typed {
    #[serde(default)]
    pub subscription: String,
    pub name: Option<String>,
    pub company: Option<String>,
    pub email: Option<String>,
}

impl fmt::Debug for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Typed { .. }")
    }
}
