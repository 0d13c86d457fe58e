//! Invocations of the functions, as their schedules make them or with a given budget.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use reconciler::Task;
use runtime::{Budget, INVOCATION_TIME};
use serde_json::Value;
use tokio::sync::Notify;

use super::World;
use crate::wire::{INVOCATION, Invocation};

impl World {
    /// From now on this percentage of invocations runs out of time after some calls. `None` stops
    /// that.
    pub fn cut_short(&self, budgets: Option<(Rng, u32)>) {
        *self.budgets.lock().unwrap_or_else(PoisonError::into_inner) = budgets;
    }

    /// The time or the number of calls that an invocation may take.
    pub(super) fn budget(&self, function: &'static str) -> Budget {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((draws, percent)) = budgets.as_mut() else {
            return Budget::of(INVOCATION_TIME);
        };
        let is_cut_short = draws.u32(0..100) < *percent;
        let most = [10, 60, 400][draws.usize(0..3)];
        let calls = draws.u64(1..=most);
        match is_cut_short {
            true => {
                self.wire.mark_one(&format!("budget of {function}"));
                Budget::of_calls(made_by(function), calls)
            }
            false => Budget::of(INVOCATION_TIME),
        }
    }

    /// Invokes the sealer as its schedule does.
    pub async fn seal(&self) -> Result<sealer::Report, String> {
        self.seal_within(self.budget("sealer")).await
    }

    /// Invokes the sealer, which ends when its budget is spent.
    pub async fn seal_within(&self, budget: Budget) -> Result<sealer::Report, String> {
        let app = self.functions.sealer.clone();
        invoke("sealer", async move {
            sealer::handle(&app, budget)
                .await
                .map_err(|e| e.to_string())
        })
        .await
    }

    /// Invokes the submitter as its schedule does.
    pub async fn sweep(&self) -> Result<(), String> {
        let budget = self.budget("submitter");
        submit(self.functions.submitter.clone(), "{}".to_owned(), budget)
            .await
            .map(drop)
    }

    /// Invokes the submitter as its schedule does, with time for this many calls.
    pub async fn sweep_within(&self, calls: u64) -> Result<(), String> {
        let budget = Budget::of_calls(made_by("submitter"), calls);
        submit(self.functions.submitter.clone(), "{}".to_owned(), budget)
            .await
            .map(drop)
    }

    /// Invokes the reconciler as its schedule does.
    pub async fn reconcile(&self) -> Result<reconciler::Report, String> {
        self.reconcile_as(self.budget("reconciler")).await
    }

    /// Invokes the reconciler with this much time.
    pub async fn reconcile_within(&self, time: Duration) -> Result<reconciler::Report, String> {
        self.reconcile_as(Budget::of(time)).await
    }

    /// Invokes one of the reconciler's tasks as its schedule does.
    pub async fn reconcile_task(&self, task: Task) -> Result<reconciler::Report, String> {
        self.reconcile_task_as(task, self.budget("reconciler"))
            .await
    }

    async fn reconcile_as(&self, budget: Budget) -> Result<reconciler::Report, String> {
        self.reconcile_task_as(Task::Everything, budget).await
    }

    /// Invokes one of the reconciler's tasks, which ends when its budget is spent.
    pub async fn reconcile_task_as(
        &self,
        task: Task,
        budget: Budget,
    ) -> Result<reconciler::Report, String> {
        let app = self.functions.reconciler.clone();
        invoke("reconciler", async move {
            reconciler::handle_task(&app, task, budget)
                .await
                .map_err(|e| e.to_string())
        })
        .await
    }
}

pub(super) async fn submit(
    app: submitter::App,
    event: String,
    budget: Budget,
) -> Result<Value, String> {
    invoke("submitter", async move {
        let trigger = serde_json::from_str(&event).map_err(|e| e.to_string())?;
        let answer = submitter::handle(&app, trigger, budget).await;
        serde_json::to_value(answer.map_err(|e| e.to_string())?).map_err(|e| e.to_string())
    })
    .await
}

thread_local! {
    /// The number of calls of each function in all worlds of this thread. The worlds exist one
    /// after the other, and a budget counts the calls from its start.
    static MADE: RefCell<HashMap<&'static str, &'static AtomicU64>> = RefCell::default();
}

fn made_by(function: &'static str) -> &'static AtomicU64 {
    MADE.with_borrow_mut(|made| {
        let made: &mut &'static AtomicU64 = made
            .entry(function)
            .or_insert_with(|| Box::leak(Box::default()));
        *made
    })
}

/// Runs one invocation of a function. If its process dies at a call, the invocation ends there.
pub(super) async fn invoke<T>(
    function: &'static str,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let invocation = Arc::new(Invocation {
        function,
        died: Notify::new(),
        calls: AtomicU64::new(0),
        made: made_by(function),
    });
    INVOCATION
        .scope(Arc::clone(&invocation), async {
            tokio::select! {
                biased;
                () = invocation.died.notified() => Err(format!("{function} died")),
                answer = work => answer,
            }
        })
        .await
}
