//! Recounts the past month before its catch hour is sealed.
//!
//! This happens between 03:00 and 05:00 UTC on the 1st, because usage that is found then can still
//! be carried into the month's last hour. First come the days that must be counted: the last two,
//! and those that are not proved or have changed since their proof. Then come the older days in
//! full, the newest first, until the time runs out. They show usage that was missed by a stream
//! that was broken for days.
//!
//! The records of each day are compared with those that its proof has seen. This stack writes a
//! note before each of its writes that can change a proved day (`ledger::day`). So a difference
//! without a note was not made by this stack. It is reported as an imbalance.

use jiff::Timestamp;
use ledger::LedgerError;
use ledger::day::{DaySums, digest_of_known, first_of_day};
use ledger::profile::Profile;
use marketplace::{Month, Subscription, UsageHour};
use runtime::Budget;

use crate::day::{Flagged, count_day, flag};
use crate::recount::{first_recount_due, recount};
use crate::run::Run;
use crate::walk::{End, List, Walk, reached};
use crate::{ReconcileError, Report};

/// Minutes after a month's end at which its recount begins.
const MONTH_RECOUNT_BEGIN_MINUTES: i64 = 3 * 60;
/// Minutes after a month's end at which its recount ends. The catch hour is sealed then, and
/// nothing can be carried into it any more.
const MONTH_RECOUNT_END_MINUTES: i64 = 5 * 60;
/// The number of days at the month's end that are recounted whether or not they are proved.
const LAST_DAYS: i64 = 2;

/// Recounts the past month of a shard if this is the time for it. Returns `false` if the budget ran
/// out.
pub(crate) async fn recount_month(
    run: &Run<'_>,
    shard: u8,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, ReconcileError> {
    let Some((first, last)) = hours_to_recount(run.now, run.watermark) else {
        return Ok(true);
    };
    let name = format!("recount-month#{shard}");
    let passes = Pass::all(first, last);
    let reached = reached(run.app, &name).await?;
    let begun = reached.and_then(|reached| {
        let is_same = |pass: &Pass| pass.name(first) == reached.pass;
        passes.iter().position(is_same)
    });
    let mut oldest: Option<String> = None;
    let mut finished = true;
    for pass in passes.iter().skip(begun.unwrap_or_default()) {
        let walk = Walk {
            app: run.app,
            name: &name,
            pass: &pass.name(first),
            shard,
            lists: &[List::Live],
            budget,
            end: End::InPlace,
        };
        let count = |subscription| count_one(run, subscription, *pass, (first, last), budget);
        let walked = walk.go(count, |one: Recounted| {
            report.hours_recounted += one.hours;
            report.hours_flagged += one.flagged.hours;
            report.pending_with_usage += u64::from(one.flagged.has_pending_usage);
            report.days_altered += one.altered;
        });
        let walked = walked.await;
        // A day that was altered is reported even if the walk breaks off.
        report.judge_balance(report.balanced);
        finished = walked?;
        if !finished {
            break;
        }
        oldest = Some(name_of_day(pass.day(last)));
    }
    // The report covers all shards of the run, so it names the day of the shard that has come least
    // far.
    report.month_recounted_from = report.month_recounted_from.take().max(oldest);
    Ok(finished)
}

/// Returns the first and the last sealed hour of the past month; `None` if this is not the time to
/// recount it.
fn hours_to_recount(now: Timestamp, watermark: UsageHour) -> Option<(UsageHour, UsageHour)> {
    let month = Month::of(now);
    let into_month = now.duration_since(month.start()).as_mins();
    if !(MONTH_RECOUNT_BEGIN_MINUTES..MONTH_RECOUNT_END_MINUTES).contains(&into_month) {
        return None;
    }
    let past = month.first_hour().previous().month();
    Some((past.first_hour(), past.last_hour().min(watermark)))
}

/// One walk over the subscriptions of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Counts the days of each subscription that must be counted.
    Must,
    /// Counts one older day of each subscription.
    Older(UsageHour),
}

impl Pass {
    /// Returns all passes in their order.
    fn all(first: UsageHour, last: UsageHour) -> Vec<Self> {
        let mut days: Vec<Self> = first
            .through_days(must_from(last).previous())
            .map(|(day, _)| Self::Older(day))
            .collect();
        days.push(Self::Must);
        days.reverse();
        days
    }

    fn name(self, first: UsageHour) -> String {
        match self {
            Self::Must => format!("{}-must", first.month()),
            Self::Older(day) => name_of_day(day),
        }
    }

    /// Returns the earliest day that is counted for every subscription when this pass is over.
    fn day(self, last: UsageHour) -> UsageHour {
        match self {
            Self::Must => must_from(last),
            Self::Older(day) => day,
        }
    }
}

/// Returns the first of the [`LAST_DAYS`].
fn must_from(last: UsageHour) -> UsageHour {
    first_of_day(last).plus(-24 * (LAST_DAYS - 1))
}

fn name_of_day(day: UsageHour) -> String {
    day.day().trim_end_matches('T').to_owned()
}

/// The result for one subscription.
#[derive(Default)]
struct Recounted {
    hours: u64,
    flagged: Flagged,
    altered: u64,
}

