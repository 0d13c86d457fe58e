//! Requests in the shapes of the API model, which are checked before any rule.
//!
//! A member of the wrong JSON type stops the reading (`SerializationException`). A value outside
//! the limits of its shape is a violation. All violations together become one
//! `ValidationException`.

mod agreement_api;
mod batch_meter_usage;
mod get_entitlements;
mod lookup_events;
mod meter_usage;
mod path;
mod reader;
mod register_usage;
mod resolve_customer;
mod shapes;
mod usage;

pub(crate) use agreement_api::{
    AdjustmentEntry, InvoiceLineItemsRequest, SearchAgreementsRequest, read_adjustments,
    read_agreement_id,
};
pub(crate) use batch_meter_usage::{BatchMeterUsageRequest, UsageRecord};
pub(crate) use get_entitlements::GetEntitlementsRequest;
pub(crate) use lookup_events::LookupEventsRequest;
pub(crate) use meter_usage::MeterUsageRequest;
pub(crate) use reader::{ShapeError, read};
pub(crate) use register_usage::RegisterUsageRequest;
pub(crate) use resolve_customer::ResolveCustomerRequest;
pub(crate) use shapes::{is_digits, is_license_arn, is_product_code};
pub use usage::Tag;
pub(crate) use usage::{GivenQuantity, UsageAllocation};
