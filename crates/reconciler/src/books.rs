//! The books: per subscription, dimension and hour, counted again from the rows.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use ledger::profile::Profile;
use ledger::{Ledger, LedgerError, SHARDS, shard_of};
use marketplace::books::{Books, SlotBooks};
use marketplace::{Dimension, Month, Subscription, UsageHour};
use startup::Budget;

use crate::{AT_ONCE, App, ReconcileError, Report};

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
    /// Their sum.
    pub sum: Books,
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
        sum: Books::default(),
    };
    let mut hours = stream::iter(first.through(last))
        .map(|hour| ledger.count_hour(subscription, hour, known))
        .buffered(AT_ONCE);
    while let Some(count) = hours.try_next().await? {
        books.sum.merge(&count.books()?)?;
        let hour = count.fold.hour();
        for (dimension, slot) in count.lines()? {
            books.lines.push(Line {
                subscription: subscription.clone(),
                hour,
                dimension,
                slot,
            });
        }
    }
    Ok(books)
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

/// Each hour's run proves one shard's month to date, so that a day proves all of it three times.
pub(crate) async fn prove_shard(
    app: &App,
    now: Timestamp,
    watermark: UsageHour,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, ReconcileError> {
    let shard = UsageHour::of(now).number().rem_euclid(i64::from(SHARDS));
    let first = Month::of(watermark.start()).first_hour();
    let mut sums: BTreeMap<Subscription, Books> = BTreeMap::new();
    let mut start = None;
    loop {
        let (profiles, next) = app.ledger.profiles_page(start).await?;
        for profile in &profiles {
            if i64::from(shard_of(&profile.subscription)) != shard {
                continue;
            }
            if budget.is_spent() {
                return Ok(false);
            }
            let books = of_subscription(&app.ledger, profile, first, watermark).await?;
            sums.insert(profile.subscription.clone(), books.sum);
        }
        start = next;
        if start.is_none() {
            break;
        }
    }
    let mut balanced = true;
    for (subscription, sum) in &sums {
        // A carry into the running hour has left the hours counted here and not arrived in them.
        let in_flight = sum.carried_out.minus(sum.carried_in)?;
        if in_flight.is_negative() {
            tracing::error!(%subscription, ?sum, "the books do not balance");
            balanced = false;
        }
    }
    report.balanced = Some(balanced);
    Ok(true)
}

impl From<marketplace::quantity::Overflow> for ReconcileError {
    fn from(error: marketplace::quantity::Overflow) -> Self {
        Self::Ledger(error.into())
    }
}
