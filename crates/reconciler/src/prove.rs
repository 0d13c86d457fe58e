//! The proof of the books, day by day: each day of a subscription is read in full once.
//!
//! Each shard has its turn every twelve hours. No two shards have their turn in the same hour. A
//! turn reads in full the days that are not proved or have changed since their proof (`ledger::day`
//! explains how that is known). For every other day it reads the sums that the proof has kept.
//! Over all days together, late usage must have arrived as it was sent. A difference is reported
//! only after all days of the subscription were read in full once more.
//!
//! A full reading also finds rows that came after their hour's recount and that no stream reported.
//! Their hours are flagged. For two days after a month's end that month is proved as well.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use ledger::LedgerError;
use ledger::books::Unbalanced;
use ledger::day::{DaySums, ProvedDays, digest_of_known, first_of_day};
use ledger::profile::Profile;
use ledger::transit::Transit;
use marketplace::books::Books;
use marketplace::hour::shift;
use marketplace::{Month, Subscription, UsageHour};
use runtime::Budget;

use crate::day::{Flagged, count_day, flag};
use crate::recount::first_recount_due;
use crate::run::Run;
use crate::walk::{End, List, Walk, kept};
use crate::{ReconcileError, Report};

/// The number of hours from one turn of a shard to its next. A new day is proved in the first turn
/// after it is due, and a day that has changed is proved in the next turn.
const TURN_HOURS: i64 = 12;
/// The time after a month's end in which its days are still proved.
const PAST_MONTH_READ: SignedDuration = SignedDuration::from_hours(48);

