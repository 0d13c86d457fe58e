//! Tags of a usage allocation, which split a buyer's bill within a dimension.
//!
//! Facts: M14, M15 (docs/marketplace-rules.md).

use std::collections::BTreeMap;

use crate::limits::{TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX};
use crate::text::excerpt;

/// The tags of one usage event, by key.
pub type Tags = BTreeMap<String, String>;

/// A checked set of tags, sorted by key. The empty set stands for untagged usage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TagSet(Box<[(String, String)]>);

/// Why AWS Marketplace would refuse tags.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTags {
    /// There are more than the five tags that AWS Marketplace accepts.
    #[error("there are {0} tags, but an allocation takes at most 5: remove some")]
    TooMany(usize),
    /// A key is empty, too long, or has a character that AWS Marketplace refuses.
    #[error(
        "tag key {0:?} must have 1 to 100 characters: A-Z, a-z, 0-9, _, @, and those from the space to = in ASCII"
    )]
    Key(String),
    /// A value is empty, too long, or has a character that AWS Marketplace refuses.
    #[error(
        "value {value:?} of tag {key:?} must have 1 to 256 characters: A-Z, a-z, 0-9, _, @, and those from the space to = in ASCII"
    )]
    Value {
        /// The tag's key, cut off after 60 characters.
        key: String,
        /// The value, cut off after 60 characters.
        value: String,
    },
}

impl TagSet {
    /// The empty set, which stands for untagged usage.
    pub fn untagged() -> Self {
        Self::default()
    }

    /// The key and value of each tag, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The number of tags.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no tags, so that the set stands for untagged usage.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Tags> for TagSet {
    type Error = InvalidTags;

    fn try_from(tags: Tags) -> Result<Self, InvalidTags> {
        if tags.len() > TAGS_MAX {
            return Err(InvalidTags::TooMany(tags.len()));
        }
        for (key, value) in &tags {
            if !is_tag_text(key, TAG_KEY_CHARS_MAX) {
                return Err(InvalidTags::Key(excerpt(key, 60)));
            }
            if !is_tag_text(value, TAG_VALUE_CHARS_MAX) {
                return Err(InvalidTags::Value {
                    key: excerpt(key, 60),
                    value: excerpt(value, 60),
                });
            }
        }
        Ok(Self(tags.into_iter().collect()))
    }
}

impl From<&TagSet> for Tags {
    fn from(tags: &TagSet) -> Self {
        tags.0.iter().cloned().collect()
    }
}

/// The API model's `^[a-zA-Z0-9+ -=._:\/@]+$`, in which `+ -=` is `+` and the range space to `=`.
fn is_tag_text(text: &str, chars_max: usize) -> bool {
    (1..=chars_max).contains(&text.len())
        && text.bytes().all(|b| {
            b.is_ascii_alphanumeric() || (b' '..=b'=').contains(&b) || b == b'_' || b == b'@'
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn tags_follow_the_api_model() {
        assert!(TagSet::try_from(tags(&[("team", "a b!\"#$%&'()*+,-./09:;<=")])).is_ok());
        assert!(TagSet::try_from(tags(&[("AZaz09_@", &"v".repeat(256))])).is_ok());
        assert!(matches!(
            TagSet::try_from(tags(&[("a>b", "v")])),
            Err(InvalidTags::Key(_))
        ));
        assert!(matches!(
            TagSet::try_from(tags(&[("", "v")])),
            Err(InvalidTags::Key(_))
        ));
        assert!(matches!(
            TagSet::try_from(tags(&[("k", "")])),
            Err(InvalidTags::Value { .. })
        ));
        assert!(matches!(
            TagSet::try_from(tags(&[("k", "ü")])),
            Err(InvalidTags::Value { .. })
        ));
        let six = tags(&[
            ("a", "1"),
            ("b", "1"),
            ("c", "1"),
            ("d", "1"),
            ("e", "1"),
            ("f", "1"),
        ]);
        assert_eq!(TagSet::try_from(six), Err(InvalidTags::TooMany(6)));
    }

    #[test]
    fn a_set_is_read_in_the_order_of_its_keys() {
        let set = TagSet::try_from(tags(&[("b", "2"), ("a", "1")])).unwrap();
        assert_eq!(set.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert_eq!((set.len(), set.is_empty()), (2, false));
        assert_eq!(Tags::from(&set), tags(&[("a", "1"), ("b", "2")]));
        let untagged = TagSet::untagged();
        assert_eq!((untagged.len(), untagged.is_empty()), (0, true));
        let five = tags(&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1")]);
        assert!(TagSet::try_from(five).is_ok());
    }
}
