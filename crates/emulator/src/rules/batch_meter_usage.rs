//! `BatchMeterUsage`: decides which records are billed.
//!
//! Facts: M3, M6, M7, M16, M18, M19, M20, M23, M24, M27 (docs/marketplace-rules.md).

mod error;
mod holder;

use jiff::Timestamp;

pub(crate) use error::BatchMeterUsageError;
use holder::holder;

use super::Arrival;
use super::allocations::{self, Shares};
use super::window::Window;
use crate::model::{BatchMeterUsageRequest, UsageRecord};
use crate::readings::{
    BeforeException, IdenticalRecordId, IdenticalResubmission, SlotGranularity, SlotScope,
    StampOutsideAgreement, ZeroQuantity,
};
use crate::world::{
    Identity, License, Pricing, Product, RecordOutcome, RecordStatus, Scope, Slot, SlotKey, World,
};

/// The judgment on a record that passed every check of the request.
enum Judged {
    NotSubscribed,
    Billable { key: SlotKey, allocations: Shares },
}

/// Meters every record that is not marked in `unprocessed`. Returns one outcome for each record, in
/// their order. An error is returned together with the outcomes of the records that were recorded
/// before it.
pub(crate) fn batch_meter_usage(
    world: &mut World,
    request: &BatchMeterUsageRequest,
    arrival: Arrival<'_>,
    unprocessed: &[bool],
) -> Result<Vec<RecordOutcome>, (BatchMeterUsageError, Vec<RecordOutcome>)> {
    let region = world.slots.region(arrival.region);
    let mut outcomes = Vec::with_capacity(request.usage_records.len());
    if let Err(error) = check_product(world, request) {
        return Err((error, outcomes));
    }
    let mut judged = Vec::with_capacity(request.usage_records.len());
    let mut refusal = None;
    for (index, record) in request.usage_records.iter().enumerate() {
        match judge(world, request, index, arrival.now, region) {
            Ok(one) => judged.push((record, one)),
            Err(error) => {
                refusal = Some(error);
                break;
            }
        }
    }
    let keeps_earlier = world.readings.before_exception == BeforeException::EarlierRecorded;
    let keep = refusal
        .as_ref()
        .is_none_or(|error| keeps_earlier && !error.is_of_whole_batch());
    if keep {
        for (index, (record, judged)) in judged.into_iter().enumerate() {
            outcomes.push(match unprocessed.get(index) {
                Some(true) => RecordOutcome {
                    outcome: RecordStatus::Unprocessed,
                    metering_record: None,
                },
                _ => enter(world, record, judged, arrival.now, region),
            });
        }
    }
    match refusal {
        None => Ok(outcomes),
        Some(error) => Err((error, outcomes)),
    }
}

/// Checks that the product code, if there is one, belongs to a product that is metered by product
/// code.
fn check_product(
    world: &World,
    request: &BatchMeterUsageRequest,
) -> Result<(), BatchMeterUsageError> {
    let Some(code) = &request.product_code else {
        return Ok(());
    };
    let code = || code.clone();
    match world.product(&code()) {
        None => Err(BatchMeterUsageError::UnknownProduct { code: code() }),
        Some(product) if product.listing.identity == Identity::License => {
            Err(BatchMeterUsageError::ProductIsLicensed { code: code() })
        }
        Some(_) => Ok(()),
    }
}

fn judge(
    world: &World,
    request: &BatchMeterUsageRequest,
    index: usize,
    now: Timestamp,
    region: u32,
) -> Result<Judged, BatchMeterUsageError> {
    let Some(record) = request.usage_records.get(index) else {
        return Ok(Judged::NotSubscribed);
    };
    let place = index + 1;
    let holder = holder(world, request, record, place)?;
    let (dimension, allocations) = check_usage(world, holder.product, record, place)?;
    let stamp = record.timestamp.at;
    let window = Window {
        hours: world.settings.window_hours,
        month_end_rule: world.settings.month_end_rule,
    };
    window
        .check(stamp, now)
        .map_err(|error| BatchMeterUsageError::Timestamp {
            record: place,
            stamp,
            error,
        })?;
    let reading = world.readings.final_hour_from;
    let accepting: Vec<&License> = holder
        .licenses
        .iter()
        .filter(|license| license.accepts_usage(now, reading))
        .copied()
        .collect();
    let Some(scope) = holder.scope.filter(|_| !accepting.is_empty()) else {
        return Ok(Judged::NotSubscribed);
    };
    check_activation(world, place, stamp, scope, &accepting)?;
    Ok(Judged::Billable {
        key: slot_key(world, scope, dimension, stamp, region),
        allocations,
    })
}

