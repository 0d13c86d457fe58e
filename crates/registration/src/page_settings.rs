//! What a seller sets about the pages: logo, colors, languages, texts and fields.
//!
//! `metering pages apply` reads the settings from a TOML file and stores them as JSON. Both forms
//! have the same members. Everything has a default. `docs/pages.md` describes the file.

mod check;
mod color;
mod destination;
mod field;
mod logo;
mod overrides;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use self::overrides::Overrides;
use crate::language::{ENGLISH, Language, best};
use crate::texts::{BUILT_IN_ENGLISH, LABEL_PREFIX, TextKey, built_in, built_in_of};

pub use self::check::InvalidPageSettings;
pub(crate) use self::color::{BORDER_CONTRAST_MIN, TEXT_CONTRAST_MIN};
pub use self::color::{Color, Colors, InvalidColor};
pub use self::destination::{Destination, InvalidDestination};
pub(crate) use self::field::FORM_TOKEN;
pub use self::field::{Field, FieldKind, LINE_CHARS_MAX, TEXT_CHARS_MAX};
pub use self::logo::{InvalidLogo, LOGO_BYTES_MAX, Logo};

/// The largest size of the settings as JSON, in bytes. A DynamoDB item has at most 400 KB (Amazon
/// DynamoDB Developer Guide, "Quotas").
pub const PAGE_SETTINGS_BYTES_MAX: usize = 300 * 1_024;

/// The largest number of fields of the sign-up form. The limit is this project's.
pub const FIELDS_MAX: usize = 20;

/// What a seller sets about the pages. The default is the built-in texts in English and German, and
/// the default fields.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct PageSettings {
    written: Written,
    fields: Vec<Field>,
    languages: Vec<Language>,
    default_language: Language,
}

/// The settings as the seller wrote them. A member that is not written has its default, and gets
/// the default of a later version too.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    logo: Option<Logo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_in_url: Option<Destination>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_language: Option<Language>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offered_languages: Option<Vec<Language>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    colors: Option<Colors>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<Field>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    languages: BTreeMap<Language, InLanguage>,
}

/// What the seller wrote in one language.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct InLanguage {
    /// The time that a manual set-up takes, as in `one business day`.
    #[serde(skip_serializing_if = "Option::is_none")]
    turnaround: Option<String>,
    #[serde(skip_serializing_if = "Overrides::is_empty")]
    texts: Overrides,
}

impl PageSettings {
    /// Reads the settings as they are stored.
    pub fn from_json(text: &str) -> Result<Self, InvalidPageSettings> {
        let written: Written = serde_json::from_str(text)
            .map_err(|error| InvalidPageSettings::Json(error.to_string()))?;
        written.try_into()
    }

