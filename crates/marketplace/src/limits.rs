//! Every external limit as a named constant with its source.

use jiff::Timestamp;

/// The most records in one BatchMeterUsage request (M1). Source: BatchMeterUsage API reference,
/// `UsageRecords`.
pub const BATCH_RECORDS_MAX: usize = 25;

/// A BatchMeterUsage request body must have fewer bytes than this (M2). Source: BatchMeterUsage API
/// reference ("less than 1 MB").
pub const REQUEST_BYTES_MAX: usize = 1_000_000;

/// The most bytes of records that this project puts into one request, unless a single record is
/// larger. CloudTrail cuts `requestParameters` off at 100 KB (M54), and the audit needs a complete
/// copy.
pub const AUDITABLE_REQUEST_BYTES_MAX: usize = 90_000;

/// The most bytes of one record's JSON, so that a request with one record stays within its limit.
pub const RECORD_BYTES_MAX: usize = 900_000;

/// The most characters of a product code (M3). Source: API model, `ProductCode`.
pub const PRODUCT_CODE_CHARS_MAX: usize = 255;

/// The most characters of an account id (M9). Source: API model, `CustomerAWSAccountId`.
pub const ACCOUNT_ID_CHARS_MAX: usize = 255;

/// The most characters of a customer identifier (M10). Source: API model, `CustomerIdentifier`.
pub const CUSTOMER_IDENTIFIER_CHARS_MAX: usize = 255;

/// The most characters of a dimension (M8). Source: API model, `UsageDimension`.
pub const DIMENSION_CHARS_MAX: usize = 255;

/// The most bytes of a dimension, so that `r#<hour>#<dimension>` and similar keys fit a DynamoDB
/// sort key of 1,024 bytes. The limit is this project's, not AWS Marketplace's. Only a name with
/// multi-byte characters can reach it.
pub const DIMENSION_BYTES_MAX: usize = 900;

/// The most bytes of `<dimension>#<event id>`, one less than a DynamoDB sort key may have.
pub const DIMENSION_EVENT_BYTES_MAX: usize = 1_023;

/// The most characters of a usage event's id. The limit is this project's.
pub const EVENT_ID_CHARS_MAX: usize = 128;

/// Micro-units of the largest quantity, 9999999999.999999 (M12). Source: API model,
/// `QuantityAsDecimal` (ten digits before the point, six behind it).
pub const QUANTITY_MICROS_MAX: u64 = 9_999_999_999_999_999;

/// The largest whole quantity of the integer field `Quantity` (M12). Source: API model.
pub const QUANTITY_INTEGER_MAX: u64 = 2_147_483_647;

/// Micro-units in one unit.
pub const MICROS_PER_UNIT: u64 = 1_000_000;

/// The most usage allocations in one record (M13). Source: API model, `UsageAllocations`.
pub const ALLOCATIONS_MAX: usize = 2_500;

/// The most tags in one allocation (M14). Source: API model, `TagList`.
pub const TAGS_MAX: usize = 5;

/// The most characters of a tag's key (M15). Source: API model, `TagKey`.
pub const TAG_KEY_CHARS_MAX: usize = 100;

/// The most characters of a tag's value (M15). Source: API model, `TagValue`.
pub const TAG_VALUE_CHARS_MAX: usize = 256;

/// The most tag sets that the fold of one dimension distinguishes. Usage of further tag sets counts
/// as untagged. The limit is this project's. It bounds a fold's memory, and is ten times the
/// allocations of a record.
pub const FOLD_BUCKETS_MAX: usize = 25_000;

/// The most rows set aside that one fold itemises. Further ones are only counted. The limit is this
/// project's.
pub const FOLD_SET_ASIDE_MAX: usize = 1_000;

/// The most tag sets in one movement, so that its carry rows, the movement and the record fit one
/// transaction of 100 items (M57). Source: TransactWriteItems API reference.
pub const MOVEMENT_ENTRIES_MAX: usize = 90;

/// The most BatchMeterUsage requests per second, account and Region (M29). Source: AWS Marketplace
/// endpoints and quotas.
pub const BATCH_METER_USAGE_PER_SECOND: u32 = 10;

