//! Seals hours: freezes an hour's usage into metering records, and recounts hours with late usage.
//!
//! # Layout
//! * [`handle`]: one run, every five minutes
//! * `settle`: seals or recounts one hour of one subscription
//! * `round`: seals every live subscription, hour by hour, through the watermark
//! * `attention`: seals subscriptions that were just activated or are ending, each individually
//! * `ending`: seals the open hours of an ending subscription, and recounts its earlier hours
//! * `pass`: works on many subscriptions with attention at a time, so that none waits for ever
//! * `late`: recounts hours that were flagged after they were sealed
//!
//! # Why no row is lost
//! A run raises the watermark **before** it reads any row. A row that is put before the read is in
//! the fold. A row that is put after the read is also put after the watermark was raised. Whenever
//! its stream record comes, `late-usage` sees an hour at or below the watermark and flags it. If
//! the row was counted anyway, the recount finds a difference of zero. Every write is conditional,
//! so two runs at a time, or a run and its repetition after a crash, create the same records.

mod attention;
mod ending;
mod late;
mod pass;
mod product_cache;
mod round;
mod settle;

use jiff::Timestamp;
use ledger::{Ledger, LedgerError};
use marketplace::UsageHour;
use marketplace::carry::LatePolicy;
use marketplace::record::SealPolicy;
use marketplace::schedule::Schedule;
use runtime::clients;
use runtime::metrics::{Unit, count, emit};
use runtime::{Budget, Clock, Env, InvocationError, SettingError, StartError, settings};
use serde::Serialize;

use product_cache::ProductCache;

/// The number of subscriptions that are worked on at the same time.
pub(crate) const AT_ONCE: usize = 16;

/// The settings and clients of the function.
#[derive(Debug, Clone)]
pub struct App {
    /// The stack's DynamoDB tables.
    pub ledger: Ledger,
    /// The current time, which tests can set.
    pub clock: Clock,
    /// The schedule by which hours are due to be sealed.
    pub schedule: Schedule,
    /// The rules by which records are frozen.
    pub policy: SealPolicy,
    /// Whether late usage is carried or held.
    pub late: LatePolicy,
}

impl App {
    /// Reads the settings from the environment, and fails if one is invalid.
    pub async fn start(env: &Env) -> Result<Self, StartError> {
        let ledger = clients::ledger(env).await?;
        Ok(Self::new(env, ledger, Clock::from_env(env)?)?)
    }

    /// Makes the function of its parts, with the settings in `env`.
    pub fn new(env: &Env, ledger: Ledger, clock: Clock) -> Result<Self, SettingError> {
        Ok(Self {
            ledger,
            clock,
            schedule: settings::schedule(env)?,
            policy: SealPolicy {
                heartbeats: settings::heartbeats(env)?,
                ..settings::seal_policy(env)?
            },
            late: settings::late_policy(env)?,
        })
    }
}

/// The report of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// The watermark: the hour through which this run seals.
    pub watermark: String,
    /// Metering records that were created.
    pub records_sealed: u64,
    /// Recounts: each is of one hour of one subscription.
    pub recounts: u64,
    /// Movements of late usage that were written.
    pub movements: u64,
    /// Movements that hold usage until a person decides.
    pub held: u64,
    /// Late flags removed after their hour was recounted.
    pub flags_cleared: u64,
    /// Hours that could not be settled in this run and stay flagged.
    pub left_flagged: u64,
    /// Flags of hours that could not be recounted in this run either, although they were put hours
    /// ago. Each is counted only in the runs that try it.
    pub left_flagged_long: u64,
    /// Slots for which more was metered than their rows add up to.
    pub over_metered: u64,
    /// Rows that were set aside, because they cannot be metered.
    pub rows_set_aside: u64,
    /// Records that were made urgent, because their subscription is in its final hour. They are
    /// sent before all others.
    pub records_made_urgent: u64,
    /// Damaged items that were left out, counted each time they were found. The log names each of
    /// them.
    pub damaged: u64,
    /// Hours that are due and not yet sealed, in the shard that is furthest behind.
    pub hours_behind: i64,
    /// Whether the run finished all its work; otherwise the next run continues.
    pub finished: bool,
}

impl Report {
    fn add(&mut self, other: &settle::Settled) {
        self.records_sealed += other.sealed;
        self.recounts += other.recounts;
        self.movements += other.movements;
        self.held += other.held;
        self.left_flagged += u64::from(other.left_flagged);
        self.over_metered += other.over_metered;
        self.rows_set_aside += other.rows_set_aside;
    }
}

/// The context of one run.
pub(crate) struct Run<'a> {
    pub app: &'a App,
    pub now: Timestamp,
    pub watermark: UsageHour,
    pub product_cache: ProductCache<'a>,
}

/// Handles one run: raises the watermark, then seals the hours that are due and recounts flagged
/// hours.
pub async fn handle(app: &App, budget: Budget) -> Result<Report, InvocationError> {
    let now = app.clock.now().await?;
    let before = app.ledger.watermark().await?;
    let due = app.schedule.latest_due(now);
    // The watermark is never lowered, because another run's clock may be ahead.
    let watermark = before.map_or(due, |before| before.max(due));
    if before != Some(watermark) {
        app.ledger.raise_watermark(watermark).await?;
    }
    let run = Run {
        app,
        now,
        watermark,
        product_cache: ProductCache::new(&app.ledger),
    };
    let mut report = Report {
        watermark: watermark.to_string(),
        ..Report::default()
    };
    // A shard without progress begins at the watermark from before this run.
    let begin = before.unwrap_or(watermark);
    report.finished = seal(&run, begin, budget, &mut report).await?;
    report.damaged += run.product_cache.damaged();
    publish(&report, now);
    Ok(report)
}

/// The share of the remaining time that one kind of work may use, in percent. So the kinds of work
/// after it always have some time.
const SHARE_PERCENT: u32 = 50;

/// Does each kind of work, the most urgent first. Returns `false` if some work is left.
async fn seal(
    run: &Run<'_>,
    begin: UsageHour,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, LedgerError> {
    let share = || budget.share(SHARE_PERCENT);
    // Ending subscriptions come first, because AWS Marketplace accepts their usage for one more
    // hour only.
    let seen = attention::seal_open(run, share(), report).await?;
    let mut sealed = round::seal_due(run, begin, share(), report).await?;
    let settled = late::recount_flagged(run, share(), report).await?;
    let left = if sealed && settled { budget } else { share() };
    let recounted = !seen.has_ending || ending::recount_all_ending(run, left, report).await?;
    // The rounds get the time that the other kinds of work did not use.
    if !sealed && !budget.is_spent() {
        sealed = round::seal_due(run, begin, budget, report).await?;
    }
    Ok(seen.finished && sealed && settled && recounted)
}

fn publish(report: &Report, now: Timestamp) {
    tracing::info!(?report, "sealed");
    emit(
        "sealer",
        now,
        &[
            count("RecordsSealed", report.records_sealed),
            count("LateMovements", report.movements),
            count("UsageHeld", report.held),
            count("HoursLeftFlagged", report.left_flagged_long),
            count("OverMeteredSlots", report.over_metered),
            count("RowsSetAside", report.rows_set_aside),
            count("DamagedItems", report.damaged),
            ("HoursBehind", Unit::Count, report.hours_behind),
            ("UnfinishedRuns", Unit::Count, i64::from(!report.finished)),
        ],
    );
}