    /// The settings as they are stored.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.written).expect("texts and lists always become JSON")
    }

    /// The logo. `None` shows the seller's name instead.
    pub fn logo(&self) -> Option<&Logo> {
        self.written.logo.as_ref()
    }

    /// The colors.
    pub fn colors(&self) -> Colors {
        self.written.colors.unwrap_or_default()
    }

    /// The fields of the sign-up form, in their order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The URL for buyers who have an account with the seller already.
    pub fn sign_in_url(&self) -> Option<&Destination> {
        self.written.sign_in_url.as_ref()
    }

    /// The languages in which the pages are shown.
    pub fn languages(&self) -> &[Language] {
        &self.languages
    }

    /// The language for browsers that want none of the others. A text that is missing in another
    /// language is shown in it.
    pub fn default_language(&self) -> &Language {
        &self.default_language
    }

    /// The best language for a browser's Accept-Language header.
    pub fn language_for(&self, accept_language: Option<&str>) -> Language {
        best(accept_language, &self.languages, &self.default_language).clone()
    }

    /// Every text in one language by its id, as the pages show it.
    pub fn texts(&self, language: &Language) -> BTreeMap<String, String> {
        self.ids()
            .into_iter()
            .map(|id| {
                let text = self.text_of(language, &id).map_or("", |(text, _)| text);
                (id, text.to_owned())
            })
            .collect()
    }

    /// The ids of the texts that each language lacks. They are shown in another language.
    pub fn missing_texts(&self) -> BTreeMap<Language, Vec<String>> {
        let mut missing = BTreeMap::new();
        for language in &self.languages {
            let mut ids = self.ids();
            ids.retain(|id| self.find(language, id).is_none());
            let turnaround = self.turnaround(language);
            if turnaround.is_some_and(|(_, source)| !language.is_in(source.as_str())) {
                ids.push("turnaround".to_owned());
            }
            if !ids.is_empty() {
                missing.insert(language.clone(), ids);
            }
        }
        missing
    }

    /// A text, and the language that it is in.
    pub(crate) fn text<'a>(&'a self, language: &Language, key: TextKey) -> (&'a str, &'a Language) {
        let english = (BUILT_IN_ENGLISH.text(key), BUILT_IN_ENGLISH.language);
        self.text_of(language, key.id()).unwrap_or(english)
    }

    /// The label of a field, and the language that it is in.
    pub(crate) fn label<'a>(
        &'a self,
        language: &Language,
        field: &'a Field,
    ) -> (&'a str, &'a Language) {
        let id = format!("{LABEL_PREFIX}{}", field.id);
        let label = self.text_of(language, &id);
        label.unwrap_or((&field.id, &self.default_language))
    }

    /// The time that a manual set-up takes, and the language that it is written in. `None` if the
    /// seller wrote none.
    pub(crate) fn turnaround(&self, language: &Language) -> Option<(&str, &Language)> {
        let in_language = |tag: &str| {
            let (source, written) = self.written.languages.get_key_value(tag)?;
            Some((written.turnaround.as_deref()?, source))
        };
        let mut own = language.general_forms();
        own.find_map(in_language)
            .or_else(|| self.default_language.general_forms().find_map(in_language))
    }

    /// The text with this id in the best language that has it.
    fn text_of<'a>(&'a self, language: &Language, id: &str) -> Option<(&'a str, &'a Language)> {
        self.find(language, id)
            .or_else(|| self.find(&self.default_language, id))
            .or_else(|| {
                let key = TextKey::of(id)?;
                Some((BUILT_IN_ENGLISH.text(key), BUILT_IN_ENGLISH.language))
            })
    }

    /// The text with this id in a language or its more general forms: the seller's own text, or
    /// else the built-in one.
    fn find<'a>(&'a self, language: &Language, id: &str) -> Option<(&'a str, &'a Language)> {
        language.general_forms().find_map(|tag| {
            let written = self.written.languages.get_key_value(tag);
            let own = written.and_then(|(source, written)| Some((written.texts.get(id)?, source)));
            own.or_else(|| {
                let built_in = built_in_of(tag)?;
                Some((built_in.text(TextKey::of(id)?), built_in.language))
            })
        })
    }

    /// The ids of all texts that the pages show, with the labels of the fields.
    fn ids(&self) -> Vec<String> {
        let keys = TextKey::ALL.iter().filter(|key| !key.is_label());
        let labels = self.fields.iter();
        keys.map(|key| key.id().to_owned())
            .chain(labels.map(|field| format!("{LABEL_PREFIX}{}", field.id)))
            .collect()
    }

    /// Makes settings of what was written, without any check.
    fn of(written: Written) -> Self {
        let languages = match &written.offered_languages {
            Some(offered) => offered.clone(),
            None => {
                let built_in = built_in().into_iter().map(|built_in| built_in.language);
                let all: BTreeSet<&Language> = built_in.chain(written.languages.keys()).collect();
                all.into_iter().cloned().collect()
            }
        };
        let offered = written.offered_languages.as_ref();
        let first_offered = offered.and_then(|offered| offered.first());
        let default_language = written.default_language.as_ref().or(first_offered);
        Self {
            fields: written.fields.clone().unwrap_or_else(Field::defaults),
            languages,
            default_language: default_language.unwrap_or(&ENGLISH).clone(),
            written,
        }
    }
}

impl Default for PageSettings {
    fn default() -> Self {
        Self::of(Written::default())
    }
}

impl TryFrom<Written> for PageSettings {
    type Error = InvalidPageSettings;

    fn try_from(written: Written) -> Result<Self, InvalidPageSettings> {
        let settings = Self::of(written);
        settings.check()?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests;
