//! Short texts for errors, keys and digests.

/// The first `chars_max` characters of a text, so that an error stays short.
pub fn excerpt(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

/// The bytes as lower-case hexadecimal digits, two for each byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_counts_characters_and_not_bytes() {
        assert_eq!(excerpt("äöü", 2), "äö");
        assert_eq!(excerpt("äöü", 9), "äöü");
    }

    #[test]
    fn every_byte_has_two_digits() {
        assert_eq!(hex(&[0, 15, 255]), "000fff");
    }
}
