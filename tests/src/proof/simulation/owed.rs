//! Whether a row had to be billed, by the rules that a seller is promised.

use emulator::FaultKind;
use jiff::Timestamp;
use marketplace::UsageHour;

use super::story::{Buyer, Row, Story, after};
use super::trouble::{Outage, Trouble};

/// Why a row need not be billed. It may be billed or held, but is never lost from the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Excuse {
    BeforePurchase,
    UnknownDimension,
    SeedEnds,
    Unseen,
    Unheard,
    MonthOver,
    RenewalAtMonthEnd,
    AfterEnd,
    LastHours,
    ActivatedLate,
}

impl Excuse {
    /// In words.
    pub fn words(self) -> String {
        format!("{self:?}")
    }
}

/// Whether a row, first written at `written`, need not be billed.
pub(super) fn excuse(
    story: &Story,
    trouble: &Trouble,
    buyer: &Buyer,
    row: &Row,
    written: Timestamp,
) -> Option<Excuse> {
    let hour = UsageHour::of(row.event.time);
    if row.event.dimension.to_string() == "renamed" {
        return Some(Excuse::UnknownDimension);
    }
    if row.event.time < buyer.subscribes {
        return Some(Excuse::BeforePurchase);
    }
    // Of two purchases under one name each is judged for itself.
    if let Some(again) = buyer.again.filter(|again| row.event.time >= *again) {
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
    // Towards the end schedules fire once an hour: late usage takes one to be flagged, one to be
    // carried and one to be sealed.
    let in_time = written <= after(story.end, -5 * 60);
    if !in_time || written > story.healed && trouble.streams_off {
        return Some(Excuse::SeedEnds);
    }
    // Without its stream record a row is found by the recounts, 6 hours after its hour was due and 2
    // hours before its deadline; or by the proof of the books, which comes every 8 hours.
    let unseen = trouble.streams_off || trouble.streams.is_some_and(|streams| streams.dropped > 0);
    if unseen && written > after(hour.end(), 20 * 60) {
        let found = after(story.healed, 9 * 60);
        let month_is_over = story
            .month_end
            .is_some_and(|end| hour.start() < end && found > after(end, 3 * 60));
        // After those eight hours the reconciler runs every three, to have time for more seeds.
        if month_is_over || buyer.cancels.is_some() || written > story.healed {
            return Some(Excuse::Unseen);
        }
    }
    // Where every answer is lost, a refusal is too: what was refused beside a renamed dimension cannot
    // be told from what was billed, and is held. Only the first product has one.
    let unheard = |outage: &Outage| {
        outage.kind == FaultKind::DropAfter
            && outage.from < hour.end()
            && hour.start() < outage.until
    };
    if story.renamed && buyer.listing == 0 && trouble.all_outages().any(unheard) {
        return Some(Excuse::Unheard);
    }
    // The more calls fail, the longer it takes to come through.
    let margin = 150 + i64::from(trouble.calls.failing()) / 2;
    // Nothing is sealed before the purchase is known to have come about.
    let known = after(
        buyer.subscribes.max(buyer.registers),
        trouble.lifecycle_late,
    );
    if let Some(month_end) = story.month_end.filter(|end| hour.start() < *end)
        && let Some(excuse) = at_month_end(
            trouble,
            buyer,
            row,
            written,
            (month_end, known, margin, unseen),
        )
    {
        return Some(excuse);
    }
    let cancels = buyer.cancels?;
    if row.event.time > cancels {
        return Some(Excuse::AfterEnd);
    }
    if trouble.lifecycle_late > 0 && after(known, margin) > cancels {
        return Some(Excuse::ActivatedLate);
    }
    let outage = |minutes: i64| {
        trouble.all_outages().any(|outage| {
            outage.from <= after(cancels, 70) && outage.until >= after(cancels, -minutes)
        })
    };
    // The last hours belong to a final hour of sixty minutes, which trouble may use up.
    let last_hours = after(hour.end(), margin) > cancels || written > after(cancels, -margin);
    (last_hours || outage(margin)).then_some(Excuse::LastHours)
}

fn at_month_end(
    trouble: &Trouble,
    buyer: &Buyer,
    row: &Row,
    written: Timestamp,
    (month_end, known, margin, unseen): (Timestamp, Timestamp, i64, bool),
) -> Option<Excuse> {
    let hour = UsageHour::of(row.event.time);
    if written > after(month_end, 3 * 60) {
        return Some(Excuse::MonthOver);
    }
    if trouble.lifecycle_late > 0 && known > after(month_end, 3 * 60) {
        return Some(Excuse::ActivatedLate);
    }
    // Where the end of the renewed agreement is known and the new one is not yet, the month's last
    // hour is sealed twenty minutes after that end, and then nothing late of the month has a place.
    let late = trouble.lifecycle_late;
    let seals_early = |renews: &Timestamp| {
        (-60 - late..5 * 60).contains(&renews.duration_since(month_end).as_mins())
    };
    let renews = buyer.renews.filter(seals_early)?;
    let is_late = written > hour.end().min(renews);
    (is_late && (unseen || written > after(renews, -margin))).then_some(Excuse::RenewalAtMonthEnd)
}
