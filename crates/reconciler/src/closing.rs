//! Clears the attention of subscriptions that the sealer's rounds cover, and ends subscriptions
//! whose usage is completely metered or itemised.
//!
//! Several subscriptions are examined at the same time, until the task's share of the run is spent.
//! The next run continues after the last subscription that was begun. So a subscription that takes
//! all of the time does not delay the others in every run.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use ledger::profile::Profile;
use ledger::{LedgerError, Written};
use marketplace::hour::shift;
use marketplace::lifecycle::Status;
use marketplace::{Month, Subscription, UsageHour};
use runtime::Budget;

use crate::{AT_ONCE, App, ReconcileError, Report};

/// The shortest time that attention lasts, in minutes: far longer than an index lags behind its
/// table.
const ATTENTION_MINUTES_MIN: i64 = 60;
/// The name under which the walk over the subscriptions with attention stores its place.
const PASS: &str = "closing";

#[derive(Clone, Copy)]
struct Task<'a> {
    app: &'a App,
    now: Timestamp,
    watermark: UsageHour,
    budget: Budget,
}

/// The result for one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Examined {
    /// The subscription was not changed in this run.
    Left,
    /// Its attention was cleared, because the sealer's rounds cover it.
    Cleared,
    /// It was ended, because all its usage is metered or itemised.
    Closed,
    /// The time ran out before the subscription was examined completely.
    Unfinished,
}

