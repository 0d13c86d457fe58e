//! Folds agreement and license events into a status, in whatever order they arrive.
//!
//! Each sign is kept with its own time, so the order and the repetition of events do not matter.
//! The spans in force and the status are computed from the signs.
//!
//! Facts: M40, M41, M43, M44, M46 (docs/marketplace-rules.md).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::ids::InvalidId;
use crate::spans::{Span, Spans};

/// The meaning of an event for one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sign {
    /// License Updated, or SNS subscribe-success: the buyer may use the product.
    Activated,
    /// Purchase Agreement Ended, or SNS unsubscribe-pending: about an hour is left.
    EndAnnounced,
    /// License Deprovisioned, or SNS unsubscribe-success: one more hour of metering.
    Deprovisioned,
    /// SNS subscribe-fail: the purchase failed.
    Failed,
}

impl Sign {
    /// The sign's name in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Activated => "activated",
            Self::EndAnnounced => "end-announced",
            Self::Deprovisioned => "deprovisioned",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for Sign {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        [
            Self::Activated,
            Self::EndAnnounced,
            Self::Deprovisioned,
            Self::Failed,
        ]
        .into_iter()
        .find(|sign| sign.as_str() == text)
        .ok_or_else(|| {
            InvalidId::new(
                "sign",
                text,
                "activated, end-announced, deprovisioned or failed",
            )
        })
    }
}

/// The status of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// The buyer has registered, but no event has confirmed the purchase yet. Nothing is sealed.
    Pending,
    /// The subscription is in force and metered every hour.
    Active,
    /// Its end was announced or has happened, and its last usage is being metered.
    Ending,
    /// It has ended, and all of its usage is metered or itemised.
    Ended,
}

impl Status {
    /// The status's name in tables.
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

/// The most times that are kept of one kind of sign. The limit is this project's: an agreement is
/// renewed or amended a few times a year. When there are more, the earliest time stays, because it
/// began the subscription, and the oldest of the others is dropped, because its span is over.
pub const SIGNS_MAX: usize = 64;

/// The times of one kind of sign: the earliest one and the latest ones. The order in which they
/// were noted does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Times(BTreeSet<Timestamp>);

impl Times {
    fn note(&mut self, at: Timestamp) {
        self.0.insert(at);
        if self.0.len() > SIGNS_MAX
            && let Some(second) = self.0.iter().nth(1).copied()
        {
            self.0.remove(&second);
        }
    }

    fn first(&self) -> Option<Timestamp> {
        self.0.first().copied()
    }

    fn last(&self) -> Option<Timestamp> {
        self.0.last().copied()
    }
}

/// The lifecycle of one subscription: every sign with its own time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lifecycle {
    activations: Times,
    announcements: Times,
    removals: Times,
    /// When all usage was metered or itemised after the end. The reconciler sets it; `None` before
    /// that.
    pub closed_at: Option<Timestamp>,
}

impl Lifecycle {
    /// Adds one sign. Returns whether that changed anything.
    pub fn observe(&mut self, sign: Sign, at: Timestamp) -> bool {
        if self.has(sign, at) {
            return false;
        }
        let before = self.clone();
        match sign {
            Sign::Activated => self.activations.note(at),
            Sign::EndAnnounced => self.announcements.note(at),
            Sign::Deprovisioned | Sign::Failed => self.removals.note(at),
        }
        if self.spans() != before.spans() {
            // A closed subscription is open again, because it was revived or its end has changed.
            self.closed_at = None;
        }
        *self != before
    }

    /// Whether this sign is known.
    pub fn has(&self, sign: Sign, at: Timestamp) -> bool {
        let times = match sign {
            Sign::Activated => &self.activations,
            Sign::EndAnnounced => &self.announcements,
            Sign::Deprovisioned | Sign::Failed => &self.removals,
        };
        times.0.contains(&at)
    }

    /// Every known sign, ordered by kind and then by time. A failed purchase appears as a removal.
    pub fn signs(&self) -> impl Iterator<Item = (Sign, Timestamp)> {
        let of = |sign: Sign, times: &Times| {
            let times: Vec<Timestamp> = times.0.iter().copied().collect();
            times.into_iter().map(move |at| (sign, at))
        };
        of(Sign::Activated, &self.activations)
            .chain(of(Sign::EndAnnounced, &self.announcements))
            .chain(of(Sign::Deprovisioned, &self.removals))
    }

    /// The times in which the subscription is in force.
    pub fn spans(&self) -> Spans {
        let times = |times: &Times| times.0.iter().copied().collect::<Vec<_>>();
        Spans::of_signs(
            times(&self.activations),
            times(&self.announcements),
            times(&self.removals),
        )
    }

    /// The earliest known activation.
    pub fn activated_at(&self) -> Option<Timestamp> {
        self.activations.first()
    }

    /// The latest known activation.
    pub fn last_activated_at(&self) -> Option<Timestamp> {
        self.activations.last()
    }

    /// The latest known announcement of an end.
    pub fn end_announced_at(&self) -> Option<Timestamp> {
        self.announcements.last()
    }

