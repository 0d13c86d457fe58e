//! Decides by the promises to the seller whether a row had to be billed.

use jiff::Timestamp;
use ledger::day::first_of_day;
use marketplace::UsageHour;

use super::story::{Buyer, Row, Story, after};
use super::trouble::{Outage, Trouble};

/// The reason why a row need not be billed. The row may be billed or held, but it is never missing
/// from the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Excuse {
    /// The row is dated outside every purchase, or AWS Marketplace does not have its dimension.
    Outside,
    /// No hour could take the row any more when it was written, found or decided, or when its
    /// purchase became known.
    TooLate,
    /// The row is so near to the end of its purchase that faults may use up the final hour.
    FinalHour,
}

impl Excuse {
    /// The excuse in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Outside => "outside every purchase, or of an unknown dimension",
            Self::TooLate => "too late for every hour that could take it",
            Self::FinalHour => "so near to an end that trouble may use up the final hour",
        }
    }
}

/// A row, with the facts that decide whether it had to be billed.
struct Case<'a> {
    story: &'a Story,
    trouble: &'a Trouble,
    buyer: &'a Buyer,
    at: Timestamp,
    hour: UsageHour,
    written: Timestamp,
    /// Whether the streams may lose the row.
    is_unseen: bool,
    /// The latest time at which the purchase becomes known. Sealing may begin only then.
    known: Timestamp,
    /// Minutes before an end that may not be enough for billing. The more calls fail, the more
    /// minutes.
    margin: i64,
}

/// The reason why a row that was first written at `written` need not be billed; `None` if it had to
/// be billed.
pub(super) fn excuse(
    story: &Story,
    trouble: &Trouble,
    buyer: &Buyer,
    row: &Row,
    written: Timestamp,
) -> Option<Excuse> {
    let at = row.event.time;
    let is_unknown = row.event.dimension.to_string() == "renamed";
    if is_unknown || at < buyer.subscribes {
        return Some(Excuse::Outside);
    }
    // Two purchases under one name are judged separately.
    if let Some(again) = buyer.again.filter(|again| at >= *again) {
        let second = Buyer {
            subscribes: again,
            registers: again,
            renews: None,
            cancels: None,
            suspended: None,
            again: None,
            ..*buyer
        };
        return excuse(story, trouble, &second, row, written);
    }
    let case = Case {
        story,
        trouble,
        buyer,
        at,
        hour: UsageHour::of(at),
        written,
        is_unseen: trouble.streams_off
            || trouble.streams.is_some_and(|streams| streams.dropped > 0),
        known: after(
            buyer.subscribes.max(buyer.registers),
            trouble.lifecycle_late,
        ),
        margin: 150 + i64::from(trouble.calls.failing()) / 2,
    };
    let month_end = story.month_end.filter(|end| case.hour.start() < *end);
    case.found_too_late()
        .or_else(|| case.has_no_proof())
        .or_else(|| case.at_month_end(month_end?))
        .or_else(|| case.at_end(buyer.cancels?))
}

impl Case<'_> {
    fn found_too_late(&self) -> Option<Excuse> {
        let Self { story, written, .. } = *self;
        // Towards the end of the seed schedules fire once an hour. Late usage needs one firing to
        // be flagged, one to be carried and one to be sealed.
        let seed_ends = written > after(story.end, -5 * 60);
        if seed_ends || written > story.healed && self.trouble.streams_off {
            return Some(Excuse::TooLate);
        }
        // A row without a stream record is found by the recount six hours after its hour was due.
        if !self.is_unseen || written <= after(self.hour.end(), 6 * 60) {
            return None;
        }
        let day_end = first_of_day(self.hour).plus(24).start();
        let month_end = story.month_end.filter(|end| self.hour.start() < *end);
        if written > after(day_end, 6 * 60) {
            // The proof of the row's day may be over, and it comes only once. Then only the month's
            // recount finds the row.
            let is_too_late = month_end.is_none() || self.buyer.cancels.is_some();
            return is_too_late.then_some(Excuse::TooLate);
        }
        // The proof of the row's day finds it. The proof begins six hours after the day's last hour
        // was due. Each shard has its turn every twelve hours, and towards the end of the seed the
        // reconciler runs every three hours.
        let found = after(day_end, 22 * 60).max(after(story.healed, 12 * 60));
        let is_found_late = match month_end {
            Some(end) => found > after(end, 3 * 60),
            None => after(found, 5 * 60) > story.end,
        };
        let is_too_late = is_found_late || self.buyer.cancels.is_some();
        is_too_late.then_some(Excuse::TooLate)
    }

    /// Excuses a row if every try of its record failed until the deadline, and CloudTrail does not
    /// show all tries. Then nothing proves that the record was not billed, and a person decides.
    fn has_no_proof(&self) -> Option<Excuse> {
        let calls = &self.trouble.calls;
        let is_short =
            self.trouble.history.lost_per_mille > 0 || calls.refused > 0 || calls.unsent > 0;
        let all_fail = |outage: &Outage| {
            outage.from <= after(self.hour.end(), 90) && outage.until >= after(self.at, 23 * 60)
        };
        // An outage of one buyer says nothing about the others.
        let is_undecided = is_short && self.trouble.outages.iter().any(all_fail);
        is_undecided.then_some(Excuse::TooLate)
    }

    fn at_month_end(&self, month_end: Timestamp) -> Option<Excuse> {
        // The month's last recount begins at 03:00 on the 1st.
        let recount = after(month_end, 3 * 60);
        let is_known_late = self.trouble.lifecycle_late > 0 && self.known > recount;
        if self.written > recount || is_known_late {
            return Some(Excuse::TooLate);
        }
        // If the end of a renewed agreement is known before the new agreement, the month's last
        // hour is sealed twenty minutes after that end. Then no hour of the month is open for late
        // usage.
        let early = -60 - self.trouble.lifecycle_late;
        let seals_early = |renews: &Timestamp| {
            (early..5 * 60).contains(&renews.duration_since(month_end).as_mins())
        };
        let renews = self.buyer.renews.filter(seals_early)?;
        let is_late = self.written > self.hour.end().min(renews);
        let is_found_late = self.is_unseen || self.written > after(renews, -self.margin);
        (is_late && is_found_late).then_some(Excuse::TooLate)
    }

    fn at_end(&self, cancels: Timestamp) -> Option<Excuse> {
        let margin = self.margin;
        if self.at > cancels {
            return Some(Excuse::Outside);
        }
        if self.trouble.lifecycle_late > 0 && after(self.known, margin) > cancels {
            return Some(Excuse::TooLate);
        }
        // The last hours must be sent in a final hour of sixty minutes, which faults may use up.
        let is_in_outage = self.trouble.all_outages().any(|outage| {
            outage.from <= after(cancels, 70) && outage.until >= after(cancels, -margin)
        });
        let is_last = after(self.hour.end(), margin) > cancels;
        let is_written_last = self.written > after(cancels, -margin);
        (is_last || is_written_last || is_in_outage).then_some(Excuse::FinalHour)
    }
}