/// Proves the days of a shard that are due. Returns `false` if the time ran out.
pub(crate) async fn prove_due(
    run: &Run<'_>,
    shard: u8,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, ReconcileError> {
    let name = format!("books#{shard}");
    let pass = turn(run.now, shard).to_string();
    let is_done = |place: crate::walk::Place| place.pass == pass && place.is_done();
    if kept(run.app, &name).await?.is_some_and(is_done) {
        return Ok(true);
    }
    let Some((first, last)) = days_to_prove(run) else {
        return Ok(true);
    };
    let mut lists = vec![List::Live, List::Ended(first.month())];
    if last.month() != first.month() {
        lists.push(List::Ended(last.month()));
    }
    let walk = Walk {
        app: run.app,
        name: &name,
        pass: &pass,
        shard,
        lists: &lists,
        budget,
        end: End::InPlace,
    };
    let mut sum = Sum::default();
    let prove = |subscription: Subscription| async move {
        let (proved, done) = prove_one(run, &subscription, (first, last), budget).await?;
        Ok(((subscription, proved), done))
    };
    let add = |(subscription, one): (Subscription, Proved)| sum.add(&subscription, &one);
    let finished = walk.go(prove, add).await;
    let Sum { proved, overflowed } = sum;
    let books = &proved.books;
    tracing::info!(shard, %first, %last, ?books, overflowed, "proved the books of these subscriptions");
    report.days_proved += proved.days;
    report.slots_unbalanced += proved.unbalanced;
    report.hours_flagged += proved.flagged;
    report.pending_with_usage += proved.pending;
    report.sums_overflowed += overflowed;
    // What was found is reported even if the walk broke off.
    report.judge_balance(matches!(finished, Ok(true)).then_some(true));
    Ok(finished?)
}

/// Returns the [`UsageHour::number`] of the hour in which a shard's latest turn began.
fn turn(now: Timestamp, shard: u8) -> i64 {
    let hour = UsageHour::of(now).number();
    hour - (hour - i64::from(shard)).rem_euclid(TURN_HOURS)
}

/// Returns the first hour of the first day to prove and the last hour of the last day; `None` if
/// there is no day to prove. A day is proved from six hours after its last hour was due, for as
/// long as all of its records are kept. Without the records its rows would seem uncounted.
fn days_to_prove(run: &Run<'_>) -> Option<(UsageHour, UsageHour)> {
    let month = Month::of(run.watermark.start()).first_hour();
    let first = match shift(run.now, -PAST_MONTH_READ) < month.start() {
        true => month.previous().month().first_hour(),
        false => month,
    };
    let due = first_recount_due(run).min(run.watermark);
    let last = first_of_day(due.next()).previous();
    let retention = run.app.ledger.retention();
    let mut days = first.through_days(last).map(|(day, _)| day);
    let first = days.find(|day| !retention.is_over(*day, run.now))?;
    Some((first, last))
}

/// The result of proving one subscription.
#[derive(Debug, Default)]
struct Proved {
    days: u64,
    unbalanced: u64,
    flagged: u64,
    pending: u64,
    books: Books,
}

/// The results of several subscriptions, added up.
#[derive(Default)]
struct Sum {
    proved: Proved,
    /// Subscriptions whose books could not be added, because the sum exceeds its range.
    overflowed: u64,
}

impl Sum {
    fn add(&mut self, subscription: &Subscription, one: &Proved) {
        self.proved.days += one.days;
        self.proved.unbalanced += one.unbalanced;
        self.proved.flagged += one.flagged;
        self.proved.pending += one.pending;
        let mut books = self.proved.books.clone();
        match books.merge(&one.books) {
            Ok(()) => self.proved.books = books,
            Err(error) => {
                self.overflowed += 1;
                tracing::error!(%subscription, %error, "the books of this subscription cannot be added to those of the others");
            }
        }
    }
}

/// Proves one subscription. If its books cannot be counted, they count as not balanced, and the
/// other subscriptions are still proved.
async fn prove_one(
    run: &Run<'_>,
    subscription: &Subscription,
    days: (UsageHour, UsageHour),
    budget: Budget,
) -> Result<(Proved, bool), LedgerError> {
    let proved = prove(run, subscription, days, budget).await;
    match run.app.ledger.unless_damaged(subscription, proved)? {
        Some(proved) => Ok(proved),
        None => {
            tracing::error!(%subscription, "the books of this subscription cannot be counted");
            let unbalanced = Proved {
                unbalanced: 1,
                ..Proved::default()
            };
            Ok((unbalanced, true))
        }
    }
}

async fn prove(
    run: &Run<'_>,
    subscription: &Subscription,
    (first, last): (UsageHour, UsageHour),
    budget: Budget,
) -> Result<(Proved, bool), LedgerError> {
    let ledger = &run.app.ledger;
    let mut proved = Proved::default();
    let Some(profile) = ledger.profile(subscription).await? else {
        return Ok((proved, true));
    };
    let kept = ledger
        .proved_days(subscription, first, last, run.now)
        .await?;
    let begin = first.max(first_of_day(profile.first_possible_hour()));
    let mut days = kept.days();
    days.extend(begin.through_days(last).map(|(day, _)| day));
    let books = OfDays {
        run,
        profile: &profile,
        budget,
    };
    let Some(counted) = books.count(&days, Some(&kept), &mut proved).await? else {
        return Ok((proved, false));
    };
    let mut unbalanced = unbalanced(&counted, Transit::default())?;
    if !unbalanced.is_empty() {
        // Two harmless cases look like an imbalance too: late usage that was being carried during
        // the first reading, and late usage from a day before the first one that is proved. The
        // second reading rules them out. Only a difference that both readings show is reported.
        let Some(again) = books.count(&days, None, &mut proved).await? else {
            return Ok((proved, false));
        };
        let before = first.through(begin.previous());
        let unread = before.filter(|hour| !days.contains(&first_of_day(*hour)));
        let again = self::unbalanced(&again, books.sent_from(unread.collect()).await?)?;
        unbalanced.retain(|slot| again.contains(slot));
    }
    for slot in &unbalanced {
        let (hour, dimension) = (slot.hour, &slot.dimension);
        tracing::error!(%subscription, %hour, %dimension, sent = %slot.sent, arrived = %slot.arrived, "the books do not balance: late usage did not arrive as it was sent");
    }
    proved.unbalanced = unbalanced.len() as u64;
    for day in counted.values() {
        proved.books.merge(&day.books)?;
    }
    Ok((proved, true))
}

/// The context in which the days of one subscription are proved.
struct OfDays<'a> {
    run: &'a Run<'a>,
    profile: &'a Profile,
    budget: Budget,
}

