//! The trace of all calls and answers, in order.

use std::collections::VecDeque;

use marketplace::text::hex;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A list of lines with a digest. A seed has the same trace in every run.
#[derive(Default)]
pub(super) struct Trace {
    is_off: bool,
    digest: Sha256,
    lines: VecDeque<String>,
    keep: usize,
}

impl Trace {
    pub fn turn_off(&mut self) {
        self.is_off = true;
    }

    pub fn is_on(&self) -> bool {
        !self.is_off
    }

    /// Keeps this many of the latest lines.
    pub fn keep(&mut self, lines: usize) {
        self.keep = lines;
    }

    pub fn add(&mut self, line: &str) {
        if self.is_off {
            return;
        }
        self.digest.update(line.as_bytes());
        self.digest.update(b"\n");
        if self.keep > 0 {
            if self.lines.len() == self.keep {
                self.lines.pop_front();
            }
            self.lines.push_back(line.to_owned());
        }
    }

    /// The digest of all lines, whether or not they are kept.
    pub fn digest(&self) -> String {
        hex(&self.digest.clone().finalize())
    }

    /// The latest lines that are kept.
    pub fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }
}

/// Sorts the members of JSON. Any other text is returned unchanged.
pub(super) fn canonical(body: &[u8]) -> String {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => value.to_string(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}
