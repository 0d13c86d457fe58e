//! An embedded DynamoDB with streams, on a loopback port and with a clock that can be set.
//!
//! The engine is `dynoxide`, which is built on SQLite. It serves DynamoDB and DynamoDB Streams as
//! AWS JSON 1.0 on one port, so every official client can use it through its endpoint. It verifies
//! no signature. For this reason only loopback addresses are accepted, unless
//! [`EmbeddedDynamoDb::start_anywhere`] is used.
//!
//! The server has its own thread. The engine works synchronously behind one lock, and would
//! otherwise block the executor of the program that embeds it.

mod snapshot;
mod streams;
mod tables;
mod wire;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use dynoxide::Database;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::oneshot;

pub use snapshot::SnapshotError;
pub use streams::{IteratorPosition, STREAM_RECORDS_PER_CALL_MAX, StreamReadError, StreamRecords};
pub use tables::{CreateTableError, TableError};
pub use wire::WireAnswer;

use snapshot::DataFile;
pub(crate) use snapshot::STREAM_RETENTION;

/// Returns the time that the embedded services use. It is called for every stream record and every
/// TTL sweep.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The Region in the ARNs of the streams. AWS Marketplace sends its events in this Region, so the
/// stack runs there as well.
pub const REGION: &str = "us-east-1";

/// The time that a shutdown waits for requests that are under way before it drops their
/// connections.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// The interval at which a database with a file checks for changes to save.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);

/// A running embedded DynamoDB. Dropping it stops the server and saves its file.
pub struct EmbeddedDynamoDb {
    database: Database,
    address: SocketAddr,
    clock: Clock,
    file: Option<Arc<DataFile>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The reason why the database did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The listener is reachable from other machines.
    #[error(
        "{0} is not a loopback address: the embedded DynamoDB checks no signatures, so bind it to 127.0.0.1"
    )]
    NotLoopback(SocketAddr),
    /// The listener, its thread or its runtime could not be set up.
    #[error("the embedded DynamoDB could not be served: {0}")]
    Serve(#[from] std::io::Error),
    /// The engine could not open the database.
    #[error("the database could not be opened: {0}")]
    Open(#[from] dynoxide::DynoxideError),
    /// The data file could not be read, or another process uses it.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl EmbeddedDynamoDb {
    /// Serves a database on `listener` from now until [`shutdown`](Self::shutdown) or drop. For a
    /// listener of tokio, pass `into_std()`.
    ///
    /// With a `path`, the database starts with the contents of the file. It saves itself to the
    /// file every few seconds while it changes, at [`checkpoint`](Self::checkpoint) and at the end.
    /// The file is replaced as a whole, so a crash leaves the state of the last checkpoint. Without
    /// a `path` everything stays in memory. `clock` stamps the stream records and decides which
    /// rows TTL removes.
    ///
    /// # Errors
    ///
    /// [`StartError`]: the address is not loopback, the file is not a database or is in use by
    /// another process, or the operating system refuses a thread or a socket.
    pub fn start(
        listener: TcpListener,
        path: Option<&Path>,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            return Err(StartError::NotLoopback(address));
        }
        Self::start_anywhere(listener, path, clock)
    }

    /// Like [`start`](Self::start), but on any address: for containers, and for networks that no
    /// stranger can reach. Everybody who can connect can read and write everything.
    ///
    /// # Errors
    ///
    /// [`StartError`], except for the loopback rule.
    pub fn start_anywhere(
        listener: TcpListener,
        path: Option<&Path>,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let file = path.map(DataFile::open).transpose()?.map(Arc::new);
        let database = Database::memory_with_clock(Arc::new(EngineClock(Arc::clone(&clock))))?;
        snapshot::load(&database, file.as_deref(), clock())?;

        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let served = database.clone();
        let kept = file.clone();
        let thread = std::thread::Builder::new()
            .name("dynamodb".to_owned())
            .spawn(move || {
                runtime.block_on(serve(listener, served, kept, stopped));
                // Connections that are still open after the grace period are closed with their
                // runtime.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            database,
            address,
            clock,
            file,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Creates a database in memory that is not served. Only [`answer`](Self::answer) and the other
    /// methods of this type can reach it.
    ///
    /// # Errors
    ///
    /// [`StartError::Open`]: the engine could not be opened.
    pub fn unserved(clock: Clock) -> Result<Self, StartError> {
        Ok(Self {
            database: Database::memory_with_clock(Arc::new(EngineClock(Arc::clone(&clock))))?,
            address: SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0)),
            clock,
            file: None,
            stop: None,
            thread: None,
        })
    }

    /// Deletes one item, even if it is damaged. A missing item is not an error.
    pub(crate) fn delete_item(&self, table: &str, key: Value) -> Result<(), TableError> {
        tables::delete_item(&self.database, table, key)
    }

    /// The endpoint URL for SDKs, such as `http://127.0.0.1:4566`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", crate::stack::reachable(self.address))
    }

    /// The current time of the database's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Creates a table from the JSON of a CreateTable request.
    ///
    /// A table that already exists with the same keys, indexes and stream is left as it is.
    ///
    /// # Errors
    ///
    /// [`CreateTableError`]: a request that DynamoDB would refuse, or an existing table that
    /// differs.
    pub fn create_table(&self, create_table_json: Value) -> Result<(), CreateTableError> {
        tables::create(&self.database, create_table_json)
    }

    /// Lets rows of `table` expire by `attribute` (epoch seconds). As on AWS they are not removed
    /// at once, but at the next [`sweep_ttl`](Self::sweep_ttl).
    ///
    /// # Errors
    ///
    /// [`TableError`]: there is no such table, or TTL already uses another attribute.
    pub fn enable_ttl(&self, table: &str, attribute: &str) -> Result<(), TableError> {
        tables::enable_ttl(&self.database, table, attribute)
    }

    /// Removes every row whose TTL lies before the clock's time, and returns their number. Each
    /// appears in the stream as a REMOVE by the service `dynamodb.amazonaws.com`.
    ///
    /// # Errors
    ///
    /// [`TableError`]: the engine failed.
    pub fn sweep_ttl(&self) -> Result<usize, TableError> {
        tables::sweep_ttl(&self.database)
    }

    /// The ARN of a table's stream, in [`REGION`]. `None` if the table has no stream.
    ///
    /// # Errors
    ///
    /// [`TableError`]: there is no such table.
    pub fn stream_arn(&self, table: &str) -> Result<Option<String>, TableError> {
        tables::stream_arn(&self.database, table)
    }

    /// Saves everything to the file now. Does nothing for a database in memory.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`]: the file could not be written. Its previous contents are still there.
    pub fn checkpoint(&self) -> Result<(), SnapshotError> {
        match &self.file {
            Some(file) => file.save(&self.database),
            None => Ok(()),
        }
    }

    /// Stops serving, lets requests that are under way finish (two seconds at most), and saves the
    /// file.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`]: the last checkpoint could not be written.
    pub fn shutdown(mut self) -> Result<(), SnapshotError> {
        self.stop()
    }

    fn stop(&mut self) -> Result<(), SnapshotError> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        if let Some(stop) = self.stop.take()
            && stop.send(()).is_err()
        {
            tracing::warn!("the embedded DynamoDB had already stopped serving");
        }
        if thread.join().is_err() {
            tracing::error!("the thread of the embedded DynamoDB panicked");
        }
        self.checkpoint()
    }
}

