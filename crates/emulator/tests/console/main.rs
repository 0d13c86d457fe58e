//! The pages, the forms and the refusals of the console, over HTTP.

mod browser;
mod buyer;
#[path = "../common/mod.rs"]
mod common;
mod reading;
mod safety;
mod seller;
mod world;
