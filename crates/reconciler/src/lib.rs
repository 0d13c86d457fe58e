//! The reconciler recounts all usage. It finds usage that the streams missed, ends records that are
//! past their deadline, closes subscriptions that are completely metered, audits the records with
//! CloudTrail, and proves the books.
//!
//! # Layout
//! * [`handle_event`], [`task`]: one invocation; every task and shard has one every hour
//! * [`report`]: the report of a run, and its metrics
//! * [`audit`]: judges records by CloudTrail's events, and compares the ledger with them
//! * `expiry`: ends records that can no longer be sent
//! * `recount`, `month`: read hours again, whether or not a stream reported a change
//! * `closing`: clears the attention of subscriptions, and ends them
//! * `prove`, `day`: prove that no unit was lost or billed twice; each day is proved once
//! * `walk`, `run`: a walk over a shard, which the next run continues, and the state of one run
//!
//! The reconciler never bills. If it finds uncounted rows, it puts a late flag, and the sealer
//! recounts the hour. So only one code path turns rows into records.

pub mod audit;
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

use cloudtrail::History;
use jiff::Timestamp;
use ledger::{Ledger, LedgerError};
use marketplace::UsageHour;
use marketplace::schedule::Schedule;
use marketplace::window::Window;
use runtime::clients;
use runtime::settings::Products;
use runtime::{Budget, Clock, ClockError, Env, SettingError, StartError, settings};
use serde_json::Value;

use crate::run::Run;

pub use report::Report;
pub use task::{Task, UnknownTask};

/// The number of subscriptions that are worked on at the same time.
pub(crate) const AT_ONCE: usize = 16;

/// The largest number of damaged items that a report names. The log names all of them.
const NAMES_MAX: usize = 100;

/// The settings and clients of the function.
#[derive(Debug, Clone)]
pub struct App {
    /// The stack's DynamoDB tables.
    pub ledger: Ledger,
    /// The current time, which tests can set.
    pub clock: Clock,
    /// The schedule by which hours are due to be sealed.
    pub schedule: Schedule,
    /// The time for which AWS Marketplace accepts the usage of an hour.
    pub window: Window,
    /// The source of CloudTrail's events.
    pub history: History,
    /// The products that this stack serves.
    pub products: Products,
}

impl App {
    /// Reads the settings from the environment and makes the clients.
    pub async fn start(env: &Env) -> Result<Self, StartError> {
        let ledger = clients::ledger(env).await?;
        let history = History::from_env(env).await?;
        Ok(Self::new(env, ledger, history, Clock::from_env(env)?)?)
    }

    /// Makes the function of its parts, with the settings in `env`.
    pub fn new(
        env: &Env,
        ledger: Ledger,
        history: History,
        clock: Clock,
    ) -> Result<Self, SettingError> {
        Ok(Self {
            ledger,
            clock,
            schedule: settings::schedule(env)?,
            window: settings::seal_policy(env)?.window,
            history,
            products: Products::from_env(env)?,
        })
    }
}

/// The error that ended a run early. The next run continues its work.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A table could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The time could not be read.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The event names no task of the reconciler.
    #[error(transparent)]
    Task(#[from] UnknownTask),
}

impl From<marketplace::quantity::Overflow> for ReconcileError {
    fn from(error: marketplace::quantity::Overflow) -> Self {
        Self::Ledger(error.into())
    }
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

/// Runs all tasks, each in a share of the time.
pub async fn handle(app: &App, budget: Budget) -> Result<Report, ReconcileError> {
    handle_task(app, Task::Everything, budget).await
}

/// Runs one task, for its shard or for all shards.
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
        ledger: app.ledger.with_new_damage_list(),
        ..app.clone()
    };
    let done = run_parts(app, task, now, budget, &mut report).await;
    report.finished = matches!(done, Ok(true));
    report.damaged = app.ledger.damaged();
    report.damaged_items = report.damaged.len() as u64;
    report.damaged.truncate(NAMES_MAX);
    // A failed run reports what it has found too. Later runs may continue after that place and
    // would not find it again.
    report::publish(&report, now, done.is_ok());
    done.map(|_| report)
}

/// Runs the parts of a task. Returns `false` if one of them was not finished.
async fn run_parts(
    app: &App,
    task: Task,
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, ReconcileError> {
    let watermark = app.ledger.watermark().await;
    let watermark = app.ledger.unless_damaged(&"the watermark", watermark)?;
    let mut finished = watermark.is_some();
    if task.includes(Task::Expire) {
        let due = expiry::expire(app, now, budget, report).await;
        finished &= is_finished(app, due)?;
    }
    if let Some(watermark) = watermark.flatten() {
        let run = Run::new(app, now, watermark);
        finished &= after_sealing(&run, task, budget, report).await?;
    }
    Ok(finished)
}

/// Runs the tasks that need sealed hours. If one invocation runs all of them, each task gets a
/// share of the remaining time, so that the tasks after it have time too.
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
            finished &= is_finished(app, done)?;
        }
        for shard in &shards {
            let done = month::recount_month(run, *shard, time, report).await;
            finished &= is_finished(app, done)?;
        }
    }
    if task.includes(Task::Close) {
        let done = closing::close(app, now, run.watermark, share(25), report).await;
        finished &= is_finished(app, done)?;
    }
    if task.includes(Task::Judge) {
        let judged = Box::pin(audit::judge(app, now, share(50), report)).await;
        finished &= is_finished(app, audit::with_failure_reported(judged, report))?;
    }
    if task.includes(Task::Prove(None)) {
        let time = share(50);
        for shard in &shards {
            let done = prove::prove_due(run, *shard, time, report).await;
            finished &= is_finished(app, done)?;
        }
    }
    if task.includes(Task::Compare) && report.audit.failure.is_none() {
        let followed = Box::pin(audit::follow(app, now, budget, report)).await;
        finished &= is_finished(app, audit::with_failure_reported(followed, report))?;
    }
    audit::report_unreadable(app, report);
    Ok(finished)
}

/// Returns whether a task finished. A damaged item is no error: the task counts as unfinished, and
/// the other tasks still run.
pub(crate) fn is_finished(
    app: &App,
    result: Result<bool, ReconcileError>,
) -> Result<bool, ReconcileError> {
    match result {
        Err(ReconcileError::Ledger(error)) => {
            let read = app
                .ledger
                .unless_damaged(&"the reconciler's task", Err(error));
            Ok(read?.unwrap_or(false))
        }
        result => result,
    }
}
