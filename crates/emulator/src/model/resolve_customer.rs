//! The request of `ResolveCustomer`.

use super::reader::{Members, ShapeError};
use super::shapes::REGISTRATION_TOKEN;

/// The request of `ResolveCustomer`, with the token that the buyer's browser brought.
#[derive(Clone, PartialEq)]
pub(crate) struct ResolveCustomerRequest {
    pub(crate) registration_token: String,
}

impl ResolveCustomerRequest {
    pub(crate) fn read(members: &mut Members<'_>) -> Result<Self, ShapeError> {
        let token = members.string("RegistrationToken", &REGISTRATION_TOKEN)?;
        if token.is_none() {
            members.missing("RegistrationToken");
        }
        Ok(ResolveCustomerRequest {
            registration_token: token.unwrap_or_default(),
        })
    }
}
