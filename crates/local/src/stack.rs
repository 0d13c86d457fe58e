//! The whole stack in one process: the tables, AWS Marketplace, the seven functions and their
//! triggers, on one clock that the caller moves.

mod lifecycle;
mod options;
mod streams;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use emulator::Emulator;
use jiff::{SignedDuration, Timestamp};
use ledger::{Ledger, TableNames, tables};
use serde_json::json;
use startup::Budget;

use crate::capacity::CapacityCounter;
use crate::catalogue::Catalogue;
use crate::crash::CrashPoints;
use crate::dynamodb::EmbeddedDynamoDb;
use crate::functions::{Functions, Wiring};
use crate::pump::EventSource;
use crate::set_back;
use crate::step_clock::StepClock;
use crate::world_file::WorldFile;

pub use lifecycle::function_event;
pub use options::{DeliveryTrouble, Happenings, StackError, StackOptions, Trouble};
pub use streams::{EventSources, event_sources};

/// Name of the local stack, and the prefix of its tables' names.
pub const STACK_NAME: &str = "metering";
/// The time that an invocation has, as in the template.
const INVOCATION: Duration = Duration::from_secs(890);
/// The longest step of the clock. Streams are polled at least this often.
const STEP: SignedDuration = SignedDuration::from_secs(60);

/// After the clock was moved forward, the last hours up to this length are caught up on step by
/// step. So usage that was reported before the move is sent within AWS Marketplace's window,
/// however far the clock was moved.
const CATCH_UP_MAX: SignedDuration = SignedDuration::from_hours(6);
/// Lambda's longest batching window. A stream that is polled this much later delivers every waiting
/// record.
const WINDOW_MAX: SignedDuration = SignedDuration::from_secs(300);

/// How often the schedules of `template.yaml` fire.
const SEALER_EVERY: SignedDuration = SignedDuration::from_mins(5);
const SWEEP_EVERY: SignedDuration = SignedDuration::from_mins(5);
const RECONCILER_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// The stack. It does nothing on its own: [`Stack::step`] does what is due now.
pub struct Stack {
    dynamodb: EmbeddedDynamoDb,
    emulator: Emulator,
    functions: Functions,
    usage_stream: EventSource,
    record_stream: EventSource,
    step_clock: StepClock,
    next_seal: Timestamp,
    next_sweep: Timestamp,
    next_reconcile: Timestamp,
    crashes: CrashPoints,
    capacity: CapacityCounter,
    random: fastrand::Rng,
    trouble: Trouble,
    happenings: Happenings,
    aws: SocketAddr,
    http: SocketAddr,
    servers: Vec<tokio::task::JoinHandle<()>>,
    catalogue: Arc<Catalogue>,
    world_file: Option<WorldFile>,
}

impl Stack {
    /// Creates the tables and starts the emulator, the functions and the servers.
    pub async fn start(options: StackOptions) -> Result<Self, StackError> {
        let emulator = Emulator::new(emulator::Options {
            seed: options.seed,
            now: options.now,
            speed: options.speed,
            ..emulator::Options::default()
        });
        let world_file = options.data_dir.as_deref().map(WorldFile::in_dir);
        // The world is loaded before the tables, because they delete old stream records by its
        // clock.
        if let Some(file) = &world_file {
            file.load(&emulator)?;
        }
        // The audit's calls take no time on a clock that stands still, so the emulator must not
        // limit their rate.
        emulator.set_settings(emulator::Settings {
            lookup_events_per_s: 0,
            ..emulator.settings()
        });
        let clock_of = |emulator: &Emulator| {
            let emulator = emulator.clone();
            Arc::new(move || emulator.now()) as Arc<dyn Fn() -> Timestamp + Send + Sync>
        };
        let data = options
            .data_dir
            .as_ref()
            .map(|dir| dir.join("dynamodb.sqlite"));
        let dynamodb = EmbeddedDynamoDb::start_anywhere(
            listen(options.dynamodb)?,
            data.as_deref(),
            clock_of(&emulator),
        )
        .map_err(StackError::failed)?;
        let names = TableNames::of_stack(STACK_NAME);
        for definition in tables::definitions(&names) {
            dynamodb
                .create_table(definition)
                .map_err(StackError::failed)?;
        }
        for table in names.all() {
            dynamodb
                .enable_ttl(table, tables::TTL_ATTRIBUTE)
                .map_err(StackError::failed)?;
        }

        let aws_listener = listen(options.aws)?;
        let aws = aws_listener.local_addr().map_err(StackError::failed)?;
        let http_listener = listen(options.http)?;
        let http = http_listener.local_addr().map_err(StackError::failed)?;
        // The button "Set up your account" brings buyers to this stack.
        emulator
            .set_fulfillment_url(Some(&format!("http://{}/register", reachable(http))))
            .map_err(StackError::failed)?;

        let crashes = CrashPoints::new(
            options.seed ^ 0x0063_7261_7368,
            options.trouble.crashes_per_mille,
        );
        let step_clock = StepClock::at(emulator.now());
        let capacity = CapacityCounter::new();
        let functions = Functions::start(Wiring {
            names: names.clone(),
            dynamodb_endpoint: dynamodb.endpoint(),
            aws_endpoint: format!("http://{}", reachable(aws)),
            clock: startup::Clock::InProcess(clock_of(&emulator)),
            step_clock: step_clock.to_clock(),
            crashes: crashes.clone(),
            capacity: capacity.clone(),
            env: options.env.clone(),
        })
        .await?;

        let mut servers = Vec::new();
        let served = emulator.clone();
        let aws_listener =
            tokio::net::TcpListener::from_std(aws_listener).map_err(StackError::failed)?;
        servers.push(tokio::spawn(async move {
            if let Err(error) = served.serve(aws_listener, std::future::pending()).await {
                tracing::error!(%error, "AWS Marketplace on localhost stopped");
            }
        }));
        let catalogue = Arc::new(Catalogue::new(emulator.clone(), functions.ledger().clone()));
        let before_requests = Arc::clone(&catalogue);
        let router = functions.router().layer(axum::middleware::from_fn(
            move |request: axum::extract::Request, next: axum::middleware::Next| {
                let catalogue = Arc::clone(&before_requests);
                async move {
                    if let Err(error) = catalogue.bring_up_to_date().await {
                        tracing::warn!(%error, "products could not be configured");
                    }
                    next.run(request).await
                }
            },
        ));
        let http_listener =
            tokio::net::TcpListener::from_std(http_listener).map_err(StackError::failed)?;
        servers.push(tokio::spawn(async move {
            if let Err(error) = axum::serve(http_listener, router).await {
                tracing::error!(%error, "the HTTP functions stopped");
            }
        }));

        let sources = event_sources(&dynamodb, &names, options.trouble.deliveries, options.seed)?;
        let now = emulator.now();
        Ok(Self {
            dynamodb,
            emulator,
            functions,
            usage_stream: sources.usage,
            record_stream: sources.records,
            step_clock,
            next_seal: now,
            next_sweep: now,
            next_reconcile: now,
            crashes,
            capacity,
            random: fastrand::Rng::with_seed(options.seed),
            trouble: options.trouble,
            happenings: Happenings::default(),
            aws,
            http,
            servers,
            catalogue,
            world_file,
        })
    }

