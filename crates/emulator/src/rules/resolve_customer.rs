//! `ResolveCustomer`: identifies the buyer.
//!
//! Facts: M37, M38, M39, M40 (docs/marketplace-rules.md).

use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;

use crate::model::ResolveCustomerRequest;
use crate::world::World;

/// Why a token does not resolve. The token is a secret and is never printed.
#[derive(Clone, Debug, Error, PartialEq)]
pub(crate) enum ResolveCustomerError {
    #[error("The registration token is not one AWS Marketplace issued")]
    InvalidToken,
    #[error(
        "The registration token expired at {expired}; the buyer gets a new one with \"Set up your account\""
    )]
    ExpiredToken { expired: Timestamp },
}

impl ResolveCustomerError {
    /// The name of the exception in the API model.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            ResolveCustomerError::InvalidToken => "InvalidTokenException",
            ResolveCustomerError::ExpiredToken { .. } => "ExpiredTokenException",
        }
    }
}

/// The answer. For products whose identity is the license, `CustomerIdentifier` is empty.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ResolveCustomerResult {
    customer_identifier: String,
    #[serde(rename = "CustomerAWSAccountId")]
    customer_aws_account_id: String,
    product_code: String,
    license_arn: String,
    metadata: Metadata,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    agreement_id: String,
}

/// Resolves a token. It can be resolved any number of times until it expires, even after the
/// agreement has ended.
pub(crate) fn resolve_customer(
    world: &World,
    request: &ResolveCustomerRequest,
    now: Timestamp,
) -> Result<ResolveCustomerResult, ResolveCustomerError> {
    let token = world
        .tokens
        .get(&request.registration_token)
        .ok_or(ResolveCustomerError::InvalidToken)?;
    if now >= token.expires {
        return Err(ResolveCustomerError::ExpiredToken {
            expired: token.expires,
        });
    }
    let parts = world
        .parts(token.agreement)
        .ok_or(ResolveCustomerError::InvalidToken)?;
    Ok(ResolveCustomerResult {
        customer_identifier: parts.customer.identifier.clone(),
        customer_aws_account_id: parts.customer.account_id.clone(),
        product_code: parts.product.listing.code.clone(),
        license_arn: parts.license.arn.clone(),
        metadata: Metadata {
            agreement_id: parts.agreement.agreement_id.clone(),
        },
    })
}
