//! Checks the values that a buyer types on the sign-up page. Nothing that was typed is logged.

use std::collections::BTreeMap;

use crate::page::{Problem, ProblemKind};
use crate::page_settings::{Field, FieldKind};

/// The values of a form's fields, and what is wrong with them.
#[derive(Default)]
pub(crate) struct Typed {
    /// The values by the id of the field, for storing if there are no problems, or else for the form
    /// that is shown again. Fields that the page does not have are left out.
    pub values: BTreeMap<String, String>,
    /// The problems, in the order of the fields.
    pub problems: Vec<Problem>,
}

impl Typed {
    /// Checks each field of the page.
    pub fn check(fields: &[Field], form: &BTreeMap<String, String>) -> Self {
        let mut typed = Self::default();
        for field in fields {
            let raw = form.get(&field.id).map_or("", String::as_str);
            let value = normalized(raw);
            if let Some(kind) = problem_of(field.kind, field.required, &value) {
                typed.problems.push(Problem {
                    field: field.id.clone(),
                    kind,
                });
            }
            typed.values.insert(field.id.clone(), value);
        }
        typed
    }
}

/// The text without white space around it. Browsers send a line break of a text as two characters,
/// and one of them is kept.
fn normalized(raw: &str) -> String {
    raw.replace("\r\n", "\n").trim().to_owned()
}

/// The first problem with a value; `None` if it can be stored.
fn problem_of(kind: FieldKind, is_required: bool, value: &str) -> Option<ProblemKind> {
    let max = kind.chars_max();
    if value.is_empty() {
        return is_required.then_some(ProblemKind::Missing);
    }
    if value.chars().count() > max {
        return Some(ProblemKind::TooLong { max });
    }
    let has_lines = kind == FieldKind::Text;
    let is_allowed = |c: char| !c.is_control() || (has_lines && c == '\n');
    if !value.chars().all(is_allowed) {
        return Some(ProblemKind::Control);
    }
    let is_wrong = kind == FieldKind::Email && !looks_like_an_address(value);
    is_wrong.then_some(ProblemKind::Email)
}

/// Whether a text has a name, an @ and a domain, without white space. A stricter rule would refuse
/// addresses that exist.
fn looks_like_an_address(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    let is_whole = parts.is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty());
    is_whole && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: FieldKind, typed: &str, stored: Option<&str>) {
        let value = normalized(typed);
        let problem = problem_of(kind, false, &value);
        let found = problem.is_none().then_some(value.as_str());
        assert_eq!(found, stored, "{typed:?}");
    }

    #[test]
    fn any_plausible_address_and_an_empty_field_are_accepted() {
        let kind = FieldKind::Email;
        check(kind, "", Some(""));
        check(kind, "  ", Some(""));
        check(kind, "someone@gmail.com", Some("someone@gmail.com"));
        check(kind, " someone@example.com ", Some("someone@example.com"));
        check(kind, "jürgen@bücher.example", Some("jürgen@bücher.example"));
        check(kind, "someone", None);
        check(kind, "@example.com", None);
        check(kind, "someone@", None);
        check(kind, "some one@example.com", None);
        check(kind, "a\n@example.com", None);
        check(kind, &format!("{}@example.com", "x".repeat(250)), None);
    }

    #[test]
    fn names_of_any_language_are_accepted_and_control_characters_are_not() {
        let kind = FieldKind::Line;
        for name in ["O'Brien & Søn", "株式会社サンプル", "Ægir Þór", "محمد"] {
            check(kind, name, Some(name));
        }
        check(kind, "two\r\nlines", None);
        check(kind, "a\u{7}bell", None);
        check(kind, &"ü".repeat(254), Some(&"ü".repeat(254)));
        check(kind, &"ü".repeat(255), None);
    }

    #[test]
    fn a_text_may_have_lines() {
        let kind = FieldKind::Text;
        check(kind, "one\r\ntwo\r\n", Some("one\ntwo"));
        check(kind, "a\ttab", None);
        check(kind, "a\rlone return", None);
        check(kind, &"x".repeat(2_000), Some(&"x".repeat(2_000)));
        check(kind, &"x".repeat(2_001), None);
    }

    #[test]
    fn a_required_field_must_be_filled_in() {
        let missing = problem_of(FieldKind::Line, true, "");
        assert_eq!(missing, Some(ProblemKind::Missing));
        assert_eq!(problem_of(FieldKind::Line, true, "x"), None);
    }
}
