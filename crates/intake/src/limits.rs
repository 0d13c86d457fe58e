//! What one request may hold.

use jiff::SignedDuration;
use marketplace::limits::{
    DIMENSION_BYTES_MAX, EVENT_ID_CHARS_MAX, TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX,
};

/// Events in one request. Ours.
pub const EVENTS_MAX: usize = 1_000;

/// Bytes of a request's body. API Gateway takes 10 MB, but hands the body to Lambda inside JSON,
/// whose payload may have 6 MB (Lambda quotas, synchronous invocation): this much fits even as
/// base64, with 10 KB of headers.
pub const BODY_BYTES_MAX: usize = 4_500_000;

/// Bytes of a Lambda payload. Source: Lambda quotas.
const LAMBDA_PAYLOAD_BYTES_MAX: usize = 6 * 1_024 * 1_024;

/// Bytes of all headers and of the rest of API Gateway's event, generously. Source: API Gateway
/// quotas, 10,240 bytes for request line and headers.
const ENVELOPE_BYTES_MAX: usize = 64 * 1_024;

/// Bytes of a subscription as text: a DynamoDB partition key has at most 2,048 (DynamoDB
/// constraints), of which `@2026-11-21T02` takes 14.
pub const SUBSCRIPTION_BYTES_MAX: usize = 2_048 - 14;

/// Bytes of a subscription that AWS really issues: the longest legacy one, `legacy|` and two
/// identifiers of 255 characters of up to 4 bytes, is a little longer than the longest licence's.
const ISSUED_SUBSCRIPTION_BYTES_MAX: usize = 7 + 255 + 1 + 255 * 4;

/// Bytes of one event as compact JSON, every member as long as it may be: the names and punctuation,
/// a quantity of 17 characters, a time of 35.
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

/// How far a producer's clock may be ahead of ours. Ours; NTP keeps clocks within a second, and
/// five minutes is also what AWS allows a signature.
pub const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_mins(5);

/// How long a request may take: API Gateway gives up after 30 seconds (HTTP API quotas), and then
/// nobody would see the verdicts. What is not stored by then is answered as failed.
pub const REQUEST_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(20);

/// Calls to DynamoDB under way at the same time.
pub const AT_ONCE: usize = 16;
