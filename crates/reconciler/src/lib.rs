//! Counts everything again: finds what streams missed, ends what is past its deadline, closes what
//! is metered, and keeps the books.
//!
//! # Layout
//! * [`handle`]: one run, every hour
//! * [`audit`]: what CloudTrail proves about records, and the comparison with it
//! * `expiry`: records that can no longer be sent
//! * `recount`: hours read again, whether or not a stream told of them
//! * `place`: where a run breaks off in a walk over all subscriptions
//! * `closing`: subscriptions that the rounds have, and subscriptions that are done
//! * [`books`]: the proof that no unit was lost or billed twice
//!
//! The reconciler never bills: where it finds rows that nothing has counted it puts a late flag, and
//! the sealer recounts. So there is one code path that turns rows into records.

pub mod audit;
pub mod books;
mod closing;
mod expiry;
mod place;
mod recount;

use std::time::Duration;

use jiff::Timestamp;
use ledger::profile::Profile;
use ledger::{Ledger, LedgerError};
use marketplace::UsageHour;
use marketplace::record::Urgency;
use marketplace::schedule::Schedule;
use marketplace::window::Window;
use serde::Serialize;
use startup::clients;
use startup::metrics::{Unit, emit};
use startup::settings::Products;
use startup::{Budget, Clock, ClockError, Env, StartError, settings};

use crate::audit::{AuditReport, History};

/// Subscriptions worked on at the same time.
pub(crate) const AT_ONCE: usize = 16;

/// Damaged items that a report names; the log names all.
const NAMES_MAX: usize = 100;

/// What the function needs.
#[derive(Debug, Clone)]
pub struct App {
    /// The tables.
    pub ledger: Ledger,
    /// The time.
    pub clock: Clock,
    /// When hours are due.
    pub schedule: Schedule,
    /// Until when AWS Marketplace accepts usage.
    pub window: Window,
    /// CloudTrail.
    pub history: History,
    /// The products this stack serves.
    pub products: Products,
}

impl App {
    /// Reads the settings.
    pub async fn start(env: &Env) -> Result<Self, StartError> {
        Ok(Self {
            ledger: clients::ledger(env).await?,
            clock: Clock::from_env(env)?,
            schedule: settings::schedule(env)?,
            window: settings::seal_policy(env)?.window,
            history: History::new(clients::cloudtrail(env).await?),
            products: Products::from_env(env)?,
        })
    }
}

/// Why a run broke off. The next one takes it up again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// DynamoDB.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The clock.
    #[error(transparent)]
    Clock(#[from] ClockError),
}

/// What a run did and found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Records past their deadline without an outcome.
    pub unconfirmed: u64,
    /// Hours of subscriptions read again.
    pub hours_recounted: u64,
    /// Of which had rows that nothing had counted.
    pub hours_flagged: u64,
    /// Subscriptions that the rounds have taken over.
    pub attention_cleared: u64,
    /// Subscriptions that ended with everything metered or itemised.
    pub subscriptions_closed: u64,
    /// Minutes until the nearest deadline of a record still to be sent.
    pub minutes_to_nearest_deadline: Option<i64>,
    /// The most that any of them has used of its time between sealing and deadline, in percent.
    pub percent_of_time_used: Option<i64>,
    /// Whether the proof of the books that was due in this run found them balanced.
    pub balanced: Option<bool>,
    /// What the audit did and found.
    pub audit: AuditReport,
    /// Slots that keep the books from balancing; the log names them.
    pub slots_astray: u64,
    /// Items that cannot be read. They were set aside; the log says what is wrong with each.
    pub damaged_items: u64,
    /// The names of some of them.
    pub damaged: Vec<String>,
    /// Usage of subscriptions that are not active yet, which nothing counts until they are: how often it
    /// was met. The log names the subscriptions.
    pub pending_with_usage: u64,
    /// Whether the run came through; otherwise the next one goes on.
    pub finished: bool,
}

impl Report {
    /// Notes a record that is still to be sent.
    fn note(&mut self, urgency: Urgency) {
        let minutes = urgency.seconds_left / 60;
        let nearest = self.minutes_to_nearest_deadline.unwrap_or(i64::MAX);
        self.minutes_to_nearest_deadline = Some(nearest.min(minutes));
        self.percent_of_time_used = self.percent_of_time_used.max(Some(urgency.percent_used));
    }
}

/// One run.
pub async fn handle(app: &App, budget: Budget) -> Result<Report, ReconcileError> {
    // Boxed, because the futures of three clients nest more deeply than the compiler follows.
    Box::pin(run(app, budget)).await
}

