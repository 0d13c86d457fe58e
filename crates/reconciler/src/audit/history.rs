//! CloudTrail's Event history, page by page.

use std::time::Duration;

use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_cloudtrail::primitives::DateTime;
use aws_sdk_cloudtrail::types::{LookupAttribute, LookupAttributeKey};
use jiff::Timestamp;
use marketplace::audit::{Event, Span};
use marketplace::limits::{LOOKUP_EVENTS_PAGE_MAX, LOOKUP_EVENTS_PER_SECOND};
use startup::Budget;

/// Pages of one span. A span of ninety days at the quota of BatchMeterUsage has 1.6 million. Ours.
const PAGES_MAX: u32 = 2_000_000;

/// CloudTrail did not answer.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// LookupEvents was refused or failed, after the SDK's own retries.
    #[error(
        "LookupEvents failed ({code}): {message}; the audit needs cloudtrail:LookupEvents with Resource \"*\" in the Region in which usage is metered"
    )]
    Unavailable {
        /// CloudTrail's error code, or the kind of failure.
        code: String,
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
    /// The pause before each request.
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

    /// One page of the calls of BatchMeterUsage in a span.
    pub async fn page(&self, span: Span, token: Option<String>) -> Result<Page, HistoryError> {
        if !self.pause.is_zero() {
            startup::run::pause(self.pause).await;
        }
        let by_name = LookupAttribute::builder()
            .attribute_key(LookupAttributeKey::EventName)
            .attribute_value("BatchMeterUsage")
            .build()
            .map_err(|error| HistoryError::Unavailable {
                code: "request not built".to_owned(),
                message: error.to_string(),
            })?;
        let request = self
            .client
            .lookup_events()
            .lookup_attributes(by_name)
            .start_time(DateTime::from_secs(span.from.as_second()))
            .end_time(DateTime::from_secs(span.to.as_second()))
            .max_results(LOOKUP_EVENTS_PAGE_MAX)
            .set_next_token(token.clone());
        let answer = Box::pin(request.send())
            .await
            .map_err(|error| HistoryError::Unavailable {
                code: error.code().unwrap_or("no answer").to_owned(),
                message: DisplayErrorContext(&error).to_string(),
            })?;
        let next = answer.next_token.filter(|next| !next.is_empty());
        if next.is_some() && next == token {
            return Err(HistoryError::Endless);
        }
        let events = answer.events.unwrap_or_default();
        Ok(Page {
            events: events.iter().map(read).collect(),
            next,
        })
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
                let page = self.page(*span, token).await?;
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
