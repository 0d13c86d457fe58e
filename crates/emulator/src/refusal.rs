//! The errors of the control interface.

use jiff::Timestamp;
use thiserror::Error;

use crate::faults::FaultError;
use crate::keys::KeyError;
use crate::limits::{
    DIMENSION_CHARS_MAX, FULFILLMENT_URL_BYTES_MAX, KEY_ROTATIONS_MAX, PRODUCT_CODE_CHARS_MAX,
};
use crate::target::TargetError;

/// Why the world cannot be changed as requested.
#[derive(Debug, Error, PartialEq)]
pub enum Refusal {
    /// The text is not a product code.
    #[error(
        "`code` is `{code}`, but a product code is 1 to {PRODUCT_CODE_CHARS_MAX} of the characters -a-zA-Z0-9/=:_.@"
    )]
    ProductCode {
        /// The code that was given.
        code: String,
    },
    /// The product has no dimensions, so it cannot be metered.
    #[error("product `{code}` has no `dimensions`; give at least one")]
    NoDimensions {
        /// The code of the product.
        code: String,
    },
    /// The text is not a dimension, or occurs twice in the list.
    #[error(
        "dimension `{dimension}` must be 1 to {DIMENSION_CHARS_MAX} characters and occur once in `dimensions`"
    )]
    Dimension {
        /// The dimension that was given.
        dimension: String,
    },
    /// A product with this code exists already, and its other members differ.
    #[error(
        "product `{code}` exists already with other members; choose another code, or reset the world"
    )]
    ProductDiffers {
        /// The code that was given.
        code: String,
    },
    /// The text is not a URL that a buyer's browser can post to.
    #[error(
        "a browser cannot post to the fulfillment URL `{url}`: give an http:// or https:// URL without #, at most {FULFILLMENT_URL_BYTES_MAX} bytes long, such as http://127.0.0.1:8080/register"
    )]
    FulfillmentUrl {
        /// The URL that was given.
        url: String,
    },
    /// "Set up your account" needs a fulfillment URL, and there is none.
    #[error(
        "product `{code}` has no fulfillment URL: start the emulator with --fulfillment-url, set one on the console's page Products, or list the product with \"fulfillment_url\""
    )]
    NoFulfillmentUrl {
        /// The code of the product.
        code: String,
    },
    /// A page of another site sent the request.
    #[error(
        "the request comes from another site ({origin}): only pages of the emulator may change its world; open its page /_emulator/console"
    )]
    CrossSite {
        /// The page's origin, as the browser reports it.
        origin: String,
    },
    /// No product has this code.
    #[error("no product has the code `{code}`; add it with POST /_emulator/products")]
    NoSuchProduct {
        /// The code that was given.
        code: String,
    },
    /// The text is not an AWS account id.
    #[error("`account_id` is `{account_id}`, but an AWS account id has 12 digits")]
    AccountId {
        /// The id that was given.
        account_id: String,
    },
    /// The entitlement is for a dimension that the product does not have.
    #[error(
        "`entitlements` names the dimension `{dimension}`, but product `{code}` has no such dimension"
    )]
    EntitledDimension {
        /// The dimension that was given.
        dimension: String,
        /// The code of the product.
        code: String,
    },
    /// No agreement has this id.
    #[error("there is no agreement `{agreement_id}`; POST /_emulator/agreements makes one")]
    NoSuchAgreement {
        /// The id that was given.
        agreement_id: String,
    },
    /// The agreement has ended, so that it cannot be changed.
    #[error("agreement `{agreement_id}` ended at {ended}; make a new one")]
    AgreementEnded {
        /// The id that was given.
        agreement_id: String,
        /// When the agreement ended.
        ended: Timestamp,
    },
    /// This identifier cannot be chosen.
    #[error(transparent)]
    Chosen(#[from] ChosenError),
    /// The clock cannot be set to this value.
    #[error("clock: {problem}")]
    Clock {
        /// The member of the request, its value, and the reason.
        problem: String,
    },
    /// Messages cannot be delivered to this target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The text is not a month.
    #[error("`month` is `{month}`, but a month is written like 2026-11")]
    Month {
        /// The text that was given.
        month: String,
    },
    /// No public key has this version.
    #[error("there is no public key of version {version}; the newest is {newest}")]
    KeyVersion {
        /// The version that was given.
        version: usize,
        /// The newest version that exists.
        newest: usize,
    },
    /// The public key has been rotated as often as the emulator allows.
    #[error(
        "the public key has been rotated {KEY_ROTATIONS_MAX} times, which is the limit; reset the world"
    )]
    KeyRotations,
    /// A key could not be made or used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The set of faults is not valid.
    #[error(transparent)]
    Faults(#[from] FaultError),
    /// The query after the `?` is not what the path expects.
    #[error("the query after `?` is not what this path expects: {problem}")]
    Query {
        /// The problem in the query.
        problem: String,
    },
    /// The body is not the JSON that the path expects.
    #[error("the body is not the JSON that this path expects: {problem}")]
    Body {
        /// The member or the place in the body, and the reason.
        problem: String,
    },
    /// There is nothing at this path.
    #[error("there is nothing at `{path}`; GET /_emulator lists all paths")]
    NoSuchPath {
        /// The path that was requested.
        path: String,
    },
    /// The path does not support this method.
    #[error(
        "`{path}` does not support {method}; GET /_emulator lists all paths with their methods"
    )]
    Method {
        /// The method that was used.
        method: String,
        /// The path that was requested.
        path: String,
    },
}

/// Why an identifier cannot be chosen.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ChosenError {
    /// The value does not have the form of such an identifier.
    #[error("`{member}` is `{value}`, but must be {rule}")]
    Form {
        /// The member that was given.
        member: &'static str,
        /// The value that was given.
        value: String,
        /// The form that the member must have.
        rule: &'static str,
    },
    /// The identifier already belongs to something else.
    #[error("`{member}`: `{value}` is taken; choose another, or reset the world")]
    Taken {
        /// The member that was given.
        member: &'static str,
        /// The value that was given.
        value: String,
    },
    /// The account already has another customer identifier for this product.
    #[error(
        "`customer_identifier` is `{value}`, but the account already has `{known}` for this product"
    )]
    Renamed {
        /// The value that was given.
        value: String,
        /// The identifier that the account has.
        known: String,
    },
    /// Buyers of this product have no customer identifiers.
    #[error("`customer_identifier` is `{value}`, but the product's identity is `license`")]
    LicenseOnly {
        /// The value that was given.
        value: String,
    },
}
