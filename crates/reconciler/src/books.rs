//! The books: per subscription, dimension and hour, counted again from the rows.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use ledger::hour::HourBooks;
use ledger::profile::Profile;
use ledger::{Ledger, LedgerError, SHARDS, shard_of};
use marketplace::books::{Books, SlotBooks};
use marketplace::hour::shift;
use marketplace::lifecycle::Status;
use marketplace::planted::{Bug, is_planted};
use marketplace::recount::MovementKind;
use marketplace::{Dimension, Month, Subscription, Total, UsageHour};
use startup::Budget;

use crate::recount::first_recount_due;
use crate::{App, ReconcileError, Report, first_possible_hour};

/// How long after a month's end its rows are still read for the proof.
const PAST_MONTH_READ: SignedDuration = SignedDuration::from_hours(48);

/// The place of the proof.
const PLACE: &str = "books";

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

/// Where late usage was sent, and where it arrived.
#[derive(Debug, Default)]
struct Transit(BTreeMap<(UsageHour, Dimension), (Total, Total)>);

impl Transit {
    fn add(&mut self, count: &HourBooks<'_>) -> Result<(), LedgerError> {
        for (origin, movements) in count.movements() {
            for movement in movements {
                if let MovementKind::Carried { target, into } = &movement.kind {
                    let into = into.as_ref().unwrap_or(origin).clone();
                    let (sent, _) = self.0.entry((*target, into)).or_default();
                    *sent = sent.plus(movement.total()?)?;
                }
            }
        }
        for (dimension, total) in count.carried_in() {
            let slot = (count.hour(), dimension.clone());
            let (_, arrived) = self.0.entry(slot).or_default();
            *arrived = arrived.plus(total)?;
        }
        Ok(())
    }

    /// Through `last`: what was sent to a later hour has not been read.
    fn astray(self, last: UsageHour) -> Vec<Astray> {
        self.0
            .into_iter()
            .filter(|((hour, _), (sent, arrived))| *hour <= last && sent != arrived)
            .map(|((hour, dimension), (sent, arrived))| Astray {
                hour,
                dimension,
                sent,
                arrived,
            })
            .collect()
    }
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
    books.astray = transit.astray(last);
    Ok(books)
}

/// Counts hours of one day, the first to the last: its records in one read, its rows hour by hour.
async fn count_day<'d>(
    ledger: &Ledger,
    subscription: &Subscription,
    (first, last): (UsageHour, UsageHour),
    known: Option<&'d BTreeSet<Dimension>>,
) -> Result<Vec<HourBooks<'d>>, LedgerError> {
    let mut stored = ledger.stored_on_day(subscription, first).await?;
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

