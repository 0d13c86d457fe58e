//! CloudTrail's events of BatchMeterUsage, from one of two sources.
//!
//! # Layout
//! * `event_history`: LookupEvents, page by page, at the pace that it allows
//! * `trail`: the files of a trail in S3, several at a time
//! * `folder`: the names of a trail's folders and files, and the times in them
//! * `file`: one file, decompressed and read event by event
//! * `passing`: requests that are made again, because they fail in passing
//!
//! Both sources are read in steps: a page, or a file. Pages come newest first and files oldest first,
//! and neither is promised to be in order, so no reader may depend on it.

mod event_history;
mod file;
mod folder;
mod passing;
mod trail;

use jiff::Timestamp;
use marketplace::audit::{Event, Source, Span};
use startup::trail::TrailPlace;
use startup::{Budget, Env, SettingError, clients};

pub use event_history::EventHistory;
use event_history::Pages;
use trail::Files;
pub use trail::Trail;

/// Minutes after its end for which a trail is looked through for the events of a span, where what is
/// not found yet is looked for again later. AWS says that an event is in a file after five minutes on
/// average. Ours.
pub(super) const SOON: i64 = 60;
/// The same where a conclusion is drawn from what is not found. A record that is concluded to be
/// unbilled is compared again three days later, and must then find what came in those three days. Ours.
pub(super) const LATE: i64 = 96 * 60;

/// The events could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A request was refused, or failed each time it was made.
    #[error("{operation} failed ({code}), tried {tries} times: {message}; {advice}")]
    Unavailable {
        /// What was asked for.
        operation: &'static str,
        /// The error code, or the kind of failure.
        code: String,
        /// How often it was tried.
        tries: u32,
        /// Everything the SDK knows.
        message: String,
        /// What the audit needs.
        advice: String,
    },
    /// A trail without files shows nothing: its place is wrong, or it is new.
    #[error(
        "there is no file of a trail in s3://{bucket}/{folder}; check the bucket, its prefix, the account and the Region, and that the trail is logging"
    )]
    NoFiles {
        /// The bucket.
        bucket: String,
        /// The folder of the account and Region.
        folder: String,
    },
    /// The pages do not come to an end.
    #[error(
        "{operation} repeats its token for the next page, so the history cannot be read to its end; try again later"
    )]
    Endless {
        /// What was asked for.
        operation: &'static str,
    },
}

/// Where the events of one account and Region are read.
#[derive(Debug, Clone)]
pub enum History {
    /// CloudTrail's Event history.
    Events(EventHistory),
    /// The files of a trail in S3.
    Trail(Trail),
}

/// One step of a reading.
pub(super) enum Step {
    /// Some events of the span, perhaps none.
    Events(Vec<Event>),
    /// There are no more.
    End,
    /// The time ran out: nothing may be concluded from what was not read.
    OutOfTime,
}

/// A span that is being read.
pub(super) enum Reading {
    Pages(Pages),
    Files(Box<Files>),
}

impl History {
    /// The trail that `AUDIT_BUCKET` and so on name; the Event history where it is not set.
    pub async fn from_env(env: &Env) -> Result<Self, SettingError> {
        Ok(match TrailPlace::from_env(env)? {
            Some(place) => Self::Trail(Trail::new(clients::s3(env).await?, place)),
            None => Self::Events(EventHistory::new(clients::cloudtrail(env).await?)),
        })
    }

    /// Which of the two it is.
    pub fn source(&self) -> Source {
        match self {
            Self::Events(_) => Source::EventHistory,
            Self::Trail(_) => Source::Trail,
        }
    }

    /// The same without any pause between requests, for stand-ins that answer as often as they are
    /// asked.
    #[must_use]
    pub fn without_pauses(self) -> Self {
        match self {
            Self::Events(events) => Self::Events(events.without_pauses()),
            Self::Trail(trail) => Self::Trail(trail.without_pauses()),
        }
    }

    /// What of the source could not be read since this was asked last, in words, though something could.
    pub(super) fn take_unreadable(&self) -> Option<String> {
        match self {
            Self::Events(_) => None,
            Self::Trail(trail) => trail.take_unreadable(),
        }
    }

    /// Begins to read a span at `now`. `late_minutes` is how long after its end a trail is looked through
    /// for events of the span; the Event history has each event where its time says.
    pub(super) fn open(&self, span: Span, late_minutes: i64, now: Timestamp) -> Reading {
        match self {
            Self::Events(events) => Reading::Pages(events.open(span)),
            Self::Trail(trail) => Reading::Files(Box::new(trail.open(span, late_minutes, now))),
        }
    }

    /// Reads spans to their ends; `false` if the time ran out, and then nothing may be concluded.
    pub(super) async fn read(
        &self,
        spans: &[Span],
        late_minutes: i64,
        now: Timestamp,
        budget: Option<Budget>,
        mut each: impl FnMut(&Event),
    ) -> Result<bool, HistoryError> {
        for span in spans {
            let mut reading = self.open(*span, late_minutes, now);
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
    /// The next step.
    pub async fn next(&mut self, budget: Option<Budget>) -> Result<Step, HistoryError> {
        if budget.is_some_and(|budget| budget.is_spent()) {
            return Ok(Step::OutOfTime);
        }
        match self {
            Self::Pages(pages) => pages.next(budget).await,
            // Boxed, because the futures of an S3 client are large.
            Self::Files(files) => Box::pin(files.next(budget)).await,
        }
    }

    /// Whether what was read so far is a page of many, which are slow, so that the first says how long
    /// the others will take. A span of a trail is read in one piece.
    pub fn is_page_of_many(&self) -> bool {
        match self {
            Self::Pages(pages) => pages.has_more(),
            Self::Files(_) => false,
        }
    }
}
