//! Deliberate mistakes, made where a function's calls pass: a request is edited, not carried out,
//! or carried out in part, or an answer is edited.
//!
//! They prove that the suites find such mistakes. The functions themselves stay as they are. Each
//! thread has at most one planted mistake, and every wire that is created on the thread makes it.
//! Mistakes that cannot be made at the wire are patches in `tests/planted`.

mod answers;
mod requests;

use std::cell::Cell;

use serde_json::Value;

use super::Fate;

macro_rules! mistakes {
    ($($(#[doc = $meaning:literal])+ $mistake:ident = $name:literal,)+) => {
        /// A mistake that a wire makes on purpose.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mistake {
            $($(#[doc = $meaning])+ $mistake,)+
        }

        impl Mistake {
            /// All mistakes, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$mistake,)+];

            /// The name of the mistake in reports and in `docs/proof.md`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$mistake => $name,)+
                }
            }
        }
    };
}

mistakes! {
    /// A dimension's name is cut at its first `#`, so `gb` swallows `gb#x`.
    DimensionCut = "dimension-cut",
    /// A seventh decimal is dropped instead of refused.
    SeventhDecimalDropped = "seventh-decimal-dropped",
    /// A row whose time lies in another hour counts nevertheless.
    OtherHourCounted = "other-hour-counted",
    /// A record is stamped with the time of its sealing.
    StampedNow = "stamped-now",
    /// A record of the first hour is stamped before the activation.
    ActivationIgnored = "activation-ignored",
    /// The untagged share is missing from the allocations.
    UntaggedShareMissing = "untagged-share-missing",
    /// Results are matched to records by their position.
    ResultsByPosition = "results-by-position",
    /// A record that AWS Marketplace left unprocessed counts as billed.
    UnprocessedIsSuccess = "unprocessed-is-success",
    /// A record that the answer does not mention counts as billed.
    SilenceIsSuccess = "silence-is-success",
    /// DuplicateRecord counts as billed, whatever the slot holds.
    DuplicateIsSuccess = "duplicate-is-success",
    /// A lost answer counts as billed.
    LostAnswerIsSuccess = "lost-answer-is-success",
    /// Quantities are sent without their decimals.
    DecimalsCutOff = "decimals-cut-off",
    /// A license's record carries an empty CustomerIdentifier.
    EmptyCustomerIdentifier = "empty-customer-identifier",
    /// A recount forgets what was carried before, and carries it again.
    CarriedAgain = "carried-again",
    /// A movement and its rows are written one after the other.
    MovementInTwoSteps = "movement-in-two-steps",
    /// A movement is written whatever happened to its record meanwhile.
    MovementUnconditional = "movement-unconditional",
    /// A frozen record is overwritten when its hour is sealed again.
    RecordOverwritten = "record-overwritten",
    /// A late flag is removed even if it was put again during the recount.
    FlagClearedBlindly = "flag-cleared-blindly",
    /// The stream record of a late row leads to no flag.
    LateRowsNotFlagged = "late-rows-not-flagged",
    /// A flag that could not be put is forgotten.
    FlagFailureForgotten = "flag-failure-forgotten",
    /// An hour that the reconciler finds is not flagged.
    NothingRecounted = "nothing-recounted",
    /// Usage over HTTP is acknowledged although it could not be stored.
    FailedPutAcknowledged = "failed-put-acknowledged",
    /// A record past its deadline is called unbilled without proof.
    UnconfirmedIsExpired = "unconfirmed-is-expired",
    /// A failed call in the history counts as proof that its records were billed.
    FailedCallIsProof = "failed-call-is-proof",
}

thread_local! {
    static PLANTED: Cell<Option<Mistake>> = const { Cell::new(None) };
}

/// Plants a mistake in every wire that this thread creates from now on. `None` plants no mistake.
pub fn plant(mistake: Option<Mistake>) {
    PLANTED.set(mistake);
}

/// The mistake that is planted for new wires of this thread.
pub(super) fn planted() -> Option<Mistake> {
    PLANTED.get()
}

/// A call in which a mistake can be made.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    /// The name of the function that makes the call.
    pub function: &'static str,
    /// The operation of the call.
    pub operation: &'a str,
    /// The fate of the call.
    pub fate: Fate,
}

fn has_prefix(text: &Value, prefix: &str) -> bool {
    text.as_str().is_some_and(|text| text.starts_with(prefix))
}

/// Whether the sort key of an item begins with `prefix`.
fn is_named(item: &Value, prefix: &str) -> bool {
    has_prefix(&item["item"]["S"], prefix)
}
