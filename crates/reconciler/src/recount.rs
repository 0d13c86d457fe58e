//! Hours read again, whether or not a stream told of them.
//!
//! Each sealed hour is recounted six hours after it was due, and two hours before the deadline of
//! its records; in a month's last hours all of the month is. Progress is kept, and the place within an
//! hour or a month too, so an outage only delays it.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use ledger::hour::{Stored, StoredDay};
use ledger::{LedgerError, SHARDS, Written};
use marketplace::hour::shift;
use marketplace::lifecycle::Status;
use marketplace::planted::{Bug, is_planted};
use marketplace::{Dimension, Month, Subscription, UsageHour};
use startup::Budget;

use crate::place::Place;
use crate::{AT_ONCE, App, ReconcileError, Report, came_through};

/// Hours after which a sealed hour is recounted first.
const FIRST_RECOUNT_HOURS: i64 = 6;
/// Hours before the deadline at which it is recounted again.
const LAST_RECOUNT_HOURS: i64 = 2;
/// From here to [`MONTH_RECOUNT_END_MINUTES`] after a month's end, all of that month is recounted.
const MONTH_RECOUNT_BEGIN_MINUTES: i64 = 3 * 60 + 30;
/// Before the month's catch hour is sealed, so that what is found can still be carried into it.
const MONTH_RECOUNT_END_MINUTES: i64 = 5 * 60;

