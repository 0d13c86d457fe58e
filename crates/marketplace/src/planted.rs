//! Planted bugs: deliberate mistakes in the metering code, which prove that the test suites find
//! such mistakes.
//!
//! With the feature `planted-bugs`, one [`Bug`] at a time can be switched on: for a thread with
//! `plant`, or for a whole process with the environment variable `METERING_PLANTED_BUG`. Without
//! the feature, [`is_planted`] is the constant `false`, and the program contains none of the
//! mistakes.

macro_rules! bugs {
    ($($(#[doc = $meaning:literal])+ $bug:ident = $name:literal,)+) => {
        /// A deliberate mistake. Its documentation says what is done wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $($(#[doc = $meaning])+ $bug,)+
        }

        impl Bug {
            /// Every planted bug.
            pub const ALL: &[Self] = &[$(Self::$bug,)+];

            /// The bug's name on the command line and in reports.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)+
                }
            }

            /// What is done wrong, as one sentence.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$bug => concat!($($meaning,)+).trim_ascii(),)+
                }
            }
        }
    };
}

bugs! {
    /// The sealer reads an hour's rows before it raises the watermark.
    WatermarkAfterReading = "watermark-after-reading",
    /// A month's last hour is sealed like any other, so nothing late can go into it.
    CatchHourSealedEarly = "catch-hour-sealed-early",
    /// A dimension's name is cut at its first `#`, so `gb` swallows `gb#x`.
    DimensionCut = "dimension-cut",
    /// A seventh decimal is dropped instead of refused.
    SeventhDecimalDropped = "seventh-decimal-dropped",
    /// A row whose time lies in another hour is counted.
    OtherHourCounted = "other-hour-counted",
    /// A row that claims to be carried usage counts without its movement.
    ForgedCarryCounted = "forged-carry-counted",
    /// A record is stamped with the time of its sealing.
    StampedNow = "stamped-now",
    /// A record of the first hour is stamped before the activation.
    ActivationIgnored = "activation-ignored",
    /// The untagged share is missing from the allocations.
    UntaggedShareMissing = "untagged-share-missing",
    /// One request carries records of two products.
    ProductsMixed = "products-mixed",
    /// Results are matched to records by their position.
    ResultsByPosition = "results-by-position",
    /// What AWS Marketplace left unprocessed counts as billed.
    UnprocessedIsSuccess = "unprocessed-is-success",
    /// A record that the answer does not mention counts as billed.
    SilenceIsSuccess = "silence-is-success",
    /// DuplicateRecord counts as billed, whatever the slot holds.
    DuplicateIsSuccess = "duplicate-is-success",
    /// A lost answer counts as billed.
    LostAnswerIsSuccess = "lost-answer-is-success",
    /// AccessDeniedException ends the records of its request.
    AccessDeniedIsFinal = "access-denied-is-final",
    /// A record is given up after its third attempt.
    AttemptsRunOut = "attempts-run-out",
    /// A record is written down as billed before it is sent.
    AcceptedBeforeSent = "accepted-before-sent",
    /// Quantities are sent without their decimals.
    DecimalsCutOff = "decimals-cut-off",
    /// A license's record carries an empty CustomerIdentifier.
    EmptyCustomerIdentifier = "empty-customer-identifier",
    /// A recount forgets what was carried before, and carries it again.
    CarriedAgain = "carried-again",
    /// Late usage of a slot without a record is carried without taking the slot.
    CarriedWithoutRecord = "carried-without-record",
    /// Late usage of a past month is carried into the new one.
    CarriedAcrossMonths = "carried-across-months",
    /// A movement and its rows are written one after the other.
    MovementInTwoSteps = "movement-in-two-steps",
    /// A movement is written whatever happened to its record meanwhile.
    MovementUnconditional = "movement-unconditional",
    /// A frozen record is overwritten when its hour is sealed again.
    RecordOverwritten = "record-overwritten",
    /// A late flag is removed even if it was put again during the recount.
    FlagClearedBlindly = "flag-cleared-blindly",
    /// The stream of late rows leads to no flag.
    LateRowsNotFlagged = "late-rows-not-flagged",
    /// A flag that could not be put is forgotten.
    FlagFailureForgotten = "flag-failure-forgotten",
    /// The reconciler recounts nothing.
    NothingRecounted = "nothing-recounted",
    /// A shard's progress is written before its hour is sealed.
    ProgressBeforeWork = "progress-before-work",
    /// Usage over HTTP is acknowledged although it could not be stored.
    FailedPutAcknowledged = "failed-put-acknowledged",
    /// A subscription is closed at the first sign of its end.
    ClosedAtFirstSign = "closed-at-first-sign",
    /// A subscription's last hour is sealed no sooner than any other.
    LastHourNotHurried = "last-hour-not-hurried",
    /// The end of an agreement that was renewed ends its subscription.
    RenewalEnds = "renewal-ends",
    /// A record past its deadline is called unbilled without proof.
    UnconfirmedIsExpired = "unconfirmed-is-expired",
    /// A failed call in the history counts as proof that its records were billed.
    FailedCallIsProof = "failed-call-is-proof",
}

#[cfg(feature = "planted-bugs")]
mod switch {
    use std::cell::Cell;

    use super::Bug;

    /// The environment variable that switches a bug on for a whole process.
    const VARIABLE: &str = "METERING_PLANTED_BUG";

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = Cell::new(of_process());
    }

    // With a misspelt name no bug would be planted, and it would look as if no test found the bug.
    #[allow(clippy::panic)]
    fn of_process() -> Option<Bug> {
        let name = std::env::var(VARIABLE).ok()?;
        let bug = Bug::ALL.iter().find(|bug| bug.as_str() == name);
        if bug.is_none() {
            panic!("{VARIABLE} is {name:?}, which is the name of no planted bug");
        }
        bug.copied()
    }

    /// Switches a bug on in this thread. `None` switches off the one that is on.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    /// Whether this bug is switched on in this thread.
    pub fn is_planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(feature = "planted-bugs")]
pub use switch::{is_planted, plant};

/// Whether this bug is switched on: never, without the feature `planted-bugs`.
#[cfg(not(feature = "planted-bugs"))]
pub const fn is_planted(_: Bug) -> bool {
    false
}
