//! The request of `GetEntitlements`.

use super::reader::{Members, ShapeError, StringLists};
use super::shapes::{ENTITLED_PRODUCT_CODE, ENTITLEMENTS_TOKEN};
use crate::limits::ENTITLEMENTS_PAGE_MAX;

const FILTERS: &[&str] = &[
    "CUSTOMER_IDENTIFIER",
    "DIMENSION",
    "CUSTOMER_AWS_ACCOUNT_ID",
    "LICENSE_ARN",
];

/// The request of `GetEntitlements`: one page of a product's entitlements.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GetEntitlementsRequest {
    pub(crate) product_code: String,
    pub(crate) filter: StringLists,
    pub(crate) next_token: Option<String>,
    pub(crate) max_results: Option<usize>,
}

impl GetEntitlementsRequest {
    pub(crate) fn read(members: &mut Members<'_>) -> Result<Self, ShapeError> {
        let product_code = members.string("ProductCode", &ENTITLED_PRODUCT_CODE)?;
        if product_code.is_none() {
            members.missing("ProductCode");
        }
        let filter = members.string_lists("Filter", FILTERS, usize::MAX)?;
        let max = i64::try_from(ENTITLEMENTS_PAGE_MAX).unwrap_or(i64::MAX);
        let max_results = members.integer("MaxResults", 1, max)?;
        Ok(GetEntitlementsRequest {
            product_code: product_code.unwrap_or_default(),
            filter: filter.unwrap_or_default(),
            next_token: members.string("NextToken", &ENTITLEMENTS_TOKEN)?,
            max_results: max_results.and_then(|n| usize::try_from(n).ok()),
        })
    }
}
