//! The texts of one page, in the page's language.

use maud::{Markup, Render, html};

use crate::language::Language;
use crate::page_settings::{Field, PageSettings};
use crate::texts::{SELLER, TURNAROUND, TextKey, fill};

/// The texts of one page.
pub(super) struct Words<'a> {
    pub settings: &'a PageSettings,
    pub seller: &'a str,
    /// The language of the page.
    pub language: &'a Language,
}

/// A text whose placeholders are filled in.
pub(super) struct Said {
    pub text: String,
    /// The language of the text if it is not the page's. Screen readers pronounce the text by it.
    language: Option<String>,
}

impl Words<'_> {
    /// Returns a text.
    pub(super) fn say(&self, key: TextKey) -> Said {
        self.say_with(key, &[])
    }

    /// Returns a text with these values for its placeholders.
    pub(super) fn say_with(&self, key: TextKey, values: &[(&str, &str)]) -> Said {
        let (text, source) = self.settings.text(self.language, key);
        self.said(text, source, values)
    }

    /// Returns the label of a field.
    pub(super) fn label(&self, field: &Field) -> Said {
        let (text, source) = self.settings.label(self.language, field);
        self.said(text, source, &[])
    }

    /// Returns a text about the turnaround time. `None` if the seller named no time. The text is in
    /// the language in which the seller named the time.
    pub(super) fn say_turnaround(&self, key: TextKey) -> Option<Said> {
        let (time, language) = self.settings.turnaround(self.language)?;
        let (text, source) = self.settings.text(language, key);
        Some(self.said(text, source, &[(TURNAROUND, time)]))
    }

    /// Returns a text as a paragraph.
    pub(super) fn paragraph(&self, key: TextKey) -> Markup {
        html! { p { (self.say(key)) } }
    }

    fn said(&self, text: &str, source: &Language, values: &[(&str, &str)]) -> Said {
        let mut all = vec![(SELLER, self.seller)];
        all.extend_from_slice(values);
        let is_foreign = !self.language.is_in(source.as_str());
        Said {
            text: fill(text, &all),
            language: is_foreign.then(|| source.to_string()),
        }
    }
}

impl Render for Said {
    fn render(&self) -> Markup {
        html! {
            @match &self.language {
                Some(language) => { span lang=(language) { (self.text) } }
                None => { (self.text) }
            }
        }
    }
}