    /// The emulator. Callers use it to change the emulated world and to look at it.
    pub fn emulator(&self) -> &Emulator {
        &self.emulator
    }

    /// Typed access to the tables.
    pub fn ledger(&self) -> &Ledger {
        self.functions.ledger()
    }

    /// The embedded DynamoDB that holds the tables.
    pub fn dynamodb(&self) -> &EmbeddedDynamoDb {
        &self.dynamodb
    }

    /// The address of the emulated AWS Marketplace.
    pub fn aws(&self) -> SocketAddr {
        self.aws
    }

    /// The address of `/register` and `/usage`.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Counts what the functions' requests to DynamoDB consume.
    pub fn capacity(&self) -> &CapacityCounter {
        &self.capacity
    }

    /// The invocations, failures and injected faults since the start.
    pub fn happenings(&self) -> Happenings {
        Happenings {
            crashes: self.crashes.crashes(),
            ..self.happenings.clone()
        }
    }

    /// The time at which something is due next, one minute from now at the latest.
    pub fn next_due(&self) -> Timestamp {
        let now = self.emulator.now();
        let latest = now.checked_add(STEP).unwrap_or(now);
        self.due_after(now).min(latest).max(now)
    }

    /// The time after `now` at which the next schedule fires or the next stream has something to
    /// do.
    fn due_after(&self, now: Timestamp) -> Timestamp {
        [self.next_seal, self.next_sweep, self.next_reconcile]
            .into_iter()
            .chain(self.usage_stream.next_due(now))
            .chain(self.record_stream.next_due(now))
            .min()
            .unwrap_or(now)
    }

    /// Moves a frozen clock to `until`, stopping at everything that is due on the way.
    pub async fn run_until(&mut self, until: Timestamp) -> Result<(), StackError> {
        loop {
            self.step().await?;
            let now = self.emulator.now();
            if now >= until {
                return Ok(());
            }
            let at_least = now
                .checked_add(SignedDuration::from_secs(1))
                .unwrap_or(until);
            self.emulator
                .set_clock(Some(self.next_due().max(at_least).min(until)), None);
        }
    }

    /// Does everything that is due now: lifecycle events, stream batches and schedules.
    pub async fn step(&mut self) -> Result<(), StackError> {
        self.step_at(self.emulator.now()).await
    }

    /// Does the first thing that was due since the last step, at the time at which it was due.
    /// Returns `true` once nothing is left and the present is done as well. After a longer absence
    /// only the last six hours are caught up on.
    pub async fn catch_up(&mut self) -> Result<bool, StackError> {
        let now = self.emulator.now();
        let earliest = now.checked_sub(CATCH_UP_MAX).unwrap_or(now);
        let from = self.step_clock.now().max(earliest);
        // At least one second later, so that a failing step that is due again at once does not
        // block progress.
        let on = from
            .checked_add(SignedDuration::from_secs(1))
            .unwrap_or(now);
        let due = self.due_after(from).max(on);
        self.step_at(due.min(now)).await?;
        Ok(due >= now)
    }

