//! One day of a subscription, counted in full.

use std::collections::{BTreeMap, BTreeSet};

use ledger::LedgerError;
use ledger::day::{DayDigest, Slots, digest_of_known};
use ledger::hour::HourBooks;
use ledger::profile::Profile;
use marketplace::books::Books;
use marketplace::lifecycle::Status;
use marketplace::planted::{Bug, is_planted};
use marketplace::recount::{Movement, MovementKind};
use marketplace::{Dimension, Total, UsageHour};

use crate::books::Astray;
use crate::run::Run;

/// Where late usage was sent, and where it arrived.
#[derive(Debug, Default)]
pub(crate) struct Transit {
    pub(crate) sent: Slots,
    pub(crate) arrived: Slots,
}

impl Transit {
    /// Adds what movements of an hour sent out, and what its rows say was carried in.
    pub(crate) fn add(&mut self, count: &HourBooks<'_>) -> Result<(), LedgerError> {
        for (origin, movements) in count.movements() {
            for movement in movements {
                self.send(origin, movement)?;
            }
        }
        for (dimension, total) in count.carried_in() {
            let slot = (count.hour(), dimension.clone());
            let arrived = self.arrived.entry(slot).or_default();
            *arrived = arrived.plus(total)?;
        }
        Ok(())
    }

    /// Adds what a movement of a slot of dimension `origin` sent out.
    pub(crate) fn send(
        &mut self,
        origin: &Dimension,
        movement: &Movement,
    ) -> Result<(), LedgerError> {
        if let MovementKind::Carried { target, into } = &movement.kind {
            let into = into.as_ref().unwrap_or(origin).clone();
            let sent = self.sent.entry((*target, into)).or_default();
            *sent = sent.plus(movement.total()?)?;
        }
        Ok(())
    }

    /// Adds a day.
    pub(crate) fn add_day(&mut self, day: &DayDigest) -> Result<(), LedgerError> {
        for (mine, theirs) in [
            (&mut self.sent, &day.sent),
            (&mut self.arrived, &day.arrived),
        ] {
            for (slot, total) in theirs {
                let sum = mine.entry(slot.clone()).or_default();
                *sum = sum.plus(total)?;
            }
        }
        Ok(())
    }

    /// The slots of the hours that were read in which late usage did not arrive as it was sent.
    pub(crate) fn astray(self, was_read: impl Fn(UsageHour) -> bool) -> Vec<Astray> {
        let mut slots: BTreeMap<_, (Total, Total)> = BTreeMap::new();
        for (slot, sent) in self.sent {
            slots.entry(slot).or_default().0 = sent;
        }
        for (slot, arrived) in self.arrived {
            slots.entry(slot).or_default().1 = arrived;
        }
        slots
            .into_iter()
            .filter(|((hour, _), (sent, arrived))| was_read(*hour) && sent != arrived)
            .map(|((hour, dimension), (sent, arrived))| Astray {
                hour,
                dimension,
                sent,
                arrived,
            })
            .collect()
    }
}

/// What counting a day came to.
#[derive(Debug)]
pub(crate) struct Counted {
    /// The sums of the hours that were counted.
    pub(crate) digest: DayDigest,
    /// The hours with rows that nothing has counted.
    pub(crate) uncounted: BTreeSet<UsageHour>,
}

/// Counts a day of a subscription through an hour: its records in one read, its rows hour by hour. What
/// it comes to is the day's digest only where that hour is the day's last.
pub(crate) async fn count_day(
    run: &Run<'_>,
    profile: &Profile,
    day: UsageHour,
    through: UsageHour,
) -> Result<Counted, LedgerError> {
    let (ledger, subscription) = (&run.app.ledger, &profile.subscription);
    let known = run.known(&profile.product).await?;
    let known = known.as_ref().as_ref();
    let last = day.plus(23).min(through);
    let mut stored = ledger.stored_of_hours(subscription, day, last).await?;
    let records = stored.digest();
    for key in stored.closed_with_movements() {
        ledger.settle_life_span(&key).await?;
    }
    let (mut books, mut transit) = (Books::default(), Transit::default());
    let mut uncounted = BTreeSet::new();
    for hour in day.through(last) {
        let count = ledger
            .count_for_books(subscription, hour, stored.take(hour), known)
            .await?;
        books.merge(&count.books()?)?;
        transit.add(&count)?;
        let lines = count.lines()?;
        if lines.iter().any(|(_, line)| line.uncounted.is_positive()) {
            uncounted.insert(hour);
        }
    }
    Ok(Counted {
        digest: DayDigest {
            day,
            books,
            sent: transit.sent,
            arrived: transit.arrived,
            records,
            known: digest_of_known(known),
            is_counted: uncounted.is_empty(),
            proved_at: run.now,
        },
        uncounted,
    })
}

/// What became of hours with rows that nothing has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flagged {
    pub(crate) hours: u64,
    /// Whether the subscription is not active yet, and has usage.
    pub(crate) waits: bool,
}

/// Flags hours with rows that nothing has counted. Of a subscription that is not active yet, nothing
/// counts them before it is.
pub(crate) async fn flag(
    run: &Run<'_>,
    profile: &Profile,
    hours: impl IntoIterator<Item = UsageHour>,
) -> Result<Flagged, LedgerError> {
    let subscription = &profile.subscription;
    let mut flagged = Flagged::default();
    if is_planted(Bug::NothingRecounted) {
        return Ok(flagged);
    }
    let is_pending = profile.status() == Status::Pending;
    for hour in hours {
        if is_pending {
            flagged.waits = true;
            tracing::warn!(%subscription, %hour, "usage of a subscription that is not active yet");
            return Ok(flagged);
        }
        tracing::warn!(%subscription, %hour, "rows that nothing has counted; flagged");
        run.app
            .ledger
            .flag_late(subscription, hour, run.now)
            .await?;
        flagged.hours += 1;
    }
    Ok(flagged)
}
