//! The whole stack in one process, for a developer's machine and for tests.
//!
//! # Layout
//!
//! * [`dynamodb`]: an embedded DynamoDB with streams, served to any AWS SDK over HTTP.
//! * [`pump`]: Lambda's poller between one stream and one function, driven by the caller.
//! * [`capacity`]: counts the capacity units that a client's requests consume.
//! * [`crash`]: kills functions just before or just after one of their calls.
//! * [`demo`]: a day of a seller's life, checked to the last micro-unit.
//! * [`sample`]: the world that the samples in `events/` refer to.
//! * [`server`]: a stack that keeps running.
//! * [`stack`]: all parts together, moved forward one step of the clock at a time.
//!
//! Every module takes the time from a clock that the caller sets, so a month can pass in a second
//! and the same run can be repeated exactly.
//!
//! # Words
//!
//! A *fault* is one thing that goes wrong on purpose: a stream record is dropped or delayed, a
//! message is repeated, a call is throttled. A *crash* is the fault in which the submitter dies at
//! one of its calls. [`stack::Trouble`] has all faults that the stack injects, with their rates.
//! The emulated AWS Marketplace has faults of its own, which its caller sets.

pub mod capacity;
pub mod crash;
pub mod demo;
pub mod dynamodb;
mod functions;
mod product_setup;
pub mod pump;
pub mod sample;
pub mod server;
mod set_back;
pub mod stack;
mod step_clock;
mod world_file;
