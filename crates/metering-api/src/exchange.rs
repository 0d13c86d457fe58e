//! One call through the SDK with a body from this crate. The body replaces the SDK's body before
//! the request is signed. This crate reads the body of the answer, instead of the SDK's model.
//!
//! Fact: M62 (docs/marketplace-rules.md).

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
    BeforeTransmitInterceptorContextRef, Error, Output, OutputOrError,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse, SharedResponseDeserializer};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde_json::{Map, Value};

use crate::call_error::{CallError, MESSAGE_CHARS_MAX, RESPONSE_UNREADABLE, SERVER_ERROR};
use crate::operation::Operation;
use crate::text::shown;

/// The most characters of a stored error code. The limit is this project's; AWS's longest codes
/// have about 40.
const CODE_CHARS_MAX: usize = 100;

/// A successful answer: a JSON object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) members: Map<String, Value>,
    pub(crate) request_id: Option<String>,
}

/// The interceptor of one call. The SDK takes it by value, so its clones share the reply.
#[derive(Clone)]
pub(crate) struct Exchange {
    operation: Operation,
    body: Arc<[u8]>,
    /// Creates an empty output of the SDK's type. The real answer is `reply`.
    output: fn() -> Output,
    /// Creates the SDK's error type from the answer, so that the SDK's retry rules see the code.
    error: fn(ErrorMetadata) -> Error,
    reply: Arc<Mutex<Option<Reply>>>,
    /// The number of attempts whose transmission began. Each attempt may have done the work.
    transmissions: Arc<AtomicU32>,
}

impl Exchange {
    pub(crate) fn new(
        operation: Operation,
        body: Vec<u8>,
        output: fn() -> Output,
        error: fn(ErrorMetadata) -> Error,
    ) -> Self {
        Self {
            operation,
            body: body.into(),
            output,
            error,
            reply: Arc::new(Mutex::new(None)),
            transmissions: Arc::new(AtomicU32::new(0)),
        }
    }

    /// The result of the call, once the SDK has returned.
    pub(crate) fn finish<O, E: ProvideErrorMetadata + std::error::Error + 'static>(
        self,
        sent: Result<O, SdkError<E, HttpResponse>>,
    ) -> Result<Reply, CallError> {
        let transmissions = self.transmissions.load(Ordering::Relaxed);
        sent.map_err(|error| CallError::from_sdk(self.operation, &error, transmissions))?;
        self.reply
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .ok_or_else(|| {
                CallError::unreadable(self.operation, "the SDK did not pass on the answer", None)
            })
    }

    fn read(&self, response: &HttpResponse) -> OutputOrError {
        let body = response.body().bytes().unwrap_or_default();
        if !response.status().is_success() {
            let error = error_metadata(response, body);
            return Err(OrchestratorError::operation((self.error)(error)));
        }
        let members: Map<String, Value> = serde_json::from_slice(body).map_err(|e| {
            OrchestratorError::response(format!("the answer is not a JSON object: {e}").into())
        })?;
        let request_id = request_id(response);
        *self.reply.lock().unwrap_or_else(PoisonError::into_inner) = Some(Reply {
            members,
            request_id,
        });
        Ok((self.output)())
    }
}

/// Does not show the body or the answer, because the body may contain a registration token.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("operation", &self.operation)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Intercept for Exchange {
    fn name(&self) -> &'static str {
        "Exchange"
    }

    fn read_before_execution(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        cfg.interceptor_state()
            .store_put(SharedResponseDeserializer::new(self.clone()));
        Ok(())
    }

    /// Replaces the body. The SDK calls this before every attempt, with its original request.
    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        request
            .headers_mut()
            .try_insert("content-length", self.body.len().to_string())?;
        *request.body_mut() = SdkBody::from(self.body.to_vec());
        Ok(())
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.transmissions.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl DeserializeResponse for Exchange {
    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        _cfg: &ConfigBag,
    ) -> OutputOrError {
        self.read(response)
    }
}

/// The request id that AWS support asks for; `None` if the answer has none.
pub(crate) fn request_id(response: &HttpResponse) -> Option<String> {
    let headers = response.headers();
    let id = headers
        .get("x-amzn-requestid")
        .or_else(|| headers.get("x-amz-request-id"))?;
    Some(shown(id, CODE_CHARS_MAX))
}

/// Reads an error of AWS JSON 1.1. The code is in a header or in `__type`, as `Code`,
/// `namespace#Code` or `Code:address`. An answer without a code, such as a proxy's page, gets a
/// code of this project.
fn error_metadata(response: &HttpResponse, body: &[u8]) -> ErrorMetadata {
    let members: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let code = response
        .headers()
        .get("x-amzn-errortype")
        .or_else(|| text("__type"))
        .or_else(|| text("code"))
        .map(bare_code)
        .filter(|code| !code.is_empty());
    let message = text("message")
        .or_else(|| text("Message"))
        .or_else(|| text("errorMessage"))
        .unwrap_or_default();
    let own_code = if response.status().is_server_error() {
        SERVER_ERROR
    } else {
        RESPONSE_UNREADABLE
    };
    ErrorMetadata::builder()
        .code(code.unwrap_or_else(|| own_code.to_owned()))
        .message(shown(message, MESSAGE_CHARS_MAX))
        .build()
}

fn bare_code(text: &str) -> String {
    let text = text.rsplit('#').next().unwrap_or_default();
    shown(text.split(':').next().unwrap_or_default(), CODE_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_in_every_form_aws_writes_it() {
        for text in [
            "ThrottlingException",
            "com.amazonaws.marketplacemetering#ThrottlingException",
            "ThrottlingException:http://internal.amazon.com/coral/",
            "aws.x#ThrottlingException:http://internal.amazon.com/coral/",
        ] {
            assert_eq!(bare_code(text), "ThrottlingException", "{text}");
        }
    }
}