/// Clears attention that is not needed any more, and ends subscriptions that are completely
/// metered. Returns `false` if the time ran out.
pub(crate) async fn close(
    app: &App,
    now: Timestamp,
    watermark: UsageHour,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, ReconcileError> {
    let task = Task {
        app,
        now,
        watermark,
        budget,
    };
    let mut place = app.ledger.place_of_pass(PASS).await?;
    let begin = place.at.clone();
    let mut reached = begin.clone();
    let mut finished = task.walk(&mut reached, None, report).await?;
    if let (true, Some(begin)) = (finished, &begin) {
        // The walk began in the middle, so the part before its beginning follows.
        reached = None;
        finished = task.walk(&mut reached, Some(begin), report).await?;
    }
    let next = reached.filter(|_| !finished);
    if app.ledger.move_place(&mut place, next).await? == Written::Conflict {
        tracing::debug!("another run has moved the place of the closing");
    }
    Ok(finished)
}

impl Task<'_> {
    /// Examines the subscriptions after `reached`, up to and including `last` if there is one.
    /// `reached` becomes the last subscription that was begun.
    async fn walk(
        self,
        reached: &mut Option<Subscription>,
        last: Option<&Subscription>,
        report: &mut Report,
    ) -> Result<bool, LedgerError> {
        let last = last.map(Subscription::to_string);
        loop {
            if self.budget.is_spent() {
                return Ok(false);
            }
            let page = self.app.ledger.attention_page(reached.as_ref()).await?;
            let is_within =
                |one: &Subscription| last.as_ref().is_none_or(|last| one.to_string() <= *last);
            let is_last_page = !page.subscriptions.iter().all(is_within);
            let within = page.subscriptions.into_iter().filter(is_within);
            let mut examined = stream::iter(within)
                .map(|subscription| self.examine_one(subscription))
                .buffered(AT_ONCE);
            let mut finished = true;
            while let Some((subscription, examined)) = examined.next().await {
                report.attention_cleared += u64::from(examined == Examined::Cleared);
                report.subscriptions_closed += u64::from(examined == Examined::Closed);
                finished &= examined != Examined::Unfinished;
                *reached = Some(subscription);
                if !finished && self.budget.is_spent() {
                    return Ok(false);
                }
            }
            if page.next.is_none() || is_last_page {
                return Ok(finished);
            }
            *reached = page.next;
        }
    }

    async fn examine_one(self, subscription: Subscription) -> (Subscription, Examined) {
        let examined = self.examine(&subscription).await;
        let examined = match self.app.ledger.unless_damaged(&subscription, examined) {
            Ok(examined) => examined.unwrap_or(Examined::Left),
            Err(error) => {
                tracing::error!(%subscription, %error, "this subscription could not be examined");
                Examined::Left
            }
        };
        (subscription, examined)
    }

    async fn examine(self, subscription: &Subscription) -> Result<Examined, LedgerError> {
        let Self {
            app,
            now,
            watermark,
            ..
        } = self;
        let Some(profile) = app.ledger.profile(subscription).await? else {
            return Ok(Examined::Left);
        };
        let Some(since) = profile.attention_since else {
            return Ok(Examined::Left);
        };
        let mut changed = profile.clone();
        let examined = match profile.status() {
            Status::Active => {
                // The subscription is sealed through the watermark individually, and has been in
                // the live index long enough. A round reads each later hour after it has raised the
                // watermark to it, and that round sees the subscription.
                let caught_up = profile.sealed_through >= Some(watermark);
                let seen = shift(since, SignedDuration::from_mins(ATTENTION_MINUTES_MIN)) <= now;
                if !caught_up || !seen {
                    return Ok(Examined::Left);
                }
                Examined::Cleared
            }
            Status::Ending => match self.is_done(&profile).await? {
                Some(true) => {
                    self.list_ended(&profile).await?;
                    changed.lifecycle.closed_at = Some(now);
                    Examined::Closed
                }
                Some(false) => return Ok(Examined::Left),
                None => return Ok(Examined::Unfinished),
            },
            Status::Pending | Status::Ended => return Ok(Examined::Left),
        };
        changed.attention_since = None;
        changed.sealed_through = None;
        Ok(match app.ledger.change_profile(&profile, &changed).await? {
            Written::Done => examined,
            Written::Conflict => Examined::Left,
        })
    }

    /// Lists a subscription that is about to leave the live index under its last months, so that
    /// those months are still proved. A crash after the listing leaves a superfluous entry, which
    /// costs two reads.
    async fn list_ended(self, profile: &Profile) -> Result<(), LedgerError> {
        let spans = profile.lifecycle.spans();
        let hours = spans.last().and_then(|span| span.last_hour());
        let mut months = BTreeSet::from([Month::of(self.now), self.watermark.month()]);
        months.extend(hours.map(UsageHour::month));
        for month in months {
            let ledger = &self.app.ledger;
            ledger
                .list_ended(&profile.subscription, month, self.now)
                .await?;
        }
        Ok(())
    }

    /// Returns whether an ending subscription is done: its end is certain, the watermark has
    /// reached its last hour (so that every later row is flagged), and every row of its open months
    /// is counted. Returns `None` if the time ran out.
    async fn is_done(self, profile: &Profile) -> Result<Option<bool>, LedgerError> {
        let spans = profile.lifecycle.spans();
        let Some(span) = spans.last() else {
            return Ok(Some(false));
        };
        let (Some(first_end), Some(until), Some(last)) =
            (span.first_end(), span.certain_at(), span.last_hour())
        else {
            return Ok(Some(false));
        };
        if self.now < until || self.watermark < last {
            return Ok(Some(false));
        }
        let (ledger, subscription) = (&self.app.ledger, &profile.subscription);
        let product = ledger.product(&profile.product).await?;
        let known = product.as_ref().map(|p| &p.dimensions);
        let begin = profile
            .first_possible_hour()
            .max(Month::of(first_end).first_hour());
        // No round seals the hours after the end, so this check reads them as well.
        for (first, last) in begin.through_days(last.max(UsageHour::of(self.now).next())) {
            if self.budget.is_spent() {
                return Ok(None);
            }
            let mut stored = ledger.stored_of_hours(subscription, first, last).await?;
            for hour in first.through(last) {
                let count = ledger
                    .count_for_books(subscription, hour, stored.take(hour), known)
                    .await?;
                let lines = count.lines()?;
                if lines.iter().any(|(_, line)| line.uncounted.is_positive()) {
                    ledger.flag_late(subscription, hour, self.now).await?;
                    return Ok(Some(false));
                }
            }
        }
        Ok(Some(true))
    }
}