    async fn step_at(&mut self, now: Timestamp) -> Result<(), StackError> {
        if now < self.step_clock.now() {
            // Everything is due at once, or the schedules would wait for the time from which the
            // clock was set back.
            self.next_seal = now;
            self.next_sweep = now;
            self.next_reconcile = now;
            let due = self.functions.sealer.schedule.latest_due(now);
            set_back::forget_progress(self.functions.ledger(), &self.dynamodb, due).await?;
        }
        self.step_clock.set(now);
        self.catalogue
            .bring_up_to_date()
            .await
            .map_err(StackError::failed)?;
        self.deliver_lifecycle().await;
        self.poll_streams(now).await?;
        if now >= self.next_seal && !self.is_set_back(now) {
            self.next_seal = next_tick(now, SEALER_EVERY);
            let result = sealer::handle(&self.functions.sealer, Budget::of(INVOCATION)).await;
            self.note("sealer", &result);
        }
        if now >= self.next_sweep && !self.is_set_back(now) {
            self.next_sweep = next_tick(now, SWEEP_EVERY);
            let answer = self.functions.submit(json!({}), &self.crashes).await;
            self.note("submitter", &answer);
        }
        if now >= self.next_reconcile && !self.is_set_back(now) {
            self.next_reconcile = next_tick(now, RECONCILER_EVERY);
            let result =
                reconciler::handle(&self.functions.reconciler, Budget::of(INVOCATION)).await;
            self.note("reconciler", &result);
            self.dynamodb.sweep_ttl().map_err(StackError::failed)?;
        }
        self.poll_streams(now).await
    }

    /// Whether the clock was set back during the step of `now`. Usage that has arrived since then
    /// belongs to the earlier time. A schedule that ran now would seal hours that are still in the
    /// future. The next step notices the change before it runs any schedule.
    fn is_set_back(&self, now: Timestamp) -> bool {
        self.emulator.now() < now
    }

    /// Delivers the records that streams have gathered, whether or not their batching window has
    /// closed. It is for a clock that stands still, on which no window ever closes.
    pub async fn close_windows(&mut self) -> Result<(), StackError> {
        let now = self.emulator.now();
        self.poll_streams(now.checked_add(WINDOW_MAX).unwrap_or(now))
            .await
    }

    async fn poll_streams(&mut self, now: Timestamp) -> Result<(), StackError> {
        let functions = &self.functions;
        let crashes = &self.crashes;
        let late = self
            .usage_stream
            .poll(now, &self.dynamodb, |event| functions.note_late(event))
            .await
            .map_err(StackError::failed)?;
        let sent = self
            .record_stream
            .poll(now, &self.dynamodb, |event| {
                functions.submit(event, crashes)
            })
            .await
            .map_err(StackError::failed)?;
        for (name, outcome) in [("late-usage", late), ("submitter", sent)] {
            *self
                .happenings
                .invocations
                .entry(name.to_owned())
                .or_default() += u64::from(outcome.invocations);
            if outcome.failures > 0 {
                *self.happenings.failures.entry(name.to_owned()).or_default() +=
                    u64::from(outcome.failures);
            }
            self.happenings.delivery_faults +=
                (outcome.dropped + outcome.repeated + outcome.reordered + outcome.delayed) as u64;
        }
        Ok(())
    }

    fn note<T, E: std::fmt::Display>(&mut self, function: &str, result: &Result<T, E>) {
        *self
            .happenings
            .invocations
            .entry(function.to_owned())
            .or_default() += 1;
        if let Err(error) = result {
            tracing::warn!(function, %error, "an invocation failed");
            *self
                .happenings
                .failures
                .entry(function.to_owned())
                .or_default() += 1;
        }
    }

    /// Saves the emulator's world, if it is kept in a folder. The tables save themselves.
    pub fn save_world(&self) -> Result<(), StackError> {
        match &self.world_file {
            Some(file) => file.save(&self.emulator),
            None => Ok(()),
        }
    }

    /// Stops the servers and saves what is kept in a folder.
    pub fn shutdown(self) -> Result<(), StackError> {
        for server in &self.servers {
            server.abort();
        }
        self.save_world()?;
        self.dynamodb.shutdown().map_err(StackError::failed)
    }
}

/// The next multiple of `every` after `now`, as the rate schedules of EventBridge fire.
fn next_tick(now: Timestamp, every: SignedDuration) -> Timestamp {
    let every = every.as_secs().max(1);
    let next = (now.as_second().div_euclid(every) + 1).saturating_mul(every);
    Timestamp::from_second(next).unwrap_or(Timestamp::MAX)
}

/// The address at which this machine can reach a server that listens on `address`. A server on
/// 0.0.0.0 listens on every address, but no client can connect to 0.0.0.0.
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn listen(address: SocketAddr) -> Result<TcpListener, StackError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| StackError::Listen { address, source })
}
