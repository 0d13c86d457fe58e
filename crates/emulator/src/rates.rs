//! Limits the rate of requests, as AWS does.
//!
//! Facts: M29, M53 (docs/marketplace-rules.md).

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

const SECOND: Duration = Duration::from_secs(1);

/// The calls of the last second, by operation and Region.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    recent: HashMap<(&'static str, String), VecDeque<(Timestamp, Instant)>>,
}

impl Rates {
    /// Whether the limit allows one more call. An allowed call is counted. A second is over as soon
    /// as it is over on the emulator's clock or on the real clock. Otherwise a frozen clock would
    /// throttle for ever, and a fast clock for hours of its own time.
    pub(crate) fn admit(
        &mut self,
        operation: &'static str,
        region: &str,
        per_second: u32,
        now: Timestamp,
    ) -> bool {
        let wall = Instant::now();
        let recent = self
            .recent
            .entry((operation, region.to_owned()))
            .or_default();
        recent.retain(|(at, instant)| {
            let emulated = now.duration_since(*at);
            emulated >= SignedDuration::ZERO
                && emulated < SignedDuration::from_secs(1)
                && wall.duration_since(*instant) < SECOND
        });
        let admitted = u32::try_from(recent.len()).is_ok_and(|count| count < per_second);
        if admitted {
            recent.push_back((now, wall));
        }
        admitted
    }
}
