//! The texts that a seller writes in place of the built-in ones.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::field::is_field_id;
use crate::texts::{LABEL_PREFIX, SELLER, TextKey, placeholders_in};

/// The largest number of characters of one text. The limit is this project's.
pub(crate) const OVERRIDE_CHARS_MAX: usize = 1_000;

/// A seller's own texts in one language, by their ids. In a file an id may be written in quotes, as
/// in `"welcome.title" = "…"`, or as tables, as in `welcome.title = "…"`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Overrides(BTreeMap<String, String>);

/// The reason why a text is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidOverride {
    #[error(
        "there is no text {0:?}; docs/pages.md lists the ids of the texts, and a field's label is field.<id>"
    )]
    Unknown(String),
    #[error("text {0:?} is there twice")]
    Twice(String),
    #[error("text {0:?} is empty; write a text, or remove the line")]
    Empty(String),
    #[error("text {id:?} has {chars} characters, and at most 1,000 are allowed")]
    TooLong { id: String, chars: usize },
    #[error("text {0:?} has a control character, such as a tab")]
    Control(String),
    #[error("text {id:?} has the placeholder {{{name}}}, but it may have only {allowed}")]
    Placeholder {
        id: String,
        name: String,
        allowed: String,
    },
}

impl Overrides {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text with this id. `None` if the seller did not write it.
    pub(crate) fn get(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }

    /// The ids of the fields that have a label here.
    pub(crate) fn labelled(&self) -> impl Iterator<Item = &str> {
        let ids = self.0.keys();
        ids.filter_map(|id| id.strip_prefix(LABEL_PREFIX))
    }
}

/// Checks a text of this id.
pub(crate) fn check(id: &str, text: &str) -> Result<(), InvalidOverride> {
    let own = || id.to_owned();
    let allowed: &[&str] = match (TextKey::of(id), id.strip_prefix(LABEL_PREFIX)) {
        (Some(key), _) => key.placeholders(),
        (None, Some(field)) if is_field_id(field) => &[SELLER],
        (None, _) => return Err(InvalidOverride::Unknown(own())),
    };
    check_characters(id, text)?;
    match placeholders_in(text).find(|name| !allowed.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let allowed: Vec<String> = allowed.iter().map(|name| format!("{{{name}}}")).collect();
            Err(InvalidOverride::Placeholder {
                id: own(),
                name: name.to_owned(),
                allowed: allowed.join(" and "),
            })
        }
    }
}

/// Checks the length and the characters of a text of this id.
pub(crate) fn check_characters(id: &str, text: &str) -> Result<(), InvalidOverride> {
    let own = || id.to_owned();
    let chars = text.chars().count();
    if text.trim().is_empty() {
        return Err(InvalidOverride::Empty(own()));
    }
    if chars > OVERRIDE_CHARS_MAX {
        return Err(InvalidOverride::TooLong { id: own(), chars });
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(InvalidOverride::Control(own()));
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Overrides {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut texts = BTreeMap::new();
        deserializer.deserialize_map(Group {
            id: String::new(),
            texts: &mut texts,
        })?;
        Ok(Self(texts))
    }
}

/// Reads a text, or a table of texts whose ids begin alike.
struct Group<'a> {
    /// The id so far. It is empty for the whole table.
    id: String,
    texts: &'a mut BTreeMap<String, String>,
}

impl<'de> DeserializeSeed<'de> for Group<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Group<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id.as_str() {
            "" => f.write_str("a table of texts"),
            id => write!(f, "a text for {id:?}"),
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if self.id.is_empty() {
            return Err(E::invalid_type(Unexpected::Str(text), &self));
        }
        check(&self.id, text).map_err(E::custom)?;
        match self.texts.insert(self.id.clone(), text.to_owned()) {
            None => Ok(()),
            Some(_) => Err(E::custom(InvalidOverride::Twice(self.id))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Group { id, texts } = self;
        while let Some(name) = map.next_key::<String>()? {
            let id = match id.as_str() {
                "" => name,
                id => format!("{id}.{name}"),
            };
            map.next_value_seed(Group {
                id,
                texts: &mut *texts,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expect: Result<&[(&str, &str)], &str>) {
        match (serde_json::from_str::<Overrides>(json), expect) {
            (Ok(overrides), Ok(texts)) => {
                let read: Vec<(&str, &str)> = overrides
                    .0
                    .iter()
                    .map(|(id, text)| (id.as_str(), text.as_str()))
                    .collect();
                assert_eq!(read, texts);
                let again = serde_json::to_string(&overrides).unwrap();
                assert_eq!(
                    serde_json::from_str::<Overrides>(&again).unwrap(),
                    overrides
                );
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (read, _) => panic!("{json}: {read:?}"),
        }
    }

    #[test]
    fn an_id_is_written_whole_or_as_tables() {
        let both: &[(&str, &str)] = &[("field.vat_id", "VAT id"), ("thanks.title", "Hi {seller}")];
        check(
            r#"{"thanks.title": "Hi {seller}", "field.vat_id": "VAT id"}"#,
            Ok(both),
        );
        check(
            r#"{"thanks": {"title": "Hi {seller}"}, "field": {"vat_id": "VAT id"}}"#,
            Ok(both),
        );
        check("{}", Ok(&[]));
    }

    #[test]
    fn a_text_that_no_page_shows_is_refused() {
        check(r#"{"thanks.titel": "Hi"}"#, Err("no text \"thanks.titel\""));
        check(r#"{"thanks": "Hi"}"#, Err("no text \"thanks\""));
        check(r#"{"field": {"Vat": "VAT"}}"#, Err("no text \"field.Vat\""));
        check(r#"{"thanks": {"title": {"a": "Hi"}}}"#, Err("no text"));
        check(
            r#"{"thanks.title": "Hi", "thanks": {"title": "Hi"}}"#,
            Err("twice"),
        );
        check(r#""Hi""#, Err("a table of texts"));
        check(r#"{"thanks.title": 7}"#, Err("a text for \"thanks.title\""));
    }

    #[test]
    fn a_text_has_its_own_placeholders_and_readable_characters() {
        let of = |text: &str| serde_json::json!({"thanks.title": text}).to_string();
        check(
            &of("Hi {buyer}"),
            Err("{buyer}, but it may have only {seller}"),
        );
        check(&of("Hi {seller"), Err("placeholder {}"));
        check(&of(" \n"), Err("is empty"));
        check(&of("a\tb"), Err("control character"));
        check(&of(&"x".repeat(1_001)), Err("1001 characters"));
        check(&of("two\nlines"), Ok(&[("thanks.title", "two\nlines")]));
        check(
            r#"{"problem.too_long": "{max}, {seller}", "other_product.text": "{product}"}"#,
            Ok(&[
                ("other_product.text", "{product}"),
                ("problem.too_long", "{max}, {seller}"),
            ]),
        );
    }
}
