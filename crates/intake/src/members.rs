//! Reads the members of one event from its JSON. Their values are checked afterwards.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::fmt;

use marketplace::Tags;
use marketplace::text::excerpt;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::rejection::Rejection;

/// The members of one event. Each member keeps its JSON text, so that an error in one member does
/// not hide the others, and a number is never converted to a float.
#[derive(Debug, Default)]
pub(crate) struct Members<'a> {
    pub id: Option<&'a RawValue>,
    pub subscription: Option<&'a RawValue>,
    pub dimension: Option<&'a RawValue>,
    pub quantity: Option<&'a RawValue>,
    pub time: Option<&'a RawValue>,
    pub tags: Option<&'a RawValue>,
    /// The first unknown or repeated member; `None` if there is none.
    pub fault: Option<Rejection>,
}

/// A JSON string, borrowed unless it has escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Members::default();
                while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
                    members.add(&name, map.next_value()?);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl<'a> Members<'a> {
    fn add(&mut self, name: &str, value: &'a RawValue) {
        let (known, slot) = match name {
            "id" => ("id", &mut self.id),
            "subscription" => ("subscription", &mut self.subscription),
            "dimension" => ("dimension", &mut self.dimension),
            "quantity" => ("quantity", &mut self.quantity),
            "time" => ("time", &mut self.time),
            "tags" => ("tags", &mut self.tags),
            _ => {
                let name = excerpt(name, 60);
                self.fault.get_or_insert(Rejection::UnknownMember(name));
                return;
            }
        };
        if slot.replace(value).is_some() {
            self.fault.get_or_insert(Rejection::RepeatedMember(known));
        }
    }
}

/// Reads a member that must be a string.
pub(crate) fn text<'a>(
    member: &'static str,
    value: Option<&'a RawValue>,
) -> Result<Cow<'a, str>, Rejection> {
    let value = value.ok_or(Rejection::MissingMember(member))?;
    match serde_json::from_str::<Name<'a>>(value.get()) {
        Ok(Name(text)) => Ok(text),
        Err(_) => Err(wrong_type(member, value, "a JSON string")),
    }
}

/// Reads the tags, an object of strings. Missing tags and null mean no tags.
pub(crate) fn tags(value: Option<&RawValue>) -> Result<Tags, Rejection> {
    let Some(value) = value.filter(|value| value.get() != "null") else {
        return Ok(Tags::new());
    };
    match serde_json::from_str::<TagMap>(value.get()) {
        Ok(TagMap {
            repeated: Some(key),
            ..
        }) => Err(Rejection::RepeatedTag(excerpt(&key, 60))),
        Ok(TagMap { tags, .. }) => Ok(tags),
        Err(_) => Err(wrong_type("tags", value, "a JSON object of strings")),
    }
}

struct TagMap {
    tags: Tags,
    repeated: Option<String>,
}

impl<'de> Deserialize<'de> for TagMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = TagMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TagMap, A::Error> {
                let mut read = TagMap {
                    tags: Tags::new(),
                    repeated: None,
                };
                while let Some(key) = map.next_key::<String>()? {
                    let value = map.next_value::<String>()?;
                    match read.tags.entry(key) {
                        Entry::Vacant(free) => {
                            free.insert(value);
                        }
                        Entry::Occupied(taken) => {
                            read.repeated.get_or_insert_with(|| taken.key().clone());
                        }
                    }
                }
                Ok(read)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

pub(crate) fn wrong_type(
    member: &'static str,
    value: &RawValue,
    expected: &'static str,
) -> Rejection {
    Rejection::WrongType {
        member,
        value: shown(value),
        expected,
    }
}

/// A value's JSON, cut off after 60 characters.
pub(crate) fn shown(value: &RawValue) -> String {
    excerpt(value.get(), 60)
}