impl OfDays<'_> {
    /// Returns the sums of the days. The sums in `kept` are used where they count. All other days
    /// are read in full, and their sums are kept. Returns `None` if the time ran out. The sums of
    /// the days that were read until then are kept nevertheless.
    async fn count(
        &self,
        days: &BTreeSet<UsageHour>,
        kept: Option<&ProvedDays>,
        proved: &mut Proved,
    ) -> Result<Option<BTreeMap<UsageHour, DaySums>>, LedgerError> {
        let run = self.run;
        let known = run.known(&self.profile.product).await?;
        let known = digest_of_known(known.as_ref().as_ref());
        let mut all = BTreeMap::new();
        for day in days {
            let sums = kept.and_then(|kept| kept.kept_sums(*day, &known, run.now));
            let sums = match sums {
                Some(sums) => sums.clone(),
                None if self.budget.is_spent() => return Ok(None),
                None => self.read_in_full(*day, proved).await?,
            };
            all.insert(*day, sums);
        }
        Ok(Some(all))
    }

    /// Returns the usage that the movements of `hours` sent to other hours. The hours themselves
    /// are not counted.
    async fn sent_from(&self, hours: BTreeSet<UsageHour>) -> Result<Transit, LedgerError> {
        let mut transit = Transit::default();
        let (Some(first), Some(last)) = (hours.first(), hours.last()) else {
            return Ok(transit);
        };
        let ledger = &self.run.app.ledger;
        let subscription = &self.profile.subscription;
        let movements = ledger.movements_of_hours(subscription, *first, *last);
        for (hour, dimension, movement) in movements.await? {
            if hours.contains(&hour) {
                transit.send(&dimension, &movement)?;
            }
        }
        Ok(transit)
    }

    /// Reads a day in full, flags its hours that must be flagged, and keeps its sums.
    async fn read_in_full(
        &self,
        day: UsageHour,
        proved: &mut Proved,
    ) -> Result<DaySums, LedgerError> {
        let (run, profile) = (self.run, self.profile);
        let counted = count_day(run, profile, day, day.plus(23)).await?;
        let Flagged {
            hours,
            has_pending_usage,
        } = flag(run, profile, counted.to_flag).await?;
        proved.days += 1;
        proved.flagged += hours;
        proved.pending += u64::from(has_pending_usage);
        let subscription = &profile.subscription;
        run.app.ledger.put_day(subscription, &counted.sums).await?;
        Ok(counted.sums)
    }
}

/// Returns the slots of `days` in which late usage did not arrive as it was sent. `transit` has the
/// usage that other days sent.
fn unbalanced(
    days: &BTreeMap<UsageHour, DaySums>,
    mut transit: Transit,
) -> Result<Vec<Unbalanced>, LedgerError> {
    for day in days.values() {
        transit.add_day(day)?;
    }
    // Other days were not read, so usage that was carried into them cannot be checked.
    Ok(transit.unbalanced(|hour| days.contains_key(&first_of_day(hour))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::SHARDS;

    #[test]
    fn each_shard_has_its_turn_in_another_hour_of_twelve() {
        let turn_at = |text: &str, shard| turn(text.parse().unwrap(), shard);
        let hour = |text: &str| text.parse::<UsageHour>().unwrap().number();
        let begins = |shard| turn_at("2026-11-21T11:59:00Z", shard) - hour("2026-11-21T00");
        let mut begins: Vec<i64> = (0..SHARDS).map(begins).collect();
        begins.sort_unstable();
        begins.dedup();
        assert_eq!(begins.len(), usize::from(SHARDS));
        assert!(begins.iter().all(|begin| (0..TURN_HOURS).contains(begin)));
        let first = turn_at("2026-11-21T11:00:00Z", 3);
        assert_eq!(turn_at("2026-11-21T23:00:00Z", 3) - first, 12);
    }
}
