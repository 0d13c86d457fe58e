//! `BatchMeterUsage`: which records are billed.

use jiff::Timestamp;
use thiserror::Error;

use super::allocations::{self, QuantityError};
use super::window::{OutOfBounds, Window};
use crate::model::{BatchMeterUsageRequest, UsageRecord};
use crate::readings::{
    BeforeException, EmptyCustomerIdentifier, IdenticalRecordId, IdenticalResubmission,
    InvalidCustomer, SlotGranularity, SlotScope, StampOutsideAgreement, ZeroQuantity,
};
use crate::world::{
    Identity, License, MeteredAllocation, Outcome, Product, RecordOutcome, Scope, Slot, SlotKey,
    World,
};

/// Why a whole request is refused. Every message names the record, counted from 1.
#[derive(Clone, Debug, Error, PartialEq)]
pub(crate) enum BatchMeterUsageError {
    #[error("The product code '{code}' is not one of the seller's products")]
    UnknownProduct { code: String },
    #[error(
        "The product '{code}' identifies its buyers by license: send LicenseArn and CustomerAWSAccountId in each record, and no ProductCode"
    )]
    ProductIsLicensed { code: String },
    #[error(
        "Record {record} has a LicenseArn, but the request has a ProductCode: a LicenseArn stands for product and agreement, leave ProductCode out"
    )]
    ProductCodeWithLicense { record: usize },
    #[error("Record {record} has no LicenseArn, so the request needs a ProductCode")]
    NoProduct { record: usize },
    #[error("Record {record}: the license '{arn}' does not exist")]
    UnknownLicense { record: usize, arn: String },
    #[error(
        "Record {record}: the license '{arn}' belongs to product '{other}', but the request is for '{code}': meter one product in one request"
    )]
    OtherProduct {
        record: usize,
        arn: String,
        other: String,
        code: String,
    },
    #[error("Record {record}: the license '{arn}' does not belong to account '{account}'")]
    OtherCustomer {
        record: usize,
        arn: String,
        account: String,
    },
    #[error(
        "Record {record}: {stamp} lies outside the license's activation period, {start} to {end}"
    )]
    OutsideLicense {
        record: usize,
        stamp: Timestamp,
        start: Timestamp,
        end: String,
    },
    #[error("Record {record}: {problem}")]
    Customer {
        record: usize,
        problem: CustomerProblem,
    },
    #[error(
        "Record {record}: the dimension '{dimension}' is not one of product '{code}' (dimensions are case-sensitive)"
    )]
    UnknownDimension {
        record: usize,
        dimension: String,
        code: String,
    },
    #[error("Record {record}: {error}")]
    Quantity { record: usize, error: QuantityError },
    #[error("Record {record}: the timestamp {stamp} {error}")]
    Timestamp {
        record: usize,
        stamp: Timestamp,
        error: OutOfBounds,
    },
    #[error(
        "Record {record}: the timestamp {stamp} is not between the start of the software usage, {start}, and its end, {end}"
    )]
    OutsideUsage {
        record: usize,
        stamp: Timestamp,
        start: Timestamp,
        end: String,
    },
}

/// What is wrong with the way a record names its customer.
#[derive(Clone, Debug, Error, PartialEq)]
pub(crate) enum CustomerProblem {
    #[error("both CustomerIdentifier and CustomerAWSAccountId are given; send one of them")]
    Both,
    #[error("CustomerIdentifier is empty; leave it out")]
    Empty,
    #[error("neither CustomerIdentifier nor CustomerAWSAccountId is given")]
    Neither,
    #[error("a record with a LicenseArn names its customer by CustomerAWSAccountId alone")]
    NotWithLicense,
    #[error("the customer '{customer}' does not exist")]
    Unknown { customer: String },
}

