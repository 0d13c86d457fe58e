//! Makes one call, at the pace of the quota. A repeated call waits first.

use marketplace::MeteringRecord;
use marketplace::answer::{Verdict, interpret};
use metering_api::CallError;

use crate::App;
use crate::queue::Attempt;

/// A call and its result: a verdict for each record, or the error of the whole request.
pub(crate) struct Exchange {
    pub attempt: Attempt,
    pub outcome: Result<Vec<Verdict>, CallError>,
}

/// Makes the call of an attempt, after its pause and at the pace of the quota.
pub(crate) async fn exchange(app: &App, attempt: Attempt) -> Exchange {
    pause_before(app, &attempt).await;
    let sent: Vec<&MeteringRecord> = attempt.batch.records.iter().collect();
    app.pace.turn().await;
    let answer = app
        .metering
        .batch_meter_usage(&attempt.batch.group, &sent)
        .await;
    let outcome = answer.map(|answer| interpret(&sent, &answer.results, &answer.unprocessed));
    Exchange { attempt, outcome }
}

/// Waits before a repeated call. The pause grows with each repetition, and it has jitter.
async fn pause_before(app: &App, attempt: &Attempt) {
    if attempt.tries > 0 {
        let base = app.pause.saturating_mul(1 << attempt.tries.min(6));
        runtime::run::pause(base / 1_000 * jitter_per_mille()).await;
    }
}

/// Returns a random factor from a half to one, in thousandths.
fn jitter_per_mille() -> u32 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let random = RandomState::new().build_hasher().finish();
    u32::try_from(500 + random % 501).unwrap_or(1_000)
}
