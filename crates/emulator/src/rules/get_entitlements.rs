//! `GetEntitlements`: lists the entitlements that contracts grant their buyers.
//!
//! Facts: M48, M65 (docs/marketplace-rules.md).

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use thiserror::Error;

use super::page;
use crate::limits::ENTITLEMENTS_PAGE_MAX;
use crate::model::GetEntitlementsRequest;
use crate::world::{Parts, World};

/// The validity of an entitlement that has no expiry of its own: a year from the start of its
/// agreement.
const CONTRACT: SignedDuration = SignedDuration::from_hours(365 * 24);

/// Why entitlements cannot be listed.
#[derive(Clone, Debug, Error, PartialEq)]
pub(crate) enum GetEntitlementsError {
    #[error("The product code '{code}' is not one of the seller's products")]
    UnknownProduct { code: String },
    #[error(
        "The filters CUSTOMER_IDENTIFIER and CUSTOMER_AWS_ACCOUNT_ID exclude each other; use one"
    )]
    BothCustomers,
    #[error("The NextToken is not from an answer to this request")]
    NextToken,
}

impl GetEntitlementsError {
    /// The name of the exception in the API model.
    pub(crate) fn code(&self) -> &'static str {
        "InvalidParameterException"
    }
}

/// Returns one page. The filters apply after the page is cut, so a page can be empty and still have
/// a `NextToken`. AWS behaves in the same way.
pub(crate) fn get_entitlements(
    world: &World,
    request: &GetEntitlementsRequest,
    now: Timestamp,
) -> Result<Value, GetEntitlementsError> {
    let product = *world
        .product_by_code
        .get(&request.product_code)
        .ok_or_else(|| GetEntitlementsError::UnknownProduct {
            code: request.product_code.clone(),
        })?;
    let has = |name: &str| request.filter.iter().any(|(key, _)| *key == name);
    if has("CUSTOMER_IDENTIFIER") && has("CUSTOMER_AWS_ACCOUNT_ID") {
        return Err(GetEntitlementsError::BothCustomers);
    }
    let question = (&request.product_code, &request.filter);
    let start = match &request.next_token {
        None => 0,
        Some(token) => page::position(token, &question).ok_or(GetEntitlementsError::NextToken)?,
    };
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    let size = request.max_results.unwrap_or(ENTITLEMENTS_PAGE_MAX);
    let all = entitlements(world, product, now);
    let page: Vec<&Value> = all
        .iter()
        .skip(start)
        .take(size)
        .filter(|entitlement| passes(entitlement, &request.filter))
        .collect();
    let mut answer = json!({"Entitlements": page});
    let end = start.saturating_add(size);
    if end < all.len() {
        answer["NextToken"] = json!(page::token(end as u64, &question));
    }
    Ok(answer)
}

/// All entitlements of the product's buyers that are valid now, in the order of purchase.
fn entitlements(world: &World, product: usize, now: Timestamp) -> Vec<Value> {
    let mut all = Vec::new();
    for number in 0..world.agreements.len() {
        let Some(parts) = world.parts(number) else {
            continue;
        };
        let in_force = parts.agreement.ended.is_none() && now >= parts.license.updated;
        if parts.customer.product != product || !in_force {
            continue;
        }
        for entitlement in &parts.agreement.entitlements {
            let expires = entitlement.expires.unwrap_or_else(|| {
                parts
                    .agreement
                    .start
                    .saturating_add(CONTRACT)
                    .unwrap_or(Timestamp::MAX)
            });
            if now < expires {
                all.push(describe(
                    parts,
                    &entitlement.dimension,
                    entitlement.value,
                    expires,
                ));
            }
        }
    }
    all
}

fn describe(parts: Parts<'_>, dimension: &str, value: u32, expires: Timestamp) -> Value {
    let mut entitlement = json!({
        "ProductCode": parts.product.listing.code,
        "Dimension": dimension,
        "CustomerAWSAccountId": parts.customer.account_id,
        "LicenseArn": parts.license.arn,
        "Value": {"IntegerValue": value},
        "ExpirationDate": expires.as_second(),
    });
    if !parts.customer.identifier.is_empty() {
        entitlement["CustomerIdentifier"] = json!(parts.customer.identifier);
    }
    entitlement
}

/// Whether an entitlement passes all filters. It passes a filter if it has any of its values.
fn passes(entitlement: &Value, filters: &[(&'static str, Vec<String>)]) -> bool {
    filters.iter().all(|(name, values)| {
        let member = match *name {
            "CUSTOMER_IDENTIFIER" => "CustomerIdentifier",
            "CUSTOMER_AWS_ACCOUNT_ID" => "CustomerAWSAccountId",
            "LICENSE_ARN" => "LicenseArn",
            _ => "Dimension",
        };
        let value = entitlement.get(member).and_then(Value::as_str);
        value.is_some_and(|value| values.iter().any(|wanted| wanted == value))
    })
}
