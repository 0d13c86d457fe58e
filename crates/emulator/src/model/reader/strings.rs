//! The limits of strings in the API model.

/// A pattern of the API model, with a function that tests it.
pub(crate) enum Pattern {
    /// A pattern for the text as a whole.
    Whole {
        text: &'static str,
        matches: fn(&str) -> bool,
    },
    /// A pattern for each byte. There must be at least one byte.
    Bytes {
        text: &'static str,
        bytes: fn(u8) -> bool,
    },
}

impl Pattern {
    /// Whether a value has the pattern.
    pub(super) fn matches(&self, value: &str) -> bool {
        match self {
            Pattern::Whole { matches, .. } => matches(value),
            Pattern::Bytes { bytes, .. } => !value.is_empty() && value.bytes().all(bytes),
        }
    }

    /// The pattern as the API model prints it.
    pub(super) fn text(&self) -> &'static str {
        match self {
            Pattern::Whole { text, .. } | Pattern::Bytes { text, .. } => text,
        }
    }
}

/// The limits of a string shape. Lengths are in characters.
pub(crate) struct StringShape {
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) pattern: Option<Pattern>,
}

/// A string without limits.
pub(crate) const ANY_STRING: StringShape = StringShape {
    min: 0,
    max: usize::MAX,
    pattern: None,
};
