//! The turn to send: one invocation sends at a time.
//!
//! The quota belongs to the account, so one invocation sends at a time (`ledger::sender`). A
//! delivery of the stream takes the turn only if it is free, and for less than a minute. Otherwise
//! it leaves its records to the next sweep, which begins within five minutes. A sweep waits until a
//! delivery ends, and then takes the turn for its own duration.
//!
//! Without a pace (`SUBMIT_PER_SECOND=0`) there is no quota to share, and no invocation takes
//! turns.

use std::time::Duration;

use jiff::SignedDuration;
use ledger::sender::Turn;
use marketplace::hour::shift;
use runtime::{Budget, InvocationError};

use crate::App;

/// The longest time that a delivery may send.
pub(crate) const DELIVERY_TIME_MAX: Duration = Duration::from_secs(50);
/// The time by which a turn outlasts the invocation's budget, so that calls under way can end.
const TURN_RESERVE: Duration = Duration::from_secs(20);
/// The time by which the clocks of two invocations may differ. The number is this project's.
const CLOCK_MARGIN: Duration = Duration::from_secs(10);
/// The pause of a sweep before it asks again whether the turn is free.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The number of times that a sweep asks. In total it waits a little longer than a delivery's turn
/// lasts.
const POLLS_MAX: u32 = 45;

/// Takes the turn for the invocation `holder`, until its budget ends. Returns `false` if another
/// invocation has the turn. With `waits`, it first waits for that invocation to end, unless that
/// invocation is a sweep.
pub(crate) async fn take(
    app: &App,
    holder: &str,
    budget: Budget,
    waits: bool,
) -> Result<bool, InvocationError> {
    if !app.pace.is_kept() {
        return Ok(true);
    }
    for asked in 0..POLLS_MAX {
        let now = app.clock.now().await?;
        let lasts = SignedDuration::try_from(budget.left().saturating_add(TURN_RESERVE));
        let until = shift(now, lasts.unwrap_or(SignedDuration::ZERO));
        match app.ledger.take_turn(holder, now, until).await? {
            Turn::Taken => return Ok(true),
            Turn::Busy { until } => {
                let is_long = until.duration_since(now) > wait_max();
                if !waits || is_long || budget.is_spent() || asked + 1 == POLLS_MAX {
                    tracing::info!(%until, "another invocation has the turn to send");
                    return Ok(false);
                }
                runtime::run::pause(POLL_INTERVAL).await;
            }
        }
    }
    Ok(false)
}

/// The longest time that a delivery's turn can still last, by this invocation's clock. A turn that
/// lasts longer belongs to a sweep.
fn wait_max() -> SignedDuration {
    let lasts = DELIVERY_TIME_MAX
        .saturating_add(TURN_RESERVE)
        .saturating_add(CLOCK_MARGIN);
    SignedDuration::try_from(lasts).unwrap_or(SignedDuration::ZERO)
}

/// Gives the turn back. A failure does not fail the invocation, because the turn expires.
pub(crate) async fn end(app: &App, holder: &str) {
    if !app.pace.is_kept() {
        return;
    }
    if let Err(error) = app.ledger.end_turn(holder).await {
        tracing::warn!(%error, "the turn to send could not be given back; it expires by itself");
    }
}

/// Makes a random name for an invocation.
pub(crate) fn new_holder() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let part = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", part(), part())
}
