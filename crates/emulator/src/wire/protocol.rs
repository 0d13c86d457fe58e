//! The two protocols of requests and answers: AWS JSON and Smithy RPC v2 CBOR.
//!
//! Fact: M62 (docs/marketplace-rules.md).

use http::HeaderMap;
use serde_json::Value;

use super::aws_error::AwsError;
use super::cbor;
use super::operation::{Api, Operation};
use crate::limits::{BODY_READ_BYTES_MAX, REQUEST_SIZE_BYTES_END};
use crate::model::ShapeError;

/// The protocol of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// AWS JSON 1.0 or 1.1, depending on the API.
    Json(Api),
    /// Smithy RPC v2 CBOR, for the APIs whose model lists it.
    Cbor,
}

/// The header by which a Smithy RPC v2 call names its protocol.
pub(crate) const SMITHY_PROTOCOL: &str = "smithy-protocol";
pub(crate) const RPC_V2_CBOR: &str = "rpc-v2-cbor";

impl Protocol {
    /// The operation and the protocol of a request. The error is the name of an unknown operation,
    /// or `None` if the path does not belong to an AWS API.
    pub(crate) fn of(
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(Operation, Protocol), Option<String>> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if text(SMITHY_PROTOCOL) == Some(RPC_V2_CBOR) {
            let operation = Operation::from_path(path).ok_or_else(|| Some(path.to_owned()))?;
            return Ok((operation, Protocol::Cbor));
        }
        if path != "/" {
            return Err(None);
        }
        let target = text("x-amz-target").unwrap_or_default();
        let operation = Operation::from_target(target).ok_or_else(|| Some(target.to_owned()))?;
        Ok((operation, Protocol::Json(operation.api())))
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Protocol::Json(api) => api.json(),
            Protocol::Cbor => "application/cbor",
        }
    }

    /// Reads the members of a request. An empty body has no members in CBOR, and is an error in
    /// JSON.
    pub(crate) fn read(self, body: &[u8]) -> Result<Value, ShapeError> {
        match self {
            Protocol::Json(_) => serde_json::from_slice(body)
                .map_err(|e| ShapeError::Serialization(format!("The body is not JSON: {e}"))),
            Protocol::Cbor => cbor::decode(body)
                .map_err(|e| ShapeError::Serialization(format!("The body is not CBOR: {e}"))),
        }
    }

    /// Writes the members of an answer.
    pub(crate) fn write(self, members: &Value) -> Vec<u8> {
        match self {
            Protocol::Json(_) => members.to_string().into_bytes(),
            Protocol::Cbor => cbor::encode(members),
        }
    }
}

/// Refuses a body that is larger than AWS accepts.
pub(crate) fn check_size(size_bytes: usize) -> Result<(), AwsError> {
    const { assert!(REQUEST_SIZE_BYTES_END < BODY_READ_BYTES_MAX) };
    match size_bytes {
        0..REQUEST_SIZE_BYTES_END => Ok(()),
        _ => Err(AwsError::too_large(size_bytes)),
    }
}
