//! Retries requests that failed for a passing reason, at growing intervals.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use aws_sdk_cloudtrail::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use runtime::Budget;

/// The largest number of times that one request is made. Our own choice: with LookupEvents the
/// pauses add up to half a minute.
pub(super) const TRIES_MAX: u32 = 6;
/// Error codes of requests that may succeed when they are made again. The first is CloudTrail's and
/// the last is S3's; the others are common to all AWS APIs.
const PASSING: [&str; 9] = [
    "ThrottlingException",
    "ThrottledException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "InternalFailure",
    "ServiceUnavailable",
    "SlowDown",
];

/// A request that failed.
pub(super) struct Failed {
    pub code: String,
    pub message: String,
    /// Whether the same request may succeed when it is made again.
    pub is_passing: bool,
}

/// The result of a request, after all its tries.
pub(super) enum Answer<T> {
    Done(T),
    Failed {
        failed: Failed,
        /// The number of times that the request was made.
        tries: u32,
    },
    OutOfTime,
}

/// The pauses between requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// The pause before each request.
    pub before: Duration,
    /// The unit of the pause before a request is made again: the pause doubles with each failure.
    pub again: Duration,
}

impl Pace {
    /// No pause between requests.
    pub const NONE: Self = Self {
        before: Duration::ZERO,
        again: Duration::ZERO,
    };
}

/// Makes a request until it is answered, fails for a lasting reason, has no tries left, or has no
/// time left.
pub(super) async fn with_retries<T, F>(
    pace: Pace,
    budget: Option<Budget>,
    mut request: impl FnMut() -> F,
) -> Answer<T>
where
    F: Future<Output = Result<T, Failed>>,
{
    let mut tries = 0;
    loop {
        runtime::run::pause(pace.before).await;
        tries += 1;
        let answer = match budget {
            Some(budget) => match runtime::run::within(budget, request()).await {
                Some(answer) => answer,
                None => return Answer::OutOfTime,
            },
            None => request().await,
        };
        let failed = match answer {
            Ok(answer) => return Answer::Done(answer),
            Err(failed) => failed,
        };
        let again = pause_after(pace.again, tries);
        let is_time = budget.is_none_or(|budget| again < budget.left());
        if !failed.is_passing || tries >= TRIES_MAX || !is_time {
            return Answer::Failed { failed, tries };
        }
        tracing::warn!(
            code = failed.code,
            tries,
            "reading a part of the history failed; it is requested again"
        );
        runtime::run::pause(again).await;
    }
}

/// The pause before the next try. It doubles with each failure. It is shortened by a random part of
/// up to a half, so that several readers do not repeat their requests at the same moment.
fn pause_after(pause: Duration, tries: u32) -> Duration {
    let longest = pause.saturating_mul(1 << tries.min(TRIES_MAX));
    if longest.is_zero() {
        return longest;
    }
    let chance = RandomState::new().build_hasher().finish() % 512;
    let permille = 1024 - u32::try_from(chance).unwrap_or(0);
    longest.saturating_mul(permille) / 1024
}

/// Classifies the SDK's error of any operation.
impl<E> From<SdkError<E>> for Failed
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    fn from(error: SdkError<E>) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_grow_and_differ_by_chance() {
        let pause = Duration::from_millis(500);
        for tries in 1..=TRIES_MAX {
            let longest = pause * 2_u32.pow(tries);
            for _ in 0..100 {
                let pause = pause_after(pause, tries);
                assert!(
                    pause > longest / 2 && pause <= longest,
                    "{tries}: {pause:?}"
                );
            }
        }
        assert_eq!(pause_after(Duration::ZERO, 3), Duration::ZERO);
    }
}
