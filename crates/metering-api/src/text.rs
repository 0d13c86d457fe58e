//! Makes texts from other systems safe to show.

/// Returns `text` without control characters, cut off after `chars_max` characters.
pub(crate) fn shown(text: &str, chars_max: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(chars_max)
        .collect()
}
