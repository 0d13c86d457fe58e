//! Tests of the whole stack, and what several of them share.
//!
//! # Layout
//! * [`template`]: `template.yaml` as CloudFormation reads it
//! * [`world`]: the world that `events/` talks about, and the functions as processes in it
//! * [`runtime_api`]: the Lambda Runtime API that those processes talk to
//! * [`recorder`]: the calls that they make
//! * [`alarms`]: the template's alarms against the metrics that they print
//! * [`proof`]: the stack without sockets or real time, for the crash matrix and the simulation

pub mod alarms;
pub mod proof;
pub mod recorder;
pub mod runtime_api;
pub mod template;
pub mod world;
