//! The whole stack in one process: the tables, AWS Marketplace, the seven functions and their
//! triggers, on one clock that the caller moves.

mod lifecycle;
mod options;
mod steps;
mod streams;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use emulator::Emulator;
use jiff::Timestamp;
use ledger::{Ledger, TableNames, tables};

use crate::capacity::CapacityCounter;
use crate::crash::CrashPoints;
use crate::dynamodb::EmbeddedDynamoDb;
use crate::functions::{Functions, Wiring};
use crate::product_setup::ProductSetup;
use crate::pump::EventSource;
use crate::step_clock::StepClock;
use crate::world_file::WorldFile;

pub use lifecycle::function_event;
pub use options::{Counts, DeliveryTrouble, StackError, StackOptions, Trouble};
pub use streams::{EventSources, event_sources};

/// The name of the local stack, and the prefix of its tables' names.
pub const STACK_NAME: &str = "metering";
/// The stack. It does nothing on its own: [`Stack::step`] does the work that is due now.
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
    counts: Counts,
    aws: SocketAddr,
    http: SocketAddr,
    servers: Vec<tokio::task::JoinHandle<()>>,
    product_setup: Arc<ProductSetup>,
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
            clock: runtime::Clock::InProcess(clock_of(&emulator)),
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
        let product_setup = Arc::new(ProductSetup::new(
            emulator.clone(),
            functions.ledger().clone(),
        ));
        let before_requests = Arc::clone(&product_setup);
        let router = functions.router().layer(axum::middleware::from_fn(
            move |request: axum::extract::Request, next: axum::middleware::Next| {
                let product_setup = Arc::clone(&before_requests);
                async move {
                    if let Err(error) = product_setup.bring_up_to_date().await {
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
            counts: Counts::default(),
            aws,
            http,
            servers,
            product_setup,
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
    pub fn counts(&self) -> Counts {
        Counts {
            crashes: self.crashes.crashes(),
            ..self.counts.clone()
        }
    }

    /// Saves the emulator's world, if it is kept in a folder. The tables save themselves.
    pub fn save_world(&self) -> Result<(), StackError> {
        match &self.world_file {
            Some(file) => file.save(&self.emulator),
            None => Ok(()),
        }
    }

    /// Stops the servers, and saves the data that is kept in a folder.
    pub fn shutdown(self) -> Result<(), StackError> {
        for server in &self.servers {
            server.abort();
        }
        self.save_world()?;
        self.dynamodb.shutdown().map_err(StackError::failed)
    }
}

/// Returns the address at which this machine can reach a server that listens on `address`. A server
/// on 0.0.0.0 listens on every address, but no client can connect to 0.0.0.0.
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