impl BatchMeterUsageError {
    /// The exception of the API model.
    pub(crate) fn code(&self) -> &'static str {
        use BatchMeterUsageError as E;
        match self {
            E::UnknownProduct { .. }
            | E::ProductIsLicensed { .. }
            | E::ProductCodeWithLicense { .. }
            | E::NoProduct { .. } => "InvalidProductCodeException",
            E::UnknownLicense { .. }
            | E::OtherProduct { .. }
            | E::OtherCustomer { .. }
            | E::OutsideLicense { .. } => "InvalidLicenseException",
            E::Customer { .. } => "InvalidCustomerIdentifierException",
            E::UnknownDimension { .. } => "InvalidUsageDimensionException",
            E::Quantity { error, .. } => error.code(),
            E::Timestamp { .. } | E::OutsideUsage { .. } => "TimestampOutOfBoundsException",
        }
    }
}

/// Where and when a call arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) now: Timestamp,
    pub(crate) region: &'a str,
}

/// A record that passed every check of the request.
enum Judged {
    NotSubscribed,
    Billable {
        key: SlotKey,
        allocations: Option<Box<[MeteredAllocation]>>,
    },
}

/// Meters every record not marked in `unprocessed`; one outcome for each record, in their order.
/// A refusal comes with the outcomes of the records that were recorded before it.
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
    let keep = world.readings.before_exception == BeforeException::EarlierRecorded;
    if refusal.is_none() || keep {
        for (index, (record, judged)) in judged.into_iter().enumerate() {
            outcomes.push(match unprocessed.get(index) {
                Some(true) => RecordOutcome {
                    outcome: Outcome::Unprocessed,
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

/// The product code, where there is one, must be of a product that is metered by it.
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
    let code = &holder.product.listing.code;
    let dimension = holder.product.dimension(&record.dimension).ok_or_else(|| {
        BatchMeterUsageError::UnknownDimension {
            record: place,
            dimension: record.dimension.clone(),
            code: code.clone(),
        }
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

/// Whom a record bills: product, slot scope (`None` for a customer nobody knows) and licenses.
struct Holder<'a> {
    product: &'a Product,
    scope: Option<Scope>,
    licenses: Vec<&'a License>,
}

fn holder<'a>(
    world: &'a World,
    request: &BatchMeterUsageRequest,
    record: &UsageRecord,
    place: usize,
) -> Result<Holder<'a>, BatchMeterUsageError> {
    match (&request.product_code, &record.license_arn) {
        (Some(_), Some(_)) => Err(BatchMeterUsageError::ProductCodeWithLicense { record: place }),
        (None, None) => Err(BatchMeterUsageError::NoProduct { record: place }),
        (Some(code), None) => by_product(world, code, record, place),
        (None, Some(arn)) => by_license(world, request, record, arn, place),
    }
}

fn by_license<'a>(
    world: &'a World,
    request: &BatchMeterUsageRequest,
    record: &UsageRecord,
    arn: &str,
    place: usize,
) -> Result<Holder<'a>, BatchMeterUsageError> {
    let unknown = || BatchMeterUsageError::UnknownLicense {
        record: place,
        arn: arn.to_owned(),
    };
    let (number, license, product) = license(world, arn).ok_or_else(unknown)?;
    // The request is for the product of the first license in it.
    let first = request
        .usage_records
        .iter()
        .find_map(|r| license_product(world, r.license_arn.as_deref()?));
    if let Some(first) = first
        && first != &product.listing.code
    {
        return Err(BatchMeterUsageError::OtherProduct {
            record: place,
            arn: arn.to_owned(),
            other: product.listing.code.clone(),
            code: first.to_owned(),
        });
    }
    let account = named_by_account(world, record, place)?;
    let customer = world.customers.get(license.customer).ok_or_else(unknown)?;
    if customer.account_id != account {
        return Err(BatchMeterUsageError::OtherCustomer {
            record: place,
            arn: arn.to_owned(),
            account: account.to_owned(),
        });
    }
    Ok(Holder {
        product,
        scope: u32::try_from(number).ok().map(Scope::License),
        licenses: vec![license],
    })
}

fn license<'a>(world: &'a World, arn: &str) -> Option<(usize, &'a License, &'a Product)> {
    let number = *world.license_by_arn.get(arn)?;
    let license = world.licenses.get(number)?;
    let customer = world.customers.get(license.customer)?;
    let product = world.products.get(customer.product)?;
    Some((number, license, product))
}

fn license_product<'a>(world: &'a World, arn: &str) -> Option<&'a str> {
    license(world, arn).map(|(_, _, product)| product.listing.code.as_str())
}

