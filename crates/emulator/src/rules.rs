//! The rules of AWS Marketplace: how each operation answers a well-formed request, and what it
//! changes in the world.

use jiff::Timestamp;

pub(crate) mod agreements;
pub(crate) mod allocations;
pub(crate) mod batch_meter_usage;
pub(crate) mod billing_adjustments;
mod cloudtrail_event;
pub(crate) mod get_entitlements;
pub(crate) mod lookup_events;
pub(crate) mod meter_usage;
mod page;
pub(crate) mod register_usage;
pub(crate) mod resolve_customer;
pub(crate) mod trail;
pub(crate) mod window;

/// The time, the Region and the caller of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) now: Timestamp,
    pub(crate) region: &'a str,
    pub(crate) access_key_id: &'a str,
}
