//! The rules of AWS Marketplace: what each operation answers to a well-formed request, and what
//! it changes in the world.

pub(crate) mod allocations;
pub(crate) mod batch_meter_usage;
pub(crate) mod resolve_customer;
pub(crate) mod window;
