//! The meaning of each answer and each failure of BatchMeterUsage, as a table.
//!
//! Only an exception that names a part of a record can be about a record. All other failures leave
//! every record pending: throttling, internal errors, DisabledApiException,
//! InvalidProductCodeException, permissions, credentials, network failures and unknown codes.
//!
//! The submitter follows this table ([`crate::answer::next`] takes the state and the waiting time
//! from it), `metering explain` prints it, and `docs/errors.md` is generated from it.
//!
//! Facts: M18, M20, M21, M22, M30, M63 (docs/marketplace-rules.md).

mod rows;

use jiff::SignedDuration;

pub use rows::ERROR_TABLE;

/// This project's code for a call without an answer in time.
pub const TIMEOUT: &str = "Timeout";
/// This project's code for a connection that closed without an answer.
pub const CONNECTION_FAILED: &str = "ConnectionFailed";
/// This project's code for a caller without credentials.
pub const NO_CREDENTIALS: &str = "NoCredentials";
/// This project's code for an incomplete answer, or one that is not from the service.
pub const RESPONSE_UNREADABLE: &str = "ResponseUnreadable";
/// This project's code for HTTP status 500 or more without an error code.
pub const SERVER_ERROR: &str = "ServerError";
/// This project's code for a connection that could not be opened, so nothing was sent.
pub const NOT_CONNECTED: &str = "NotConnected";
/// This project's code for a request that its own checks stopped before it was sent.
pub const NOT_SENT: &str = "NotSent";
/// This project's code for a record in `UnprocessedRecords`.
pub const UNPROCESSED: &str = "Unprocessed";
/// This project's code for a record in neither list of an answer, or without a status.
pub const UNANSWERED: &str = "Unanswered";
/// This project's code for a record whose deadline passed without an outcome.
pub const DEADLINE_PASSED: &str = "DeadlinePassed";
/// This project's code for a record that is concluded to be billed: only its own call can have taken
/// the slot.
pub const INFERRED: &str = "InferredFromDuplicate";
/// This project's code for a record that CloudTrail proves to be unbilled.
pub const NOT_BILLED: &str = "NotBilled";
/// This project's code for a record whose timestamp no known agreement covers any more.
pub const STAMP_NOT_IN_FORCE: &str = "StampNotInForce";
/// The code of the row for every status that is not in the table.
pub const ANY_OTHER_STATUS: &str = "any other status";
/// The code of the row for every error code that is not in the table.
pub const ANY_OTHER_CODE: &str = "any other code";

/// The end of all retries, in words for reports.
pub const RETRIED_UNTIL: &str = "its deadline: the window (WindowHours) after its timestamp, and never later than 06:00 UTC on the 1st after its month";

/// The relation of an error to the records of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// One of the records is permanently wrong. It is isolated and becomes Refused, and an alarm is
    /// raised.
    Record,
    /// One of the records is not acceptable now, but may become so. It is isolated and sent again
    /// slowly.
    RecordForNow,
    /// The error does not concern a record. All records are sent again unchanged.
    Request,
}

/// Where a code occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In an answer, as the status of one record.
    Status,
    /// In place of an answer: an exception of the API model, or another error code of AWS.
    Error,
    /// Without any answer of the service. The code is this project's.
    Failure,
    /// Without a call. This stack itself sets the code.
    OwnDecision,
}

/// How a record, or every record of a request, is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not at all: nothing is left to do.
    Never,
    /// After a minute. The wait doubles each time, up to 15 minutes.
    Soon,
    /// As with [`Retry::Soon`]. Records that have failed in this way several times are sent in ever
    /// smaller requests, because one of them may be the cause although no error says so.
    SoonInParts,
    /// After 5 minutes. The wait doubles each time, up to an hour.
    Slowly,
    /// Every hour, in requests of suspects only.
    HourlyAmongSuspects,
}

/// The stack's alarm for a code, by its name in `template.yaml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// No alarm, because there is nothing to do.
    None,
    /// Calls have failed for three quarters of an hour.
    MeteringFailing,
    /// A record was found to be the cause of a refusal.
    RecordsRefused,
    /// AWS Marketplace holds something else in a record's slot.
    RecordsDisputed,
    /// A record was not accepted within half of the time until its deadline.
    HalfOfWindowUsed,
    /// AWS answered with a status or a code that is not in this table.
    AnswersUnknown,
    /// A record's deadline passed without an outcome.
    RecordsUnconfirmed,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorRow {
    /// The status or error code, as AWS sends it, or a code of this project.
    pub code: &'static str,
    /// Other codes with the same meaning: AWS's protocols and gateways name some errors
    /// differently.
    pub also: &'static [&'static str],
    /// Where the code occurs.
    pub origin: Origin,
    /// Whether the code concerns a record or the whole request.
    pub about: About,
    /// How records with this code are tried again.
    pub retry: Retry,
    /// The alarm that this code can raise.
    pub alarm: Alarm,
    /// The meaning of the code, in plain words.
    pub meaning: &'static str,
    /// The action of the operator, in plain words.
    pub action: &'static str,
}