/// Recounts what is due; `false` if the time ran out.
pub(crate) async fn recount_due(
    app: &App,
    now: Timestamp,
    watermark: UsageHour,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, ReconcileError> {
    if is_planted(Bug::NothingRecounted) {
        return Ok(true);
    }
    let first = first_recount_due(app, now).min(watermark);
    let done = recount_through(app, "recount-first", first, now, budget, report).await;
    let mut finished = came_through(app, done)?;
    let last = latest_near_deadline(app, now).min(watermark);
    let done = recount_through(app, "recount-last", last, now, budget, report).await;
    finished &= came_through(app, done)?;
    let month = Month::of(now);
    let into_month = now.duration_since(month.start()).as_mins();
    if (MONTH_RECOUNT_BEGIN_MINUTES..MONTH_RECOUNT_END_MINUTES).contains(&into_month) {
        let past = month.first_hour().previous().month();
        let hours = (past.first_hour(), past.last_hour().min(watermark));
        finished &= recount_hours(app, "recount-month", hours, now, budget, report).await?;
    }
    Ok(finished)
}

/// The latest hour whose first recount is due.
pub(crate) fn first_recount_due(app: &App, now: Timestamp) -> UsageHour {
    let then = shift(now, SignedDuration::from_hours(-FIRST_RECOUNT_HOURS));
    app.schedule.latest_due(then)
}

/// The latest hour whose records' deadline is two hours away or less.
fn latest_near_deadline(app: &App, now: Timestamp) -> UsageHour {
    let horizon = shift(now, SignedDuration::from_hours(LAST_RECOUNT_HOURS));
    let mut hour = UsageHour::of(now);
    // A window is 31 days at most.
    for _ in 0..=31 * 24 {
        if app.window.deadline(hour.start()) <= horizon {
            return hour;
        }
        hour = hour.previous();
    }
    hour
}

async fn recount_through(
    app: &App,
    name: &str,
    through: UsageHour,
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, ReconcileError> {
    let Some(progress) = app.ledger.sweep_progress(name).await? else {
        // The first run: what was sealed before there was a reconciler has nothing to recount.
        app.ledger.create_sweep_progress(name, through).await?;
        return Ok(true);
    };
    let mut progress = progress;
    while progress.through < through {
        let hour = progress.through.next();
        if !recount_hours(app, name, (hour, hour), now, budget, report).await? {
            return Ok(false);
        }
        match app
            .ledger
            .advance_sweep_progress(name, &progress, hour)
            .await?
        {
            Written::Done => progress.advance(hour),
            Written::Conflict => return Ok(false),
        }
    }
    Ok(true)
}

/// Recounts hours, the first to the last, of every live subscription, and flags those with rows that
/// nothing has counted. A run whose time is up keeps its place, and the next one goes on there.
async fn recount_hours(
    app: &App,
    name: &str,
    hours: (UsageHour, UsageHour),
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, ReconcileError> {
    let round = hours.0.to_string();
    let kept = app.ledger.stopped_at(name).await?;
    let mut place = Place::of_round(kept.as_deref(), &round);
    let finished = walk(app, &mut place, hours, now, budget, report).await;
    let reached = match &finished {
        Ok(true) => None,
        _ => Some(place.to_text(&round)),
    };
    if reached != kept {
        app.ledger.stop_at(name, reached.as_deref()).await?;
    }
    Ok(finished?)
}

/// Recounts from a place on; `place` is where it came to.
async fn walk(
    app: &App,
    place: &mut Place,
    hours: (UsageHour, UsageHour),
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, LedgerError> {
    for shard in place.shard..SHARDS {
        if shard != place.shard {
            *place = Place { shard, after: None };
        }
        loop {
            if budget.is_spent() {
                return Ok(false);
            }
            let page = app.ledger.live_page(shard, place.after.as_ref()).await?;
            let mut recounted = stream::iter(page.subscriptions)
                .map(|subscription| recount_one(app, subscription, hours, now, budget))
                .buffered(AT_ONCE);
            while let Some((subscription, of_one)) = recounted.try_next().await? {
                report.hours_recounted += of_one.hours;
                report.hours_flagged += of_one.flagged;
                report.pending_with_usage += u64::from(of_one.waits);
                if !of_one.finished {
                    return Ok(false);
                }
                place.after = Some(subscription);
            }
            place.after = page.next;
            if place.after.is_none() {
                break;
            }
        }
    }
    Ok(true)
}

/// What became of one subscription's hours.
#[derive(Default)]
struct Recounted {
    hours: u64,
    flagged: u64,
    /// Whether it is not active yet, and has usage.
    waits: bool,
    finished: bool,
}

/// Recounts one subscription's hours; one of which an item is damaged is set aside.
async fn recount_one(
    app: &App,
    subscription: Subscription,
    hours: (UsageHour, UsageHour),
    now: Timestamp,
    budget: Budget,
) -> Result<(Subscription, Recounted), LedgerError> {
    let recounted = recount_subscription(app, &subscription, hours, now, budget).await;
    let recounted = app.ledger.unless_damaged(&subscription, recounted)?;
    let set_aside = Recounted {
        finished: true,
        ..Recounted::default()
    };
    Ok((subscription, recounted.unwrap_or(set_aside)))
}

async fn recount_subscription(
    app: &App,
    subscription: &Subscription,
    (first, last): (UsageHour, UsageHour),
    now: Timestamp,
    budget: Budget,
) -> Result<Recounted, LedgerError> {
    let mut recounted = Recounted::default();
    let Some(profile) = app.ledger.profile(subscription).await? else {
        recounted.finished = true;
        return Ok(recounted);
    };
    let is_pending = profile.status() == Status::Pending;
    if is_pending && first != last {
        // Its usage was seen when each hour was recounted by itself.
        recounted.finished = true;
        return Ok(recounted);
    }
    let product = app.ledger.product(&profile.product).await?;
    let known = product.as_ref().map(|p| &p.dimensions);
    for (begin, end) in first.through_days(last) {
        let mut stored = stored_on_day(app, subscription, begin, end).await?;
        for hour in begin.through(end) {
            if budget.is_spent() {
                return Ok(recounted);
            }
            let stored = stored.as_mut().map(|stored| stored.take(hour));
            let has_uncounted = recount(app, subscription, hour, stored, known).await?;
            recounted.hours += 1;
            if has_uncounted && is_pending {
                recounted.waits = true;
                tracing::warn!(%subscription, %hour, "usage of a subscription that is not active yet");
            } else if has_uncounted {
                tracing::warn!(%subscription, %hour, "rows that nothing has counted; flagged");
                app.ledger.flag_late(subscription, hour, now).await?;
                recounted.flagged += 1;
            }
        }
    }
    recounted.finished = true;
    Ok(recounted)
}

/// What is stored about several hours of a day; nothing for a single hour, which is read by itself,
/// nor where an item is damaged: then each hour is, to tell which.
async fn stored_on_day(
    app: &App,
    subscription: &Subscription,
    begin: UsageHour,
    end: UsageHour,
) -> Result<Option<StoredDay>, LedgerError> {
    if begin == end {
        return Ok(None);
    }
    match app.ledger.stored_on_day(subscription, begin).await {
        Ok(stored) => Ok(Some(stored)),
        Err(LedgerError::Malformed(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an hour has rows that nothing has counted.
async fn recount(
    app: &App,
    subscription: &Subscription,
    hour: UsageHour,
    stored: Option<Stored>,
    known: Option<&BTreeSet<Dimension>>,
) -> Result<bool, LedgerError> {
    let ledger = &app.ledger;
    let lines = match stored {
        Some(stored) => {
            let count = ledger.count_for_books(subscription, hour, stored, known);
            count.await.and_then(|count| count.lines())
        }
        None => {
            let count = ledger.count_hour(subscription, hour, known);
            count.await.and_then(|count| count.lines())
        }
    };
    // One damaged item must not keep the rest from being counted.
    let lines = ledger.unless_damaged(&format_args!("{subscription} / {hour}"), lines)?;
    let lines = lines.unwrap_or_default();
    Ok(lines.iter().any(|(_, line)| line.uncounted.is_positive()))
}
