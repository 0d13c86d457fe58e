//! Errors in the format of S3: XML with a code.

use http::StatusCode;

use super::s3::escaped;
use crate::faults::FaultKind;

/// An error of S3 with its HTTP status.
pub(super) struct S3Error {
    pub(super) status: StatusCode,
    code: &'static str,
    message: String,
}

impl S3Error {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> S3Error {
        S3Error {
            status,
            code,
            message: message.into(),
        }
    }

    pub(super) fn no_such_bucket(bucket: &str) -> S3Error {
        let message = format!("The specified bucket does not exist: {bucket}");
        S3Error::new(StatusCode::NOT_FOUND, "NoSuchBucket", message)
    }

    pub(super) fn no_such_key(key: &str) -> S3Error {
        let message = format!("The specified key does not exist: {key}");
        S3Error::new(StatusCode::NOT_FOUND, "NoSuchKey", message)
    }

    pub(super) fn not_implemented(request: &str) -> S3Error {
        let message = format!(
            "The emulator supports only ListObjectsV2 and GetObject in path style, not {request}"
        );
        S3Error::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    pub(super) fn invalid(name: &str, value: &str) -> S3Error {
        let message = format!("The {name} provided is incorrect: {value}");
        S3Error::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
    }

    pub(super) fn malformed(problem: impl Into<String>) -> S3Error {
        let code = "AuthorizationHeaderMalformed";
        S3Error::new(StatusCode::BAD_REQUEST, code, problem)
    }

    pub(super) fn signature() -> S3Error {
        let message =
            "The request signature we calculated does not match the signature you provided";
        S3Error::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message)
    }

    pub(super) fn internal(problem: &str) -> S3Error {
        let message = format!("We encountered an internal error: {problem}");
        S3Error::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// The error with which a fault answers. `None` if the fault does not answer with an error of
    /// S3.
    pub(super) fn from_fault(kind: FaultKind) -> Option<S3Error> {
        let (status, code, message) = match kind {
            FaultKind::Throttling => (503, "SlowDown", "Please reduce your request rate."),
            FaultKind::InternalError => (500, "InternalError", "Please try again."),
            FaultKind::UnknownError => (
                503,
                "ServiceUnavailable",
                "Please reduce your request rate.",
            ),
            FaultKind::AccessDenied | FaultKind::DisabledApi => {
                (403, "AccessDenied", "Access Denied")
            }
            FaultKind::ExpiredCredentials => {
                (400, "ExpiredToken", "The provided token has expired.")
            }
            FaultKind::ClockSkew => (
                403,
                "RequestTimeTooSkewed",
                "The difference between the request time and the server's time is too large.",
            ),
            _ => return None,
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        Some(S3Error::new(status, code, message))
    }

    /// The XML body of the error.
    pub(super) fn xml(&self, resource: &str, request_id: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message><Resource>{}</Resource><RequestId>{request_id}</RequestId></Error>",
            self.code,
            escaped(&self.message),
            escaped(resource)
        )
    }
}
