//! The books: every slot (subscription, hour, dimension), recounted from its rows.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use marketplace::books::{Books, SlotBooks};
use marketplace::{Dimension, Subscription, Total, UsageHour};

use crate::Ledger;
use crate::error::LedgerError;
use crate::hour::HourBooks;
use crate::profile::Profile;
use crate::transit::Transit;

/// The number of days of a subscription that are read at the same time.
const DAYS_AT_ONCE: usize = 2;
/// The number of hours of each of these days that are read at the same time.
const HOURS_AT_ONCE: usize = 8;

/// One line of the books: a slot and its quantities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The subscription of the slot.
    pub subscription: Subscription,
    /// The hour of the slot.
    pub hour: UsageHour,
    /// The dimension of the slot.
    pub dimension: Dimension,
    /// The slot's quantities: used, metered, carried, held, written off and not yet counted.
    pub slot: SlotBooks,
}

/// The books of one subscription over some hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionBooks {
    /// The subscription that was counted.
    pub subscription: Subscription,
    /// Every slot with rows or a record.
    pub lines: Vec<Line>,
    /// Slots whose carried rows differ from the usage that movements sent to them.
    pub unbalanced: Vec<Unbalanced>,
    /// The sum over all counted hours.
    pub sum: Books,
}

/// A slot in which the books do not balance: its carried rows differ from the usage that movements
/// sent to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unbalanced {
    /// The hour of the slot.
    pub hour: UsageHour,
    /// The dimension of the slot.
    pub dimension: Dimension,
    /// The usage that movements of earlier hours sent to the slot.
    pub sent: Total,
    /// The sum of the slot's carried rows.
    pub arrived: Total,
}

/// Recounts the hours `first` to `last` of one subscription.
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
        unbalanced: Vec::new(),
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
    // The hours after `last` were not read, so usage that was carried into them cannot be checked.
    books.unbalanced = transit.unbalanced(|hour| hour <= last);
    Ok(books)
}

/// Counts the hours `first` to `last` of one day. One query reads the records of the day, and one
/// query per hour reads the rows.
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

/// Recounts the hours `first` to `last` of every subscription, including ended ones. `each` gets
/// the subscriptions one after the other, so that only one of them is in memory.
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
