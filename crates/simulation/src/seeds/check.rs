//! Compares what the seller's software sent with what AWS Marketplace billed.
//!
//! The check knows only the rows as they were written and the slots of the emulator. It knows
//! nothing about how the stack works. At the end the stack's own books must agree with the check.

use std::collections::{BTreeMap, BTreeSet};

use emulator::LicenseOnRenewal;
use jiff::Timestamp;
use ledger::LedgerError;
use ledger::books::of_subscription;
use ledger::day::digest_of_known;
use marketplace::{Subscription, UsageHour};

use super::owed::{Excuse, excuse};
use super::story::{Row, Story, after};
use super::subscribed::Subscribed;
use super::trouble::Trouble;
use crate::bill::billed;
use crate::world::World;

/// The result of checking a seed. Quantities are in micro-units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckResult {
    /// Descriptions of everything that was wrong. The list is empty if the seed passed.
    pub violations: Vec<String>,
    /// Valid usage, with each row counted once.
    pub sent: u128,
    /// Usage that had to be billed by the end.
    pub owed: u128,
    /// Usage that AWS Marketplace billed.
    pub billed: u128,
    /// Usage that had to be billed and was not.
    pub lost: u128,
    /// Usage that was billed beyond what was sent.
    pub billed_twice: u128,
    /// Usage that the stack's books hold for a person.
    pub held: u128,
    /// Usage that need not be billed, by reason: its quantity, and an upper bound of the quantity
    /// that was not billed.
    pub excused: BTreeMap<Excuse, (u128, u128)>,
}

/// One dimension of one buyer.
#[derive(Default)]
struct Account {
    /// By the hour of usage: everything that was sent, and the part that had to be billed.
    sent: BTreeMap<UsageHour, (u128, u128)>,
    billed: BTreeMap<UsageHour, u128>,
    /// By the start of the month: usage that need not be billed.
    excused: BTreeMap<(Timestamp, Excuse), u128>,
}

/// Judges a world at the end of its seed.
pub(super) async fn check(
    world: &World,
    story: &Story,
    trouble: &Trouble,
    buyers: &BTreeMap<usize, Subscribed>,
) -> CheckResult {
    let mut result = CheckResult::default();
    let mut accounts: BTreeMap<(String, String), Account> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let survives = world.emulator.readings().license_on_renewal == LicenseOnRenewal::Survives;
    for row in &story.rows {
        let Some(subscribed) = buyers.get(&row.buyer) else {
            continue;
        };
        let who = bill_name(&subscribed.subscription, &subscribed.agreement.account_id);
        let hour = UsageHour::of(row.event.time);
        let dimension = row.event.dimension.to_string();
        // The same row may be written again. The time of the first write counts.
        let first = first_written(story, row);
        if !seen.insert((row.buyer, hour, dimension.clone(), row.event.id.to_string())) {
            continue;
        }
        let quantity = u128::from(row.event.quantity.micros());
        let mut buyer = story.buyers[row.buyer].clone();
        // If the license does not survive a renewal, the story leaves the renewal out.
        buyer.renews = buyer.renews.filter(|_| survives);
        let excuse = excuse(story, trouble, &buyer, row, first);
        let account = accounts.entry((who, dimension)).or_default();
        let entry = account.sent.entry(hour).or_default();
        entry.0 += quantity;
        match excuse {
            None => entry.1 += quantity,
            Some(excuse) => {
                let month = (hour.month().start(), excuse);
                *account.excused.entry(month).or_default() += quantity;
            }
        }
    }
    for ((who, dimension, hour), quantity) in billed(world) {
        let account = accounts.entry((who, dimension)).or_default();
        *account.billed.entry(hour).or_default() += u128::from(quantity.micros());
    }
    for ((who, dimension), account) in &accounts {
        judge(who, dimension, account, &mut result);
    }
    for (n, subscribed) in buyers {
        compare_books(world, story, *n, subscribed, &accounts, &mut result).await;
        if let Err(problem) = compare_days(world, story, trouble, subscribed).await {
            result.violations.push(format!("buyer {n}: {problem}"));
        }
    }
    result
}

/// The name that a subscription's slots have on the bill.
fn bill_name(subscription: &Subscription, account_id: &str) -> String {
    match subscription
        .to_string()
        .split('|')
        .collect::<Vec<_>>()
        .as_slice()
    {
        [_, product, _] => format!("{product}|{account_id}"),
        _ => subscription.to_string(),
    }
}

fn first_written(story: &Story, row: &Row) -> Timestamp {
    let same = |other: &&Row| other.buyer == row.buyer && other.event.id == row.event.id;
    let times = story.rows.iter().filter(same).map(|other| other.written);
    times.min().unwrap_or(row.written)
}

