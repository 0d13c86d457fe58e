//! All numbers that AWS Marketplace fixes, and the emulator's own limits, each with its source.
//!
//! The metering window is *not* in this file. It has been 1, 6 and 24 hours within a few years, so
//! it is a [setting](crate::Settings).

/// M1: usage records in one request of `BatchMeterUsage` (API model, `UsageRecordList`).
pub const USAGE_RECORDS_MAX: usize = 25;
/// M2: "each request must be less than 1 MB in size" (API reference). It is taken as the decimal
/// megabyte, which is the stricter meaning.
pub const REQUEST_SIZE_BYTES_END: usize = 1_000_000;
/// Bytes of a request's body that the emulator reads at most.
pub const BODY_READ_BYTES_MAX: usize = 4_000_000;
/// Largest body for the control interface, in bytes. The body may contain a whole world.
pub const CONTROL_BODY_BYTES_MAX: usize = 1_000_000_000;
/// Characters of `ProductCode` (API model).
pub const PRODUCT_CODE_CHARS_MAX: usize = 255;
/// Characters of `CustomerIdentifier` and of `CustomerAWSAccountId` (API model).
pub const CUSTOMER_CHARS_MAX: usize = 255;
/// M8: characters of `UsageDimension` (API model).
pub const DIMENSION_CHARS_MAX: usize = 255;
/// M12: largest `Quantity`, `UsageQuantity` and `AllocatedUsageQuantity` (API model).
pub const QUANTITY_MAX: i64 = 2_147_483_647;
/// Characters of `QuantityAsDecimal` and `AllocatedUsageQuantityAsDecimal` (API model).
pub const DECIMAL_CHARS_MAX: usize = 17;
/// M13: entries in the `UsageAllocations` of one usage record (API model).
pub const ALLOCATIONS_MAX: usize = 2_500;
/// M14: tags in the `TagList` of one allocation (API model).
pub const TAGS_MAX: usize = 5;
/// M15: characters of `TagKey` (API model).
pub const TAG_KEY_CHARS_MAX: usize = 100;
/// Characters of `TagValue` (API model).
pub const TAG_VALUE_CHARS_MAX: usize = 256;
/// M34: characters of the `ClientToken` of `MeterUsage` (API model).
pub const CLIENT_TOKEN_CHARS_MAX: usize = 64;
/// Characters of the `Nonce` of `RegisterUsage` (API model).
pub const NONCE_CHARS_MAX: usize = 255;
/// M5: the previous month may be metered until this hour (UTC) of the first day of a month (API
/// reference, `UsageRecord`).
pub const MONTH_CLOSES_AT_HOUR: i8 = 6;
/// M45: usage is accepted for this many seconds after the end of a license (seller guide: the final
/// hour).
pub const FINAL_HOUR_S: i64 = 3_600;
/// M46: `unsubscribe-success` follows `unsubscribe-pending` after about an hour (seller guide).
pub const UNSUBSCRIBE_DELAY_S: i64 = 3_600;

/// M48: entitlements on one page of `GetEntitlements` (API model).
pub const ENTITLEMENTS_PAGE_MAX: usize = 25;
/// M53: events of `LookupEvents` on a page (API model).
pub const EVENTS_PAGE_MAX: usize = 50;
/// M51: days for which CloudTrail keeps the event history (API reference).
pub const EVENT_HISTORY_DAYS: i64 = 90;
/// `ListObjectsV2`: keys on a page (S3 API reference).
pub const OBJECTS_PAGE_MAX: usize = 1_000;
/// Characters of CloudTrail's `LookupAttributeValue` (API model).
pub const LOOKUP_VALUE_CHARS_MAX: usize = 2_000;
/// M54: the largest size of `requestParameters` and of `responseElements` in an event. CloudTrail
/// truncates a larger field (CloudTrail user guide).
pub const CLOUDTRAIL_FIELD_BYTES_MAX: usize = 100_000;
/// Agreement API: results on one page (API model).
pub const AGREEMENTS_PAGE_MAX: usize = 50;
/// Agreement API: characters of an identifier (API model, `ResourceId`).
pub const RESOURCE_ID_CHARS_MAX: usize = 64;
/// Entries of one `BatchCreateBillingAdjustmentRequest`. AWS has a limit but does not publish it.
pub const ADJUSTMENTS_MAX: usize = 100;

/// Violations of the API model that one `ValidationException` lists.
pub const VIOLATIONS_PRINTED_MAX: usize = 10;
/// Bytes of a fulfillment URL. AWS names no limit; all browsers accept this length.
pub const FULFILLMENT_URL_BYTES_MAX: usize = 2_048;
/// Agreements, calls or slots on one page of the console.
pub const CONSOLE_PAGE_ROWS_MAX: usize = 50;
/// Lines in the console's heat map of a day.
pub const CONSOLE_LINES_MAX: usize = 40;
/// Characters of a registration token that a caller chooses. AWS names no limit for its own tokens.
pub const REGISTRATION_TOKEN_CHARS_MAX: usize = 8_192;
/// Calls kept in the log. The oldest are removed first.
pub const CALLS_KEPT_MAX: usize = 100_000;
/// Usage records kept in the log of calls. The oldest calls are removed first.
pub const CALL_RECORDS_KEPT_MAX: usize = 400_000;
/// Client tokens of `MeterUsage` that are remembered. The oldest are forgotten first.
pub const CLIENT_TOKENS_KEPT_MAX: usize = 100_000;
/// Rotations of the key with which `RegisterUsage` signs.
pub const KEY_ROTATIONS_MAX: usize = 20;
/// Lifecycle messages that wait to be taken. The oldest are removed first.
pub const MESSAGES_KEPT_MAX: usize = 100_000;
/// Connections served at the same time. Further ones wait to be accepted.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Fault rules in force at the same time.
pub const FAULTS_MAX: usize = 100;
/// Longest delay of a fault, in milliseconds.
pub const DELAY_MS_MAX: u64 = 600_000;

const _: () = assert!(REQUEST_SIZE_BYTES_END < BODY_READ_BYTES_MAX);
const _: () = assert!(USAGE_RECORDS_MAX < CALL_RECORDS_KEPT_MAX);
