//! The HTTP status of each refusal.

use http::StatusCode;

use crate::refusal::Refusal;

impl Refusal {
    /// The HTTP status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::NoSuchAgreement { .. }
            | Refusal::KeyVersion { .. }
            | Refusal::NoSuchPath { .. } => StatusCode::NOT_FOUND,
            Refusal::CrossSite { .. } => StatusCode::FORBIDDEN,
            Refusal::Key(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Refusal::AgreementEnded { .. } | Refusal::NoFulfillmentUrl { .. } => {
                StatusCode::CONFLICT
            }
            Refusal::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
