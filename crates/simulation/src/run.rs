//! An executor that knows when no task can continue.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use futures_executor::{LocalPool, LocalSpawner};
use futures_util::task::LocalSpawnExt;

/// Runs futures on the current thread, in a fixed order.
pub struct Executor {
    pool: LocalPool,
    spawner: LocalSpawner,
}

impl Default for Executor {
    fn default() -> Self {
        let pool = LocalPool::new();
        let spawner = pool.spawner();
        Self { pool, spawner }
    }
}

impl Executor {
    /// Starts a task.
    ///
    /// # Panics
    ///
    /// If the executor no longer exists.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.spawner.spawn_local(task).expect("an executor");
    }

    /// Runs every task until all of them wait for something from outside.
    pub fn run_until_stalled(&mut self) {
        self.pool.run_until_stalled();
    }

    /// Runs one task to its end. It must not wait for anything from outside.
    ///
    /// # Panics
    ///
    /// If the task waits for something from outside.
    pub fn finish<T: 'static>(&mut self, task: impl Future<Output = T> + 'static) -> T {
        let answer = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&answer);
        self.spawn(async move {
            let value = task.await;
            *slot.borrow_mut() = Some(value);
        });
        self.run_until_stalled();
        answer
            .borrow_mut()
            .take()
            .expect("the task waits for nothing outside")
    }
}

/// Bytes of stack for the thread of a world. Without optimization the futures of SDK calls are
/// large.
const STACK_BYTES: usize = 64 << 20;

/// Runs `work` on a thread of its own, on which timers can be created. No timer is ever awaited,
/// because nothing takes real time.
///
/// # Panics
///
/// If `work` panics, or the system has no more resources.
pub fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .expect("a runtime");
                let _entered = runtime.enter();
                work()
            })
            .expect("a thread");
        match thread.join() {
            Ok(answer) => answer,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Does all jobs on as many threads as there are cores. The answers are in the order of the jobs.
///
/// # Panics
///
/// If a job panics.
pub fn on_all_cores<Job: Sync, T: Send>(jobs: &[Job], work: impl Fn(&Job) -> T + Sync) -> Vec<T> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut answers: Vec<(usize, T)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(|| {
                    on_a_thread(|| {
                        let mut mine = Vec::new();
                        loop {
                            let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                            let Some(job) = jobs.get(n) else {
                                return mine;
                            };
                            mine.push((n, work(job)));
                        }
                    })
                })
            })
            .collect();
        let mut all = Vec::new();
        for worker in workers {
            match worker.join() {
                Ok(mine) => all.extend(mine),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    answers.sort_by_key(|(n, _)| *n);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