fn judge(who: &str, dimension: &str, account: &Account, result: &mut CheckResult) {
    let sent: u128 = account.sent.values().map(|(sent, _)| sent).sum();
    let billed: u128 = account.billed.values().sum();
    result.sent += sent;
    result.billed += billed;
    // Usage is not billed before it was used, and not more than was used is billed.
    let mut hours: BTreeSet<UsageHour> = account.sent.keys().copied().collect();
    hours.extend(account.billed.keys());
    let mut excess: u128 = 0;
    for hour in &hours {
        let used: u128 = account
            .sent
            .range(..=*hour)
            .map(|(_, (sent, _))| sent)
            .sum();
        let paid: u128 = account
            .billed
            .range(..=*hour)
            .map(|(_, billed)| billed)
            .sum();
        if paid > used {
            excess = excess.max(paid - used);
            result.violations.push(format!(
                "{who} {dimension}: {paid} billed through {hour}, but {used} used (micro-units)"
            ));
        }
    }
    result.billed_twice += excess;
    // Each month is checked individually, because usage of one month is never billed in another.
    let months: BTreeSet<_> = hours.iter().map(|hour| hour.month()).collect();
    for month in months {
        let of_month = |hour: &UsageHour| hour.month() == month;
        let owed: u128 = account
            .sent
            .iter()
            .filter(|(hour, _)| of_month(hour))
            .map(|(_, (_, owed))| owed)
            .sum();
        let used: u128 = account
            .sent
            .iter()
            .filter(|(hour, _)| of_month(hour))
            .map(|(_, (sent, _))| sent)
            .sum();
        let paid: u128 = account
            .billed
            .iter()
            .filter(|(hour, _)| of_month(hour))
            .map(|(_, billed)| billed)
            .sum();
        result.owed += owed;
        for ((start, excuse), quantity) in &account.excused {
            if *start == month.start() {
                let (all, unbilled) = result.excused.entry(*excuse).or_default();
                *all += quantity;
                *unbilled += (*quantity).min(used.saturating_sub(paid));
            }
        }
        if paid > used {
            result.billed_twice += paid - used;
            result.violations.push(format!(
                "{who} {dimension}: {paid} billed in {month:?}, but {used} used (micro-units)"
            ));
        }
        if paid < owed {
            result.lost += owed - paid;
            result.violations.push(format!(
                "{who} {dimension}: {paid} billed in {month:?}, but {owed} owed (micro-units)"
            ));
        }
    }
}

/// Checks that the kept sums of each day whose proof still holds are equal to a new count of the
/// day. If streams lose rows, the stack may not know of them, so only the records are compared.
async fn compare_days(
    world: &World,
    story: &Story,
    trouble: &Trouble,
    subscribed: &Subscribed,
) -> Result<(), String> {
    let (ledger, subscription) = (&world.ledger, &subscribed.subscription);
    let text = |error: LedgerError| error.to_string();
    let Some(profile) = ledger.profile(subscription).await.map_err(text)? else {
        return Ok(());
    };
    let product = ledger.product(&profile.product).await.map_err(text)?;
    let known = digest_of_known(product.as_ref().map(|product| &product.dimensions));
    let first = UsageHour::of(after(story.start, -3 * 24 * 60));
    let days = ledger
        .proved_days(subscription, first, UsageHour::of(story.end), story.end)
        .await
        .map_err(text)?;
    let loses_rows = trouble.streams.is_some() || trouble.streams_off;
    for day in days.sums.keys() {
        let Some(sums) = days.kept_sums(*day, &known, story.end) else {
            continue;
        };
        let stored = ledger
            .stored_of_hours(subscription, *day, day.plus(23))
            .await;
        if stored.map_err(text)?.digest() != sums.records {
            return Err(format!("{subscription}: the records of {day} changed"));
        }
        let full = of_subscription(ledger, &profile, *day, day.plus(23)).await;
        let mut full = full.map_err(text)?.sum;
        let mut kept = sums.books.clone();
        // TTL removes rows that are not metered.
        (full.rows_set_aside, kept.rows_set_aside) = (0, 0);
        let is_same = match loses_rows {
            true => {
                (&kept.records, kept.carried_out, kept.held)
                    == (&full.records, full.carried_out, full.held)
            }
            false => kept == full,
        };
        if !is_same {
            return Err(format!(
                "{subscription}: the proof of {day} at {} holds no more: {kept:?}, now {full:?}",
                sums.proved_at
            ));
        }
        world.wire.mark_one("a day whose proof holds");
    }
    Ok(())
}

/// Checks that the stack's books of a subscription balance, and that they contain the usage that
/// was sent and the usage that was billed.
async fn compare_books(
    world: &World,
    story: &Story,
    n: usize,
    subscribed: &Subscribed,
    accounts: &BTreeMap<(String, String), Account>,
    result: &mut CheckResult,
) {
    let subscription = &subscribed.subscription;
    let profile = match world.ledger.profile(subscription).await {
        Ok(Some(profile)) => profile,
        Ok(None) => {
            result
                .violations
                .push(format!("buyer {n}: no profile of {subscription}"));
            return;
        }
        Err(error) => {
            result.violations.push(format!("buyer {n}: {error}"));
            return;
        }
    };
    let first = UsageHour::of(after(story.start, -3 * 60));
    let last = UsageHour::of(story.end).next();
    let books = match of_subscription(&world.ledger, &profile, first, last).await {
        Ok(books) => books.sum,
        Err(error) => {
            result.violations.push(format!("buyer {n}: {error}"));
            return;
        }
    };
    let micros = |total: marketplace::quantity::Total| u128::try_from(total.micros()).unwrap_or(0);
    let who = bill_name(subscription, &subscribed.agreement.account_id);
    let mine = || accounts.iter().filter(|((name, _), _)| *name == who);
    let sent: u128 = mine()
        .flat_map(|(_, account)| account.sent.values())
        .map(|(sent, _)| sent)
        .sum();
    let billed: u128 = mine()
        .flat_map(|(_, account)| account.billed.values())
        .sum();
    result.held += micros(books.held);
    let mut wrong = |problem: String| {
        result
            .violations
            .push(format!("buyer {n} {subscription}: {problem}: {books:?}"));
    };
    if !matches!(books.is_balanced(), Ok(true)) {
        wrong("the books do not balance".to_owned());
    }
    if micros(books.ingested) != sent {
        wrong(format!("{sent} sent, but {} in the books", books.ingested));
    }
    let accepted = micros(books.accepted);
    if accepted > billed || billed > accepted + micros(books.held) {
        wrong(format!(
            "{billed} billed, but {} in the books",
            books.accepted
        ));
    }
    if !books.lost.is_zero() || !books.over_metered.is_zero() {
        wrong("something is lost or over-metered".to_owned());
    }
}
