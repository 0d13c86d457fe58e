//! Reads CloudTrail's events of BatchMeterUsage from one of two sources, and compares any range of
//! hours with them.
//!
//! # Layout
//! * [`range`]: the comparison of a range of hours with the ledger, in one piece
//! * `event_history`: LookupEvents, page by page, within its rate limit
//! * `trail`: the files of a trail in S3, several at a time
//! * `folder`: the names of a trail's folders and files, and the times in them
//! * `file`: one file, decompressed and read event by event
//! * `passing`: retries requests that failed for a passing reason
//!
//! Both sources are read in steps: a page, or a file. Pages usually come newest first and files
//! oldest first. AWS promises no order, so no reader may depend on it.
//!
//! The rules of the comparison are in `marketplace::audit`.

mod event_history;
mod file;
mod folder;
mod passing;
pub mod range;
mod trail;

use jiff::Timestamp;
use ledger::LedgerError;
use marketplace::audit::{Event, Period, Source};
use runtime::trail::TrailPlace;
use runtime::{Budget, Env, SettingError, clients};

use event_history::Pages;
use trail::Files;

pub use event_history::EventHistory;
pub use range::{Range, compare_range};
pub use trail::Trail;

/// The number of minutes after the end of a period in which a file of a trail can be made and still
/// be read for the period's events. This number is used if missing events are looked for again
/// later. Our own choice: AWS says that an event is in a file after five minutes on average.
pub const SOON: i64 = 60;
/// The same limit in minutes for a reading that concludes something from missing events. A record
/// that was concluded to be unbilled is compared again three days later, and that comparison must
/// find all events that were delivered meanwhile. Our own choice.
pub const LATE: i64 = 96 * 60;

/// The error of reading CloudTrail's events.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A request was refused, or failed each time it was made.
    #[error("{operation} failed ({code}), tried {tries} times: {message}; {advice}")]
    Unavailable {
        /// The API operation that failed.
        operation: &'static str,
        /// The error code of AWS, or the kind of failure.
        code: String,
        /// The number of times that the request was made.
        tries: u32,
        /// The SDK's whole error text.
        message: String,
        /// The permissions that the audit needs.
        advice: String,
    },
    /// The trail has no file: its place is wrong, or the trail is new.
    #[error(
        "there is no file of a trail in s3://{bucket}/{folder}; check the bucket, its prefix, the account and the Region, and that the trail is logging"
    )]
    NoFiles {
        /// The name of the bucket.
        bucket: String,
        /// The folder of the account and Region.
        folder: String,
    },
    /// The same token for the next page came twice, or there were too many pages, so the pages
    /// would not end.
    #[error(
        "{operation} repeats its token for the next page, or its pages do not end, so the history cannot be read to its end; try again later"
    )]
    Endless {
        /// The API operation that returns the pages.
        operation: &'static str,
    },
}

/// The error that ended an audit early. The audit concludes nothing from events that it has not
/// read. The next audit continues.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A table could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// CloudTrail's events could not be read.
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// The source of the events of one account and Region.
#[derive(Debug, Clone)]
pub enum History {
    /// CloudTrail's Event history, which LookupEvents reads.
    Events(EventHistory),
    /// The files of a trail in S3.
    Trail(Trail),
}

/// One step of a reading.
#[derive(Debug)]
pub enum Step {
    /// Some events of the period, perhaps none.
    Events(Vec<Event>),
    /// The period has no more events.
    End,
    /// The time ran out before the period was read to its end. Nothing may be concluded from
    /// missing events.
    OutOfTime,
}

/// A period that is being read, step by step.
pub struct Reading(Steps);

/// The steps of a reading, which depend on the source.
enum Steps {
    Pages(Pages),
    Files(Box<Files>),
}

impl History {
    /// Makes the source that the environment selects: the trail that `AUDIT_BUCKET` and the other
    /// settings name, or the Event history if `AUDIT_BUCKET` is not set.
    pub async fn from_env(env: &Env) -> Result<Self, SettingError> {
        Ok(match TrailPlace::from_env(env)? {
            Some(place) => Self::Trail(Trail::new(clients::s3(env).await?, place)),
            None => Self::Events(EventHistory::new(clients::cloudtrail(env).await?)),
        })
    }

    /// Returns which of the two sources this is.
    pub fn source(&self) -> Source {
        match self {
            Self::Events(_) => Source::EventHistory,
            Self::Trail(_) => Source::Trail,
        }
    }

    /// Returns the same source without any pause between requests, for tests against the emulator,
    /// which has no rate limit.
    #[must_use]
    pub fn without_pauses(self) -> Self {
        match self {
            Self::Events(events) => Self::Events(events.without_pauses()),
            Self::Trail(trail) => Self::Trail(trail.without_pauses()),
        }
    }

    /// Describes the parts of the source that could not be read since the last call of this
    /// function; `None` if there are none.
    pub fn take_unreadable(&self) -> Option<String> {
        match self {
            Self::Events(_) => None,
            Self::Trail(trail) => trail.take_unreadable(),
        }
    }

    /// Begins to read a period at `now`. `late_minutes` concerns a trail only: files that were made
    /// up to this many minutes after the period's end are read for its events. The Event history
    /// finds each event by its own time.
    pub fn open(&self, period: Period, late_minutes: i64, now: Timestamp) -> Reading {
        Reading(match self {
            Self::Events(events) => Steps::Pages(events.open(period)),
            Self::Trail(trail) => Steps::Files(Box::new(trail.open(period, late_minutes, now))),
        })
    }

    /// Reads periods to their ends and calls `each` with every event. Returns `false` if the time
    /// ran out. Then nothing may be concluded from missing events.
    pub async fn read(
        &self,
        periods: &[Period],
        late_minutes: i64,
        now: Timestamp,
        budget: Option<Budget>,
        mut each: impl FnMut(&Event),
    ) -> Result<bool, HistoryError> {
        for period in periods {
            let mut reading = self.open(*period, late_minutes, now);
            loop {
                match reading.next(budget).await? {
                    Step::Events(events) => events.iter().for_each(&mut each),
                    Step::End => break,
                    Step::OutOfTime => return Ok(false),
                }
            }
        }
        Ok(true)
    }
}

impl Reading {
    /// Reads the next page or file.
    pub async fn next(&mut self, budget: Option<Budget>) -> Result<Step, HistoryError> {
        if budget.is_some_and(|budget| budget.is_spent()) {
            return Ok(Step::OutOfTime);
        }
        match &mut self.0 {
            Steps::Pages(pages) => pages.next(budget).await,
            // Boxed, because the futures of an S3 client are large.
            Steps::Files(files) => Box::pin(files.next(budget)).await,
        }
    }

    /// Returns whether more pages follow. Pages are slow to read, and the first page shows how many
    /// there will be. Always returns `false` for a trail, because its files are fast to read.
    pub fn is_page_of_many(&self) -> bool {
        match &self.0 {
            Steps::Pages(pages) => pages.has_more(),
            Steps::Files(_) => false,
        }
    }
}
