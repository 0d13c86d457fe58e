//! Random sellers, buyers, usage, clocks and faults, all from one seed, and a check that knows only
//! what the seller's software sent and what AWS Marketplace billed.
//!
//! # Layout
//! * [`family`]: families of faults; each is off in about half of the seeds
//! * [`story`]: the events of a seed and their times; `extras`: additional events of some seeds
//! * [`trouble`]: the faults of a seed; [`calls`]: the faults of single calls
//! * `readings`: the settings of a seed for what AWS does not document
//! * `drive`: runs the events one after the other, while calls wait until they are released
//! * `happen`: what each event does
//! * [`check`]: compares what was sent with what was billed; [`owed`]: which usage had to be billed
//! * [`marks`]: counts how often the seeds have reached each state
//! * [`totals`]: the sums of many seeds, which can be stored

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
mod subscribed;
pub mod totals;
pub mod trouble;

pub use drive::{SeedReport, judge, run};
