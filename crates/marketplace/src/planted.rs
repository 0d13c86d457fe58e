//! Deliberate mistakes on the money path, to prove that the suites find such mistakes.
//!
//! With the feature `planted-bugs`, one [`Bug`] at a time can be switched on: for a thread with
//! `plant`, for a whole process with the environment variable `METERING_PLANTED_BUG`. Without the
//! feature [`is_planted`] is `false` when it is compiled, and nothing of this is in the program.

macro_rules! bugs {
    ($($(#[doc = $meaning:literal])+ $bug:ident = $name:literal,)+) => {
        /// A mistake.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $($(#[doc = $meaning])+ $bug,)+
        }

        impl Bug {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$bug,)+];

            /// Its name on the command line and in reports.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)+
                }
            }

            /// What is done wrong.
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
    /// A row whose time lies in another hour counts all the same.
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
    /// A licence's record carries an empty CustomerIdentifier.
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

    /// Names the bug of a whole process.
    const VARIABLE: &str = "METERING_PLANTED_BUG";

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = Cell::new(of_process());
    }

    // A misspelt name must not look like a bug that nothing finds.
    #[allow(clippy::panic)]
    fn of_process() -> Option<Bug> {
        let name = std::env::var(VARIABLE).ok()?;
        let bug = Bug::ALL.iter().find(|bug| bug.as_str() == name);
        if bug.is_none() {
            panic!("{VARIABLE} is {name:?}, which is the name of no planted bug");
        }
        bug.copied()
    }

    /// Switches a bug on in this thread, or with `None` whatever is on off.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    /// Whether this mistake is to be made.
    pub fn is_planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(feature = "planted-bugs")]
pub use switch::{is_planted, plant};

/// Whether this mistake is to be made: never, without the feature `planted-bugs`.
#[cfg(not(feature = "planted-bugs"))]
pub const fn is_planted(_: Bug) -> bool {
    false
}
