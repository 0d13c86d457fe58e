//! The limits of a request, of its events and of its time.

use jiff::SignedDuration;
use marketplace::limits::{
    DIMENSION_BYTES_MAX, EVENT_ID_CHARS_MAX, TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX,
};

/// The most events in one request. The limit is this project's.
pub const EVENTS_MAX: usize = 1_000;

/// The most bytes of a request's body. API Gateway accepts 10 MB, but passes the body to Lambda
/// inside JSON, whose payload may have 6 MB (Lambda quotas, synchronous invocation). A body of this
/// size fits even as base64, together with 10 KB of headers.
pub const BODY_BYTES_MAX: usize = 4_500_000;

/// The most bytes of a Lambda payload. Source: Lambda quotas.
const LAMBDA_PAYLOAD_BYTES_MAX: usize = 6 * 1_024 * 1_024;

/// An upper bound of the bytes of all headers and of the rest of API Gateway's event. Source: API
/// Gateway quotas, 10,240 bytes for the request line and the headers.
const ENVELOPE_BYTES_MAX: usize = 64 * 1_024;

/// The most bytes of a subscription's text. A DynamoDB partition key has at most 2,048 bytes
/// (DynamoDB constraints), and `@2026-11-21T02` takes 14 of them.
pub const SUBSCRIPTION_BYTES_MAX: usize = 2_048 - 14;

/// The most bytes of a subscription that AWS issues. The longest is that of a legacy customer, with
/// `legacy|`, a product code of 255 bytes, and a customer identifier of 255 characters with up to 4
/// bytes each. It is a little longer than the longest license ARN.
const ISSUED_SUBSCRIPTION_BYTES_MAX: usize = 7 + 255 + 1 + 255 * 4;

/// The most bytes of one event as compact JSON: the names and punctuation, and every member at its
/// longest, with 17 characters for the quantity and 35 for the time.
const EVENT_BYTES_MAX: usize = 100
    + EVENT_ID_CHARS_MAX
    + ISSUED_SUBSCRIPTION_BYTES_MAX
    + DIMENSION_BYTES_MAX
    + 17
    + 35
    + TAGS_MAX * (TAG_KEY_CHARS_MAX + TAG_VALUE_CHARS_MAX + 6);

const _: () = assert!(EVENTS_MAX * EVENT_BYTES_MAX <= BODY_BYTES_MAX);
const _: () =
    assert!(BODY_BYTES_MAX.div_ceil(3) * 4 + ENVELOPE_BYTES_MAX <= LAMBDA_PAYLOAD_BYTES_MAX);

/// The most that a producer's clock may be ahead of this function's. The limit is this project's:
/// NTP keeps clocks within a second, and AWS allows five minutes for signatures too.
pub const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_mins(5);

/// The longest time that a request may take. API Gateway gives up after 30 seconds (HTTP API
/// quotas), and the caller would then get no results. Events that are not stored in this time are
/// answered as failed.
pub const REQUEST_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(20);

/// The most calls to DynamoDB at the same time.
pub const AT_ONCE: usize = 16;