/// Each hour's run proves one shard's month to date, so that a day proves all of it three times. A run
/// whose time is up keeps its place, and the next one goes on there: the shards come in their order,
/// whatever one of them takes.
///
/// It reads every row for that, and so finds the ones that came after their hour's last recount and
/// that no stream told of: those hours are flagged. For two days after a month's end that month is
/// read as well. Hours before there can have been a subscription are left to the recount of the whole
/// month.
pub(crate) async fn prove_due(
    app: &App,
    now: Timestamp,
    watermark: UsageHour,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, ReconcileError> {
    let kept = app.ledger.stopped_at(PLACE).await?;
    let due = UsageHour::of(now).number();
    let (mut turn, mut after) = kept.as_deref().and_then(read_place).unwrap_or((due, None));
    // More than a round behind: the next round serves as well.
    while turn <= due - i64::from(SHARDS) {
        turn += i64::from(SHARDS);
    }
    let mut reached = None;
    while turn <= due {
        if !prove_shard(app, turn, &mut after, (now, watermark), budget, report).await? {
            reached = Some(place_text(turn, after.as_ref()));
            break;
        }
        (turn, after) = (turn + 1, None);
    }
    let finished = reached.is_none();
    // What was found astray is told even if the time ran out over the rest.
    report.balanced = match (report.slots_astray, finished) {
        (0, true) => Some(true),
        (0, false) => None,
        _ => Some(false),
    };
    if reached != kept {
        app.ledger.stop_at(PLACE, reached.as_deref()).await?;
    }
    Ok(finished)
}

/// `<turn>|<subscription>`: each hour has its turn, by its number, and a turn its shard.
fn place_text(turn: i64, after: Option<&Subscription>) -> String {
    let after = after.map(Subscription::to_string).unwrap_or_default();
    format!("{turn}|{after}")
}

fn read_place(text: &str) -> Option<(i64, Option<Subscription>)> {
    let (turn, after) = text.split_once('|')?;
    // The hours of three thousand years.
    let turn = turn
        .parse()
        .ok()
        .filter(|turn| (0..30_000_000).contains(turn))?;
    match after {
        "" => Some((turn, None)),
        after => Some((turn, Some(after.parse().ok()?))),
    }
}

/// Proves the shard whose turn it is from a place on; `after` is where it came to.
async fn prove_shard(
    app: &App,
    turn: i64,
    after: &mut Option<Subscription>,
    (now, watermark): (Timestamp, UsageHour),
    budget: Budget,
    report: &mut Report,
) -> Result<bool, ReconcileError> {
    let shard = turn.rem_euclid(i64::from(SHARDS));
    let first = first_hour_to_prove(now, watermark);
    let mut start = after.as_ref().map(Ledger::behind_profile);
    loop {
        if budget.is_spent() {
            return Ok(false);
        }
        let (profiles, next) = app.ledger.profiles_page(start).await?;
        for profile in &profiles {
            if i64::from(shard_of(&profile.subscription)) != shard {
                continue;
            }
            if budget.is_spent() {
                return Ok(false);
            }
            let proved = prove(app, profile, first, watermark).await;
            match app.ledger.unless_damaged(&profile.subscription, proved)? {
                Some(books) => {
                    report.slots_astray += books.astray.len() as u64;
                    flag_uncounted(app, profile, &books, now, report).await?;
                }
                // Books that cannot be counted are not balanced, and keep no other from being proved.
                None => {
                    let subscription = &profile.subscription;
                    tracing::error!(%subscription, "the books of this subscription cannot be counted");
                    report.slots_astray += 1;
                }
            }
            *after = Some(profile.subscription.clone());
        }
        start = next;
        if start.is_none() {
            return Ok(true);
        }
    }
}

/// The month's first; for two days after a month's end, that month's.
fn first_hour_to_prove(now: Timestamp, watermark: UsageHour) -> UsageHour {
    let month = Month::of(watermark.start()).first_hour();
    match shift(now, -PAST_MONTH_READ) < month.start() {
        true => month.previous().month().first_hour(),
        false => month,
    }
}

/// Counts the hours `begin` to `last` of one subscription, as far as it can have used anything, and
/// names what is astray.
async fn prove(
    app: &App,
    profile: &Profile,
    begin: UsageHour,
    last: UsageHour,
) -> Result<SubscriptionBooks, LedgerError> {
    let ledger = &app.ledger;
    let first = begin.max(first_possible_hour(profile));
    let mut books = of_subscription(ledger, profile, first, last).await?;
    if books.astray.is_empty() {
        return Ok(books);
    }
    // Late usage that came from an hour before the first, or that was on its way while this was read,
    // seems astray too. What really is stays so.
    let again = of_subscription(ledger, profile, begin, last).await?;
    books.astray.retain(|slot| again.astray.contains(slot));
    for slot in &books.astray {
        let subscription = &books.subscription;
        let (hour, dimension) = (slot.hour, &slot.dimension);
        tracing::error!(%subscription, %hour, %dimension, sent = %slot.sent, arrived = %slot.arrived, "the books do not balance: late usage did not arrive as it was sent");
    }
    Ok(books)
}

/// Flags the hours with rows that nothing has counted, as far as their first recount was due: before
/// that they may be about to be counted.
async fn flag_uncounted(
    app: &App,
    profile: &Profile,
    books: &SubscriptionBooks,
    now: Timestamp,
    report: &mut Report,
) -> Result<(), LedgerError> {
    if is_planted(Bug::NothingRecounted) {
        return Ok(());
    }
    let settled = first_recount_due(app, now);
    let hours: BTreeSet<UsageHour> = books
        .lines
        .iter()
        .filter(|line| line.hour <= settled && line.slot.uncounted.is_positive())
        .map(|line| line.hour)
        .collect();
    if profile.status() == Status::Pending {
        if let Some(hour) = hours.first() {
            let subscription = &books.subscription;
            tracing::warn!(%subscription, %hour, "usage of a subscription that is not active yet");
            report.pending_with_usage += 1;
        }
        return Ok(());
    }
    for hour in hours {
        let subscription = &books.subscription;
        tracing::warn!(%subscription, %hour, "rows that nothing has counted; flagged");
        app.ledger.flag_late(subscription, hour, now).await?;
        report.hours_flagged += 1;
    }
    Ok(())
}

impl From<marketplace::quantity::Overflow> for ReconcileError {
    fn from(error: marketplace::quantity::Overflow) -> Self {
        Self::Ledger(error.into())
    }
}
