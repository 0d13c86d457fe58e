//! One difference between the ledger and AWS Marketplace.

use crate::quantity::Quantity;
use crate::record::State;
use crate::slot::Slot;

/// How the ledger and AWS Marketplace differ over one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// The ledger's record is accepted, but the history has no Success for it.
    MissingAtAws,
    /// The history has a Success for a slot that has no record in the ledger.
    UnknownInLedger,
    /// AWS Marketplace billed another quantity than the ledger's.
    Quantity,
    /// AWS Marketplace billed a record that the ledger has as not billed.
    BilledUnexpectedly,
}

impl DifferenceKind {
    /// The name of the kind in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingAtAws => "missing-at-aws",
            Self::UnknownInLedger => "unknown-in-ledger",
            Self::Quantity => "different-quantity",
            Self::BilledUnexpectedly => "billed-unexpectedly",
        }
    }
}

/// One slot over which the ledger and AWS Marketplace differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The slot over which they differ.
    pub slot: Slot,
    /// How the ledger and AWS Marketplace differ.
    pub kind: DifferenceKind,
    /// The quantity of the ledger's record; `None` if it has no record.
    pub in_ledger: Option<Quantity>,
    /// The quantity of the Success; `None` if there is no Success.
    pub at_aws: Option<Quantity>,
    /// The state of the ledger's record; `None` if it has no record.
    pub state: Option<State>,
    /// The id of CloudTrail's event of the Success; `None` if there is no Success.
    pub event_id: Option<String>,
}
