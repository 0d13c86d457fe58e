//! Whose turn it is to send.
//!
//! The quota belongs to the account, so one invocation sends at a time (`ledger::sender`). A delivery
//! of the stream takes the turn only where it is free, and for less than a minute; otherwise its
//! records are left to the schedule, which is at most five minutes away. A sweep waits for a delivery
//! to end, and takes the turn for as long as it lasts.
//!
//! Without a pace (`SUBMIT_PER_SECOND=0`) there is nothing to share, and nobody takes turns.

use std::time::Duration;

use jiff::SignedDuration;
use ledger::sender::Turn;
use marketplace::hour::shift;
use startup::Budget;

use crate::{App, SubmitError};

/// How long a delivery sends at most.
pub(crate) const DELIVERY_TIME_MAX: Duration = Duration::from_secs(50);
/// How much longer than its work a turn lasts: calls that are under way then still end.
const TURN_RESERVE: Duration = Duration::from_secs(20);
/// Between two questions whether the turn is free.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(2);
/// How often a sweep asks: a little longer than a delivery's turn lasts.
const ASKED_MAX: u32 = 40;

/// Takes the turn until the budget's end, for an invocation named `holder`; `false` if another
/// invocation keeps it.
pub(crate) async fn take(
    app: &App,
    holder: &str,
    budget: Budget,
    waits: bool,
) -> Result<bool, SubmitError> {
    if !app.pace.is_kept() {
        return Ok(true);
    }
    for asked in 0..ASKED_MAX {
        let now = app.clock.now().await?;
        let lasts = SignedDuration::try_from(budget.left().saturating_add(TURN_RESERVE));
        let until = shift(now, lasts.unwrap_or(SignedDuration::ZERO));
        match app.ledger.take_turn(holder, now, until).await? {
            Turn::Taken => return Ok(true),
            Turn::Busy { until } => {
                let is_long = until.duration_since(now) > wait_max();
                if !waits || is_long || budget.is_spent() || asked + 1 == ASKED_MAX {
                    tracing::info!(%until, "another invocation sends");
                    return Ok(false);
                }
                startup::run::pause(ASKED_AGAIN_AFTER).await;
            }
        }
    }
    Ok(false)
}

/// The longest that a delivery's turn can still last; a longer one is another sweep's.
fn wait_max() -> SignedDuration {
    SignedDuration::try_from(DELIVERY_TIME_MAX.saturating_add(TURN_RESERVE))
        .unwrap_or(SignedDuration::ZERO)
}

/// Ends the turn. If that fails it ends by itself, so that is no failure of the invocation.
pub(crate) async fn end(app: &App, holder: &str) {
    if !app.pace.is_kept() {
        return;
    }
    if let Err(error) = app.ledger.end_turn(holder).await {
        tracing::warn!(%error, "the turn to send could not be given back; it ends by itself");
    }
}

/// A name that no other invocation has.
pub(crate) fn new_holder() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let part = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", part(), part())
}
