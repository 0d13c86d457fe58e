//! A day of a seller's life in compressed time, checked to the last micro-unit.
//!
//! Buyers of several products subscribe at AWS Marketplace, register through the real form POST and
//! use the product. Some cancel. Usage is fractional, tagged, repeated, late and malformed. The
//! books are compared with what the seller's software sent and with what AWS Marketplace billed.
//! Neither of these two quantities is counted by the stack itself.

mod plan;
mod run;
mod seller;
mod summary;

pub use plan::{DemoOptions, FaultLevel, InvalidDemo};
pub use run::{DemoError, Progress, run};
pub use summary::{Summary, thousandths};
