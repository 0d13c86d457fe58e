//! The times in which a subscription is in force, and what that means for an hour of usage.
//!
//! A buyer can cancel and buy again under the same account or customer identifier: two spans with a
//! gap between them. AWS Marketplace accepts no usage for the gap, nor before the new span's start.

use jiff::{SignedDuration, Timestamp};

use crate::hour::{UsageHour, shift};
use crate::limits::FINAL_HOURS;
use crate::schedule::{END_PATIENCE_HOURS, FINAL_SETTLE_MINUTES};

/// Hours before a removal that are still sealed by themselves after the first sign of the end: an
/// end that was announced long before is not hurried hour by hour, since the rounds go on.
const HURRIED_HOURS_MAX: i64 = 48;

/// One unbroken time in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The activation that began it; of a span of which only the end is known, that end.
    pub began_at: Timestamp,
    /// The latest announcement of an end that no later activation overrules.
    pub announced_at: Option<Timestamp>,
    /// The first removal: the span's certain end.
    pub removed_at: Option<Timestamp>,
    /// The latest removal before the next span.
    pub last_removed_at: Option<Timestamp>,
}

impl Span {
    /// A span that goes on.
    pub fn since(began_at: Timestamp) -> Self {
        Self {
            began_at,
            announced_at: None,
            removed_at: None,
            last_removed_at: None,
        }
    }

    /// The first sign of its end, if there is one.
    pub fn first_end(&self) -> Option<Timestamp> {
        match (self.announced_at, self.removed_at) {
            (Some(announced), Some(removed)) => Some(announced.min(removed)),
            (announced, removed) => announced.or(removed),
        }
    }

    /// When its end is certain and nothing more is accepted: an hour after its removal, or 26 hours
    /// after the announcement if that never comes.
    pub fn certain_at(&self) -> Option<Timestamp> {
        match (self.last_removed_at, self.announced_at) {
            (Some(removed), _) => Some(shift(removed, SignedDuration::from_hours(FINAL_HOURS))),
            (None, Some(announced)) => Some(shift(
                announced,
                SignedDuration::from_hours(END_PATIENCE_HOURS),
            )),
            (None, None) => None,
        }
    }

    /// Its last hour: the removal's own, or the announcement's as long as there is no removal.
    pub fn last_hour(&self) -> Option<UsageHour> {
        self.removed_at.or(self.announced_at).map(UsageHour::of)
    }

    /// When its last hour is sealed, unfinished as it is: twenty minutes after the first sign of an
    /// end in it.
    pub fn final_due(&self) -> Option<Timestamp> {
        let last = self.last_hour()?;
        let signs = [self.announced_at, self.removed_at].into_iter().flatten();
        let first = signs.filter(|at| UsageHour::of(*at) == last).min()?;
        Some(final_due(first))
    }

    /// Whether it is in force at an instant, by all that is known.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.began_at <= at && self.first_end().is_none_or(|end| at < end)
    }

    /// Whether usage of `hour` may be metered in it. An end at the hour's first instant leaves the
    /// hour inside, since the stamp is that instant.
    pub fn overlaps(&self, hour: UsageHour) -> bool {
        self.began_at < hour.end() && self.removed_at.is_none_or(|end| hour.start() <= end)
    }
}

/// When the hour of a sign of an end is sealed, unfinished as it is.
pub fn final_due(ended_at: Timestamp) -> Timestamp {
    shift(ended_at, SignedDuration::from_mins(FINAL_SETTLE_MINUTES))
}

/// Where an hour lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In force: the latest span that overlaps it.
    InForce(Span),
    /// Before the first activation: its usage is carried to where it is in force.
    Before,
    /// Between two spans: its usage is held.
    Gap,
    /// After the end, and that is certain: its usage is held.
    Over,
    /// After a removal that a renewal may still overrule: its usage waits.
    Undecided,
}

/// All spans of a subscription, the earliest first. They do not overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spans(Vec<Span>);

