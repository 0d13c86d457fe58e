//! Lanes: groups of records that AWS Marketplace refuses in every hour until a person fixes the
//! cause.
//!
//! A request is refused because of one record in it. So the submitter remembers which lane that
//! record was in, and sends the next hour's records of the same lane apart from others. A
//! remembered lane decides only how records are grouped into requests and when they are sent. It
//! never decides the outcome of a record, so a lane that is lost or out of date only costs calls.

use jiff::{SignedDuration, Timestamp};

use crate::hour::shift;
use crate::ids::{Dimension, ProductCode};
use crate::subscription::Subscription;

/// Hours after which a lane that was not refused again is forgotten. The limit is this project's. A
/// lane that was forgotten too early is found again at its next refusal.
pub const LANE_KEPT_HOURS: i64 = 48;

/// A group of records that are refused for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// All records of a dimension that the product does not have (any more).
    Dimension(ProductCode, Dimension),
    /// One subscription's records of a dimension that its agreement does not have, or whose tags or
    /// allocations are refused.
    SubscriptionDimension(Subscription, Dimension),
    /// All records of a subscription for which AWS Marketplace accepts no usage.
    Subscription(Subscription),
}

/// A lane that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedLane {
    /// The lane whose record was refused.
    pub lane: Lane,
    /// The error code of the refusal.
    pub code: String,
    /// When a record of the lane was refused last.
    pub refused_at: Timestamp,
}

impl RefusedLane {
    /// Whether the last refusal is more than [`LANE_KEPT_HOURS`] ago at `now`.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        shift(self.refused_at, SignedDuration::from_hours(LANE_KEPT_HOURS)) < now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_forgotten_two_days_after_its_last_refusal() {
        let refused_at: Timestamp = "2026-11-21T02:00:00Z".parse().unwrap();
        let guilt = RefusedLane {
            lane: Lane::Dimension("code".parse().unwrap(), "gb".parse().unwrap()),
            code: "InvalidUsageDimensionException".to_owned(),
            refused_at,
        };
        let after = |hours| shift(refused_at, SignedDuration::from_hours(hours));
        assert!(!guilt.is_stale(refused_at) && !guilt.is_stale(after(48)));
        assert!(guilt.is_stale(after(49)));
    }
}
