//! What an inquiry comes to, in types and in words.

use std::fmt;

use jiff::Timestamp;

use crate::quantity::Quantity;
use crate::record::{MeteringRecord, RecordKey};

/// What became of a record, as far as the history proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// AWS Marketplace said Success to exactly this.
    Billed {
        /// When.
        at: Timestamp,
        /// AWS's id of it.
        metering_record_id: Option<String>,
    },
    /// The slot is taken, and nothing but this record can have taken it: its answer was lost in a
    /// request that failed.
    BilledByInference,
    /// AWS Marketplace holds another quantity in the slot.
    Conflict {
        /// How much.
        quantity: Quantity,
        /// When that was recorded.
        at: Timestamp,
        /// AWS's id of it.
        metering_record_id: Option<String>,
    },
    /// Nothing in the span can have recorded the slot.
    NotBilled,
    /// The history does not tell.
    Unknown(Doubt),
}

/// Why the history does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// An event of the span is cut off or cannot be read.
    Opaque(String),
    /// A call that named the slot may or may not have recorded it.
    MayHaveRecorded {
        /// Its error code, if it failed as a whole.
        code: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// Another record of the same product, dimension and hour names its buyer in another way.
    OtherIdentity,
    /// DuplicateRecord, and other content than ours may have taken the slot.
    OtherContent,
    /// DuplicateRecord, and no call of this Region explains it.
    Unexplained,
    /// No call that is certainly later than those in question is in the history, which may lag behind.
    NoWitness {
        /// Later than this one would have to be.
        since: Timestamp,
    },
    /// More calls were made for it than the history has, and some of them without a clear answer.
    CallsMissing {
        /// The calls that name its slot.
        seen: u32,
        /// The calls that were made without a success.
        sent: u32,
    },
    /// The history is not old enough yet.
    TooEarly,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opaque(what) => write!(f, "an event of its time cannot be read in full: {what}"),
            Self::MayHaveRecorded { code, at } => write!(
                f,
                "a call at {at} ({}) may have recorded it",
                code.as_deref().unwrap_or("without a verdict")
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
            Self::TooEarly => f.write_str("the history is not complete yet"),
        }
    }
}

/// What a conflict means and what to do about it, with all that a billing adjustment needs.
pub fn conflict_text(record: &MeteringRecord, at_aws: Quantity) -> String {
    let RecordKey {
        subscription,
        hour,
        dimension,
    } = &record.key;
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
