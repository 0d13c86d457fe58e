//! Agreement and licence events folded into a status, whatever order they arrive in.
//!
//! Each fact keeps its own earliest or latest time, so observing is commutative and idempotent; the
//! status is computed from the facts, by the events' own times.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

use crate::hour::shift;
use crate::ids::InvalidId;
use crate::limits::FINAL_HOURS;
use crate::planted::{Bug, is_planted};
use crate::schedule::END_PATIENCE_HOURS;

/// What an event says about one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sign {
    /// License Updated, or SNS subscribe-success: the buyer may use the product.
    Activated,
    /// Purchase Agreement Ended, or SNS unsubscribe-pending: about an hour is left.
    EndAnnounced,
    /// License Deprovisioned, or SNS unsubscribe-success: one more hour of metering.
    Deprovisioned,
    /// SNS subscribe-fail: the purchase did not come about.
    Failed,
}

impl Sign {
    /// Its name in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Activated => "activated",
            Self::EndAnnounced => "end-announced",
            Self::Deprovisioned => "deprovisioned",
            Self::Failed => "failed",
        }
    }
}

/// Where a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// The buyer has registered; nothing says yet that the purchase came about. Nothing is sealed.
    Pending,
    /// Metered every hour.
    Active,
    /// An end is announced or done; the last usage is being metered.
    Ending,
    /// Everything is metered or itemised.
    Ended,
}

impl Status {
    /// Its name in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Ending => "ending",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Status {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        [Self::Pending, Self::Active, Self::Ending, Self::Ended]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| InvalidId::new("status", text, "pending, active, ending or ended"))
    }
}

/// The facts about one subscription's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifecycle {
    /// The earliest activation known.
    pub activated_at: Option<Timestamp>,
    /// The latest activation known: later than an end, it revives the subscription.
    pub last_activated_at: Option<Timestamp>,
    /// The latest announcement of an end.
    pub end_announced_at: Option<Timestamp>,
    /// The latest removal of the licence.
    pub deprovisioned_at: Option<Timestamp>,
    /// When everything was metered or itemised after the end; set by the reconciler.
    pub closed_at: Option<Timestamp>,
}

impl Lifecycle {
    /// Takes in one sign; `true` if that changed anything.
    pub fn observe(&mut self, sign: Sign, at: Timestamp) -> bool {
        let before = *self;
        match sign {
            Sign::Activated => {
                self.activated_at = Some(self.activated_at.map_or(at, |known| known.min(at)));
                self.last_activated_at = self.last_activated_at.max(Some(at));
            }
            Sign::EndAnnounced => self.end_announced_at = self.end_announced_at.max(Some(at)),
            Sign::Deprovisioned | Sign::Failed => {
                self.deprovisioned_at = self.deprovisioned_at.max(Some(at))
            }
        }
        if self.first_end().is_none() {
            // Revived: what was closed is open again.
            self.closed_at = None;
        }
        *self != before
    }

    /// The first sign of the present end, if there is one: an announcement or a removal that no
    /// later activation overrules.
    pub fn first_end(&self) -> Option<Timestamp> {
        let current =
            |sign: Option<Timestamp>| sign.filter(|at| Some(*at) >= self.last_activated_at);
        match (
            current(self.end_announced_at),
            current(self.deprovisioned_at),
        ) {
            (Some(announced), Some(removed)) => Some(announced.min(removed)),
            (announced, removed) => announced.or(removed),
        }
    }

    /// Where the subscription stands.
    pub fn status(&self) -> Status {
        match (self.first_end(), self.activated_at, self.closed_at) {
            (Some(_), _, Some(_)) => Status::Ended,
            (Some(_), _, None) if is_planted(Bug::ClosedAtFirstSign) => Status::Ended,
            (Some(_), _, None) => Status::Ending,
            (None, Some(_), _) => Status::Active,
            (None, None, _) => Status::Pending,
        }
    }

