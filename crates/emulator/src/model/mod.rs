//! Requests as the API model has them: shapes are checked here, before any rule.
//!
//! A member of the wrong JSON type ends the reading (`SerializationException`); a value outside
//! its shape's limits is noted, and all such notes become one `ValidationException`.

mod batch_meter_usage;
mod meter_usage;
mod reader;
mod register_usage;
mod resolve_customer;
mod shapes;
mod usage;

pub(crate) use batch_meter_usage::{BatchMeterUsageRequest, UsageRecord};
pub(crate) use meter_usage::MeterUsageRequest;
pub(crate) use reader::{Members, ShapeError, read};
pub(crate) use register_usage::RegisterUsageRequest;
pub(crate) use resolve_customer::ResolveCustomerRequest;
pub(crate) use shapes::{is_digits, is_product_code};
pub use usage::Tag;
pub(crate) use usage::{GivenQuantity, QuantityConflict, Stamp, UsageAllocation};
