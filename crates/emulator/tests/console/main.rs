//! The console over HTTP: what its pages say, what its forms do, and what it refuses.

mod browser;
mod buyer;
#[path = "../common/mod.rs"]
mod common;
mod reading;
mod safety;
mod seller;
mod world;
