//! Folds agreement and license events into a status. Their order of arrival does not matter.
//!
//! Each sign is kept with its own time, so the order and the repetition of events do not matter.
//! The spans in force and the status are computed from the signs.
//!
//! Facts: M40, M41, M43, M44, M46 (docs/marketplace-rules.md).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::hour::UsageHour;
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
    /// The subscription's end was announced or has happened, and its last usage is being metered.
    Ending,
    /// The subscription has ended, and all of its usage is metered or itemised.
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

/// Hours before the first sign of a subscription to which its usage may belong. Usage may be
/// reported before the purchase becomes known. The number is this project's.
const HOURS_BEFORE_FIRST_SIGN: i64 = 24;

/// The times of one kind of sign: the earliest one and the latest ones. The order in which they
/// were added does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Times(BTreeSet<Timestamp>);

impl Times {
    fn add(&mut self, at: Timestamp) {
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
            Sign::Activated => self.activations.add(at),
            Sign::EndAnnounced => self.announcements.add(at),
            Sign::Deprovisioned | Sign::Failed => self.removals.add(at),
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

    /// The first hour to which usage of the subscription can belong: a day before its activation,
    /// or a day before `known_since` if that is earlier. `known_since` is the time when the stack
    /// first knew of the subscription.
    pub fn first_possible_hour(&self, known_since: Timestamp) -> UsageHour {
        let activated = self.activated_at().unwrap_or(known_since);
        UsageHour::of(activated.min(known_since)).plus(HOURS_BEFORE_FIRST_SIGN.saturating_neg())
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
}

#[cfg(test)]
mod tests;
