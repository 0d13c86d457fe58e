//! What the control interface refuses, and why.

use http::StatusCode;
use jiff::Timestamp;
use thiserror::Error;

use crate::deliver::TargetError;
use crate::faults::FaultError;
use crate::limits::{
    DIMENSION_CHARS_MAX, FULFILLMENT_URL_BYTES_MAX, KEY_ROTATIONS_MAX, PRODUCT_CODE_CHARS_MAX,
};
use crate::wire::KeyError;
use crate::world::ChosenError;

/// Why the world cannot be changed as asked.
#[derive(Debug, Error, PartialEq)]
pub enum ControlError {
    /// Not a product code.
    #[error(
        "`code` is `{code}`, but a product code is 1 to {PRODUCT_CODE_CHARS_MAX} of the characters -a-zA-Z0-9/=:_.@"
    )]
    ProductCode {
        /// The code given.
        code: String,
    },
    /// A product without dimensions cannot be metered.
    #[error("product `{code}` has no `dimensions`; give at least one")]
    NoDimensions {
        /// The product's code.
        code: String,
    },
    /// Not a dimension, or the same one twice.
    #[error(
        "dimension `{dimension}` must be 1 to {DIMENSION_CHARS_MAX} characters and stand once in `dimensions`"
    )]
    Dimension {
        /// The dimension given.
        dimension: String,
    },
    /// The code is taken by another product.
    #[error(
        "product `{code}` exists already and is different; choose another code, or reset the world"
    )]
    ProductDiffers {
        /// The code given.
        code: String,
    },
    /// Not a URL a buyer's browser can post to.
    #[error(
        "the fulfillment URL `{url}` is not one a browser can post to: give an http:// or https:// URL without #, at most {FULFILLMENT_URL_BYTES_MAX} bytes long, such as http://127.0.0.1:8080/register"
    )]
    FulfillmentUrl {
        /// The URL given.
        url: String,
    },
    /// "Set up your account" has nowhere to go.
    #[error(
        "product `{code}` has no fulfillment URL: start the emulator with --fulfillment-url, set one on the console's page Products, or list the product with \"fulfillment_url\""
    )]
    NoFulfillmentUrl {
        /// The product's code.
        code: String,
    },
    /// A page of another site sent the request.
    #[error(
        "the request comes from another site, {origin}: only pages of this address may change its world; open /_emulator/console here"
    )]
    CrossSite {
        /// What the browser says of the page.
        origin: String,
    },
    /// No product has this code.
    #[error("no product has the code `{code}`; add it with POST /_emulator/products")]
    NoSuchProduct {
        /// The code given.
        code: String,
    },
    /// Not an AWS account id.
    #[error("`account_id` is `{account_id}`, but an AWS account id has 12 digits")]
    AccountId {
        /// The id given.
        account_id: String,
    },
    /// An entitlement for a dimension the product does not have.
    #[error("`entitlements`: product `{code}` has no dimension `{dimension}`")]
    EntitledDimension {
        /// The dimension given.
        dimension: String,
        /// The product's code.
        code: String,
    },
    /// No agreement has this id.
    #[error("there is no agreement `{agreement_id}`; POST /_emulator/agreements makes one")]
    NoSuchAgreement {
        /// The id given.
        agreement_id: String,
    },
    /// The agreement is over.
    #[error("agreement `{agreement_id}` ended at {ended}; make a new one")]
    AgreementEnded {
        /// The id given.
        agreement_id: String,
        /// When it ended.
        ended: Timestamp,
    },
    /// An identifier cannot be chosen so.
    #[error(transparent)]
    Chosen(#[from] ChosenError),
    /// A clock cannot be set so.
    #[error("clock: {problem}")]
    Clock {
        /// What is wrong with which value.
        problem: String,
    },
    /// Messages cannot be delivered there.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Not a month.
    #[error("`month` is `{month}`, but a month is written like 2026-11")]
    Month {
        /// The month given.
        month: String,
    },
    /// No public key has this version.
    #[error("there is no public key of version {version}; the newest is {newest}")]
    KeyVersion {
        /// The version given.
        version: usize,
        /// The newest version.
        newest: usize,
    },
    /// Too many rotations.
    #[error("the public key has been rotated {KEY_ROTATIONS_MAX} times; reset the world")]
    KeyRotations,
    /// A key cannot be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A set of faults cannot be taken.
    #[error(transparent)]
    Faults(#[from] FaultError),
    /// The body is not the JSON asked for.
    #[error("the body does not fit: {problem}")]
    Body {
        /// What is wrong with it, and where.
        problem: String,
    },
    /// Nothing lives at this path.
    #[error("nothing is at `{path}`; GET /_emulator lists what there is")]
    NoSuchPath {
        /// The path asked for.
        path: String,
    },
    /// The path does not know this method.
    #[error("`{path}` has no {method}; GET /_emulator lists what there is")]
    Method {
        /// The method used.
        method: String,
        /// The path asked for.
        path: String,
    },
}

impl ControlError {
    /// The HTTP status it is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            ControlError::NoSuchAgreement { .. }
            | ControlError::KeyVersion { .. }
            | ControlError::NoSuchPath { .. } => StatusCode::NOT_FOUND,
            ControlError::CrossSite { .. } => StatusCode::FORBIDDEN,
            ControlError::Key(_) => StatusCode::INTERNAL_SERVER_ERROR,
            ControlError::AgreementEnded { .. } | ControlError::NoFulfillmentUrl { .. } => {
                StatusCode::CONFLICT
            }
            ControlError::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