/// Counts the days of a pass for one subscription. If an item of the subscription is damaged, the
/// subscription is skipped.
async fn count_one(
    run: &Run<'_>,
    subscription: Subscription,
    pass: Pass,
    hours: (UsageHour, UsageHour),
    budget: Budget,
) -> Result<(Recounted, bool), LedgerError> {
    let counted = count_days(run, &subscription, pass, hours, budget).await;
    let counted = run.app.ledger.unless_damaged(&subscription, counted)?;
    Ok(counted.unwrap_or((Recounted::default(), true)))
}

async fn count_days(
    run: &Run<'_>,
    subscription: &Subscription,
    pass: Pass,
    (first, last): (UsageHour, UsageHour),
    budget: Budget,
) -> Result<(Recounted, bool), LedgerError> {
    let mut recounted = Recounted::default();
    let Some(profile) = run.app.ledger.profile(subscription).await? else {
        return Ok((recounted, true));
    };
    for day in days_to_count(run, &profile, pass, (first, last)).await? {
        if budget.is_spent() {
            return Ok((recounted, false));
        }
        let end = last.min(day.plus(23));
        recounted.hours += u64::try_from(end.since(day) + 1).unwrap_or_default();
        let counted = count_day(run, &profile, day, last).await;
        let name = format!("{subscription} / {}", name_of_day(day));
        let Some(counted) = run.app.ledger.unless_damaged(&name, counted)? else {
            // One damaged item must not keep the other hours of its day from being counted.
            let known = run.known(&profile.product).await?;
            for hour in day.through(end) {
                if recount(run.app, &profile, hour, None, &known).await? {
                    recounted.flagged.add(flag(run, &profile, [hour]).await?);
                }
            }
            continue;
        };
        let is_whole = end == day.plus(23);
        let altered = is_whole && was_altered(run, &profile, &counted.sums).await?;
        recounted.altered += u64::from(altered);
        recounted
            .flagged
            .add(flag(run, &profile, counted.to_flag).await?);
        // The kept sums of an altered day are not replaced. So if this run dies, the next one finds
        // the difference again, unless an hour of the day was flagged. The log has the difference
        // in any case.
        if !altered && day.plus(23) <= first_recount_due(run).min(last) {
            run.app.ledger.put_day(subscription, &counted.sums).await?;
        }
    }
    Ok((recounted, true))
}

/// Returns whether the records of a day differ from those that its proof has seen, although no note
/// reports a change. The notes are read after `counted` was counted. A note is written before its
/// change, so each change in `counted` has a note by now.
async fn was_altered(
    run: &Run<'_>,
    profile: &Profile,
    counted: &DaySums,
) -> Result<bool, LedgerError> {
    let (ledger, subscription) = (&run.app.ledger, &profile.subscription);
    let (day, last) = (counted.day, counted.day.plus(23));
    let proved = ledger.proved_days(subscription, day, last, run.now).await?;
    let altered = proved
        .kept_sums(day, &counted.known, run.now)
        .is_some_and(|proved| proved.records != counted.records);
    if altered {
        let day = name_of_day(day);
        tracing::error!(%subscription, day, "records of a proved day were changed or removed, but not by this stack; compare the day's records with a backup of the table MeteringRecords");
    }
    Ok(altered)
}

/// Returns the days of one subscription that a pass counts, the newest first.
async fn days_to_count(
    run: &Run<'_>,
    profile: &Profile,
    pass: Pass,
    (first, last): (UsageHour, UsageHour),
) -> Result<Vec<UsageHour>, LedgerError> {
    let from = match pass {
        Pass::Older(day) => return Ok(vec![day]),
        Pass::Must => first.max(first_of_day(profile.first_possible_hour())),
    };
    let ledger = &run.app.ledger;
    let proved = ledger
        .proved_days(&profile.subscription, first, last, run.now)
        .await?;
    let known = run.known(&profile.product).await?;
    let known = digest_of_known(known.as_ref().as_ref());
    let of_month = from.through_days(last).map(|(day, _)| day);
    let mut days = proved.days();
    days.extend(of_month);
    let must = |day: &UsageHour| {
        *day >= must_from(last) || proved.kept_sums(*day, &known, run.now).is_none()
    };
    Ok(days.into_iter().filter(must).rev().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_days_that_must_be_counted_come_first_and_then_the_newest() {
        let hour = |text: &str| text.parse::<UsageHour>().unwrap();
        let (first, last) = (hour("2026-11-01T00"), hour("2026-11-30T22"));
        let passes = Pass::all(first, last);
        assert_eq!(passes.len(), 29);
        let names: Vec<String> = passes.iter().map(|pass| pass.name(first)).collect();
        assert_eq!(names[..3], ["2026-11-must", "2026-11-28", "2026-11-27"]);
        assert_eq!(names[28], "2026-11-01");
        assert_eq!(name_of_day(passes[0].day(last)), "2026-11-29");
    }

    #[test]
    fn the_month_is_recounted_until_its_catch_hour_is_sealed() {
        let watermark = "2026-11-30T22".parse().unwrap();
        let at = |text: &str| hours_to_recount(text.parse().unwrap(), watermark);
        assert_eq!(at("2026-12-01T02:59:00Z"), None);
        let hours = Some(("2026-11-01T00".parse().unwrap(), watermark));
        assert_eq!(at("2026-12-01T03:00:00Z"), hours);
        assert_eq!(at("2026-12-01T04:59:00Z"), hours);
        assert_eq!(at("2026-12-01T05:00:00Z"), None);
    }
}
