//! Spans: the times in which a subscription is in force, and what they mean for an hour of usage.
//!
//! A buyer can cancel and buy again under the same account or customer identifier. Then the
//! subscription has two spans with a gap between them. AWS Marketplace accepts no usage for the
//! gap, nor before the start of the new span.
//!
//! Facts: M43, M45, M46, M47 (docs/marketplace-rules.md).

use jiff::{SignedDuration, Timestamp};

use crate::hour::{UsageHour, shift};
use crate::limits::FINAL_HOURS;
use crate::schedule::{END_PATIENCE_HOURS, FINAL_SETTLE_MINUTES};

/// An unbroken time in which a subscription is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The activation that began the span. If only the span's end is known, the time of that end.
    pub began_at: Timestamp,
    /// The latest announcement of an end that no later activation overrules; `None` if there is
    /// none.
    pub announced_at: Option<Timestamp>,
    /// The first removal, which ends the span; `None` while no removal is known.
    pub removed_at: Option<Timestamp>,
    /// The latest removal before the next span; `None` while no removal is known.
    pub last_removed_at: Option<Timestamp>,
}

impl Span {
    /// A span that began at `began_at` and has no end.
    pub fn since(began_at: Timestamp) -> Self {
        Self {
            began_at,
            announced_at: None,
            removed_at: None,
            last_removed_at: None,
        }
    }

    /// The first sign of the span's end, an announcement or a removal; `None` if there is no such
    /// sign.
    pub fn first_end(&self) -> Option<Timestamp> {
        match (self.announced_at, self.removed_at) {
            (Some(announced), Some(removed)) => Some(announced.min(removed)),
            (announced, removed) => announced.or(removed),
        }
    }

    /// When the span's end is certain and no more usage is accepted: an hour after its latest
    /// removal, or 26 hours after the announcement if no removal comes. `None` without any sign of
    /// an end.
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

    /// The span's last hour: the hour of the removal, or the hour of the announcement while no
    /// removal is known. `None` without any sign of an end.
    pub fn last_hour(&self) -> Option<UsageHour> {
        self.removed_at.or(self.announced_at).map(UsageHour::of)
    }

    /// When an hour is sealed early because the span ends; `None` without any sign of an end. The
    /// hour of the first sign is due twenty minutes after that sign, and earlier hours are due at
    /// the same time. The hour of the removal, if it is a later one, is due twenty minutes after
    /// the removal. The hours between them are due when they are over.
    pub fn due(&self, hour: UsageHour) -> Option<Timestamp> {
        let (first_end, last) = (self.first_end()?, self.last_hour()?);
        if hour <= UsageHour::of(first_end) {
            return Some(final_due(first_end));
        }
        Some(match self.removed_at.filter(|_| hour >= last) {
            Some(removed) => final_due(removed),
            None => hour.end(),
        })
    }

    /// Whether the span is in force at `at`, by the known signs.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.began_at <= at && self.first_end().is_none_or(|end| at < end)
    }

    /// Whether usage of `hour` may be metered in this span. If the end is the hour's first instant,
    /// the hour still counts, because its record is stamped with that instant.
    pub fn overlaps(&self, hour: UsageHour) -> bool {
        self.began_at < hour.end() && self.removed_at.is_none_or(|end| hour.start() <= end)
    }
}

/// When the hour of an end's sign is sealed, even if that hour is not over.
pub fn final_due(ended_at: Timestamp) -> Timestamp {
    shift(ended_at, SignedDuration::from_mins(FINAL_SETTLE_MINUTES))
}

/// The position of an hour among the spans, and the fate of its usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The hour is in force. The span is the latest one that overlaps the hour.
    InForce(Span),
    /// The hour is before the first activation. Its usage is carried into an hour that is in force.
    Before,
    /// The hour is between two spans. Its usage is held.
    Gap,
    /// The hour is after an end that is certain. Its usage is held.
    Over,
    /// The hour is after a removal that a renewal may still overrule. Its usage waits.
    Undecided,
}

/// All spans of a subscription, the earliest first. They do not overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spans(Vec<Span>);

