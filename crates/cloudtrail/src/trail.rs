//! Reads the files of a trail in S3.
//!
//! A trail writes most events into a file within minutes, and some of them hours later. It promises
//! neither an order nor that an event is written only once. So all files that were made from
//! shortly before a period until long after it are read for the period's events. The time in an
//! event decides whether the event lies in the period.
//!
//! # Gaps from which nothing is concluded
//! * A file that cannot be read counts as one unreadable event. Its time is the period from which
//!   the file can have events. The log names the file, and the report says how many such files
//!   there are.
//! * The time before the first file of the bucket counts as an unreadable event as well. The trail
//!   may not have existed then, or older files may have been deleted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_s3::Client;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use marketplace::audit::{Event, Period, Source};
use marketplace::hour::shift;
use marketplace::limits::TRAIL_OBJECT_BYTES_MAX;
use runtime::Budget;
use runtime::trail::TrailPlace;

use super::passing::{Answer, Failed, Pace, with_retries};
use super::{HistoryError, LATE, Step, file, folder};

const LIST: &str = "ListObjectsV2";
const GET: &str = "GetObject";
/// The number of files that are fetched at the same time. They are read in the order of their
/// names. Our own choice.
const FILES_AT_ONCE: usize = 8;
/// The number of minutes before a period from which its files are read, because clocks differ. Our
/// own choice.
const MARGIN_MINUTES: i64 = 15;
/// The number of keys that are examined to find the first file of a trail, because its folder may
/// have other objects. Our own choice.
const FIRST_KEYS: i32 = 5;
/// The largest number of unreadable files whose names are kept for the report. Our own choice.
const UNREADABLE_KEPT_MAX: usize = 1_000;
/// The unit of the pauses before a request is made again. Our own choice.
const PAUSE: Duration = Duration::from_millis(100);

/// The files of a trail for one account and Region.
#[derive(Debug, Clone)]
pub struct Trail {
    client: Client,
    place: TrailPlace,
    pace: Pace,
    /// Keys of files that could not be read, with the reason, since the last report.
    unreadable: Arc<Mutex<BTreeMap<String, String>>>,
}

/// The key of a file that will be read.
struct Key {
    name: String,
    size_bytes: i64,
}

/// One page of the list of a day's files, and the token of the next page.
struct Page {
    keys: Vec<Key>,
    next: Option<String>,
}

/// The result of fetching a file.
enum Fetched {
    Events(Vec<Event>),
    OutOfTime,
    Failed(HistoryError),
}

/// A period that is being read.
pub(super) struct Files {
    trail: Trail,
    period: Period,
    /// Files that were made later than this are not read.
    until: Timestamp,
    is_begun: bool,
    day: Option<Date>,
    last_day: Date,
    /// The key after which the list of the day begins; `None` after its first page.
    start_after: Option<String>,
    /// The token of the next page of that list.
    token: Option<String>,
    keys: VecDeque<Key>,
    fetching: FuturesOrdered<BoxFuture<'static, Fetched>>,
}

impl Trail {
    /// Makes the trail whose files are at `place`.
    pub fn new(client: Client, place: TrailPlace) -> Self {
        Self {
            client,
            place,
            pace: Pace {
                before: Duration::ZERO,
                again: PAUSE,
            },
            unreadable: Arc::default(),
        }
    }

    pub(super) fn without_pauses(self) -> Self {
        Self {
            pace: Pace::NONE,
            ..self
        }
    }

    pub(super) fn open(&self, period: Period, late_minutes: i64, now: Timestamp) -> Files {
        let minutes = |time, minutes| shift(time, SignedDuration::from_mins(minutes));
        let from = minutes(period.from, -MARGIN_MINUTES).max(Source::Trail.oldest(now));
        let until = minutes(period.to, late_minutes).min(now);
        let (day, last_day) = (folder::day_of(from), folder::day_of(until));
        Files {
            period,
            until,
            is_begun: false,
            day: (day <= last_day).then_some(day),
            last_day,
            start_after: Some(folder::before_files_of(&self.place, from)),
            token: None,
            keys: VecDeque::new(),
            fetching: FuturesOrdered::new(),
            trail: self.clone(),
        }
    }

