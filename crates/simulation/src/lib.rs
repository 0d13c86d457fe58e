#![doc = include_str!("../README.md")]

pub mod bill;
pub mod clients;
pub mod functions;
pub mod races;
pub mod run;
pub mod scenarios;
pub mod seeds;
pub mod suites;
pub mod wire;
pub mod world;

use std::path::Path;

use jiff::Timestamp;

/// The folder of the whole workspace.
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The time that a test writes as text.
///
/// # Panics
///
/// If the text is no time.
pub fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}
