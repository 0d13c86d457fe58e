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
    /// A row that claims to be carried usage counts without its movement.
    ForgedCarryCounted = "forged-carry-counted",
    /// One request carries records of two products.
    ProductsMixed = "products-mixed",
    /// AccessDeniedException ends the records of its request.
    AccessDeniedIsFinal = "access-denied-is-final",
    /// A record is given up after its third attempt.
    AttemptsRunOut = "attempts-run-out",
    /// A record is written down as billed before it is sent.
    AcceptedBeforeSent = "accepted-before-sent",
    /// Late usage of a slot without a record is carried without taking the slot.
    CarriedWithoutRecord = "carried-without-record",
    /// Late usage of a past month is carried into the new one.
    CarriedAcrossMonths = "carried-across-months",
    /// A shard's progress is written before its hour is sealed.
    ProgressBeforeWork = "progress-before-work",
    /// A subscription is closed at the first sign of its end.
    ClosedAtFirstSign = "closed-at-first-sign",
    /// A subscription's last hour is sealed no sooner than any other.
    LastHourNotHurried = "last-hour-not-hurried",
    /// The end of an agreement that was renewed ends its subscription.
    RenewalEnds = "renewal-ends",
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
