//! Why `BatchMeterUsage` refuses a whole request.

use jiff::Timestamp;
use thiserror::Error;

use crate::rules::allocations::QuantityError;
use crate::rules::window::OutOfBounds;

/// Why a whole request is refused. Every message contains the record's number, counted from 1.
#[derive(Clone, Debug, Error, PartialEq)]
pub(crate) enum BatchMeterUsageError {
    #[error("The product code '{code}' is not one of the seller's products")]
    UnknownProduct { code: String },
    #[error(
        "The product '{code}' identifies its buyers by license: send LicenseArn and CustomerAWSAccountId in each record, and no ProductCode"
    )]
    ProductIsLicensed { code: String },
    #[error(
        "Record {record} has a LicenseArn, but the request has a ProductCode: a LicenseArn identifies product and agreement, so leave ProductCode out"
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
        "Record {record}: the dimension '{dimension}' is not one that product '{code}' meters (dimensions are case-sensitive)"
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

/// An error in the way in which a record identifies its customer.
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
    /// Whether AWS's reference says that the entire batch is not processed. If so, the earlier
    /// records are not recorded under any reading.
    pub(crate) fn is_of_whole_batch(&self) -> bool {
        matches!(self, Self::Timestamp { .. } | Self::OutsideUsage { .. })
    }

    /// The name of the exception in the API model.
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