/// Checks the dimension and the quantity. Returns the index of the dimension and the allocations.
fn check_usage(
    world: &World,
    product: &Product,
    record: &UsageRecord,
    place: usize,
) -> Result<(usize, Shares), BatchMeterUsageError> {
    // The dimensions of a pure contract are bought, not metered.
    let metered = product.listing.pricing != Pricing::Contract;
    let dimension = product
        .dimension(&record.dimension)
        .filter(|_| metered)
        .ok_or_else(|| BatchMeterUsageError::UnknownDimension {
            record: place,
            dimension: record.dimension.clone(),
            code: product.listing.code.clone(),
        })?;
    let allocations = allocations::check(
        &record.quantity,
        record.usage_allocations.as_deref(),
        "Quantity",
        world.readings.five_tags,
    )
    .map_err(|error| BatchMeterUsageError::Quantity {
        record: place,
        error,
    })?;
    Ok((dimension, allocations))
}

/// Checks that the timestamp lies between the start and the end of the software usage, to the
/// second.
fn check_activation(
    world: &World,
    record: usize,
    stamp: Timestamp,
    scope: Scope,
    licenses: &[&License],
) -> Result<(), BatchMeterUsageError> {
    if world.readings.stamp_outside_agreement == StampOutsideAgreement::Accepted {
        return Ok(());
    }
    let reading = world.readings.final_hour_from;
    let within = |license: &&License| {
        stamp.as_second() >= license.start.as_second()
            && license
                .end(reading)
                .is_none_or(|end| stamp.as_second() <= end.as_second())
    };
    let Some(license) = licenses.iter().find(|l| !within(l)) else {
        return Ok(());
    };
    if licenses.iter().any(within) {
        return Ok(());
    }
    let start = license.start;
    let end = license
        .end(reading)
        .map_or("open".to_owned(), |end| end.to_string());
    Err(match scope {
        Scope::License(_) => BatchMeterUsageError::OutsideLicense {
            record,
            stamp,
            start,
            end,
        },
        _ => BatchMeterUsageError::OutsideUsage {
            record,
            stamp,
            start,
            end,
        },
    })
}

fn slot_key(
    world: &World,
    scope: Scope,
    dimension: usize,
    stamp: Timestamp,
    region: u32,
) -> SlotKey {
    let stamp_s = stamp.as_second();
    SlotKey {
        scope,
        dimension: u32::try_from(dimension).unwrap_or(u32::MAX),
        stamp_s: match world.readings.slot_granularity {
            SlotGranularity::Hour => crate::world::hour_start(stamp_s),
            SlotGranularity::ExactTimestamp => stamp_s,
        },
        region: match world.readings.slot_scope {
            SlotScope::Region => region,
            SlotScope::Global => 0,
        },
        apart: 0,
    }
}

/// Takes the slot, or compares the record with the first record in the slot. The first record stays
/// billed, and a later record adds nothing to it.
fn enter(
    world: &mut World,
    record: &UsageRecord,
    judged: Judged,
    now: Timestamp,
    region: u32,
) -> RecordOutcome {
    let (key, allocations) = match judged {
        Judged::NotSubscribed => {
            return RecordOutcome {
                outcome: RecordStatus::CustomerNotSubscribed,
                metering_record: None,
            };
        }
        Judged::Billable { key, allocations } => (key, allocations),
    };
    let quantity = record.quantity.value();
    if let Some(slot) = world.slots.get(&key) {
        if slot.quantity != quantity {
            return duplicate();
        }
        let first = slot.metering_record;
        return identical(world, first);
    }
    let metering_record = world.next_metering_record();
    let free = quantity.is_zero() && world.readings.zero_quantity == ZeroQuantity::LeavesSlotFree;
    if !free {
        world.slots.take(Slot {
            key,
            region,
            sent_stamp_s: record.timestamp.at.as_second(),
            quantity,
            metering_record,
            accepted: now,
            allocations,
        });
    }
    RecordOutcome {
        outcome: if free {
            RecordStatus::SuccessAgain
        } else {
            RecordStatus::Success
        },
        metering_record: Some(metering_record),
    }
}

fn duplicate() -> RecordOutcome {
    RecordOutcome {
        outcome: RecordStatus::DuplicateRecord,
        metering_record: None,
    }
}

fn identical(world: &mut World, first: u64) -> RecordOutcome {
    if world.readings.identical_resubmission == IdenticalResubmission::DuplicateRecord {
        return duplicate();
    }
    let number = match world.readings.identical_record_id {
        IdenticalRecordId::Same => first,
        IdenticalRecordId::New => world.next_metering_record(),
    };
    RecordOutcome {
        outcome: RecordStatus::SuccessAgain,
        metering_record: Some(number),
    }
}
