//! The whole stack in one process, for a developer's machine and for tests.
//!
//! # Layout
//!
//! * [`dynamodb`]: an embedded DynamoDB with streams, served to any AWS SDK over HTTP.
//! * [`pump`]: what Lambda's poller does between one stream and one function, driven from outside.
//! * [`capacity`]: counts the capacity units that a client's requests consume.
//!
//! Everything here takes its time from a clock that the caller sets, so a month can pass in a
//! second and the same run can be repeated exactly.

pub mod capacity;
pub mod dynamodb;
pub mod pump;
