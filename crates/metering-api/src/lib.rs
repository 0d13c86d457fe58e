//! The AWS Marketplace Metering Service: its four operations, on top of the AWS SDK.
//!
//! The SDK handles the endpoint, the credentials, the signature, the retries and the time-outs.
//! This crate writes and reads the JSON of requests and answers without the SDK, for two reasons.
//! First, the SDK's model has no decimal quantities and always sends an empty `CustomerIdentifier`.
//! Second, an answer with an unknown member must still be understood.
//!
//! # Layout
//! * [`MeteringApi`]: the four operations
//! * [`request_body`], [`record_bytes`]: a batch of frozen records as JSON, always the same bytes
//! * [`BatchAnswer`], [`ResolvedCustomer`], [`RegisterUsageAnswer`]: the service's answers
//! * [`CallError`]: the error of a call, with one code and the next step for the operator
//! * `verify_register_usage` (feature `register-usage`): checks the signature of RegisterUsage's
//!   answer

mod api;
mod batch_answer;
mod call_error;
mod exchange;
mod meter_usage;
mod next_step;
mod operation;
mod register_usage;
mod resolve_customer;
#[cfg(feature = "register-usage")]
mod signature;
mod text;
mod usage_record;

pub use api::MeteringApi;
pub use batch_answer::BatchAnswer;
pub use call_error::CallError;
pub use meter_usage::{CLIENT_TOKEN_CHARS_MAX, InvalidMeterUsage, MeterUsageRequest};
pub use operation::Operation;
pub use register_usage::{
    InvalidRegisterUsage, NONCE_CHARS_MAX, PUBLIC_KEY_VERSION_MAX, RegisterUsageAnswer,
    RegisterUsageError, RegisterUsageRequest,
};
pub use resolve_customer::{
    BuyerAdvice, IncompleteAnswer, InvalidToken, REGISTRATION_TOKEN_BYTES_MAX, RegistrationToken,
    ResolveCustomerError, ResolvedCustomer,
};
#[cfg(feature = "register-usage")]
pub use signature::{Claims, Expected, InvalidSignature, verify_register_usage};
pub use usage_record::{record_bytes, request_body};
