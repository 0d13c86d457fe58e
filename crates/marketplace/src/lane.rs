//! What AWS Marketplace refuses whole: usage that fails again in every hour until somebody puts
//! it right.
//!
//! A request is refused because of one record in it, so the submitter remembers who was guilty and
//! keeps the next hour's records of the same lane away from their neighbours. What is remembered
//! decides only how records are grouped into requests and when they are sent. It never decides what
//! becomes of a record, so a lane that is lost or out of date costs calls and nothing else.

use jiff::{SignedDuration, Timestamp};

use crate::hour::shift;
use crate::ids::{Dimension, ProductCode};
use crate::subscription::Subscription;

/// Hours after which a lane that was not refused again is forgotten. Ours: usage that is refused now
/// and then is found again in the next refused request.
pub const LANE_KEPT_HOURS: i64 = 48;

/// Records that are refused for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// A dimension that the product does not have (any more).
    Dimension(ProductCode, Dimension),
    /// A dimension that one subscription's agreement does not have, or usage of it whose tags or
    /// allocations are refused.
    SubscriptionDimension(Subscription, Dimension),
    /// A subscription that AWS Marketplace takes no usage of.
    Subscription(Subscription),
}

/// A lane that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guilt {
    /// Which.
    pub lane: Lane,
    /// The error code of the refusal.
    pub code: String,
    /// When it was refused last.
    pub refused_at: Timestamp,
}

impl Guilt {
    /// Whether the refusal is too long ago to be remembered at `now`.
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
        let guilt = Guilt {
            lane: Lane::Dimension("code".parse().unwrap(), "gb".parse().unwrap()),
            code: "InvalidUsageDimensionException".to_owned(),
            refused_at,
        };
        let after = |hours| shift(refused_at, SignedDuration::from_hours(hours));
        assert!(!guilt.is_stale(refused_at) && !guilt.is_stale(after(48)));
        assert!(guilt.is_stale(after(49)));
    }
}
