//! Errors in the form of AWS JSON 1.1.
//!
//! Fact: M63 (docs/marketplace-rules.md).

use http::StatusCode;
use serde_json::{Value, json};

use super::operation::Api;
use crate::faults::FaultKind;
use crate::keys::KeyError;
use crate::limits::REQUEST_SIZE_BYTES_END;
use crate::model::ShapeError;
use crate::rules::agreements::AgreementsError;
use crate::rules::batch_meter_usage::BatchMeterUsageError;
use crate::rules::billing_adjustments::BillingAdjustmentsError;
use crate::rules::get_entitlements::GetEntitlementsError;
use crate::rules::lookup_events::LookupEventsError;
use crate::rules::meter_usage::MeterUsageError;
use crate::rules::register_usage::RegisterUsageError;
use crate::rules::resolve_customer::ResolveCustomerError;
use crate::world::CallError;

/// An error of an AWS API. Its body is `{"__type": code, "message": message}`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AwsError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl AwsError {
    /// An error that the caller caused: status 400.
    pub(crate) fn refused(code: &'static str, message: String) -> AwsError {
        AwsError {
            status: StatusCode::BAD_REQUEST,
            code,
            message,
        }
    }

    pub(crate) fn unknown_operation(status: StatusCode, name: &str) -> AwsError {
        AwsError {
            status,
            code: "UnknownOperationException",
            message: format!("There is no operation '{}'", name.escape_debug()),
        }
    }

    pub(crate) fn too_large(size_bytes: usize) -> AwsError {
        AwsError {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            code: "RequestEntityTooLargeException",
            message: format!(
                "The request has {size_bytes} bytes or more, but it must be smaller than {REQUEST_SIZE_BYTES_END} bytes"
            ),
        }
    }

    pub(crate) fn unreadable(problem: &str) -> AwsError {
        AwsError::refused(
            "SerializationException",
            format!("The body could not be read: {problem}"),
        )
    }

    /// The error for an answer that cannot be written as JSON.
    pub(crate) fn unwritable(problem: &serde_json::Error) -> AwsError {
        AwsError::internal(format!("The answer could not be written: {problem}"))
    }

    /// An error of the emulator itself.
    fn internal(message: String) -> AwsError {
        AwsError {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "InternalServiceErrorException",
            message,
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// The members of the error's body.
    pub(crate) fn members(&self) -> Value {
        json!({"__type": self.code, "message": self.message})
    }

    pub(crate) fn for_log(&self) -> CallError {
        CallError {
            code: self.code.to_owned(),
            message: self.message.clone(),
            status: self.status.as_u16(),
        }
    }

    /// The error with which a fault answers a call. `None` if the fault does not answer with an AWS
    /// error.
    pub(crate) fn from_fault(kind: FaultKind, api: Api) -> Option<AwsError> {
        let (status, code, message) = match kind {
            FaultKind::Throttling => (400, "ThrottlingException", "Rate exceeded"),
            FaultKind::InternalError => (
                500,
                api.internal_error(),
                "An internal error has occurred. Retry your request.",
            ),
            FaultKind::DisabledApi => (
                400,
                "DisabledApiException",
                "The API is disabled in this Region",
            ),
            FaultKind::AccessDenied => (
                400,
                "AccessDeniedException",
                "The caller is not authorized to perform this operation",
            ),
            FaultKind::ExpiredCredentials => (
                400,
                "ExpiredTokenException",
                "The security token included in the request is expired",
            ),
            FaultKind::ClockSkew => (
                400,
                "InvalidSignatureException",
                "Signature expired: the time of the request is too far from the time of the service",
            ),
            FaultKind::UnknownError => (
                503,
                "ServiceUnavailableException",
                "Service is unable to handle request",
            ),
            _ => return None,
        };
        Some(AwsError {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
            code,
            message: message.to_owned(),
        })
    }
}

impl From<ShapeError> for AwsError {
    fn from(error: ShapeError) -> AwsError {
        let code = match error {
            ShapeError::Serialization(_) => "SerializationException",
            ShapeError::Validation(_) => "ValidationException",
        };
        AwsError::refused(code, error.to_string())
    }
}

/// Converts the error of a rule to an AWS error with the same code and message.
macro_rules! refusals {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for AwsError {
            fn from(error: $error) -> AwsError {
                AwsError::refused(error.code(), error.to_string())
            }
        }
    )*};
}

refusals!(
    BatchMeterUsageError,
    MeterUsageError,
    RegisterUsageError,
    ResolveCustomerError,
    GetEntitlementsError,
    LookupEventsError,
    AgreementsError,
);

impl From<BillingAdjustmentsError> for AwsError {
    fn from(error: BillingAdjustmentsError) -> AwsError {
        AwsError::refused("ValidationException", error.to_string())
    }
}

impl From<KeyError> for AwsError {
    fn from(error: KeyError) -> AwsError {
        AwsError::internal(format!("The registration could not be signed: {error}"))
    }
}
