//! The rows for outcomes that this stack writes by itself, without an answer of AWS Marketplace.

use crate::error_table::{
    About, Alarm, DEADLINE_PASSED, ErrorRow, INFERRED, NOT_BILLED, Origin, Retry,
    STAMP_NOT_IN_FORCE,
};

/// The deadline passed without an outcome.
pub(super) const DEADLINE_PASSED_ROW: ErrorRow = ErrorRow {
    code: DEADLINE_PASSED,
    also: &[],
    origin: Origin::OwnDecision,
    about: About::Record,
    retry: Retry::Never,
    alarm: Alarm::RecordsUnconfirmed,
    meaning: "The record's deadline passed without an outcome. AWS Marketplace may have billed it: an answer can get lost.",
    action: "Find out why it was not accepted in time. Its quantity is held until CloudTrail shows whether it was billed. `metering late show` reports the findings so far, and `metering late carry` and `write-off` decide with --i-checked.",
};

/// The record was refused, and no agreement was in force at its timestamp.
pub(super) const STAMP_NOT_IN_FORCE_ROW: ErrorRow = ErrorRow {
    code: STAMP_NOT_IN_FORCE,
    also: &[],
    origin: Origin::OwnDecision,
    about: About::Record,
    retry: Retry::Never,
    alarm: Alarm::None,
    meaning: "AWS Marketplace has refused the record, and later lifecycle events show that no agreement was in force at its timestamp. It is not sent any more.",
    action: "Nothing: once CloudTrail shows that it was not billed, its usage is carried into an open hour of the purchase that its hour belongs to, or held if there is no open hour.",
};

/// The audit inferred that the record is billed.
pub(super) const INFERRED_ROW: ErrorRow = ErrorRow {
    code: INFERRED,
    also: &[],
    origin: Origin::OwnDecision,
    about: About::Record,
    retry: Retry::Never,
    alarm: Alarm::None,
    meaning: "AWS Marketplace answered DuplicateRecord, and CloudTrail shows that only calls with exactly this content can have taken the slot. The record is billed.",
    action: "Nothing.",
};

/// The audit concluded that the record is not billed.
pub(super) const NOT_BILLED_ROW: ErrorRow = ErrorRow {
    code: NOT_BILLED,
    also: &[],
    origin: Origin::OwnDecision,
    about: About::Record,
    retry: Retry::Never,
    alarm: Alarm::None,
    meaning: "CloudTrail shows that no call can have recorded the record before its deadline. It is certainly not billed, and its usage is carried or held.",
    action: "Nothing if its usage is carried. `metering late list` lists held usage.",
};
