//! `MeterUsage`: meters usage from the buyer's account.
//!
//! Facts: M31, M32, M33, M34 (docs/marketplace-rules.md).

use jiff::Timestamp;
use thiserror::Error;

use super::Arrival;
use super::allocations::{self, QuantityError, Shares};
use super::window::{OutOfBounds, Window};
use crate::ids::mix;
use crate::model::MeterUsageRequest;
use crate::readings::StampOutsideAgreement;
use crate::settings::Platform;
use crate::world::{Scope, Slot, SlotKey, TokenUse, World, hour_start};

/// Why usage is not metered.
#[derive(Clone, Debug, Error, PartialEq)]
pub(crate) enum MeterUsageError {
    #[error("The request would have been accepted, but DryRun is set")]
    DryRun,
    #[error("The product code '{code}' is not one of the seller's products")]
    UnknownProduct { code: String },
    #[error("The endpoint's Region {region} is not the Region the software runs in, {runs_in}")]
    OtherRegion { region: String, runs_in: String },
    #[error("The account has no subscription to product '{code}' that accepts usage")]
    NotEntitled { code: String },
    #[error(
        "The dimension '{dimension}' is not one of product '{code}' (dimensions are case-sensitive)"
    )]
    UnknownDimension { dimension: String, code: String },
    #[error("The request {0}")]
    Quantity(QuantityError),
    #[error("The timestamp {stamp} {error}")]
    Timestamp {
        stamp: Timestamp,
        error: OutOfBounds,
    },
    #[error("The timestamp {stamp} is before the start of the software usage, {start}")]
    BeforeUsage { stamp: Timestamp, start: Timestamp },
    #[error("A ClientToken is required on Amazon Bedrock AgentCore")]
    NoClientToken,
    #[error("The ClientToken '{token}' was used before with other parameters")]
    TokenReused { token: String },
    #[error(
        "This instance has metered {first} of '{dimension}' for the hour {hour}; the first record counts"
    )]
    Duplicate {
        dimension: String,
        hour: Timestamp,
        first: String,
    },
}

impl MeterUsageError {
    /// The name of the exception in the API model. `DryRun` has its name from the API reference.
    pub(crate) fn code(&self) -> &'static str {
        use MeterUsageError as E;
        match self {
            E::DryRun => "DryRunOperation",
            E::UnknownProduct { .. } => "InvalidProductCodeException",
            E::OtherRegion { .. } => "InvalidEndpointRegionException",
            E::NotEntitled { .. } => "CustomerNotEntitledException",
            E::UnknownDimension { .. } => "InvalidUsageDimensionException",
            E::Quantity(error) => error.code(),
            E::Timestamp { .. } | E::BeforeUsage { .. } => "TimestampOutOfBoundsException",
            E::NoClientToken => "ValidationException",
            E::TokenReused { .. } => "IdempotencyConflictException",
            E::Duplicate { .. } => "DuplicateRequestException",
        }
    }
}

/// The customer, dimension and allocations of usage that passed every check.
struct Checked {
    customer: usize,
    dimension: usize,
    allocations: Shares,
}

/// Meters usage once for each hour, dimension and instance. On AgentCore, it meters usage once for
/// each client token. Returns the number of the metering record.
pub(crate) fn meter_usage(
    world: &mut World,
    request: &MeterUsageRequest,
    arrival: Arrival<'_>,
) -> Result<u64, MeterUsageError> {
    let checked = check(world, request, arrival)?;
    let customer = checked.customer;
    let fingerprint = fingerprint(request);
    if let Some(record) = repeated(world, customer, request, fingerprint)? {
        return Ok(record);
    }
    let metering_record = enter(world, request, checked, arrival)?;
    if let Some(token) = &request.client_token {
        let used = TokenUse {
            fingerprint,
            metering_record,
        };
        world.instances.remember(customer, token, used);
    }
    Ok(metering_record)
}

fn check(
    world: &World,
    request: &MeterUsageRequest,
    arrival: Arrival<'_>,
) -> Result<Checked, MeterUsageError> {
    let code = &request.product_code;
    let unknown = || MeterUsageError::UnknownProduct { code: code.clone() };
    let number = *world.product_by_code.get(code).ok_or_else(unknown)?;
    check_region(world, arrival)?;
    let customer = world
        .buyer(number, arrival.access_key_id, arrival.now)
        .filter(|customer| world.is_entitled(*customer, arrival.now))
        .ok_or_else(|| MeterUsageError::NotEntitled { code: code.clone() })?;
    if request.dry_run {
        return Err(MeterUsageError::DryRun);
    }
    let product = world.products.get(number).ok_or_else(unknown)?;
    let dimension = product.dimension(&request.usage_dimension).ok_or_else(|| {
        MeterUsageError::UnknownDimension {
            dimension: request.usage_dimension.clone(),
            code: code.clone(),
        }
    })?;
    let allocations = allocations::check(
        &request.quantity,
        request.usage_allocations.as_deref(),
        "UsageQuantity",
        world.readings.five_tags,
    )
    .map_err(MeterUsageError::Quantity)?;
    check_stamp(world, customer, request.timestamp.at, arrival.now)?;
    Ok(Checked {
        customer,
        dimension,
        allocations,
    })
}

