//! Seals hours: freezes an hour's usage into metering records, and recounts what came late.
//!
//! # Layout
//! * [`handle`]: one run, every five minutes
//! * `settle`: one hour of one subscription, sealed or recounted
//! * `round`: every live subscription, hour by hour, through the watermark
//! * `attention`: subscriptions just activated or ending, each by itself
//! * `ending`: what is open of an ending one, and the recount of what is not
//! * `pass`: many of them at a time, and none for ever before others
//! * `late`: hours that were flagged after they were sealed
//!
//! # Why no row is lost
//! A run raises the watermark **before** it reads any row. A row put before the read is in the fold.
//! A row put after it was put after the watermark, so whenever its stream record comes, `late-usage`
//! sees an hour at or below the watermark and flags it; a row that was counted anyway recounts to a
//! difference of zero. Every write is conditional, so any two runs, or a run and its own repetition
//! after a crash, come to the same records.

mod attention;
mod catalogue;
mod ending;
mod late;
mod pass;
mod round;
mod settle;

use jiff::Timestamp;
use ledger::{Ledger, LedgerError};
use marketplace::UsageHour;
use marketplace::carry::LatePolicy;
use marketplace::planted::{Bug, is_planted};
use marketplace::record::SealPolicy;
use marketplace::schedule::Schedule;
use serde::Serialize;
use startup::clients;
use startup::metrics::{Unit, emit};
use startup::{Budget, Clock, ClockError, Env, StartError, settings};

use catalogue::Catalogue;

/// Subscriptions worked on at the same time.
pub(crate) const AT_ONCE: usize = 16;

/// What the function needs.
#[derive(Debug, Clone)]
pub struct App {
    /// The tables.
    pub ledger: Ledger,
    /// The time.
    pub clock: Clock,
    /// When hours are due.
    pub schedule: Schedule,
    /// How records are frozen.
    pub policy: SealPolicy,
    /// What to do with late usage.
    pub late: LatePolicy,
}

impl App {
    /// Reads the settings.
    pub async fn start(env: &Env) -> Result<Self, StartError> {
        Ok(Self {
            ledger: clients::ledger(env).await?,
            clock: Clock::from_env(env)?,
            schedule: settings::schedule(env)?,
            policy: SealPolicy {
                heartbeats: settings::heartbeats(env)?,
                ..settings::seal_policy(env)?
            },
            late: settings::late_policy(env)?,
        })
    }
}

/// Why a run broke off. The next one takes it up where it was.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// DynamoDB.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The clock.
    #[error(transparent)]
    Clock(#[from] ClockError),
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// The hour through which the stack is being sealed.
    pub watermark: String,
    /// Records created.
    pub records_sealed: u64,
    /// Hours of subscriptions recounted.
    pub recounts: u64,
    /// Movements of late usage written.
    pub movements: u64,
    /// Of which hold usage for a person.
    pub held: u64,
    /// Late flags settled.
    pub flags_cleared: u64,
    /// Hours that could not be settled now; they stay flagged.
    pub left_flagged: u64,
    /// Hours with more metered than there are rows.
    pub over_metered: u64,
    /// Rows set aside.
    pub rows_set_aside: u64,
    /// Records that go before all others from now on, since their subscription is in its final hour.
    pub records_hurried: u64,
    /// Times that a damaged item was met and set aside; the log names each.
    pub damaged: u64,
    /// Hours that are due and not yet sealed, in the shard that is furthest behind.
    pub hours_behind: i64,
    /// Whether the run came through; otherwise the next one goes on.
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

/// What one run works with.
pub(crate) struct Run<'a> {
    pub app: &'a App,
    pub now: Timestamp,
    pub watermark: UsageHour,
    pub catalogue: Catalogue<'a>,
}

/// One run: raises the watermark, then seals what is due and recounts what came late.
pub async fn handle(app: &App, budget: Budget) -> Result<Report, SealError> {
    let now = app.clock.now().await?;
    let before = app.ledger.watermark().await?;
    let due = app.schedule.latest_due(now);
    // Never lowered: another run's clock may be ahead of ours.
    let watermark = before.map_or(due, |before| before.max(due));
    let is_raised = before == Some(watermark);
    let raise_first = !is_planted(Bug::WatermarkAfterReading);
    if !is_raised && raise_first {
        app.ledger.raise_watermark(watermark).await?;
    }
    let run = Run {
        app,
        now,
        watermark,
        catalogue: Catalogue::new(&app.ledger),
    };
    let mut report = Report {
        watermark: watermark.to_string(),
        ..Report::default()
    };
    // A shard without progress begins where the stack stood before this run.
    let begin = before.unwrap_or(watermark);
    report.finished = seal(&run, begin, budget, &mut report).await?;
    if !is_raised && !raise_first {
        app.ledger.raise_watermark(watermark).await?;
    }
    report.damaged += run.catalogue.damaged();
    publish(&report, now);
    Ok(report)
}

/// What a kind of work may take of the time that is left when its turn comes, in percent: what comes
/// after it always has some.
const SHARE_PERCENT: u32 = 50;

/// Each kind of work in its turn, the most urgent first; `false` if some of it is left.
async fn seal(
    run: &Run<'_>,
    begin: UsageHour,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, LedgerError> {
    let share = || budget.share(SHARE_PERCENT);
    // An ending subscription has only an hour left.
    let seen = attention::seal_open(run, share(), report).await?;
    let mut sealed = round::seal_due(run, begin, share(), report).await?;
    let settled = late::recount_flagged(run, share(), report).await?;
    let left = if sealed && settled { budget } else { share() };
    let recounted = !seen.has_ending || ending::recount_all_ending(run, left, report).await?;
    // Whatever the others left over is for the rounds.
    if !sealed && !budget.is_spent() {
        sealed = round::seal_due(run, begin, budget, report).await?;
    }
    Ok(seen.finished && sealed && settled && recounted)
}

fn publish(report: &Report, now: Timestamp) {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    tracing::info!(?report, "sealed");
    emit(
        "sealer",
        now,
        &[
            ("RecordsSealed", Unit::Count, count(report.records_sealed)),
            ("LateMovements", Unit::Count, count(report.movements)),
            ("UsageHeld", Unit::Count, count(report.held)),
            ("HoursLeftFlagged", Unit::Count, count(report.left_flagged)),
            ("OverMeteredSlots", Unit::Count, count(report.over_metered)),
            ("RowsSetAside", Unit::Count, count(report.rows_set_aside)),
            ("DamagedItems", Unit::Count, count(report.damaged)),
            ("HoursBehind", Unit::Count, report.hours_behind),
            ("UnfinishedRuns", Unit::Count, i64::from(!report.finished)),
        ],
    );
}
