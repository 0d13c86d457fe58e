//! The options of the demo.

use jiff::Timestamp;

use super::after;

/// The demo's first hour, 2026-11-02T00:00:00Z. It is early enough in its month that the longest
/// demo ends in the same month.
const START_SECOND: i64 = 1_793_577_600;

/// The faults that are injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FaultLevel {
    /// No faults are injected.
    #[default]
    None,
    /// Throttling, internal errors, unprocessed records, lost replies, repeated, reordered, dropped
    /// and delayed deliveries, and a submitter that is killed before or after some of its calls.
    Harsh,
}

/// The size of the day and the faults in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoOptions {
    /// The number of subscriptions, 1 to 1,000.
    pub subscriptions: u32,
    /// The number of hours with usage, 2 to 600.
    pub hours: u32,
    /// The number of usage events, 0 to 200,000, repeats not counted.
    pub events: u32,
    /// The seed of all random draws.
    pub seed: u64,
    /// The faults to inject. They do not change the drawn usage.
    pub faults: FaultLevel,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self {
            subscriptions: 20,
            hours: 24,
            events: 5_000,
            seed: 1,
            faults: FaultLevel::None,
        }
    }
}

/// A demo option outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{option} {value}: it must be {rule}")]
pub struct InvalidDemo {
    /// The name of the command-line option, without the dashes.
    pub option: &'static str,
    /// The value that was given.
    pub value: u32,
    /// The range that is allowed.
    pub rule: &'static str,
}

impl DemoOptions {
    /// Checks that all options are within their ranges.
    pub fn check(&self) -> Result<(), InvalidDemo> {
        for (option, value, least, most, rule) in [
            ("subscriptions", self.subscriptions, 1, 1_000, "1 to 1000"),
            (
                "hours",
                self.hours,
                2,
                600,
                "2 to 600, so that the day ends in the month it begins in",
            ),
            ("events", self.events, 0, 200_000, "0 to 200000"),
        ] {
            if !(least..=most).contains(&value) {
                return Err(InvalidDemo {
                    option,
                    value,
                    rule,
                });
            }
        }
        Ok(())
    }

    /// The start of the first hour.
    pub fn start(&self) -> Timestamp {
        Timestamp::from_second(START_SECOND).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The time at which usage ends.
    pub fn end(&self) -> Timestamp {
        after(self.start(), i64::from(self.hours) * 3_600)
    }
}
