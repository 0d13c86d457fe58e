//! The time of the step that is being done, which may lie behind the emulator's clock.
//!
//! A developer moves the clock on by hours at once. What schedules and streams would have done in
//! those hours is done one after the other, each by the time it was due: an hour is sealed before the
//! next one is, and late usage is carried into the hour that ran when it came.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

/// A clock that stands until it is set.
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

    /// As the functions take it.
    pub fn to_clock(&self) -> startup::Clock {
        let clock = self.clone();
        startup::Clock::InProcess(Arc::new(move || clock.now()))
    }
}
