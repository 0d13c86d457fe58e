//! CloudTrail's Event history, page by page.
//!
//! LookupEvents is slow: a seller has measured 4 seconds a page on average and 35 at most. A page that
//! fails in passing is tried again, at longer and longer intervals, while there is time.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_cloudtrail::operation::lookup_events::{LookupEventsError, LookupEventsOutput};
use aws_sdk_cloudtrail::primitives::DateTime;
use aws_sdk_cloudtrail::types::{LookupAttribute, LookupAttributeKey};
use jiff::Timestamp;
use marketplace::audit::{Event, Span};
use marketplace::limits::{LOOKUP_EVENTS_PAGE_MAX, LOOKUP_EVENTS_PER_SECOND};
use startup::Budget;

/// Pages of one span. A span of ninety days at the quota of BatchMeterUsage has 1.6 million. Ours.
const PAGES_MAX: u32 = 2_000_000;
/// How often one page is asked for. Ours: the pauses between add up to half a minute.
const TRIES_MAX: u32 = 6;
/// Error codes of requests that may succeed when they are made again. CloudTrail names the first; the
/// others are common to all AWS APIs.
const PASSING: [&str; 8] = [
    "ThrottlingException",
    "ThrottledException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "InternalFailure",
    "ServiceUnavailable",
];

/// CloudTrail did not answer.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// LookupEvents was refused, or failed each time it was tried.
    #[error(
        "LookupEvents failed ({code}), tried {tries} times: {message}; the audit needs cloudtrail:LookupEvents with Resource \"*\" in the Region in which usage is metered"
    )]
    Unavailable {
        /// CloudTrail's error code, or the kind of failure.
        code: String,
        /// How often it was tried.
        tries: u32,
        /// Everything the SDK knows.
        message: String,
    },
    /// The pages do not come to an end.
    #[error(
        "LookupEvents repeats its NextToken, so the history cannot be read to its end; try again later"
    )]
    Endless,
}

/// The Event history of one account and Region.
#[derive(Debug, Clone)]
pub struct History {
    /// CloudTrail.
    pub client: Client,
    /// The pause before each request; before one that is made again, a multiple of it.
    pub pause: Duration,
}

/// A page of events, newest first, and where the next one begins.
pub struct Page {
    /// The events.
    pub events: Vec<Event>,
    /// `NextToken`.
    pub next: Option<String>,
}