    /// Returns when the oldest file in the bucket was made; `None` if the time ran out.
    async fn begins(&self, budget: Option<Budget>) -> Result<Option<Timestamp>, HistoryError> {
        let prefix = format!("{}/", self.place.folder);
        let request = || self.list(prefix.clone(), None, None, Some(FIRST_KEYS));
        let Some(page) = self.listed(with_retries(self.pace, budget, request).await)? else {
            return Ok(None);
        };
        let first = page.keys.iter().find_map(|key| folder::time_of(&key.name));
        first.map(Some).ok_or_else(|| HistoryError::NoFiles {
            bucket: self.place.bucket.clone(),
            folder: self.place.folder.clone(),
        })
    }

    /// Describes the files that could not be read since the last call of this function; `None` if
    /// there are none.
    pub(super) fn take_unreadable(&self) -> Option<String> {
        let files = std::mem::take(&mut *self.files_unreadable());
        let (name, problem) = files.first_key_value()?;
        let (bucket, count) = (&self.place.bucket, files.len());
        Some(format!(
            "the trail has files that cannot be read ({count}), and the first is s3://{bucket}/{name}: {problem}; nothing is concluded about calls that they may have"
        ))
    }

    fn files_unreadable(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        let lock = self.unreadable.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }

    async fn list(
        &self,
        prefix: String,
        start_after: Option<String>,
        token: Option<String>,
        keys_max: Option<i32>,
    ) -> Result<Page, Failed> {
        let request = self
            .client
            .list_objects_v2()
            .bucket(&self.place.bucket)
            .prefix(prefix)
            .set_start_after(start_after)
            .set_continuation_token(token)
            .set_max_keys(keys_max);
        let answer = Box::pin(request.send()).await.map_err(Failed::from)?;
        let next = match answer.is_truncated() {
            Some(true) => answer.next_continuation_token,
            _ => None,
        };
        let keys = answer.contents.unwrap_or_default().into_iter();
        let keys = keys.filter_map(|object| {
            Some(Key {
                size_bytes: object.size.unwrap_or(0),
                name: object.key?,
            })
        });
        Ok(Page {
            keys: keys.collect(),
            next,
        })
    }

    fn listed(&self, answer: Answer<Page>) -> Result<Option<Page>, HistoryError> {
        match answer {
            Answer::Done(page) => Ok(Some(page)),
            Answer::OutOfTime => Ok(None),
            Answer::Failed { failed, tries } => Err(self.unavailable(LIST, failed, tries)),
        }
    }

    fn unavailable(&self, operation: &'static str, failed: Failed, tries: u32) -> HistoryError {
        let TrailPlace { bucket, folder, .. } = &self.place;
        HistoryError::Unavailable {
            operation,
            code: failed.code,
            tries,
            message: failed.message,
            advice: format!(
                "the audit needs s3:ListBucket on {bucket}, s3:GetObject on {bucket}/{folder}/*, and kms:Decrypt where the trail encrypts with a KMS key"
            ),
        }
    }

    /// Fetches a file and reads the events of the wanted period in it.
    async fn fetch(self, key: Key, wanted: Period, budget: Option<Budget>) -> Fetched {
        if budget.is_some_and(|budget| budget.is_spent()) {
            return Fetched::OutOfTime;
        }
        if key.size_bytes > TRAIL_OBJECT_BYTES_MAX {
            let problem = format!(
                "it has {} bytes, but a file of more than {TRAIL_OBJECT_BYTES_MAX} bytes is not fetched",
                key.size_bytes
            );
            return self.unreadable(&key, wanted, &problem);
        }
        let gzipped = match with_retries(self.pace, budget, || self.get(&key.name)).await {
            Answer::Done(gzipped) => gzipped,
            Answer::OutOfTime => return Fetched::OutOfTime,
            Answer::Failed { failed, tries } if failed.is_passing => {
                return Fetched::Failed(self.unavailable(GET, failed, tries));
            }
            Answer::Failed { failed, .. } => {
                let problem = format!("{}: {}", failed.code, failed.message);
                return self.unreadable(&key, wanted, &problem);
            }
        };
        match file::read(&gzipped, wanted, period_of(&key, wanted)) {
            Ok(events) => Fetched::Events(events),
            Err(problem) => self.unreadable(&key, wanted, &problem),
        }
    }

    async fn get(&self, key: &str) -> Result<Vec<u8>, Failed> {
        let request = self.client.get_object().bucket(&self.place.bucket).key(key);
        let answer = Box::pin(request.send()).await.map_err(Failed::from)?;
        let body = answer.body.collect().await.map_err(|error| Failed {
            code: "answer broke off".to_owned(),
            message: error.to_string(),
            is_passing: true,
        })?;
        Ok(body.to_vec())
    }

