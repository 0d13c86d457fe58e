//! The books: per subscription, dimension and hour, counted again from the rows.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use ledger::hour::HourBooks;
use ledger::profile::Profile;
use ledger::{Ledger, LedgerError};
use marketplace::books::{Books, SlotBooks};
use marketplace::{Dimension, Subscription, Total, UsageHour};

use crate::ReconcileError;
use crate::day::Transit;

/// Days of a subscription that are read at the same time.
const DAYS_AT_ONCE: usize = 2;
/// Hours of each of them.
const HOURS_AT_ONCE: usize = 8;

/// One line of the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Who.
    pub subscription: Subscription,
    /// When.
    pub hour: UsageHour,
    /// What.
    pub dimension: Dimension,
    /// How much, and where it is.
    pub slot: SlotBooks,
}

/// The books of one subscription over some hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionBooks {
    /// Who.
    pub subscription: Subscription,
    /// Every slot with rows or a record.
    pub lines: Vec<Line>,
    /// Slots whose carried rows are not what movements brought there.
    pub astray: Vec<Astray>,
    /// Their sum.
    pub sum: Books,
}

/// A slot in which late usage did not arrive as it was sent: where the books do not balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Astray {
    /// When.
    pub hour: UsageHour,
    /// What.
    pub dimension: Dimension,
    /// What movements of earlier hours brought there.
    pub sent: Total,
    /// What its rows say.
    pub arrived: Total,
}

/// Counts the hours `first` to `last` of one subscription again.
pub async fn of_subscription(
    ledger: &Ledger,
    profile: &Profile,
    first: UsageHour,
    last: UsageHour,
) -> Result<SubscriptionBooks, LedgerError> {
    let product = ledger.product(&profile.product).await?;
    let known = product.as_ref().map(|p| &p.dimensions);
    let subscription = &profile.subscription;
    let mut books = SubscriptionBooks {
        subscription: subscription.clone(),
        lines: Vec::new(),
        astray: Vec::new(),
        sum: Books::default(),
    };
    let mut transit = Transit::default();
    let mut days = stream::iter(first.through_days(last))
        .map(|day| count_day(ledger, subscription, day, known))
        .buffered(DAYS_AT_ONCE);
    while let Some(day) = days.try_next().await? {
        for count in day {
            books.sum.merge(&count.books()?)?;
            transit.add(&count)?;
            let hour = count.hour();
            for (dimension, slot) in count.lines()? {
                books.lines.push(Line {
                    subscription: subscription.clone(),
                    hour,
                    dimension,
                    slot,
                });
            }
        }
    }
    // What was sent to a later hour has not been read.
    books.astray = transit.astray(|hour| hour <= last);
    Ok(books)
}

/// Counts hours of one day, the first to the last: its records in one read, its rows hour by hour.
async fn count_day<'d>(
    ledger: &Ledger,
    subscription: &Subscription,
    (first, last): (UsageHour, UsageHour),
    known: Option<&'d BTreeSet<Dimension>>,
) -> Result<Vec<HourBooks<'d>>, LedgerError> {
    let mut stored = ledger.stored_of_hours(subscription, first, last).await?;
    stream::iter(first.through(last))
        .map(|hour| ledger.count_for_books(subscription, hour, stored.take(hour), known))
        .buffered(HOURS_AT_ONCE)
        .try_collect()
        .await
}

/// Counts every subscription, ended ones too, over the hours `first` to `last`. `each` sees one
/// subscription after the other, so that no more than one is in memory.
pub async fn of_all(
    ledger: &Ledger,
    first: UsageHour,
    last: UsageHour,
    mut each: impl FnMut(SubscriptionBooks),
) -> Result<Books, LedgerError> {
    let mut sum = Books::default();
    let mut start = None;
    loop {
        let (profiles, next) = ledger.profiles_page(start).await?;
        for profile in &profiles {
            let books = of_subscription(ledger, profile, first, last).await?;
            sum.merge(&books.sum)?;
            each(books);
        }
        start = next;
        if start.is_none() {
            return Ok(sum);
        }
    }
}

impl From<marketplace::quantity::Overflow> for ReconcileError {
    fn from(error: marketplace::quantity::Overflow) -> Self {
        Self::Ledger(error.into())
    }
}
