//! Runs the schedules, streams and lifecycle events that are due when the stack's clock moves.

use jiff::{SignedDuration, Timestamp};
use runtime::{Budget, INVOCATION_TIME};
use serde_json::json;

use super::{Stack, StackError};
use crate::pump::WINDOW_MAX;
use crate::set_back;

/// The longest step of the clock. Streams are polled at least this often.
const STEP: SignedDuration = SignedDuration::from_secs(60);

/// The longest time that is caught up on step by step after the clock was moved forward. It ends at
/// the present. Usage that was reported before the move is sent within AWS Marketplace's window,
/// even if the clock was moved further than this.
const CATCH_UP_MAX: SignedDuration = SignedDuration::from_hours(6);

/// The intervals of the schedules in `template.yaml`.
const SEALER_EVERY: SignedDuration = SignedDuration::from_mins(5);
const SWEEP_EVERY: SignedDuration = SignedDuration::from_mins(5);
const RECONCILER_EVERY: SignedDuration = SignedDuration::from_hours(1);

impl Stack {
    /// The time at which something is due next, one minute from now at the latest.
    pub fn next_due(&self) -> Timestamp {
        let now = self.emulator.now();
        let latest = now.checked_add(STEP).unwrap_or(now);
        self.due_after(now).min(latest).max(now)
    }

    /// The time after `now` at which the next schedule fires or the next stream has something to
    /// do.
    fn due_after(&self, now: Timestamp) -> Timestamp {
        [self.next_seal, self.next_sweep, self.next_reconcile]
            .into_iter()
            .chain(self.usage_stream.next_due(now))
            .chain(self.record_stream.next_due(now))
            .min()
            .unwrap_or(now)
    }

    /// Moves a frozen clock to `until`, stopping at everything that is due on the way.
    pub async fn run_until(&mut self, until: Timestamp) -> Result<(), StackError> {
        loop {
            self.step().await?;
            let now = self.emulator.now();
            if now >= until {
                return Ok(());
            }
            let at_least = now
                .checked_add(SignedDuration::from_secs(1))
                .unwrap_or(until);
            self.emulator
                .set_clock(Some(self.next_due().max(at_least).min(until)), None);
        }
    }

    /// Does everything that is due now: lifecycle events, stream batches and schedules.
    pub async fn step(&mut self) -> Result<(), StackError> {
        self.step_at(self.emulator.now()).await
    }

    /// Does the first thing that was due since the last step, at the time at which it was due.
    /// Returns `true` once nothing is left and the present is done as well. If more time has
    /// passed, only the last six hours are caught up on.
    pub async fn catch_up(&mut self) -> Result<bool, StackError> {
        let now = self.emulator.now();
        let earliest = now.checked_sub(CATCH_UP_MAX).unwrap_or(now);
        let from = self.step_clock.now().max(earliest);
        // The step is at least one second later, so that a failing step that is due again at once
        // does not block progress.
        let on = from
            .checked_add(SignedDuration::from_secs(1))
            .unwrap_or(now);
        let due = self.due_after(from).max(on);
        self.step_at(due.min(now)).await?;
        Ok(due >= now)
    }

    async fn step_at(&mut self, now: Timestamp) -> Result<(), StackError> {
        if now < self.step_clock.now() {
            // Everything is due at once. Otherwise the schedules would wait for the time from which
            // the clock was set back.
            self.next_seal = now;
            self.next_sweep = now;
            self.next_reconcile = now;
            let due = self.functions.sealer.schedule.latest_due(now);
            set_back::forget_progress(self.functions.ledger(), &self.dynamodb, due).await?;
        }
        self.step_clock.set(now);
        self.product_setup
            .bring_up_to_date()
            .await
            .map_err(StackError::failed)?;
        self.deliver_lifecycle().await;
        self.poll_streams(now).await?;
        if now >= self.next_seal && !self.is_set_back(now) {
            self.next_seal = next_tick(now, SEALER_EVERY);
            let result = sealer::handle(&self.functions.sealer, Budget::of(INVOCATION_TIME)).await;
            self.count_invocation("sealer", &result);
        }
        if now >= self.next_sweep && !self.is_set_back(now) {
            self.next_sweep = next_tick(now, SWEEP_EVERY);
            let answer = self.functions.submit(json!({}), &self.crashes).await;
            self.count_invocation("submitter", &answer);
        }
        if now >= self.next_reconcile && !self.is_set_back(now) {
            self.next_reconcile = next_tick(now, RECONCILER_EVERY);
            let result =
                reconciler::handle(&self.functions.reconciler, Budget::of(INVOCATION_TIME)).await;
            self.count_invocation("reconciler", &result);
            self.dynamodb.sweep_ttl().map_err(StackError::failed)?;
        }
        self.poll_streams(now).await
    }

    /// Returns whether the clock was set back during the step of `now`. Usage that has arrived
    /// since then belongs to the earlier time. A schedule that ran now would seal hours that are
    /// still in the future. The next step notices the change before it runs any schedule.
    fn is_set_back(&self, now: Timestamp) -> bool {
        self.emulator.now() < now
    }

    /// Delivers the records that streams have gathered, whether or not their batching window has
    /// closed. It is for a clock that stands still, on which no window ever closes.
    pub async fn close_windows(&mut self) -> Result<(), StackError> {
        let now = self.emulator.now();
        // A stream that is polled after the longest batching window delivers all waiting records.
        self.poll_streams(now.checked_add(WINDOW_MAX).unwrap_or(now))
            .await
    }

    async fn poll_streams(&mut self, now: Timestamp) -> Result<(), StackError> {
        let functions = &self.functions;
        let crashes = &self.crashes;
        let late = self
            .usage_stream
            .poll(now, &self.dynamodb, |event| {
                functions.invoke_late_usage(event)
            })
            .await
            .map_err(StackError::failed)?;
        let sent = self
            .record_stream
            .poll(now, &self.dynamodb, |event| {
                functions.submit(event, crashes)
            })
            .await
            .map_err(StackError::failed)?;
        for (name, outcome) in [("late-usage", late), ("submitter", sent)] {
            *self.counts.invocations.entry(name.to_owned()).or_default() +=
                u64::from(outcome.invocations);
            if outcome.failures > 0 {
                *self.counts.failures.entry(name.to_owned()).or_default() +=
                    u64::from(outcome.failures);
            }
            self.counts.delivery_faults +=
                (outcome.dropped + outcome.repeated + outcome.reordered + outcome.delayed) as u64;
        }
        Ok(())
    }

    pub(super) fn count_invocation<T, E: std::fmt::Display>(
        &mut self,
        function: &str,
        result: &Result<T, E>,
    ) {
        *self
            .counts
            .invocations
            .entry(function.to_owned())
            .or_default() += 1;
        if let Err(error) = result {
            tracing::warn!(function, %error, "an invocation failed");
            *self.counts.failures.entry(function.to_owned()).or_default() += 1;
        }
    }
}

/// The next multiple of `every` after `now`, as the rate schedules of EventBridge fire.
fn next_tick(now: Timestamp, every: SignedDuration) -> Timestamp {
    let every = every.as_secs().max(1);
    let next = (now.as_second().div_euclid(every) + 1).saturating_mul(every);
    Timestamp::from_second(next).unwrap_or(Timestamp::MAX)
}
