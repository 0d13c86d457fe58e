//! The request of `RegisterUsage`.

use super::reader::{Members, ShapeError};
use super::shapes::{NONCE, PRODUCT_CODE};

/// The request of `RegisterUsage`, which a container sends at its start.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RegisterUsageRequest {
    pub(crate) product_code: String,
    pub(crate) public_key_version: i64,
    pub(crate) nonce: Option<String>,
}

impl RegisterUsageRequest {
    pub(crate) fn read(members: &mut Members<'_>) -> Result<Self, ShapeError> {
        let product_code = members.string("ProductCode", &PRODUCT_CODE)?;
        if product_code.is_none() {
            members.missing("ProductCode");
        }
        let public_key_version = members.integer("PublicKeyVersion", 1, i64::from(i32::MAX))?;
        if public_key_version.is_none() {
            members.missing("PublicKeyVersion");
        }
        Ok(RegisterUsageRequest {
            product_code: product_code.unwrap_or_default(),
            public_key_version: public_key_version.unwrap_or_default(),
            nonce: members.string("Nonce", &NONCE)?,
        })
    }
}