impl ErrorRow {
    fn has(&self, code: &str) -> bool {
        self.code == code || self.also.contains(&code)
    }
}

impl About {
    /// A short phrase for reports.
    pub fn words(self) -> &'static str {
        match self {
            Self::Record => "a record, for good",
            Self::RecordForNow => "a record, for now",
            Self::Request => "nothing in a record",
        }
    }
}

impl Origin {
    /// A short phrase for reports.
    pub fn words(self) -> &'static str {
        match self {
            Self::Status => "of one record, in an answer",
            Self::Error => "in place of an answer",
            Self::Failure => "without an answer",
            Self::OwnDecision => "without a call",
        }
    }
}

impl Retry {
    /// A short phrase for reports.
    pub fn words(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Soon => "after a minute, then ever more slowly, at least every 15 minutes",
            Self::SoonInParts => {
                "after a minute, then ever more slowly, at least every 15 minutes, and at last in smaller requests"
            }
            Self::Slowly => "after 5 minutes, then ever more slowly, at least every hour",
            Self::HourlyAmongSuspects => "every hour, in requests of suspects only",
        }
    }

    /// How long to wait after `attempts` earlier attempts; `None` when nothing is left to do.
    pub fn after(self, attempts: u32) -> Option<SignedDuration> {
        let mins = SignedDuration::from_mins;
        let (first, most) = match self {
            Self::Never => return None,
            Self::Soon | Self::SoonInParts => (mins(1), mins(15)),
            Self::Slowly => (mins(5), mins(60)),
            Self::HourlyAmongSuspects => (mins(60), mins(60)),
        };
        let factor = 1_i32.checked_shl(attempts.min(10)).unwrap_or(i32::MAX);
        Some(first.checked_mul(factor).unwrap_or(most).min(most))
    }
}

impl Alarm {
    /// The alarm's name in `template.yaml`; `None` for no alarm.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::MeteringFailing => Some("MeteringFailing"),
            Self::RecordsRefused => Some("RecordsRefused"),
            Self::RecordsDisputed => Some("RecordsDisputed"),
            Self::HalfOfWindowUsed => Some("HalfOfWindowUsed"),
            Self::AnswersUnknown => Some("AnswersUnknown"),
            Self::RecordsUnconfirmed => Some("RecordsUnconfirmed"),
        }
    }
}

/// The row of a status or error code; `None` if the table has none. Case does not matter.
pub fn look_up(code: &str) -> Option<&'static ErrorRow> {
    let same = |known: &&str| known.eq_ignore_ascii_case(code);
    ERROR_TABLE
        .iter()
        .find(|row| same(&row.code) || row.also.iter().any(same))
}

/// The row of a record's status, or the row for any other status if the table does not have it.
pub fn of_status(status: &str) -> &'static ErrorRow {
    ERROR_TABLE
        .iter()
        .find(|row| row.origin == Origin::Status && row.has(status))
        .unwrap_or(&rows::OTHER_STATUS)
}

/// The row of a call's error code, or the row for any other code if the table does not have it.
pub fn of_error(code: &str) -> &'static ErrorRow {
    ERROR_TABLE
        .iter()
        .find(|row| matches!(row.origin, Origin::Error | Origin::Failure) && row.has(code))
        .unwrap_or(&rows::OTHER_CODE)
}

/// The relation of a call's error code to the records. An unknown code is about the request.
pub fn about(code: &str) -> About {
    of_error(code).about
}

/// Whether records that fail with this code again and again are tried in smaller requests.
pub fn may_hide_a_record(code: &str) -> bool {
    of_error(code).retry == Retry::SoonInParts
}

/// Whether a call that failed with this code may have recorded its records.
pub fn may_have_recorded(code: &str) -> bool {
    // The codes without a definite answer are also the codes whose cause may be a single record.
    may_hide_a_record(code)
}

/// Whether a call that failed with this code may have reached AWS Marketplace.
pub fn was_transmitted(code: &str) -> bool {
    ![NO_CREDENTIALS, NOT_CONNECTED, NOT_SENT].contains(&code)
}

/// Whether every other request fails with this code as well, because it concerns the account, its
/// permissions, its credentials or its quota. Any other failure may concern one product only.
pub fn is_of_every_request(code: &str) -> bool {
    let row = of_error(code);
    let may_be_of_a_product =
        row.retry == Retry::SoonInParts || row.code == "InvalidProductCodeException";
    row.about == About::Request && !may_be_of_a_product
}

/// Whether the table has this error code.
pub fn is_known_error(code: &str) -> bool {
    of_error(code) != &rows::OTHER_CODE
}

#[cfg(test)]
mod tests;
