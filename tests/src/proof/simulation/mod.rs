//! Random sellers, buyers, usage, clocks and trouble, all from one seed, and a check that knows only
//! what the seller's software sent and what AWS Marketplace billed.
//!
//! # Layout
//! * [`family`]: families of faults, each off in every other seed
//! * [`story`]: what a seed makes happen, and when; `extras`: what some seeds add to it
//! * [`trouble`]: what a seed breaks; [`calls`]: of which, what becomes of each call
//! * `readings`: how a seed's AWS Marketplace does what is not documented
//! * `drive`: one event after the other, while calls wait to be let through
//! * `happen`: what each of them does
//! * [`check`]: what was sent against what was billed; [`owed`]: what of it had to be
//! * [`marks`]: what seeds have reached

pub mod calls;
pub mod check;
mod drive;
mod extras;
pub mod family;
mod happen;
pub mod marks;
pub mod owed;
mod readings;
pub mod story;
pub mod trouble;

pub use drive::{SeedReport, judge, run};
