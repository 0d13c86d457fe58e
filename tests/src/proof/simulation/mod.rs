//! Random sellers, buyers, usage, clocks and trouble, all from one seed, and a check that knows only
//! what the seller's software sent and what AWS Marketplace billed.
//!
//! # Layout
//! * [`story`]: what a seed makes happen, and when
//! * [`trouble`]: what a seed breaks
//! * `readings`: how a seed's AWS Marketplace does what is not documented
//! * `drive`: one event after the other, while calls wait to be let through
//! * `happen`: what each of them does
//! * [`check`]: what was sent against what was billed

pub mod check;
mod drive;
mod happen;
mod readings;
pub mod story;
pub mod trouble;

pub use drive::{SeedReport, judge, run};