impl Drop for EmbeddedDynamoDb {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!(%error, "the data file of the embedded DynamoDB was not written");
        }
    }
}

/// Gives the engine our clock. The engine uses a float for seconds, but no quantity passes through
/// this float.
struct EngineClock(Clock);

impl dynoxide::storage_backend::Clock for EngineClock {
    fn now_unix_secs(&self) -> u64 {
        u64::try_from((self.0)().as_second()).unwrap_or(0)
    }

    fn now_unix_secs_f64(&self) -> f64 {
        (self.0)()
            .duration_since(Timestamp::UNIX_EPOCH)
            .as_secs_f64()
            .max(0.0)
    }
}

/// Serves until it is stopped, then for the grace period at most. Saves the file from time to time.
async fn serve(
    listener: TcpListener,
    database: Database,
    file: Option<Arc<DataFile>>,
    stopped: oneshot::Receiver<()>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the embedded DynamoDB cannot listen");
            return;
        }
    };
    let (stopping, grace_begins) = oneshot::channel();
    let stop = async move {
        // A sender that was dropped means the same as a stop that was sent.
        if stopped.await.is_err() {
            tracing::debug!("the owner of the embedded DynamoDB is gone");
        }
        if stopping.send(()).is_err() {
            tracing::debug!("the embedded DynamoDB is already past its grace period");
        }
    };
    let out_of_grace = async move {
        match grace_begins.await {
            Ok(()) => tokio::time::sleep(SHUTDOWN_GRACE).await,
            // The server stopped by itself, and its result contains the reason.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        served = dynoxide::server::serve_with_shutdown(listener, database.clone(), stop) => {
            if let Err(error) = served {
                tracing::error!(%error, "the embedded DynamoDB stopped serving");
            }
        }
        () = out_of_grace => tracing::warn!("requests were still under way when the embedded DynamoDB stopped"),
        () = save_changes(&database, file.as_deref()) => {}
    }
}

/// Saves the file whenever something has changed. Never returns.
async fn save_changes(database: &Database, file: Option<&DataFile>) {
    let Some(file) = file else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(CHECKPOINT_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = file.save_if_changed(database) {
            tracing::error!(%error, "the data file of the embedded DynamoDB was not written");
        }
    }
}