fn named_by_account<'a>(
    world: &World,
    record: &'a UsageRecord,
    place: usize,
) -> Result<&'a str, BatchMeterUsageError> {
    let refused = |problem| BatchMeterUsageError::Customer {
        record: place,
        problem,
    };
    match record.customer_identifier.as_deref() {
        Some("") => tolerate_empty(world).map_err(refused)?,
        Some(_) => return Err(refused(CustomerProblem::NotWithLicense)),
        None => {}
    }
    record
        .customer_aws_account_id
        .as_deref()
        .ok_or_else(|| refused(CustomerProblem::NotWithLicense))
}

fn tolerate_empty(world: &World) -> Result<(), CustomerProblem> {
    match world.readings.empty_customer_identifier {
        EmptyCustomerIdentifier::Tolerated => Ok(()),
        EmptyCustomerIdentifier::Refused => Err(CustomerProblem::Empty),
    }
}

fn by_product<'a>(
    world: &'a World,
    code: &str,
    record: &UsageRecord,
    place: usize,
) -> Result<Holder<'a>, BatchMeterUsageError> {
    let unknown = || BatchMeterUsageError::UnknownProduct {
        code: code.to_owned(),
    };
    let number = *world.product_by_code.get(code).ok_or_else(unknown)?;
    let product = world.products.get(number).ok_or_else(unknown)?;
    let refused = |problem| BatchMeterUsageError::Customer {
        record: place,
        problem,
    };
    let (known, name) = find_customer(world, number, record).map_err(refused)?;
    let Some((number, customer)) =
        known.and_then(|number| Some((number, world.customers.get(number)?)))
    else {
        if world.readings.invalid_customer == InvalidCustomer::Exception {
            return Err(refused(CustomerProblem::Unknown {
                customer: name.to_owned(),
            }));
        }
        return Ok(Holder {
            product,
            scope: None,
            licenses: Vec::new(),
        });
    };
    Ok(Holder {
        product,
        scope: u32::try_from(number).ok().map(Scope::Customer),
        licenses: customer
            .licenses
            .iter()
            .filter_map(|l| world.licenses.get(*l))
            .collect(),
    })
}

/// The customer a record of a product-code request names, by either of two names.
fn find_customer<'r>(
    world: &World,
    product: usize,
    record: &'r UsageRecord,
) -> Result<(Option<usize>, &'r str), CustomerProblem> {
    let identifier = record.customer_identifier.as_deref();
    let account = record.customer_aws_account_id.as_deref();
    match (identifier, account) {
        (Some(""), Some(account)) => {
            tolerate_empty(world)?;
            Ok((by_account(world, product, account), account))
        }
        (Some(_), Some(_)) => Err(CustomerProblem::Both),
        (None, Some(account)) => Ok((by_account(world, product, account), account)),
        (Some(""), None) | (None, None) => Err(CustomerProblem::Neither),
        (Some(identifier), None) => {
            let key = (product, identifier.to_owned());
            Ok((world.customer_by_identifier.get(&key).copied(), identifier))
        }
    }
}

fn by_account(world: &World, product: usize, account: &str) -> Option<usize> {
    let key = (product, account.to_owned());
    world.customer_by_account.get(&key).copied()
}

/// Usage counts from the start of the software usage to its end, to the second.
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

/// Takes the slot, or compares with what it holds: the first write wins, and is never added to.
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
                outcome: Outcome::CustomerNotSubscribed,
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
            Outcome::SuccessAgain
        } else {
            Outcome::Success
        },
        metering_record: Some(metering_record),
    }
}

fn duplicate() -> RecordOutcome {
    RecordOutcome {
        outcome: Outcome::DuplicateRecord,
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
        outcome: Outcome::SuccessAgain,
        metering_record: Some(number),
    }
}
