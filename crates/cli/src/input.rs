//! Reads files and standard input.

use std::fs::File;
use std::io::Read;

use crate::failure::Failure;

/// Reads a file, or standard input for `-`. It must be UTF-8 and have at most `bytes_max` bytes.
pub fn read(path: &str, bytes_max: usize) -> Result<String, Failure> {
    if path == "-" {
        return bounded(std::io::stdin().lock(), "standard input", bytes_max);
    }
    let file = File::open(path)
        .map_err(|error| Failure::failed(format!("{path} cannot be read: {error}")))?;
    bounded(file, path, bytes_max)
}

fn bounded(source: impl Read, name: &str, bytes_max: usize) -> Result<String, Failure> {
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    source
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::failed(format!("{name} cannot be read: {error}")))?;
    if bytes.len() > bytes_max {
        return Err(Failure::failed(format!(
            "{name} has more than {bytes_max} bytes; is it the right file?"
        )));
    }
    String::from_utf8(bytes).map_err(|_| Failure::failed(format!("{name} is not UTF-8 text")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_that_is_too_long_or_not_text_is_refused() {
        assert_eq!(bounded(&b"abc"[..], "x", 3), Ok("abc".to_owned()));
        let refused = |bytes: &[u8]| bounded(bytes, "x", 3).unwrap_err().to_string();
        assert!(refused(b"abcd").contains("more than 3 bytes"));
        assert!(refused(b"\xff").contains("UTF-8"));
    }
}