    /// The latest known removal of the license.
    pub fn deprovisioned_at(&self) -> Option<Timestamp> {
        self.removals.last()
    }

    /// The first sign of the current end: an announcement or a removal that no later activation
    /// overrules. `None` if there is no end.
    pub fn first_end(&self) -> Option<Timestamp> {
        self.spans().last().and_then(Span::first_end)
    }

    /// The status of the subscription.
    pub fn status(&self) -> Status {
        match (self.spans().last(), self.closed_at) {
            (None, _) => Status::Pending,
            (Some(span), _) if span.first_end().is_none() => Status::Active,
            (Some(_), Some(_)) => Status::Ended,
            (Some(_), None) => Status::Ending,
        }
    }

    /// Until when an ending subscription's hours are recounted in every run: an hour after its
    /// license was removed, or 26 hours after the announcement if no removal comes. `None` if there
    /// is no end.
    pub fn recount_until(&self) -> Option<Timestamp> {
        self.spans().last().and_then(Span::certain_at)
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
            (life.status(), life.activated_at()),
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

    #[test]
    fn a_purchase_after_a_removal_is_a_span_of_its_own() {
        use Sign::*;
        let life = life(&[
            (Activated, 0),
            (EndAnnounced, 100),
            (Deprovisioned, 131),
            (Deprovisioned, 3_700),
            (Activated, 500_000),
            (EndAnnounced, 600_000),
        ]);
        let spans: Vec<Span> = life.spans().iter().copied().collect();
        let first = Span {
            began_at: at(0),
            announced_at: Some(at(100)),
            removed_at: Some(at(131)),
            last_removed_at: Some(at(3_700)),
        };
        let second = Span {
            announced_at: Some(at(600_000)),
            ..Span::since(at(500_000))
        };
        assert_eq!(spans, [first, second]);
        assert_eq!(life.first_end(), Some(at(600_000)));
    }

    #[test]
    fn an_activation_overrules_an_announcement_and_keeps_the_start() {
        use Sign::*;
        let signs = [(Activated, 0), (EndAnnounced, 100), (Activated, 150)];
        let renewed = life(&signs);
        let spans: Vec<Span> = renewed.spans().iter().copied().collect();
        assert_eq!(spans, [Span::since(at(0))]);
        assert_eq!(renewed.status(), Status::Active);
    }

    #[test]
    fn a_better_known_past_opens_what_was_closed() {
        use Sign::*;
        let mut life = life(&[(Activated, 0), (Deprovisioned, 131)]);
        life.closed_at = Some(at(9_000));
        life.observe(Activated, at(140));
        life.observe(Deprovisioned, at(8_000));
        assert_eq!((life.status(), life.closed_at), (Status::Ending, None));
        life.closed_at = Some(at(20_000));
        // These signs are known already, or inside a span, so the subscription stays closed.
        life.observe(Activated, at(140));
        life.observe(Activated, at(200));
        assert_eq!(life.status(), Status::Ended);
    }

    fn signs_of(drawn: &[(usize, i64)]) -> Vec<(Sign, i64)> {
        use Sign::*;
        let all = [Activated, EndAnnounced, Deprovisioned, Failed];
        drawn
            .iter()
            .map(|(sign, time)| (all[*sign], *time))
            .collect()
    }

    proptest! {
        #[test]
        fn any_order_and_any_repetition_comes_to_the_same(
            drawn in proptest::collection::vec((0usize..4, 0i64..1_000), 0..300),
            seed in 0u64..1_000,
        ) {
            let signs = signs_of(&drawn);
            let mut other = [signs.clone(), signs.clone()].concat();
            // A simple shuffle that depends only on its input, so that a failure can be repeated.
            other.sort_by_key(|(sign, time)| {
                let mixed = (*time as u64).wrapping_mul(seed.wrapping_mul(2).wrapping_add(1));
                (mixed % 997, *sign)
            });
            let (one, other) = (life(&signs), life(&other));
            prop_assert_eq!(&one, &other);
            prop_assert!(one.signs().count() <= 3 * SIGNS_MAX);
            let first = signs.iter().filter(|(sign, _)| *sign == Sign::Activated);
            prop_assert_eq!(one.activated_at(), first.map(|(_, time)| at(*time)).min());
        }

        #[test]
        fn spans_never_overlap_and_no_instant_is_in_two(
            drawn in proptest::collection::vec((0usize..4, 0i64..60), 0..40),
        ) {
            let spans = life(&signs_of(&drawn)).spans();
            let spans: Vec<&Span> = spans.iter().collect();
            for pair in spans.windows(2) {
                let ended = pair[0].last_removed_at.expect("only the last goes on");
                prop_assert!(pair[0].removed_at <= Some(ended));
                prop_assert!(pair[0].began_at <= ended && ended < pair[1].began_at);
            }
            for second in -1..61 {
                let holding = spans.iter().filter(|span| span.contains(at(second))).count();
                prop_assert!(holding <= 1);
            }
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
        for sign in signs {
            assert_eq!(sign.as_str().parse(), Ok(sign));
        }
        assert!("over".parse::<Sign>().is_err());
    }
}