async fn run(app: &App, budget: Budget) -> Result<Report, ReconcileError> {
    let now = app.clock.now().await?;
    let mut report = Report::default();
    // What is damaged is counted run by run.
    let app = &App {
        ledger: app.ledger.noting_damage(),
        ..app.clone()
    };
    let watermark = app.ledger.watermark().await;
    let watermark = app.ledger.unless_damaged(&"the watermark", watermark)?;
    let due = expiry::expire(app, now, budget, &mut report).await;
    let mut finished = watermark.is_some() & came_through(app, due)?;
    if let Some(watermark) = watermark.flatten() {
        finished &= tasks(app, now, watermark, budget, &mut report).await?;
    }
    report.finished = finished;
    report.damaged = app.ledger.damaged();
    report.damaged_items = report.damaged.len() as u64;
    report.damaged.truncate(NAMES_MAX);
    publish(&report, now);
    Ok(report)
}

/// Everything that needs sealed hours. Each task has its share of the time that is left, so that none
/// starves those after it.
async fn tasks(
    app: &App,
    now: Timestamp,
    watermark: UsageHour,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, ReconcileError> {
    let share = |of: fn(Duration) -> Duration| budget.at_most(of(budget.left()));
    let most = share(|left| left / 3 * 2);
    let done = recount::recount_due(app, now, watermark, most, report).await;
    let mut finished = came_through(app, done)?;
    let quarter = share(|left| left / 4);
    let done = closing::close(app, now, watermark, quarter, report).await;
    finished &= came_through(app, done)?;
    let half = share(|left| left / 2);
    let judged = Box::pin(audit::judge(app, now, half, report)).await;
    finished &= came_through(app, audit::noted(judged, report))?;
    let half = share(|left| left / 2);
    let done = books::prove_due(app, now, watermark, half, report).await;
    finished &= came_through(app, done)?;
    if report.audit.failure.is_none() {
        let followed = Box::pin(audit::follow(app, now, budget, report)).await;
        finished &= came_through(app, audit::noted(followed, report))?;
    }
    Ok(finished)
}

/// Whether a task came through. A damaged item that kept it from that ends nothing else.
pub(crate) fn came_through(
    app: &App,
    done: Result<bool, ReconcileError>,
) -> Result<bool, ReconcileError> {
    match done {
        Err(ReconcileError::Ledger(error)) => {
            let read = app
                .ledger
                .unless_damaged(&"the reconciler's task", Err(error));
            Ok(read?.unwrap_or(false))
        }
        done => done,
    }
}

/// The first hour that usage of a subscription can belong to: a day before we first heard of it.
pub(crate) fn first_possible_hour(profile: &Profile) -> UsageHour {
    UsageHour::of(profile.created_at).plus(-24)
}

fn publish(report: &Report, now: Timestamp) {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    tracing::info!(?report, "reconciled");
    let mut values = vec![
        ("RecordsUnconfirmed", Unit::Count, count(report.unconfirmed)),
        ("HoursFlagged", Unit::Count, count(report.hours_flagged)),
        ("UnfinishedRuns", Unit::Count, i64::from(!report.finished)),
        (
            "AuditFailures",
            Unit::Count,
            i64::from(report.audit.failure.is_some()),
        ),
        (
            "AuditDifferences",
            Unit::Count,
            count(report.audit.differences()),
        ),
        (
            "RecordsInConflict",
            Unit::Count,
            count(report.audit.conflicts),
        ),
        (
            "RecordsUndecided",
            Unit::Count,
            count(report.audit.undecided + report.audit.given_up),
        ),
        (
            "RecordsProvedUnbilled",
            Unit::Count,
            count(report.audit.expired),
        ),
        ("RecordsMatched", Unit::Count, count(report.audit.matched)),
        ("AuditUnclear", Unit::Count, count(report.audit.unclear)),
        ("DamagedItems", Unit::Count, count(report.damaged_items)),
        (
            "PendingWithUsage",
            Unit::Count,
            count(report.pending_with_usage),
        ),
    ];
    if let Some(minutes) = report.minutes_to_nearest_deadline {
        values.push((
            "SecondsToNearestDeadline",
            Unit::Seconds,
            minutes.saturating_mul(60),
        ));
    }
    if let Some(percent) = report.percent_of_time_used {
        values.push(("PercentOfTimeUsed", Unit::Percent, percent));
    }
    if report.balanced.is_some() {
        values.push(("BooksOutOfBalance", Unit::Count, count(report.slots_astray)));
    }
    emit("reconciler", now, &values);
}