    /// Reports a file that cannot be read, and makes it an unreadable event, so that nothing is
    /// concluded about the calls that it may have.
    fn unreadable(&self, key: &Key, wanted: Period, problem: &str) -> Fetched {
        let (bucket, name) = (&self.place.bucket, &key.name);
        let mut known = self.files_unreadable();
        // Each file is logged once, even if it is read several times.
        if known.len() < UNREADABLE_KEPT_MAX
            && known.insert(name.clone(), problem.to_owned()).is_none()
        {
            tracing::error!(
                bucket,
                key = name,
                problem,
                "a file of the trail cannot be read; nothing is concluded about calls that it may have"
            );
        }
        drop(known);
        let period = period_of(key, wanted);
        if !wanted.overlaps(period) {
            return Fetched::Events(Vec::new());
        }
        Fetched::Events(vec![Event::Unreadable {
            at: Some(period),
            problem: format!("s3://{bucket}/{name}: {problem}"),
        }])
    }
}

/// Returns the period from which a file can have events. A file without a time in its name can have
/// events from the whole wanted period.
fn period_of(key: &Key, wanted: Period) -> Period {
    match folder::time_of(&key.name) {
        Some(made) => Period {
            from: shift(made, SignedDuration::from_mins(-LATE)),
            // The name gives only the minute, and clocks differ.
            to: shift(made, SignedDuration::from_mins(MARGIN_MINUTES)),
        },
        None => wanted,
    }
}

impl Files {
    pub(super) async fn next(&mut self, budget: Option<Budget>) -> Result<Step, HistoryError> {
        if !self.is_begun {
            let Some(begins) = self.trail.begins(budget).await? else {
                return Ok(Step::OutOfTime);
            };
            self.is_begun = true;
            if let Some(before) = self.before(begins) {
                return Ok(Step::Events(vec![before]));
            }
        }
        loop {
            while self.fetching.len() < FILES_AT_ONCE
                && let Some(key) = self.keys.pop_front()
            {
                let fetch = self.trail.clone().fetch(key, self.period, budget);
                self.fetching.push_back(Box::pin(fetch));
            }
            match self.fetching.next().await {
                Some(Fetched::Events(events)) => return Ok(Step::Events(events)),
                Some(Fetched::OutOfTime) => return Ok(Step::OutOfTime),
                Some(Fetched::Failed(error)) => return Err(error),
                None => {}
            }
            let Some(day) = self.day else {
                return Ok(Step::End);
            };
            if !self.list(day, budget).await? {
                return Ok(Step::OutOfTime);
            }
        }
    }

    /// Returns the part of the period before the first file of the bucket, as an unreadable event;
    /// `None` if there is no such part.
    fn before(&self, begins: Timestamp) -> Option<Event> {
        let TrailPlace { bucket, folder, .. } = &self.trail.place;
        (begins > self.period.from).then(|| Event::Unreadable {
            at: Some(Period {
                from: self.period.from,
                to: begins.min(self.period.to),
            }),
            problem: format!("the first file in s3://{bucket}/{folder} was made at {begins}"),
        })
    }

    /// Lists a page of a day's files. Returns `false` if the time ran out.
    async fn list(&mut self, day: Date, budget: Option<Budget>) -> Result<bool, HistoryError> {
        let trail = &self.trail;
        let prefix = folder::of_day(&trail.place, day);
        let request = || {
            let (start_after, token) = (self.start_after.clone(), self.token.clone());
            trail.list(prefix.clone(), start_after, token, None)
        };
        let Some(page) = trail.listed(with_retries(trail.pace, budget, request).await)? else {
            return Ok(false);
        };
        if page.next.is_some() && page.next == self.token {
            return Err(HistoryError::Endless { operation: LIST });
        }
        let is_later = |key: &Key| folder::time_of(&key.name).is_some_and(|made| made > self.until);
        // The names are in the order of their times.
        let is_over = page.keys.last().is_some_and(is_later);
        let is_file = |key: &Key| key.name.ends_with(".json.gz") && !is_later(key);
        self.keys.extend(page.keys.into_iter().filter(is_file));
        self.start_after = None;
        self.token = page.next.filter(|_| !is_over);
        if self.token.is_none() {
            self.day = folder::next_day(day).filter(|next| *next <= self.last_day);
        }
        Ok(true)
    }
}