/// Takes the slot of the instance's hour. On AgentCore every token has its own slot, and AWS
/// Marketplace adds up the slots of an hour.
fn enter(
    world: &mut World,
    request: &MeterUsageRequest,
    checked: Checked,
    arrival: Arrival<'_>,
) -> Result<u64, MeterUsageError> {
    let customer = u32::try_from(checked.customer).unwrap_or(u32::MAX);
    let instance = world.instances.number(arrival.access_key_id);
    let sent_stamp_s = request.timestamp.at.as_second();
    let quantity = request.quantity.value();
    let mut key = SlotKey {
        scope: Scope::Instance(customer, instance),
        dimension: u32::try_from(checked.dimension).unwrap_or(u32::MAX),
        stamp_s: hour_start(sent_stamp_s),
        region: 0,
        apart: 0,
    };
    if world.settings.platform == Platform::AgentCore {
        key.apart = world.metering_records + 1;
    }
    if let Some(slot) = world.slots.get(&key) {
        if slot.quantity == quantity {
            return Ok(slot.metering_record);
        }
        return Err(MeterUsageError::Duplicate {
            dimension: request.usage_dimension.clone(),
            hour: Timestamp::from_second(key.stamp_s).unwrap_or(request.timestamp.at),
            first: slot.quantity.to_string(),
        });
    }
    let metering_record = world.next_metering_record();
    let region = world.slots.region(arrival.region);
    world.slots.take(Slot {
        key,
        region,
        sent_stamp_s,
        quantity,
        metering_record,
        accepted: arrival.now,
        allocations: checked.allocations,
    });
    Ok(metering_record)
}

/// A hash over all parameters of a request.
fn fingerprint(request: &MeterUsageRequest) -> u64 {
    let text = format!("{request:?}");
    text.bytes()
        .fold(0, |state, byte| mix(state ^ u64::from(byte)))
}

fn check_region(world: &World, arrival: Arrival<'_>) -> Result<(), MeterUsageError> {
    match &world.settings.software_region {
        Some(runs_in) if runs_in != arrival.region => Err(MeterUsageError::OtherRegion {
            region: arrival.region.to_owned(),
            runs_in: runs_in.clone(),
        }),
        _ => Ok(()),
    }
}

fn check_stamp(
    world: &World,
    customer: usize,
    stamp: Timestamp,
    now: Timestamp,
) -> Result<(), MeterUsageError> {
    let window = Window {
        hours: world.settings.meter_usage_window_hours,
        month_end_rule: world.settings.month_end_rule,
    };
    window
        .check(stamp, now)
        .map_err(|error| MeterUsageError::Timestamp { stamp, error })?;
    if world.readings.stamp_outside_agreement == StampOutsideAgreement::Accepted {
        return Ok(());
    }
    let starts = world
        .customers
        .get(customer)
        .into_iter()
        .flat_map(|customer| &customer.licenses)
        .filter_map(|license| world.licenses.get(*license))
        .map(|license| license.start);
    match starts.min() {
        Some(start) if stamp.as_second() < start.as_second() => {
            Err(MeterUsageError::BeforeUsage { stamp, start })
        }
        _ => Ok(()),
    }
}

/// Looks for an earlier use of the client token. The same request gets the same record again. A
/// different request is a conflict.
fn repeated(
    world: &World,
    customer: usize,
    request: &MeterUsageRequest,
    fingerprint: u64,
) -> Result<Option<u64>, MeterUsageError> {
    let Some(token) = &request.client_token else {
        return match world.settings.platform {
            Platform::AgentCore => Err(MeterUsageError::NoClientToken),
            _ => Ok(None),
        };
    };
    match world.instances.token_use(customer, token) {
        None => Ok(None),
        Some(used) if used.fingerprint == fingerprint => Ok(Some(used.metering_record)),
        Some(_) => Err(MeterUsageError::TokenReused {
            token: token.clone(),
        }),
    }
}
