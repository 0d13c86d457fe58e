//! The HTTP status of each refusal.

use http::StatusCode;

use crate::refusal::ControlError;

impl ControlError {
    /// The HTTP status of the answer.
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
