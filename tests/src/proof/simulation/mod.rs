//! Random sellers, buyers, usage, clocks and faults, all from one seed, and a check that knows only
//! what the seller's software sent and what AWS Marketplace billed.
//!
//! # Layout
//! * [`family`]: families of faults; each is off in every other seed
//! * [`story`]: the events of a seed and their times; `extras`: additional events of some seeds
//! * [`trouble`]: the faults of a seed; [`calls`]: the faults of single calls
//! * `readings`: the settings of a seed for what AWS does not document
//! * `drive`: runs one event after the other, while calls wait to be let through
//! * `happen`: what each event does
//! * [`check`]: compares what was sent with what was billed; [`owed`]: which usage had to be billed
//! * [`marks`]: counts which states the seeds have reached

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