impl Spans {
    /// Reads the spans off signs, each list in the order of time.
    ///
    /// A span begins with an activation that lies in no other, and ends with a removal. An
    /// announcement alone ends nothing, and an activation after it overrules it. At the same instant
    /// an end counts after an activation. An end that nothing was in force for says only that there
    /// was something: it counts where it is all that is known.
    pub(crate) fn of_signs(
        activations: impl IntoIterator<Item = Timestamp>,
        announcements: impl IntoIterator<Item = Timestamp>,
        removals: impl IntoIterator<Item = Timestamp>,
    ) -> Self {
        let mut signs: Vec<(Timestamp, Kind)> = Vec::new();
        signs.extend(activations.into_iter().map(|at| (at, Kind::Activation)));
        let only_ends = signs.is_empty();
        signs.extend(announcements.into_iter().map(|at| (at, Kind::Announcement)));
        signs.extend(removals.into_iter().map(|at| (at, Kind::Removal)));
        signs.sort_unstable();
        let mut spans: Vec<Span> = Vec::new();
        if let Some((first, _)) = signs.first().filter(|_| only_ends) {
            spans.push(Span::since(*first));
        }
        for (at, kind) in signs {
            take(&mut spans, at, kind);
        }
        if only_ends && let Some(span) = spans.first_mut() {
            span.began_at = span.first_end().unwrap_or(span.began_at);
        }
        Self(spans)
    }

    /// One span.
    pub fn one(span: Span) -> Self {
        Self(vec![span])
    }

    /// The spans, the earliest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Span> {
        self.0.iter()
    }

    /// The latest.
    pub fn last(&self) -> Option<&Span> {
        self.0.last()
    }

    /// Where `hour` lies, by what is known at `now`.
    pub fn standing(&self, hour: UsageHour, now: Timestamp) -> Standing {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else {
            return Standing::Undecided;
        };
        if let Some(span) = self.iter().rev().find(|span| span.overlaps(hour)) {
            let given_up = span.certain_at().is_some_and(|certain| certain <= now);
            let after_end = span.last_hour().is_some_and(|last| last < hour);
            return match given_up && after_end {
                true => Standing::Over,
                false => Standing::InForce(*span),
            };
        }
        if hour.end() <= first.began_at {
            return Standing::Before;
        }
        if hour.end() <= last.began_at {
            return Standing::Gap;
        }
        match last.certain_at().is_some_and(|certain| certain <= now) {
            true => Standing::Over,
            false => Standing::Undecided,
        }
    }

    /// The last hour that is sealed in its turn; `None` while later ones will be. Usage dated after
    /// it has to be looked at by itself.
    pub fn over_after(&self, now: Timestamp) -> Option<UsageHour> {
        let last = self.last()?;
        let is_over =
            last.removed_at.is_some() || last.certain_at().is_some_and(|certain| certain <= now);
        last.last_hour().filter(|_| is_over)
    }

    /// The hours at the end that are to be sealed by themselves at `now`, without waiting for their
    /// turn: from the first sign's own, when it has settled, to the removal's own.
    pub fn final_hours(&self, now: Timestamp) -> Vec<UsageHour> {
        let Some(span) = self.last() else {
            return Vec::new();
        };
        let (Some(first_end), Some(last)) = (span.first_end(), span.last_hour()) else {
            return Vec::new();
        };
        let own = UsageHour::of(first_end);
        let begin = own.max(last.plus(-HURRIED_HOURS_MAX));
        begin
            .through(last)
            .filter(|hour| {
                let due = match *hour == last {
                    true => span.final_due(),
                    false => Some(hour.end()),
                };
                let settled = *hour != own || final_due(first_end) <= now;
                settled && due.is_some_and(|due| due <= now)
            })
            .collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Activation,
    Announcement,
    Removal,
}

fn take(spans: &mut Vec<Span>, at: Timestamp, kind: Kind) {
    let last = spans.last_mut();
    match (kind, last) {
        (Kind::Activation, Some(span)) if span.removed_at.is_none() => span.announced_at = None,
        (Kind::Activation, _) => spans.push(Span::since(at)),
        (Kind::Announcement, Some(span)) if span.removed_at.is_none() => {
            span.announced_at = Some(at);
        }
        (Kind::Removal, Some(span)) => {
            span.removed_at = span.removed_at.or(Some(at));
            span.last_removed_at = Some(at);
        }
        (Kind::Announcement | Kind::Removal, _) => {}
    }
}
