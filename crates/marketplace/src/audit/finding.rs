//! The result of an inquiry, in types and in words.

use std::fmt;

use jiff::Timestamp;

use crate::quantity::Quantity;
use crate::record::MeteringRecord;
use crate::slot::Slot;

/// The conclusion from the history about a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// AWS Marketplace answered Success for exactly this record.
    Billed {
        /// When the call was made.
        at: Timestamp,
        /// The metering record id that AWS gave it, if the event has it.
        metering_record_id: Option<String>,
    },
    /// The slot is taken, and only this record can have taken it, in a call whose answer was lost.
    BilledByInference,
    /// AWS Marketplace holds another quantity in the slot.
    Conflict {
        /// The quantity that AWS Marketplace holds.
        quantity: Quantity,
        /// When the call was made.
        at: Timestamp,
        /// The metering record id that AWS gave it, if the event has it.
        metering_record_id: Option<String>,
    },
    /// Nothing in the period can have recorded the slot.
    NotBilled,
    /// The history does not show whether the record was billed.
    Unknown(Doubt),
}

/// Why the history does not show whether a record was billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// An event of the period is cut off or cannot be read.
    Opaque(String),
    /// A call that named the slot may or may not have recorded it.
    MayHaveRecorded {
        /// The error code of the call, if it failed as a whole.
        code: Option<String>,
        /// When the call was made.
        at: Timestamp,
    },
    /// Another record of the same product, dimension and hour names its buyer in another way.
    OtherIdentity,
    /// The answer was DuplicateRecord, and a record with another content may have taken the slot.
    OtherContent,
    /// The answer was DuplicateRecord, and no call of this Region explains it.
    Unexplained,
    /// The history shows no call that is certainly later than the calls in question, so it may lag
    /// behind.
    NoWitness {
        /// The time after which such a call must have been made.
        since: Timestamp,
    },
    /// The history lacks calls of the record, and at least one of these calls had no definite
    /// answer.
    CallsMissing {
        /// How many calls in the history name its slot.
        seen: u32,
        /// How many calls were made for it without a success.
        sent: u32,
    },
    /// The answer was DuplicateRecord, and the history does not show that call.
    RefusalNotShown {
        /// When the answer was written.
        since: Timestamp,
    },
    /// The history does not reach back to the beginning of the record's hour any more.
    OutOfReach,
    /// Events may still be missing, because too little time has passed.
    TooEarly,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opaque(what) => write!(f, "an event of its time cannot be read in full: {what}"),
            Self::MayHaveRecorded { code, at } => write!(
                f,
                "a call at {at} ({}) may have recorded it",
                code.as_deref().unwrap_or("without an error code")
            ),
            Self::OtherIdentity => f.write_str(
                "a record of the same product, dimension and hour names its buyer in another way",
            ),
            Self::OtherContent => {
                f.write_str("another quantity may have been recorded in its slot by a call that failed")
            }
            Self::Unexplained => f.write_str(
                "its slot is taken, and no call in this Region's history took it; look for calls in other Regions",
            ),
            Self::NoWitness { since } => write!(
                f,
                "the history shows no call of BatchMeterUsage after {since} yet, so it may lag behind; the next sweep of the submitter makes an empty one"
            ),
            Self::CallsMissing { seen, sent } => write!(
                f,
                "it was sent {sent} times without a success, and the history has only {seen} calls that name its slot"
            ),
            Self::RefusalNotShown { since } => write!(
                f,
                "the history does not show the call that was answered DuplicateRecord at {since}, so it may lag behind"
            ),
            Self::OutOfReach => {
                f.write_str("the history does not reach back to the beginning of its hour any more")
            }
            Self::TooEarly => f.write_str("the history is not complete yet"),
        }
    }
}

/// Describes a conflict and the action of the operator, with all values that a billing adjustment
/// needs.
pub fn conflict_text(record: &MeteringRecord, at_aws: Quantity) -> String {
    let Slot {
        subscription,
        hour,
        dimension,
    } = &record.slot;
    let difference = |more: Quantity, less: Quantity| {
        crate::quantity::Total::from(more)
            .minus(less)
            .unwrap_or_default()
    };
    let holds = format!(
        "AWS Marketplace holds {at_aws} {dimension} in the slot {hour} of {subscription}, where {} was used",
        record.quantity
    );
    if at_aws > record.quantity {
        format!(
            "{holds}: claim {} {dimension} back for the buyer with the Agreement API's BatchCreateBillingAdjustmentRequest, reason INCORRECT_METERING",
            difference(at_aws, record.quantity)
        )
    } else {
        format!(
            "{holds}: {} {dimension} was not billed and cannot be metered any more; find out who else calls BatchMeterUsage",
            difference(record.quantity, at_aws)
        )
    }
}
