//! The languages of the pages, and the choice of one by a browser's Accept-Language header.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;

use marketplace::text::excerpt;
use serde::{Deserialize, Serialize};

/// The largest number of characters of a language tag. Every registered tag is shorter (RFC 5646,
/// section 4.4.1).
const TAG_CHARS_MAX: usize = 35;

/// The largest number of bytes of an Accept-Language header that are looked at. The limit is this
/// project's. Browsers send fewer than 100.
const HEADER_BYTES_MAX: usize = 1_000;

/// The weight of a language range without a `q` parameter, in thousandths (RFC 9110, section
/// 12.4.2).
const FULL_WEIGHT: u16 = 1_000;

/// A language of the pages: a BCP 47 tag in lower case, as in `en` or `pt-br`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Language(Cow<'static, str>);

/// English.
pub(crate) static ENGLISH: Language = Language(Cow::Borrowed("en"));

/// German.
pub(crate) static GERMAN: Language = Language(Cow::Borrowed("de"));

/// The error for a text that is not a language tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "language {value:?} is not valid: a language is 2 or 3 letters, and perhaps a region after a hyphen, as in en or pt-br"
)]
pub struct InvalidLanguage {
    /// The text, cut off after 40 characters.
    pub value: String,
}

impl Language {
    /// The language tag, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This tag and its more general forms, as `de-at` and `de`.
    pub(crate) fn general_forms(&self) -> impl Iterator<Item = &str> {
        general_forms(self.as_str())
    }

    /// Whether `range` is this language or a more general one, as `pt` is of `pt-br`.
    pub(crate) fn is_in(&self, range: &str) -> bool {
        let rest = self.as_str().strip_prefix(range);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

impl FromStr for Language {
    type Err = InvalidLanguage;

    fn from_str(text: &str) -> Result<Self, InvalidLanguage> {
        let tag = text.to_ascii_lowercase();
        if !is_tag(&tag) {
            return Err(InvalidLanguage {
                value: excerpt(text, 40),
            });
        }
        Ok(Self(Cow::Owned(tag)))
    }
}

impl TryFrom<String> for Language {
    type Error = InvalidLanguage;

    fn try_from(text: String) -> Result<Self, InvalidLanguage> {
        text.parse()
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.0.into_owned()
    }
}

impl Borrow<str> for Language {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Whether a text in lower case has the form of a language tag: a primary subtag of two or three
/// letters, and further subtags of up to eight letters and digits (RFC 5646, section 2.1).
fn is_tag(text: &str) -> bool {
    let mut subtags = text.split('-');
    let primary = subtags.next().unwrap_or_default();
    text.len() <= TAG_CHARS_MAX
        && (2..=3).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_lowercase())
        && subtags.all(|subtag| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

/// One part of an Accept-Language header.
struct Wish {
    /// The language range in lower case: a tag, or `*` for any language.
    range: String,
    /// The weight in thousandths. Zero means that the reader does not want the language.
    weight: u16,
}

impl Wish {
    /// Reads one part. `None` if it is malformed.
    fn parse(part: &str) -> Option<Self> {
        let mut pieces = part.split(';').map(str::trim);
        let range = pieces.next()?.to_ascii_lowercase();
        if range != "*" && !is_tag(&range) {
            return None;
        }
        let mut weight = FULL_WEIGHT;
        for parameter in pieces {
            let (name, value) = parameter.split_once('=')?;
            if name.trim_end().eq_ignore_ascii_case("q") {
                weight = thousandths(value.trim_start())?;
            }
        }
        Some(Self { range, weight })
    }
}

/// Reads a weight: from 0 to 1, with at most three decimals (RFC 9110, section 12.4.2).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_number = decimals.len() <= 3 && decimals.bytes().all(|b| b.is_ascii_digit());
    let weight = match whole {
        "0" if is_number => format!("{decimals:0<3}").parse().ok()?,
        "1" if is_number && decimals.bytes().all(|b| b == b'0') => FULL_WEIGHT,
        _ => return None,
    };
    Some(weight)
}

/// The parts of a header that are well formed, the most wanted first. Parts of equal weight keep
/// their order.
fn wishes(header: &str) -> Vec<Wish> {
    let mut end = header.len().min(HEADER_BYTES_MAX);
    if end < header.len() {
        // The part that is cut off is not read.
        end = header.as_bytes()[..end]
            .iter()
            .rposition(|b| *b == b',')
            .unwrap_or(0);
    }
    let mut wishes: Vec<Wish> = header
        .get(..end)
        .unwrap_or_default()
        .split(',')
        .filter_map(Wish::parse)
        .collect();
    wishes.sort_by_key(|wish| std::cmp::Reverse(wish.weight));
    wishes
}

/// The best of the offered languages for an Accept-Language header (RFC 9110, section 12.5.4).
///
/// A range is looked up as it is, and then without its last subtags, as `de` for `de-at` (RFC 4647,
/// section 3.4). After that, a more specific language is taken, as `pt-br` for `pt`. Without any
/// match the answer is `default`.
pub(crate) fn best<'a>(
    header: Option<&str>,
    offered: &'a [Language],
    default: &'a Language,
) -> &'a Language {
    let wishes = wishes(header.unwrap_or_default());
    let is_unwanted = |language: &Language| {
        let mut unwanted = wishes.iter().filter(|wish| wish.weight == 0);
        unwanted.any(|wish| language.is_in(&wish.range))
    };
    let any = || {
        let wanted = |language: &&Language| !is_unwanted(language);
        let default = Some(default).filter(wanted);
        default.or_else(|| offered.iter().find(wanted))
    };
    wishes
        .iter()
        .filter(|wish| wish.weight > 0)
        .find_map(|wish| match wish.range.as_str() {
            "*" => any(),
            range => look_up(range, offered).filter(|language| !is_unwanted(language)),
        })
        .or_else(any)
        .unwrap_or(default)
}

fn look_up<'a>(range: &str, offered: &'a [Language]) -> Option<&'a Language> {
    let exact = |tag: &str| offered.iter().find(|language| language.as_str() == tag);
    let more_specific = || offered.iter().find(|language| language.is_in(range));
    general_forms(range).find_map(exact).or_else(more_specific)
}

fn general_forms(tag: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(tag), |tag| Some(tag.rsplit_once('-')?.0))
}

#[cfg(test)]
mod tests;
