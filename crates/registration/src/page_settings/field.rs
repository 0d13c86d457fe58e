//! The fields of the sign-up form.

use marketplace::text::excerpt;
use serde::{Deserialize, Deserializer, Serialize};

/// The largest number of characters of a field with one line. An e-mail address has at most 254
/// (RFC 5321).
pub const LINE_CHARS_MAX: usize = 254;

/// The largest number of characters of a field with several lines. The limit is this project's.
pub const TEXT_CHARS_MAX: usize = 2_000;

/// The largest number of characters of a field's id. The limit is this project's.
const ID_CHARS_MAX: usize = 40;

/// The name of the hidden field in which the form is signed. No other field may have it.
pub(crate) const FORM_TOKEN: &str = "form";

/// The autofill tokens that a field may have (HTML Standard, section 4.10.18.7). The tokens for
/// payment data are missing, because AWS Marketplace does not allow a seller to ask for it.
const AUTOCOMPLETE: [&str; 26] = [
    "off",
    "on",
    "name",
    "honorific-prefix",
    "given-name",
    "additional-name",
    "family-name",
    "honorific-suffix",
    "nickname",
    "organization-title",
    "organization",
    "street-address",
    "address-line1",
    "address-line2",
    "address-line3",
    "address-level1",
    "address-level2",
    "address-level3",
    "country",
    "country-name",
    "postal-code",
    "language",
    "url",
    "email",
    "tel",
    "username",
];

/// A field of the sign-up form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The name of the field in the form and in the stored contact.
    #[serde(deserialize_with = "id")]
    pub id: String,
    /// The kind of text that the field takes.
    #[serde(default)]
    pub kind: FieldKind,
    /// Whether the buyer must fill in the field.
    #[serde(default)]
    pub required: bool,
    /// The autofill token by which a browser can fill in the field.
    #[serde(
        default,
        deserialize_with = "autocomplete",
        skip_serializing_if = "Option::is_none"
    )]
    pub autocomplete: Option<String>,
}

/// The kind of text that a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldKind {
    /// One line of at most 254 characters.
    #[default]
    Line,
    /// An e-mail address of at most 254 characters.
    Email,
    /// Several lines of at most 2,000 characters.
    Text,
}

impl FieldKind {
    /// The largest number of characters.
    pub fn chars_max(self) -> usize {
        match self {
            Self::Line | Self::Email => LINE_CHARS_MAX,
            Self::Text => TEXT_CHARS_MAX,
        }
    }

    /// The kind's name in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Email => "email",
            Self::Text => "text",
        }
    }
}

/// The reason why a value of a field is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum InvalidField {
    #[error(
        "field id {0:?} is not valid: an id begins with a letter of a-z and has at most 40 characters of a-z 0-9 _"
    )]
    Id(String),
    #[error("field id \"form\" is taken by the page itself; choose another id")]
    Taken,
    #[error(
        "autocomplete {0:?} is not valid: it must be an autofill token for contact data, such as name, email, tel, organization or off"
    )]
    Autocomplete(String),
}

impl Field {
    /// The fields of a form whose seller did not choose any.
    pub(crate) fn defaults() -> Vec<Self> {
        let field = |id: &str, kind, required, autocomplete: Option<&str>| Self {
            id: id.to_owned(),
            kind,
            required,
            autocomplete: autocomplete.map(str::to_owned),
        };
        vec![
            field("company", FieldKind::Line, true, Some("organization")),
            field("name", FieldKind::Line, true, Some("name")),
            field("email", FieldKind::Email, true, Some("email")),
            field("note", FieldKind::Text, false, None),
        ]
    }
}

/// Whether a text has the form of a field's id.
pub(crate) fn is_field_id(text: &str) -> bool {
    text.len() <= ID_CHARS_MAX
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let problem = match text.as_str() {
        FORM_TOKEN => InvalidField::Taken,
        id if is_field_id(id) => return Ok(text),
        other => InvalidField::Id(excerpt(other, 60)),
    };
    Err(serde::de::Error::custom(problem))
}

fn autocomplete<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if !AUTOCOMPLETE.contains(&text.as_str()) {
        let problem = InvalidField::Autocomplete(excerpt(&text, 60));
        return Err(serde::de::Error::custom(problem));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expect: Result<(&str, FieldKind, bool), &str>) {
        let field = serde_json::from_str::<Field>(json);
        match (field, expect) {
            (Ok(field), Ok((id, kind, required))) => {
                assert_eq!((field.id.as_str(), field.kind), (id, kind));
                assert_eq!(field.required, required);
                let again = serde_json::to_string(&field).unwrap();
                assert_eq!(serde_json::from_str::<Field>(&again).unwrap(), field);
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (field, _) => panic!("{json}: {field:?}"),
        }
    }

    #[test]
    fn a_field_has_an_id_and_perhaps_a_kind() {
        check(
            r#"{"id": "vat_id"}"#,
            Ok(("vat_id", FieldKind::Line, false)),
        );
        check(
            r#"{"id": "a", "kind": "email", "required": true, "autocomplete": "email"}"#,
            Ok(("a", FieldKind::Email, true)),
        );
        check(r#"{"id": "Name"}"#, Err("\"Name\""));
        check(r#"{"id": ""}"#, Err("field id \"\""));
        check(r#"{"id": "1a"}"#, Err("\"1a\""));
        check(r#"{"id": "x-amzn-marketplace-token"}"#, Err("x-amzn"));
        let long = format!(r#"{{"id": "{}"}}"#, "a".repeat(41));
        check(&long, Err("at most 40"));
        check(r#"{"id": "form"}"#, Err("taken"));
        check(r#"{"id": "a", "kind": "number"}"#, Err("`number`"));
        check(r#"{"id": "a", "label": "A"}"#, Err("`label`"));
        check(r#"{"kind": "line"}"#, Err("`id`"));
    }

    #[test]
    fn no_field_asks_a_browser_for_payment_data() {
        check(
            r#"{"id": "card", "autocomplete": "cc-number"}"#,
            Err("cc-number"),
        );
        assert!(AUTOCOMPLETE.iter().all(|token| !token.starts_with("cc-")));
    }
}
