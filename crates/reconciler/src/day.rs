//! One day of a subscription, counted in full.
//!
//! Hours with rows that nothing has counted are flagged, and the sealer recounts them. Nothing is
//! sealed before the activation of a subscription is known. Then the sealer begins with the open
//! month. Hours of an earlier month are recounted only because they were flagged before. The sealer
//! postpones the flags of a subscription that is not active yet.

use std::collections::BTreeSet;

use ledger::LedgerError;
use ledger::day::{DaySums, digest_of_known};
use ledger::profile::Profile;
use ledger::transit::Transit;
use marketplace::books::{Books, SlotBooks};
use marketplace::lifecycle::Status;
use marketplace::{Dimension, UsageHour};

use crate::run::Run;

/// The result of counting a day.
#[derive(Debug)]
pub(crate) struct Counted {
    /// The sums of the hours that were counted.
    pub(crate) sums: DaySums,
    /// The hours that must be flagged.
    pub(crate) to_flag: BTreeSet<UsageHour>,
}

/// Counts a day of a subscription up to and including the hour `through`. One query reads the
/// records, and one query per hour reads the rows. The sums are those of the whole day only if
/// `through` is the day's last hour or later.
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
    let mut to_flag = BTreeSet::new();
    let mut is_counted = true;
    for hour in day.through(last) {
        let count = ledger
            .count_for_books(subscription, hour, stored.take(hour), known)
            .await?;
        books.merge(&count.books()?)?;
        transit.add(&count)?;
        let lines = count.lines()?;
        is_counted &= !has_uncounted(&lines);
        if must_be_flagged(profile, &lines, count.rows_set_aside()) {
            to_flag.insert(hour);
        }
    }
    Ok(Counted {
        sums: DaySums {
            day,
            books,
            sent: transit.sent,
            arrived: transit.arrived,
            records,
            known: digest_of_known(known),
            is_counted,
            proved_at: run.now,
        },
        to_flag,
    })
}

fn has_uncounted(lines: &[(Dimension, SlotBooks)]) -> bool {
    lines.iter().any(|(_, line)| line.uncounted.is_positive())
}

/// Returns whether an hour must be flagged: if it has rows that nothing has counted. Rows that are
/// set aside are itemised when their hour is sealed. If the subscription is not active yet, nothing
/// has sealed the hour, so it must be flagged for them too.
pub(crate) fn must_be_flagged(
    profile: &Profile,
    lines: &[(Dimension, SlotBooks)],
    rows_set_aside: u64,
) -> bool {
    has_uncounted(lines) || (rows_set_aside > 0 && profile.status() == Status::Pending)
}

/// The result of flagging hours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flagged {
    /// Hours that were flagged.
    pub(crate) hours: u64,
    /// Whether the subscription has usage although it is not active yet.
    pub(crate) has_pending_usage: bool,
}

impl Flagged {
    /// Includes the result for other hours.
    pub(crate) fn add(&mut self, more: Self) {
        self.hours += more.hours;
        self.has_pending_usage |= more.has_pending_usage;
    }
}

/// Flags hours that must be flagged. An hour of a subscription that is not active yet is found at
/// each count until the subscription is active, so it is flagged only if it has no flag.
pub(crate) async fn flag(
    run: &Run<'_>,
    profile: &Profile,
    hours: impl IntoIterator<Item = UsageHour>,
) -> Result<Flagged, LedgerError> {
    let subscription = &profile.subscription;
    let mut flagged = Flagged::default();
    let mut hours: BTreeSet<UsageHour> = hours.into_iter().collect();
    if profile.status() == Status::Pending
        && let Some(hour) = hours.first()
    {
        flagged.has_pending_usage = true;
        tracing::warn!(%subscription, %hour, "there is usage of a subscription that is not active yet");
        hours = without_flag(run, profile, hours).await?;
    }
    for hour in hours {
        tracing::warn!(%subscription, %hour, "this hour has rows that nothing has counted and is flagged as late");
        run.app
            .ledger
            .flag_late(subscription, hour, run.now)
            .await?;
        flagged.hours += 1;
    }
    Ok(flagged)
}

/// Returns those of the hours of a pending subscription that must still be flagged.
///
/// A recount reads the flag first, then the profile, and then the rows. It reads no row while the
/// subscription is pending, and at last it removes the flag. So if the subscription is still
/// pending after the flags were read here, every recount that removes one of them reads the rows
/// later than this run has read them. If the subscription has become active meanwhile, a recount
/// under way may have read an hour before a row of it was put. Then every hour is flagged again.
async fn without_flag(
    run: &Run<'_>,
    profile: &Profile,
    hours: BTreeSet<UsageHour>,
) -> Result<BTreeSet<UsageHour>, LedgerError> {
    let ends = hours.first().copied().zip(hours.last().copied());
    let Some((first, last)) = ends else {
        return Ok(hours);
    };
    let (ledger, subscription) = (&run.app.ledger, &profile.subscription);
    let flagged = ledger.flagged_hours(subscription, first, last).await?;
    if flagged.is_disjoint(&hours) {
        return Ok(hours);
    }
    let read_again = ledger.profile(subscription).await?;
    let is_still_pending = read_again.is_some_and(|again| again.status() == Status::Pending);
    Ok(match is_still_pending {
        true => &hours - &flagged,
        false => hours,
    })
}
