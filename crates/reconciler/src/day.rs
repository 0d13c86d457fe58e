//! One day of a subscription, counted in full.

use std::collections::BTreeSet;

use ledger::LedgerError;
use ledger::day::{DayDigest, digest_of_known};
use ledger::profile::Profile;
use ledger::transit::Transit;
use marketplace::UsageHour;
use marketplace::books::Books;
use marketplace::lifecycle::Status;

use crate::run::Run;

/// The result of counting a day.
#[derive(Debug)]
pub(crate) struct Counted {
    /// The sums of the hours that were counted.
    pub(crate) digest: DayDigest,
    /// The hours that have uncounted rows.
    pub(crate) uncounted: BTreeSet<UsageHour>,
}

/// Counts a day of a subscription up to and including the hour `through`. One query reads the
/// records, and one query per hour reads the rows. The result is the digest of the whole day only
/// if `through` is the day's last hour or later.
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

/// The result of flagging hours that have uncounted rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flagged {
    /// Hours that were flagged.
    pub(crate) hours: u64,
    /// Whether the subscription has usage although it is not active yet. Then no hour is flagged.
    pub(crate) has_pending_usage: bool,
}

/// Flags hours that have uncounted rows. The hours of a subscription that is not active yet are not
/// flagged, because nothing counts them before it is active.
pub(crate) async fn flag(
    run: &Run<'_>,
    profile: &Profile,
    hours: impl IntoIterator<Item = UsageHour>,
) -> Result<Flagged, LedgerError> {
    let subscription = &profile.subscription;
    let mut flagged = Flagged::default();
    let is_pending = profile.status() == Status::Pending;
    for hour in hours {
        if is_pending {
            flagged.has_pending_usage = true;
            tracing::warn!(%subscription, %hour, "there is usage of a subscription that is not active yet");
            return Ok(flagged);
        }
        tracing::warn!(%subscription, %hour, "this hour has uncounted rows and is flagged as late");
        run.app
            .ledger
            .flag_late(subscription, hour, run.now)
            .await?;
        flagged.hours += 1;
    }
    Ok(flagged)
}
