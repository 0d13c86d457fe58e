//! A stack that keeps running and does everything that is due by its clock.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::sample::{self, SampleError};
use crate::stack::{Stack, StackError, StackOptions};

/// The longest pause between two steps, in real time. Streams must be polled, and somebody may have
/// moved the clock.
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// The shortest pause between two steps, so that a fast clock does not keep a core busy.
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// While the clock stands still, streams deliver after this much real time.
const STANDSTILL: Duration = Duration::from_secs(1);
/// The interval at which the emulator's world is saved, if it is kept in a folder.
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// A large world is saved less often: the pause after a save is this many times as long as the
/// save.
const SAVE_PAUSE_TIMES: u32 = 20;
/// The time after which a continuing error is logged again.
const LOG_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// The settings of a stack that keeps running.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The address of `/register` and `/usage`.
    pub http: SocketAddr,
    /// The address of the emulated AWS Marketplace.
    pub aws: SocketAddr,
    /// The address of the embedded DynamoDB.
    pub dynamodb: SocketAddr,
    /// The folder in which everything is kept. It is created if it does not exist. `None` keeps
    /// everything in memory.
    pub data_dir: Option<PathBuf>,
    /// The speed of the clock as a multiple of real time. The value 0 stops the clock. `None` takes
    /// the speed of the kept world. In a new world this speed is 1, or 0 with the sample world.
    pub speed: Option<f64>,
    /// `true` to start with the [`sample`] world. While its clock stands still, nothing runs on its
    /// own.
    pub sample: bool,
    /// More settings of the functions, as names and values of environment variables.
    pub env: Vec<(String, String)>,
}

/// The reason why a stack did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The folder cannot be created.
    #[error("--data-dir {dir}: {source}")]
    Folder {
        /// The path of the folder.
        dir: String,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The stack did not start.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The sample world could not be loaded.
    #[error(transparent)]
    Sample(#[from] SampleError),
}

/// A stack that keeps running.
pub struct Server {
    stack: Stack,
    /// The time of the sample world. Nothing runs on its own while the clock shows it and stands
    /// still.
    asleep_at: Option<Timestamp>,
    last_now: Timestamp,
    stands_since: Instant,
    /// `true` if the clock was moved forward and there is still work to catch up on.
    is_behind: bool,
    save_at: Instant,
    trouble: Option<(String, Instant)>,
}

impl Server {
    /// Starts the stack, and loads the sample world if `options.sample` is set.
    pub async fn start(options: ServerOptions) -> Result<Self, ServerError> {
        if let Some(dir) = &options.data_dir {
            std::fs::create_dir_all(dir).map_err(|source| ServerError::Folder {
                dir: dir.display().to_string(),
                source,
            })?;
        }
        let now = match options.sample {
            true => Some(sample::now()?),
            false => None,
        };
        let stack = Stack::start(StackOptions {
            now,
            http: options.http,
            aws: options.aws,
            dynamodb: options.dynamodb,
            data_dir: options.data_dir,
            speed: if options.sample { 0.0 } else { 1.0 },
            env: options.env,
            ..StackOptions::default()
        })
        .await?;
        let emulator = stack.emulator().clone();
        let mut asleep_at = None;
        if options.sample {
            sample::load(stack.ledger(), &emulator).await?;
            asleep_at = Some(emulator.now());
        } else if emulator.speed() == 1.0 {
            // Real time passed while a kept stack was down, and the seller's software kept running
            // in that time. So the clock moves on to real time.
            emulator.set_clock(Some(emulator.now().max(Timestamp::now())), None);
        }
        if options.speed.is_some() {
            emulator.set_clock(None, options.speed);
        }
        Ok(Self {
            last_now: emulator.now(),
            stack,
            asleep_at,
            stands_since: Instant::now(),
            is_behind: false,
            save_at: Instant::now() + SAVE_EVERY,
            trouble: None,
        })
    }

    /// The stack that this server runs.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Returns whether the clock was moved forward and the next turn still has work to catch up on.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Does the due work until `stop` completes. Errors are logged and never end the loop.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            self.turn().await;
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = tokio::time::sleep(self.pause()) => {}
            }
        }
    }

    /// Reads the clock once and does the work that is due at that time.
    pub async fn turn(&mut self) {
        let emulator = self.stack.emulator();
        let now = emulator.now();
        if now != self.last_now || emulator.speed() > 0.0 {
            self.last_now = now;
            self.stands_since = Instant::now();
        }
        if self.asleep_at == Some(now) && emulator.speed() == 0.0 {
            return;
        }
        self.asleep_at = None;
        let mut result = match self.stack.catch_up().await {
            Ok(caught_up) => {
                self.is_behind = !caught_up;
                Ok(())
            }
            Err(error) => Err(error),
        };
        if result.is_ok() && !self.is_behind && self.stands_since.elapsed() >= STANDSTILL {
            self.stands_since = Instant::now();
            result = self.stack.close_windows().await;
        }
        if result.is_ok() && Instant::now() >= self.save_at {
            let begun = Instant::now();
            result = self.stack.save_world();
            self.save_at = Instant::now() + SAVE_EVERY.max(begun.elapsed() * SAVE_PAUSE_TIMES);
        }
        self.log_trouble(result.err());
    }

    /// Logs an error once, and again every minute while it continues.
    fn log_trouble(&mut self, trouble: Option<StackError>) {
        let Some(trouble) = trouble.map(|error| error.to_string()) else {
            if self.trouble.take().is_some() {
                tracing::warn!("the stack works again");
            }
            return;
        };
        let is_old = self
            .trouble
            .as_ref()
            .is_some_and(|(logged, at)| *logged == trouble && at.elapsed() < LOG_AGAIN_AFTER);
        if !is_old {
            tracing::error!(
                error = trouble,
                "a step of the stack failed; it is tried again"
            );
            self.trouble = Some((trouble, Instant::now()));
        }
    }

    /// The real time until the next step.
    fn pause(&self) -> Duration {
        let emulator = self.stack.emulator();
        let speed = emulator.speed();
        if self.trouble.is_some() {
            return PAUSE_MAX;
        }
        if self.is_behind {
            return Duration::ZERO;
        }
        if speed <= 0.0 {
            return PAUSE_MAX;
        }
        let due = self.stack.next_due().duration_since(emulator.now());
        let real = Duration::try_from_secs_f64(due.as_secs_f64() / speed);
        real.unwrap_or(PAUSE_MAX).clamp(PAUSE_MIN, PAUSE_MAX)
    }

    /// Stops the servers, and saves the data that is kept in the folder.
    pub fn shutdown(self) -> Result<(), StackError> {
        self.stack.shutdown()
    }
}
