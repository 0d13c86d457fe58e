//! Reads CloudTrail's Event history, page by page.
//!
//! LookupEvents is slow: a seller has measured 4 seconds for a page on average, and 35 at most. A
//! page that fails for a passing reason is requested again, at growing intervals, while there is
//! time.

use std::time::Duration;

use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::operation::lookup_events::LookupEventsOutput;
use aws_sdk_cloudtrail::primitives::DateTime;
use aws_sdk_cloudtrail::types::{LookupAttribute, LookupAttributeKey};
use jiff::Timestamp;
use marketplace::audit::{Event, Period};
use marketplace::limits::{LOOKUP_EVENTS_PAGE_MAX, LOOKUP_EVENTS_PER_SECOND};
use runtime::Budget;

use super::passing::{Answer, Failed, Pace, with_retries};
use super::{HistoryError, Step};

const OPERATION: &str = "LookupEvents";
/// The largest number of pages of one period. Our own choice: a period of ninety days at the quota
/// of BatchMeterUsage has 1.6 million.
const PAGES_MAX: u32 = 2_000_000;

/// The Event history of one account and Region.
#[derive(Debug, Clone)]
pub struct EventHistory {
    client: Client,
    pace: Pace,
}

/// A period that is being read.
pub(super) struct Pages {
    history: EventHistory,
    period: Period,
    token: Option<String>,
    pages: u32,
}

impl EventHistory {
    /// Makes the Event history that `client` reads, within the rate limit of LookupEvents.
    pub fn new(client: Client) -> Self {
        let pause = Duration::from_secs(1) / LOOKUP_EVENTS_PER_SECOND;
        Self {
            client,
            pace: Pace {
                before: pause,
                again: pause,
            },
        }
    }

    pub(super) fn without_pauses(self) -> Self {
        Self {
            pace: Pace::NONE,
            ..self
        }
    }

    pub(super) fn open(&self, period: Period) -> Pages {
        Pages {
            history: self.clone(),
            period,
            token: None,
            pages: 0,
        }
    }

    async fn ask(
        &self,
        period: Period,
        token: Option<String>,
    ) -> Result<LookupEventsOutput, Failed> {
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
            .start_time(DateTime::from_secs(period.from.as_second()))
            .end_time(DateTime::from_secs(period.to.as_second()))
            .max_results(LOOKUP_EVENTS_PAGE_MAX)
            .set_next_token(token);
        Box::pin(request.send()).await.map_err(Failed::from)
    }
}

impl Pages {
    pub(super) fn has_more(&self) -> bool {
        self.token.is_some()
    }

    pub(super) async fn next(&mut self, budget: Option<Budget>) -> Result<Step, HistoryError> {
        if self.pages > 0 && self.token.is_none() {
            return Ok(Step::End);
        }
        if self.pages == PAGES_MAX {
            return Err(HistoryError::Endless {
                operation: OPERATION,
            });
        }
        let request = || self.history.ask(self.period, self.token.clone());
        let answer = match with_retries(self.history.pace, budget, request).await {
            Answer::Done(answer) => answer,
            Answer::OutOfTime => return Ok(Step::OutOfTime),
            Answer::Failed { failed, tries } => {
                return Err(HistoryError::Unavailable {
                    operation: OPERATION,
                    code: failed.code,
                    tries,
                    message: failed.message,
                    advice: "the audit needs cloudtrail:LookupEvents with Resource \"*\" in the Region in which usage is metered".to_owned(),
                });
            }
        };
        let next = answer.next_token.filter(|next| !next.is_empty());
        if next.is_some() && next == self.token {
            return Err(HistoryError::Endless {
                operation: OPERATION,
            });
        }
        self.token = next;
        self.pages += 1;
        let events = answer.events.unwrap_or_default();
        Ok(Step::Events(events.iter().map(read).collect()))
    }
}

fn read(event: &aws_sdk_cloudtrail::types::Event) -> Event {
    let at = event
        .event_time()
        .and_then(|at| Timestamp::from_second(at.secs()).ok());
    match event.cloud_trail_event() {
        Some(text) => Event::read(text, at),
        None => Event::Unreadable {
            at: at.map(Period::at),
            problem: format!("event {} has no text", event.event_id().unwrap_or("?")),
        },
    }
}
