//! The place of a value in a request, and the error for a value of the wrong type.

use std::fmt;

use serde_json::Value;

use super::reader::ShapeError;

/// The place of a value in a request. It is printed as AWS prints it: `usageRecords.1.member.tags`.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    Root,
    Member(&'a Path<'a>, &'static str),
    Item(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Item(list, index) => write!(f, "{list}.{}.member", index + 1),
            Path::Member(parent, name) => {
                if !matches!(parent, Path::Root) {
                    write!(f, "{parent}.")?;
                }
                let mut letters = name.chars();
                if let Some(first) = letters.next() {
                    write!(f, "{}", first.to_ascii_lowercase())?;
                }
                f.write_str(letters.as_str())
            }
        }
    }
}

pub(super) fn wrong_type(path: &Path<'_>, value: &Value, wanted: &str) -> ShapeError {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a structure",
    };
    let place = match path {
        Path::Root => "The body".to_owned(),
        _ => format!("The value at '{path}'"),
    };
    ShapeError::Serialization(format!("{place} is {found}, but must be {wanted}"))
}

/// Cuts a long text, so that error messages stay readable.
pub(super) fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    if text.chars().count() <= CHARS_MAX {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(CHARS_MAX).collect();
    short.push_str("...");
    short
}
