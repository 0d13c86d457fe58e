//! Finds the holder that is billed for a usage record: a license, or the customer of a product
//! code.
//!
//! Facts: M9, M10, M11, M22, M26, M64 (docs/marketplace-rules.md).

use super::error::{BatchMeterUsageError, CustomerProblem};
use crate::model::{BatchMeterUsageRequest, UsageRecord};
use crate::readings::{EmptyCustomerIdentifier, InvalidCustomer};
use crate::world::{License, Product, Scope, World};

/// The holder that is billed for a record: its product, the scope of its slot (`None` for an
/// unknown customer) and its licenses.
pub(super) struct Holder<'a> {
    pub(super) product: &'a Product,
    pub(super) scope: Option<Scope>,
    pub(super) licenses: Vec<&'a License>,
}

pub(super) fn holder<'a>(
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
    // The product of the first license in the request is the product of the whole request.
    let first = request
        .usage_records
        .iter()
        .find_map(|r| license_product(world, r.license_arn.as_deref()?));
    if let Some(first) = first
        && first != product.listing.code
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

/// Finds the customer of a record in a request with a product code, by the customer identifier or
/// by the account. Also returns the identifier or account that was sent.
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