impl History {
    /// Read at the pace that LookupEvents allows.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            pause: Duration::from_secs(1) / LOOKUP_EVENTS_PER_SECOND,
        }
    }

    /// One page of the calls of BatchMeterUsage in a span; `None` if the time ran out before it came.
    pub async fn page(
        &self,
        span: Span,
        token: Option<String>,
        budget: Option<Budget>,
    ) -> Result<Option<Page>, HistoryError> {
        let mut tries = 0;
        loop {
            if !self.pause.is_zero() {
                startup::run::pause(self.pause).await;
            }
            tries += 1;
            let asked = self.ask(span, token.clone());
            let answer = match budget {
                Some(budget) => match startup::run::within(budget, asked).await {
                    Some(answer) => answer,
                    None => return Ok(None),
                },
                None => asked.await,
            };
            let failed = match answer {
                Ok(answer) => return read_page(answer, token.as_deref()).map(Some),
                Err(failed) => failed,
            };
            let pause = self.pause_after(tries);
            let is_time = budget.is_none_or(|budget| pause < budget.left());
            if !failed.is_passing || tries >= TRIES_MAX || !is_time {
                return Err(HistoryError::Unavailable {
                    code: failed.code,
                    tries,
                    message: failed.message,
                });
            }
            tracing::warn!(
                code = failed.code,
                tries,
                "a page of the history did not come; it is asked for again"
            );
            startup::run::pause(pause).await;
        }
    }

    async fn ask(&self, span: Span, token: Option<String>) -> Result<LookupEventsOutput, Failed> {
        let by_name = LookupAttribute::builder()
            .attribute_key(LookupAttributeKey::EventName)
            .attribute_value("BatchMeterUsage")
            .build()
            .map_err(|error| Failed {
                code: "request not built".to_owned(),
                message: error.to_string(),
                is_passing: false,
            })?;
        let request = self
            .client
            .lookup_events()
            .lookup_attributes(by_name)
            .start_time(DateTime::from_secs(span.from.as_second()))
            .end_time(DateTime::from_secs(span.to.as_second()))
            .max_results(LOOKUP_EVENTS_PAGE_MAX)
            .set_next_token(token);
        Box::pin(request.send()).await.map_err(Failed::from)
    }

    /// Twice as long after each failure, less up to half of it by chance, so that several readers do
    /// not ask together again.
    fn pause_after(&self, tries: u32) -> Duration {
        let longest = self.pause.saturating_mul(1 << tries.min(TRIES_MAX));
        if longest.is_zero() {
            return longest;
        }
        let chance = RandomState::new().build_hasher().finish() % 512;
        let permille = 1024 - u32::try_from(chance).unwrap_or(0);
        longest.saturating_mul(permille) / 1024
    }

    /// Reads spans to their ends; `false` if the time ran out, and then nothing may be concluded.
    pub async fn read(
        &self,
        spans: &[Span],
        budget: Option<Budget>,
        mut each: impl FnMut(&Event),
    ) -> Result<bool, HistoryError> {
        for span in spans {
            let mut token = None;
            for page in 0.. {
                if page == PAGES_MAX {
                    return Err(HistoryError::Endless);
                }
                if budget.is_some_and(|budget| budget.is_spent()) {
                    return Ok(false);
                }
                let Some(page) = self.page(*span, token, budget).await? else {
                    return Ok(false);
                };
                page.events.iter().for_each(&mut each);
                token = page.next;
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(true)
    }
}

/// A request that did not come about.
struct Failed {
    code: String,
    message: String,
    is_passing: bool,
}

impl From<SdkError<LookupEventsError>> for Failed {
    fn from(error: SdkError<LookupEventsError>) -> Self {
        let (code, is_passing) = match &error {
            SdkError::TimeoutError(_) => ("timeout", true),
            SdkError::DispatchFailure(_) => ("connection failed", true),
            SdkError::ResponseError(_) => ("unreadable response", true),
            SdkError::ServiceError(answer) => {
                let code = answer.err().code().unwrap_or("no answer");
                let is_passing = answer.raw().status().is_server_error() || PASSING.contains(&code);
                (code, is_passing)
            }
            _ => ("request not built", false),
        };
        Self {
            code: code.to_owned(),
            is_passing,
            message: DisplayErrorContext(&error).to_string(),
        }
    }
}

fn read_page(answer: LookupEventsOutput, token: Option<&str>) -> Result<Page, HistoryError> {
    let next = answer.next_token.filter(|next| !next.is_empty());
    if next.is_some() && next.as_deref() == token {
        return Err(HistoryError::Endless);
    }
    let events = answer.events.unwrap_or_default();
    Ok(Page {
        events: events.iter().map(read).collect(),
        next,
    })
}

fn read(event: &aws_sdk_cloudtrail::types::Event) -> Event {
    let at = event
        .event_time()
        .and_then(|at| Timestamp::from_second(at.secs()).ok());
    match event.cloud_trail_event() {
        Some(text) => Event::read(text, at),
        None => Event::Unreadable {
            at,
            problem: format!("event {} has no text", event.event_id().unwrap_or("?")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_grow_and_differ_by_chance() {
        let config = aws_sdk_cloudtrail::Config::builder()
            .behavior_version(aws_sdk_cloudtrail::config::BehaviorVersion::latest())
            .build();
        let mut history = History::new(Client::from_conf(config));
        for tries in 1..=TRIES_MAX {
            let longest = Duration::from_millis(500) * 2_u32.pow(tries);
            for _ in 0..100 {
                let pause = history.pause_after(tries);
                assert!(
                    pause > longest / 2 && pause <= longest,
                    "{tries}: {pause:?}"
                );
            }
        }
        history.pause = Duration::ZERO;
        assert_eq!(history.pause_after(3), Duration::ZERO);
    }
}