/// Hours for which BatchMeterUsage accepts usage, as of July 2026 (M4). It was 1 and 6 before, so
/// it is a setting, and this is only the default. Source: BatchMeterUsage API reference.
pub const WINDOW_HOURS_DEFAULT: i64 = 24;
/// The longest window that can be set, in hours: 31 days, because a month closes after it ends. The
/// limit is this project's.
pub const WINDOW_HOURS_MAX: i64 = 31 * 24;

/// Minutes after which a call is assumed to be in CloudTrail's Event history (M52). AWS says
/// "typically within 15 minutes"; this project adds five. Source: CloudTrail user guide, Event
/// history.
pub const CLOUDTRAIL_DELAY_MINUTES: i64 = 20;

/// How many days back CloudTrail's Event history goes (M51). Source: CloudTrail user guide, Event
/// history.
pub const CLOUDTRAIL_HISTORY_DAYS: i64 = 90;

/// The most days that are read back in a trail in S3: 25 months. The seller's bucket decides how
/// long the files stay. The limit is this project's, because a loop over the days of a trail must
/// end.
pub const TRAIL_DAYS_MAX: i64 = 25 * 31;

/// The most decompressed bytes of one file of a trail. A larger file is not read to its end. The
/// limit is this project's: CloudTrail writes files of a few megabytes.
pub const TRAIL_FILE_BYTES_MAX: u64 = 200_000_000;

/// The most bytes of one file of a trail in S3, compressed. A larger file is not fetched. The limit
/// is this project's: eight files are in memory at the same time.
pub const TRAIL_OBJECT_BYTES_MAX: i64 = 20_000_000;

/// The most LookupEvents requests per second, account and Region (M53). Source: LookupEvents API
/// reference.
pub const LOOKUP_EVENTS_PER_SECOND: u32 = 2;

/// The most events on one page of LookupEvents (M53). Source: LookupEvents API reference,
/// `MaxResults`.
pub const LOOKUP_EVENTS_PAGE_MAX: i32 = 50;

/// The most minutes that one invocation of a Lambda function can last (M61). Source: Lambda quotas.
pub const INVOCATION_MINUTES_MAX: i64 = 15;

/// Hours after a month's end for which the month's usage is still accepted (M5). Source: seller
/// guide.
pub const MONTH_CLOSE_HOURS: i64 = 6;

/// Hours for which usage is still accepted after an agreement has ended (M45). Source: seller
/// guide.
pub const FINAL_HOURS: i64 = 1;

/// The earliest time that a lifecycle event can have: 2012-01-01T00:00:00Z. The number is this
/// project's: AWS Marketplace did not exist before.
pub const LIFECYCLE_EVENT_TIME_MIN: Timestamp = Timestamp::constant(1_325_376_000, 0);

/// The most hours by which a lifecycle event's time can be later than the time at which the event
/// is handled. The number is this project's: an event that was not dated by mistake has happened,
/// so only the difference between two clocks can make its time the later one. That is far less than
/// a day.
pub const LIFECYCLE_EVENT_HOURS_AHEAD_MAX: i64 = 24;

/// Days for which every row of usage stays after the start of its hour. The number is this
/// project's: the public interface requires it of producers, and every task that counts rows has
/// ended by then.
pub const ROWS_KEPT_DAYS: i64 = 100;

/// Months for which closed records are kept by default. The number is this project's: two years,
/// and one month in which both years are still complete.
pub const RETENTION_MONTHS_DEFAULT: i64 = 25;

/// The fewest months for which closed records are kept. The limit is this project's: a record
/// outlives its rows, and the Event history in which the audit looks for it.
pub const RETENTION_MONTHS_MIN: i64 = 4;

/// The most months for which closed records are kept. The limit is this project's: ten years, the
/// longest legal retention of books that the project knows.
pub const RETENTION_MONTHS_MAX: i64 = 120;

const _: () = assert!(RETENTION_MONTHS_MIN * 28 > ROWS_KEPT_DAYS);
const _: () = assert!(RETENTION_MONTHS_MIN * 28 > CLOUDTRAIL_HISTORY_DAYS);
const _: () = assert!(AUDITABLE_REQUEST_BYTES_MAX < RECORD_BYTES_MAX);
const _: () = assert!(RECORD_BYTES_MAX < REQUEST_BYTES_MAX);
const _: () = assert!(ALLOCATIONS_MAX < FOLD_BUCKETS_MAX);
const _: () = assert!(DIMENSION_BYTES_MAX + 1 + EVENT_ID_CHARS_MAX > DIMENSION_EVENT_BYTES_MAX);
