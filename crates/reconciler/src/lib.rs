//! Counts everything again: finds what streams missed, ends what is past its deadline, closes what
//! is metered, and keeps the books.
//!
//! # Layout
//! * [`handle_event`], [`task`]: what one invocation does; each task and shard is one, every hour
//! * [`report`]: what it did and found
//! * [`audit`]: what CloudTrail proves about records, and the comparison with it
//! * `expiry`: records that can no longer be sent
//! * `recount`, `month`: hours read again, whether or not a stream told of them
//! * `closing`: subscriptions that the rounds have, and subscriptions that are done
//! * `prove`, `day`: the proof that no unit was lost or billed twice, each day once
//! * [`books`]: the same in full, for the command line and for tests
//! * `walk`, `run`: a walk over a shard, which the next run takes up, and what one run knows
//!
//! The reconciler never bills: where it finds rows that nothing has counted it puts a late flag, and
//! the sealer recounts. So there is one code path that turns rows into records.

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
    /// CloudTrail's events.
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
            history: History::from_env(env).await?,
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
    /// The event.
    #[error(transparent)]
    Task(#[from] UnknownTask),
}

/// One run of what an event asks for; see [`Task::of_event`].
pub async fn handle_event(
    app: &App,
    event: &Value,
    budget: Budget,
) -> Result<Report, ReconcileError> {
    let task = Task::of_event(event)?;
    handle_task(app, task, budget).await
}

/// One run of everything.
pub async fn handle(app: &App, budget: Budget) -> Result<Report, ReconcileError> {
    handle_task(app, Task::Everything, budget).await
}

/// One run of a task.
pub async fn handle_task(app: &App, task: Task, budget: Budget) -> Result<Report, ReconcileError> {
    // Boxed, because the futures of three clients nest more deeply than the compiler follows.
    Box::pin(run_task(app, task, budget)).await
}

async fn run_task(app: &App, task: Task, budget: Budget) -> Result<Report, ReconcileError> {
    let now = app.clock.now().await?;
    let mut report = Report {
        task: task.name(),
        shard: task.shard(),
        ..Report::default()
    };
    // What is damaged is counted run by run.
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

/// Everything that needs sealed hours. Where one invocation does all of it, each task has its share of
/// the time that is left, so that none starves those after it.
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
