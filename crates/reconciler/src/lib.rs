//! Counts everything again. It finds usage that streams missed, ends records that are past their
//! deadline, closes subscriptions that are completely metered, and keeps the books.
//!
//! # Layout
//! * [`handle_event`], [`task`]: one invocation; every task and shard has one every hour
//! * [`report`]: what a run did and found
//! * [`audit`]: what CloudTrail proves about records, and the comparison with it
//! * `expiry`: records that can no longer be sent
//! * `recount`, `month`: hours that are read again, whether or not a stream reported a change
//! * `closing`: clears the attention of subscriptions, and ends them
//! * `prove`, `day`: the proof that no unit was lost or billed twice; each day is proved once
//! * [`books`]: the same proof in full, for the command line and for tests
//! * `walk`, `run`: a walk over a shard, which the next run continues, and the state of one run
//!
//! The reconciler never bills. Where it finds uncounted rows it puts a late flag, and the sealer
//! recounts the hour. So only one code path turns rows into records.

pub mod audit;
pub mod books;
mod closing;
mod day;
mod expiry;
mod month;
mod prove;
mod recount;
pub mod report;
mod run;
pub mod task;
mod walk;

use ledger::profile::Profile;
use ledger::{Ledger, LedgerError};
use marketplace::UsageHour;
use marketplace::schedule::Schedule;
use marketplace::window::Window;
use serde_json::Value;
use startup::clients;
use startup::settings::Products;
use startup::{Budget, Clock, ClockError, Env, StartError, settings};

use crate::audit::History;
use crate::run::Run;

pub use report::Report;
pub use task::{Task, UnknownTask};

/// Subscriptions worked on at the same time.
pub(crate) const AT_ONCE: usize = 16;

/// The most damaged items that a report names. The log names all of them.
const NAMES_MAX: usize = 100;

/// What the function needs: clients and settings.
#[derive(Debug, Clone)]
pub struct App {
    /// The three DynamoDB tables.
    pub ledger: Ledger,
    /// Where the current time comes from.
    pub clock: Clock,
    /// When each hour is due to be sealed.
    pub schedule: Schedule,
    /// How long AWS Marketplace accepts the usage of an hour.
    pub window: Window,
    /// Where CloudTrail's events are read.
    pub history: History,
    /// The products this stack serves.
    pub products: Products,
}

impl App {
    /// Reads the settings from the environment and makes the clients.
    pub async fn start(env: &Env) -> Result<Self, StartError> {
        Ok(Self {
            ledger: clients::ledger(env).await?,
            clock: Clock::from_env(env)?,
            schedule: settings::schedule(env)?,
            window: settings::seal_policy(env)?.window,
            history: History::from_env(env).await?,
            products: Products::from_env(env)?,
        })
    }
}

/// Why a run broke off. The next run continues its work.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A table could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The clock gave no time.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The event names no task of the reconciler.
    #[error(transparent)]
    Task(#[from] UnknownTask),
}

/// Runs the task that an event names; see [`Task::of_event`].
pub async fn handle_event(
    app: &App,
    event: &Value,
    budget: Budget,
) -> Result<Report, ReconcileError> {
    let task = Task::of_event(event)?;
    handle_task(app, task, budget).await
}

/// Runs all tasks.
pub async fn handle(app: &App, budget: Budget) -> Result<Report, ReconcileError> {
    handle_task(app, Task::Everything, budget).await
}

/// Runs one task.
pub async fn handle_task(app: &App, task: Task, budget: Budget) -> Result<Report, ReconcileError> {
    // Boxed, because the nested futures of three clients exceed the compiler's recursion limit.
    Box::pin(run_task(app, task, budget)).await
}

async fn run_task(app: &App, task: Task, budget: Budget) -> Result<Report, ReconcileError> {
    let now = app.clock.now().await?;
    let mut report = Report {
        task: task.name(),
        shard: task.shard(),
        ..Report::default()
    };
    // Damaged items are counted for each run separately.
    let app = &App {
        ledger: app.ledger.noting_damage(),
        ..app.clone()
    };
    let watermark = app.ledger.watermark().await;
    let watermark = app.ledger.unless_damaged(&"the watermark", watermark)?;
    let mut finished = watermark.is_some();
    if task.includes(Task::Expire) {
        let due = expiry::expire(app, now, budget, &mut report).await;
        finished &= came_through(app, due)?;
    }
    if let Some(watermark) = watermark.flatten() {
        let run = Run::new(app, now, watermark);
        finished &= after_sealing(&run, task, budget, &mut report).await?;
    }
    report.finished = finished;
    report.damaged = app.ledger.damaged();
    report.damaged_items = report.damaged.len() as u64;
    report.damaged.truncate(NAMES_MAX);
    report::publish(&report, now);
    Ok(report)
}

/// Runs the tasks that need sealed hours. Where one invocation does all of them, each task gets a
/// share of the remaining time, so that no task starves the ones after it.
async fn after_sealing(
    run: &Run<'_>,
    task: Task,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, ReconcileError> {
    let (app, now) = (run.app, run.now);
    let share = |percent| match task {
        Task::Everything => budget.share(percent),
        _ => budget,
    };
    let shards = task::shards(task.shard(), UsageHour::of(now).number());
    let mut finished = true;
    if task.includes(Task::Recount(None)) {
        let time = share(66);
        for shard in &shards {
            let done = recount::recount_due(run, *shard, time, report).await;
            finished &= came_through(app, done)?;
        }
        for shard in &shards {
            let done = month::recount_month(run, *shard, time, report).await;
            finished &= came_through(app, done)?;
        }
    }
    if task.includes(Task::Close) {
        let done = closing::close(app, now, run.watermark, share(25), report).await;
        finished &= came_through(app, done)?;
    }
    if task.includes(Task::Judge) {
        let judged = Box::pin(audit::judge(app, now, share(50), report)).await;
        finished &= came_through(app, audit::noted(judged, report))?;
    }
    if task.includes(Task::Prove(None)) {
        let time = share(50);
        for shard in &shards {
            let done = prove::prove_due(run, *shard, time, report).await;
            finished &= came_through(app, done)?;
        }
    }
    if task.includes(Task::Compare) && report.audit.failure.is_none() {
        let followed = Box::pin(audit::follow(app, now, budget, report)).await;
        finished &= came_through(app, audit::noted(followed, report))?;
    }
    audit::note_unreadable(app, report);
    Ok(finished)
}

/// Whether a task finished. If a damaged item kept it from finishing, the other tasks still run.
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

/// The first hour that usage of a subscription can belong to: 24 hours before its profile was
/// created.
pub(crate) fn first_possible_hour(profile: &Profile) -> UsageHour {
    UsageHour::of(profile.created_at).plus(-24)
}
