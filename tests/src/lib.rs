//! Tests of the whole stack, and the code that several of them share.
//!
//! # Layout
//! * [`template`]: reads `template.yaml` and `listing.yaml` as CloudFormation does
//! * [`bootstrap`]: the bootstrap of a function, and the environment in which it is started
//! * [`world`]: the world that the samples in `events/` refer to, and the functions as processes in
//!   it
//! * [`runtime_api`]: the Lambda Runtime API that those processes call
//! * [`recorder`]: records the calls that those processes make
//! * [`alarms`]: evaluates the template's alarms on the metrics that those processes print
//!
//! The stack without sockets or real time, which many tests use, is the crate `simulation`.

pub mod alarms;
pub mod bootstrap;
pub mod recorder;
pub mod runtime_api;
pub mod template;
pub mod world;