    /// Until when an ending subscription's hours are recounted in every run: an hour after its
    /// licence was removed, or 26 hours after the first sign if that never comes.
    pub fn recount_until(&self) -> Option<Timestamp> {
        let first_end = self.first_end()?;
        let removed = self.deprovisioned_at.filter(|at| *at >= first_end);
        Some(match removed {
            Some(removed) => shift(removed, SignedDuration::from_hours(FINAL_HOURS)),
            None => shift(first_end, SignedDuration::from_hours(END_PATIENCE_HOURS)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn life(signs: &[(Sign, i64)]) -> Lifecycle {
        let mut life = Lifecycle::default();
        for (sign, second) in signs {
            life.observe(*sign, at(*second));
        }
        life
    }

    #[test]
    fn an_ordinary_life() {
        use Sign::*;
        assert_eq!(life(&[]).status(), Status::Pending);
        assert_eq!(life(&[(Activated, 0)]).status(), Status::Active);
        let ending = life(&[(Activated, 0), (EndAnnounced, 100)]);
        assert_eq!(
            (ending.status(), ending.first_end()),
            (Status::Ending, Some(at(100)))
        );
        assert_eq!(ending.recount_until(), Some(at(100 + 26 * 3600)));
        let removed = life(&[(Activated, 0), (EndAnnounced, 100), (Deprovisioned, 131)]);
        assert_eq!(
            (removed.first_end(), removed.recount_until()),
            (Some(at(100)), Some(at(131 + 3600)))
        );
        assert_eq!(life(&[(EndAnnounced, 100)]).status(), Status::Ending);
    }

    #[test]
    fn a_renewal_or_a_new_purchase_revives() {
        use Sign::*;
        let mut life = life(&[(Activated, 0), (EndAnnounced, 100)]);
        life.closed_at = Some(at(9_000));
        assert_eq!(life.status(), Status::Ended);
        assert!(life.observe(Activated, at(10_000)));
        assert_eq!(
            (life.status(), life.activated_at),
            (Status::Active, Some(at(0)))
        );
        life.observe(Deprovisioned, at(20_000));
        assert_eq!(life.first_end(), Some(at(20_000)));
    }

    #[test]
    fn late_news_of_an_old_end_changes_nothing() {
        use Sign::*;
        let mut life = life(&[(Activated, 0), (Activated, 500)]);
        life.observe(EndAnnounced, at(100));
        assert_eq!(life.status(), Status::Active);
    }

    proptest! {
        #[test]
        fn any_order_and_any_repetition_comes_to_the_same(
            signs in proptest::collection::vec((0usize..4, 0i64..1_000), 0..8),
            swaps in proptest::collection::vec((0usize..8, 0usize..8), 0..8),
        ) {
            let all = [Sign::Activated, Sign::EndAnnounced, Sign::Deprovisioned, Sign::Failed];
            let signs: Vec<_> = signs.into_iter().map(|(s, t)| (all[s], t)).collect();
            let mut other = [signs.clone(), signs.clone()].concat();
            for (a, b) in swaps {
                if a < other.len() && b < other.len() {
                    other.swap(a, b);
                }
            }
            prop_assert_eq!(life(&signs), life(&other));
        }
    }

    #[test]
    fn names_in_tables_are_read_back() {
        let all = [
            (Status::Pending, "pending"),
            (Status::Active, "active"),
            (Status::Ending, "ending"),
            (Status::Ended, "ended"),
        ];
        for (status, name) in all {
            assert_eq!((status.as_str(), status.to_string().as_str()), (name, name));
            assert_eq!(name.parse(), Ok(status));
        }
        assert!("over".parse::<Status>().is_err());
        let signs = [
            Sign::Activated,
            Sign::EndAnnounced,
            Sign::Deprovisioned,
            Sign::Failed,
        ];
        assert_eq!(
            signs.map(Sign::as_str),
            ["activated", "end-announced", "deprovisioned", "failed"]
        );
    }
}
