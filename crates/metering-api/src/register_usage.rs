//! RegisterUsage: a paid container registers when it starts, and AWS meters it from then on.
//!
//! Facts: M31, M35 (docs/marketplace-rules.md).

use jiff::Timestamp;
use marketplace::ProductCode;
use serde::Serialize;
use serde_json::Value;

use crate::batch_answer::timestamp;
use crate::call_error::{CallError, NO_CREDENTIALS, NOT_SENT};
use crate::exchange::Reply;
use crate::usage_record::to_json;

/// The most characters of a nonce. Source: API model, `Nonce`.
pub const NONCE_CHARS_MAX: usize = 255;

/// The highest version of a public key. Source: API model, `VersionInteger`, a 32-bit integer.
pub const PUBLIC_KEY_VERSION_MAX: u32 = 2_147_483_647;

/// The registration of a container. Send it once, when the container starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterUsageRequest {
    product: ProductCode,
    public_key_version: u32,
    nonce: Option<String>,
}

/// The rule that a RegisterUsage request breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRegisterUsage {
    /// The version of the public key is not 1 to 2147483647.
    #[error(
        "public key version {0} is not valid: use 1 to 2147483647, as AWS Marketplace gave it with the key"
    )]
    PublicKeyVersion(u32),
    /// The nonce has more than 255 characters, or a control character.
    #[error(
        "the nonce of {0} characters is not valid: use at most 255 characters, and no control characters"
    )]
    Nonce(usize),
}

impl RegisterUsageRequest {
    /// Creates a request with the version of the public key that checks the answer, and an optional
    /// nonce that binds the answer to this call.
    pub fn new(
        product: ProductCode,
        public_key_version: u32,
        nonce: Option<String>,
    ) -> Result<Self, InvalidRegisterUsage> {
        if !(1..=PUBLIC_KEY_VERSION_MAX).contains(&public_key_version) {
            return Err(InvalidRegisterUsage::PublicKeyVersion(public_key_version));
        }
        if let Some(nonce) = &nonce {
            let chars = nonce.chars().count();
            if chars > NONCE_CHARS_MAX || nonce.chars().any(char::is_control) {
                return Err(InvalidRegisterUsage::Nonce(chars));
            }
        }
        Ok(Self {
            product,
            public_key_version,
            nonce,
        })
    }

    pub(crate) fn request_body(&self) -> Vec<u8> {
        to_json(&Body {
            product_code: self.product.as_str(),
            public_key_version: self.public_key_version,
            nonce: self.nonce.as_deref(),
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    product_code: &'a str,
    public_key_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
}

/// The answer of RegisterUsage. Do not rely on it before `verify_register_usage` accepts the
/// signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterUsageAnswer {
    /// The signature, a JSON Web Token.
    pub signature: String,
    /// The time at which the version of the public key was replaced; `None` unless it has expired.
    pub public_key_rotation: Option<Timestamp>,
}

impl RegisterUsageAnswer {
    pub(crate) fn read(reply: &Reply) -> Result<Self, RegisterUsageError> {
        let signature = reply
            .members
            .get("Signature")
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| RegisterUsageError::NoSignature(reply.request_id.clone()))?;
        Ok(Self {
            signature: signature.to_owned(),
            public_key_rotation: reply
                .members
                .get("PublicKeyRotationTimestamp")
                .and_then(timestamp),
        })
    }
}

/// The error of a failed registration of a container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterUsageError {
    /// The account that runs the container has no agreement: end the container.
    #[error(transparent)]
    NotEntitled(CallError),
    /// The container runs where AWS cannot meter it: end the container.
    #[error(transparent)]
    PlatformNotSupported(CallError),
    /// The product code, the key's version or the Region is wrong, or the call is not permitted.
    /// Repeating the call does not help.
    #[error(transparent)]
    Refused(CallError),
    /// AWS, or the network path to it, fails temporarily: repeat the call.
    #[error(transparent)]
    Unavailable(CallError),
    /// The answer has no signature, so it proves nothing: repeat the call.
    #[error("RegisterUsage answered without a signature (request {}), which proves nothing. Next: repeat the call", .0.as_deref().unwrap_or("id unknown"))]
    NoSignature(Option<String>),
}

impl From<CallError> for RegisterUsageError {
    fn from(error: CallError) -> Self {
        match error.code.as_str() {
            "CustomerNotEntitledException" | "CustomerNotSubscribedException" => {
                Self::NotEntitled(error)
            }
            "PlatformNotSupportedException" => Self::PlatformNotSupported(error),
            "ThrottlingException" => Self::Unavailable(error),
            NO_CREDENTIALS | NOT_SENT => Self::Refused(error),
            _ => match error.http_status {
                Some(408 | 429) => Self::Unavailable(error),
                Some(400..=499) => Self::Refused(error),
                _ => Self::Unavailable(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_versions_and_nonces_follow_the_api_model() {
        let request = |version, nonce: Option<&str>| {
            RegisterUsageRequest::new("code1".parse().unwrap(), version, nonce.map(str::to_owned))
        };
        assert_eq!(
            request(0, None),
            Err(InvalidRegisterUsage::PublicKeyVersion(0))
        );
        assert!(request(2_147_483_648, None).is_err());
        assert_eq!(
            request(1, Some(&"ü".repeat(256))),
            Err(InvalidRegisterUsage::Nonce(256))
        );
        assert!(request(1, Some("a\nb")).is_err());
        let body = |version, nonce| {
            String::from_utf8(request(version, nonce).unwrap().request_body()).unwrap()
        };
        assert_eq!(
            body(1, None),
            r#"{"ProductCode":"code1","PublicKeyVersion":1}"#
        );
        assert_eq!(
            body(7, Some("n-1")),
            r#"{"ProductCode":"code1","PublicKeyVersion":7,"Nonce":"n-1"}"#
        );
        assert!(request(1, Some(&"ü".repeat(255))).is_ok());
    }
}
