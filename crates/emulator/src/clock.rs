//! The emulator's clock: real time, compressed time or frozen time.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// A clock that starts at a moment and runs at a speed. Speed 0 means frozen.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    base: Timestamp,
    anchored: Instant,
    speed: f64,
}

impl Clock {
    pub(crate) fn new(now: Option<Timestamp>, speed: f64) -> Clock {
        Clock {
            base: now.unwrap_or_else(Timestamp::now),
            anchored: Instant::now(),
            speed: valid_speed(speed),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        if self.speed == 0.0 {
            return self.base;
        }
        let elapsed = self.anchored.elapsed().as_secs_f64() * self.speed;
        let elapsed = SignedDuration::try_from_secs_f64(elapsed).unwrap_or(SignedDuration::MAX);
        self.base.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn speed(&self) -> f64 {
        self.speed
    }

    /// Moves the clock, changes its speed, or both. `None` leaves the value as it is.
    pub(crate) fn set(&mut self, now: Option<Timestamp>, speed: Option<f64>) {
        self.base = now.unwrap_or_else(|| self.now());
        self.anchored = Instant::now();
        self.speed = speed.map_or(self.speed, valid_speed);
    }
}

/// Returns a speed that is finite and positive, and 0 (frozen) for anything else.
fn valid_speed(speed: f64) -> f64 {
    if speed.is_finite() && speed > 0.0 {
        speed
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_clock_stands_and_can_be_moved() {
        let noon: Timestamp = "2026-11-21T12:00:00Z".parse().expect("a timestamp");
        let mut clock = Clock::new(Some(noon), 0.0);
        assert_eq!(clock.now(), noon);
        let one: Timestamp = "2026-11-21T13:00:00Z".parse().expect("a timestamp");
        clock.set(Some(one), None);
        assert_eq!(clock.now(), one);
        assert_eq!(clock.speed(), 0.0);
    }

    #[test]
    fn a_compressed_clock_runs_ahead_of_its_start() {
        let noon: Timestamp = "2026-11-21T12:00:00Z".parse().expect("a timestamp");
        let clock = Clock::new(Some(noon), 3_600.0);
        assert!(clock.now() >= noon);
    }
}
