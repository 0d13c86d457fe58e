//! Checks the settings as a whole. A rule about a single value is checked when the value is read, so
//! that the error names its line.

use std::collections::BTreeSet;

use super::color::{Color, TEXT_CONTRAST_MIN};
use super::overrides::check_characters;
use super::{FIELDS_MAX, PAGE_SETTINGS_BYTES_MAX, PageSettings};
use crate::language::Language;
use crate::texts::{LABEL_PREFIX, built_in_of};

/// The reason why settings are not accepted. The message names the place in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPageSettings {
    /// The text is not JSON, or a value in it breaks a rule.
    #[error("the settings of the pages cannot be read: {0}")]
    Json(String),
    /// The settings are too large.
    #[error(
        "the settings of the pages have {bytes} bytes as JSON, and at most 307,200 are allowed; name the logo by its https URL, or shorten the texts"
    )]
    TooLarge {
        /// The size as JSON.
        bytes: usize,
    },
    /// Two colors cannot be told apart well enough.
    #[error(
        "colors.{member} is {color}, and its contrast to colors.background, {background}, is {ratio}:1; at least 4.5:1 is needed (WCAG 2.2), so choose colors that differ more in brightness"
    )]
    Contrast {
        /// The member with the color: `text` or `accent`.
        member: &'static str,
        /// The color of the member.
        color: Color,
        /// The color of the background.
        background: Color,
        /// The contrast with two decimals, rounded down.
        ratio: String,
    },
    /// The form has too many fields.
    #[error("fields has {0} entries, and at most 20 are allowed")]
    TooManyFields(usize),
    /// Two fields have the same id.
    #[error("fields: the id {0:?} is there twice")]
    FieldTwice(String),
    /// A field has no label.
    #[error(
        "fields: the field {id:?} has no label in the default language; add \"field.{id}\" to languages.{language}.texts"
    )]
    NoLabel {
        /// The id of the field.
        id: String,
        /// The default language.
        language: Language,
    },
    /// A text is the label of a field that does not exist.
    #[error(
        "languages.{language}.texts: \"field.{id}\" is the label of a field that is not in fields; add the field, or remove the text"
    )]
    NoField {
        /// The language of the text.
        language: Language,
        /// The id of the field.
        id: String,
    },
    /// The turnaround time is not a readable text.
    #[error("languages.{language}: {problem}")]
    Turnaround {
        /// The language of the text.
        language: Language,
        /// The rule that the text breaks.
        problem: String,
    },
    /// A language has no texts.
    #[error("offered_languages: {0} has no texts; add languages.{0}.texts, or remove the language")]
    NoTexts(Language),
    /// The default language is not offered.
    #[error("default_language is {0}, which is not in offered_languages; add it there")]
    NotOffered(Language),
}

impl PageSettings {
    /// Checks the rules that concern several values.
    pub(super) fn check(&self) -> Result<(), InvalidPageSettings> {
        let bytes = self.to_json().len();
        if bytes > PAGE_SETTINGS_BYTES_MAX {
            return Err(InvalidPageSettings::TooLarge { bytes });
        }
        self.check_colors()?;
        self.check_languages()?;
        self.check_fields()
    }

    fn check_colors(&self) -> Result<(), InvalidPageSettings> {
        let colors = self.colors();
        let background = colors.background;
        for (member, color) in [("text", colors.text), ("accent", colors.accent)] {
            let contrast = color.contrast(background);
            if contrast < TEXT_CONTRAST_MIN {
                return Err(InvalidPageSettings::Contrast {
                    member,
                    color,
                    background,
                    ratio: format!("{:.2}", (contrast * 100.0).floor() / 100.0),
                });
            }
        }
        Ok(())
    }

    fn check_languages(&self) -> Result<(), InvalidPageSettings> {
        for language in &self.languages {
            let is_written = self.written.languages.contains_key(language);
            if !is_written
                && !language
                    .general_forms()
                    .any(|tag| built_in_of(tag).is_some())
            {
                return Err(InvalidPageSettings::NoTexts(language.clone()));
            }
        }
        if !self.languages.contains(&self.default_language) {
            return Err(InvalidPageSettings::NotOffered(
                self.default_language.clone(),
            ));
        }
        for (language, written) in &self.written.languages {
            if let Some(text) = &written.turnaround {
                check_characters("turnaround", text).map_err(|problem| {
                    InvalidPageSettings::Turnaround {
                        language: language.clone(),
                        problem: problem.to_string(),
                    }
                })?;
            }
        }
        Ok(())
    }

    fn check_fields(&self) -> Result<(), InvalidPageSettings> {
        if self.fields.len() > FIELDS_MAX {
            return Err(InvalidPageSettings::TooManyFields(self.fields.len()));
        }
        let mut ids = BTreeSet::new();
        for field in &self.fields {
            let id = &field.id;
            if !ids.insert(id.as_str()) {
                return Err(InvalidPageSettings::FieldTwice(id.clone()));
            }
            let label = format!("{LABEL_PREFIX}{id}");
            if self.text_of(&self.default_language, &label).is_none() {
                return Err(InvalidPageSettings::NoLabel {
                    id: id.clone(),
                    language: self.default_language.clone(),
                });
            }
        }
        for (language, written) in &self.written.languages {
            if let Some(id) = written.texts.labelled().find(|id| !ids.contains(id)) {
                return Err(InvalidPageSettings::NoField {
                    language: language.clone(),
                    id: id.to_owned(),
                });
            }
        }
        Ok(())
    }
}