impl Spans {
    /// Computes the spans from signs.
    ///
    /// A span begins with an activation that lies in no other span, and ends with a removal. An
    /// announcement alone does not end a span, and a later activation overrules it. If an
    /// activation and an end have the same instant, the activation comes first. An end before the
    /// first activation is ignored. If no activation is known, the result is one span without
    /// length, at the first end.
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
            apply(&mut spans, at, kind);
        }
        if only_ends && let Some(span) = spans.first_mut() {
            span.began_at = span.first_end().unwrap_or(span.began_at);
        }
        Self(spans)
    }

    /// The spans of a subscription that has only this span.
    pub fn one(span: Span) -> Self {
        Self(vec![span])
    }

    /// The spans, the earliest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Span> {
        self.0.iter()
    }

    /// The latest span; `None` if there is none.
    pub fn last(&self) -> Option<&Span> {
        self.0.last()
    }

    /// The position of `hour` among the spans, by the signs that are known at `now`.
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

    /// Whether AWS Marketplace accepts usage stamped `stamp`, by the known signs. The stamp must
    /// lie in a span. The instant of the removal still belongs to the span.
    pub fn accept(&self, stamp: Timestamp) -> bool {
        self.iter().any(|span| {
            span.began_at <= stamp && span.removed_at.is_none_or(|removed| stamp <= removed)
        })
    }

    /// Whether the span `from` continues without a gap into `to`, or is the same span. It does if
    /// each span after `from`, up to `to`, began within the final hour of the one before it. That
    /// happens when a license is replaced, or a buyer buys again at once.
    pub fn goes_on(&self, from: &Span, to: &Span) -> bool {
        let within_final_hour = |pair: &[Span]| match pair {
            [one, next] if from.began_at < next.began_at && next.began_at <= to.began_at => {
                one.certain_at().is_some_and(|over| next.began_at < over)
            }
            _ => true,
        };
        from.began_at <= to.began_at && self.0.windows(2).all(within_final_hour)
    }

    /// The last hour that the rounds seal; `None` while they also seal later hours. Usage of later
    /// hours must be flagged, because no round looks for it.
    pub fn over_after(&self, now: Timestamp) -> Option<UsageHour> {
        let last = self.last()?;
        let is_over =
            last.removed_at.is_some() || last.certain_at().is_some_and(|certain| certain <= now);
        last.last_hour().filter(|_| is_over)
    }

    /// Whether `hour` is due at `now` because the latest span ends in it or later.
    pub fn is_due_for_end(&self, hour: UsageHour, now: Timestamp) -> bool {
        self.last().is_some_and(|span| {
            let is_within = span.last_hour().is_some_and(|last| hour <= last);
            is_within && span.due(hour).is_some_and(|due| due <= now)
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Activation,
    Announcement,
    Removal,
}

/// Adds one sign, which is not earlier than the signs before it.
fn apply(spans: &mut Vec<Span>, at: Timestamp, kind: Kind) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use Standing::{Before, Gap, InForce, Over, Undecided};

    fn at(text: &str) -> Timestamp {
        format!("2026-11-{text}Z").parse().unwrap()
    }

    fn hour(text: &str) -> UsageHour {
        format!("2026-11-{text}").parse().unwrap()
    }

    fn spans(activations: &[&str], announcements: &[&str], removals: &[&str]) -> Spans {
        let times = |texts: &[&str]| texts.iter().map(|text| at(text)).collect::<Vec<_>>();
        Spans::of_signs(times(activations), times(announcements), times(removals))
    }

    #[test]
    fn an_hour_lies_in_the_latest_span_that_overlaps_it() {
        let spans = spans(
            &["10T01:30:00", "12T05:24:00", "12T08:40:00"],
            &["11T02:10:00"],
            &["11T02:10:31", "12T08:20:00"],
        );
        let now = at("13T00:00:00");
        let began = |text: &str| match spans.standing(hour(text), now) {
            InForce(span) => span.began_at,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(spans.standing(hour("10T00"), now), Before);
        assert_eq!(began("10T01"), at("10T01:30:00"));
        assert_eq!(began("11T02"), at("10T01:30:00"));
        for text in ["11T03", "12T04"] {
            assert_eq!(spans.standing(hour(text), now), Gap);
        }
        assert_eq!(began("12T05"), at("12T05:24:00"));
        // The buyer cancelled and bought again within the hour. A stamp before the new start may be
        // refused.
        assert_eq!(began("12T08"), at("12T08:40:00"));
        assert_eq!(began("20T08"), at("12T08:40:00"));
        let all: Vec<&Span> = spans.iter().collect();
        let goes_on = |from: usize, to: usize| spans.goes_on(all[from], all[to]);
        assert!(goes_on(0, 0) && goes_on(1, 2));
        assert!(!goes_on(0, 1) && !goes_on(0, 2) && !goes_on(2, 1));
    }

    #[test]
    fn after_a_removal_an_hour_is_undecided_until_the_final_hour_is_over() {
        let spans = spans(&["10T01:30:00"], &["11T02:10:00"], &["11T02:10:31"]);
        let standing = |hour_text: &str, now: &str| spans.standing(hour(hour_text), at(now));
        assert_eq!(standing("11T03", "11T03:10:30"), Undecided);
        assert_eq!(standing("11T03", "11T03:10:31"), Over);
        assert!(matches!(standing("11T02", "20T00:00:00"), InForce(_)));
        assert_eq!(spans.over_after(at("11T02:11:00")), Some(hour("11T02")));
    }

    #[test]
    fn an_announcement_alone_ends_nothing_until_it_is_given_up() {
        let spans = spans(&["10T01:30:00"], &["11T02:10:00"], &[]);
        let standing = |hour_text: &str, now: &str| spans.standing(hour(hour_text), at(now));
        assert!(matches!(standing("11T09", "12T04:09:59"), InForce(_)));
        assert_eq!(standing("11T09", "12T04:10:00"), Over);
        assert!(matches!(standing("11T02", "12T04:10:00"), InForce(_)));
        assert_eq!(spans.over_after(at("12T04:09:59")), None);
        assert_eq!(spans.over_after(at("12T04:10:00")), Some(hour("11T02")));
    }

    #[test]
    fn the_hours_at_the_end_are_sealed_early() {
        let check = |announced: &[&str], removed: &[&str], now: &str, expected: &[&str]| {
            let spans = spans(&["10T01:30:00"], announced, removed);
            let expected: Vec<_> = expected.iter().map(|text| hour(text)).collect();
            let due: Vec<_> = hour("11T02")
                .through(hour("11T06"))
                .filter(|hour| spans.is_due_for_end(*hour, at(now)))
                .collect();
            assert_eq!(due, expected, "{now}");
        };
        let (announced, removed) = (&["11T02:50:00"], &["11T04:05:00"]);
        check(announced, &[], "11T03:09:59", &[]);
        check(announced, &[], "11T03:10:00", &["11T02"]);
        check(announced, removed, "11T04:24:59", &["11T02", "11T03"]);
        check(
            announced,
            removed,
            "11T04:25:00",
            &["11T02", "11T03", "11T04"],
        );
        // The first sign makes its hour due early, whether it is an announcement or a removal.
        check(announced, &["11T02:59:00"], "11T03:10:00", &["11T02"]);
        // The hours before that sign are due at the same time.
        check(&[], removed, "11T04:25:00", &["11T02", "11T03", "11T04"]);
        check(&[], &[], "11T04:25:00", &[]);
    }

    #[test]
    fn an_end_without_an_activation_is_a_span_without_length() {
        let now = at("20T00:00:00");
        let orphan = spans(&[], &["11T02:50:00"], &["11T03:05:00"]);
        assert_eq!(orphan.standing(hour("11T01"), now), Before);
        assert!(matches!(orphan.standing(hour("11T02"), now), InForce(_)));
        assert_eq!(orphan.standing(hour("11T04"), now), Over);
        // An end before the first activation belongs to an unknown purchase.
        let bought = spans(&["12T00:00:00"], &[], &["11T03:05:00"]);
        assert_eq!(bought, Spans::one(Span::since(at("12T00:00:00"))));
    }
}
