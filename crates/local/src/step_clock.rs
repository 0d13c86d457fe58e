//! The time of the current step, which may lie behind the emulator's clock.
//!
//! A developer may move the clock forward by hours at once. The work that schedules and streams
//! would have done in those hours is then done in order, each piece at the time it was due. So one
//! hour is sealed before the next one, and late usage is carried into the hour that was open when
//! it arrived.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

/// A clock that stands still until it is set.
#[derive(Clone)]
pub(crate) struct StepClock(Arc<Mutex<Timestamp>>);

impl StepClock {
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    pub fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// This clock in the form that the functions take.
    pub fn to_clock(&self) -> runtime::Clock {
        let clock = self.clone();
        runtime::Clock::InProcess(Arc::new(move || clock.now()))
    }
}
