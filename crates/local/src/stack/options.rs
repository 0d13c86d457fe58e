//! The options with which a stack is started, its errors, and its counts of events.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

/// The settings that a stack is started with.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// The address of the embedded DynamoDB. Port 0 takes a free port.
    pub dynamodb: SocketAddr,
    /// The address of the emulated AWS Marketplace. Port 0 takes a free port.
    pub aws: SocketAddr,
    /// The address of `/register` and `/usage`. Port 0 takes a free port.
    pub http: SocketAddr,
    /// An existing folder in which the tables and the emulator's world are kept. `None` keeps them
    /// in memory.
    pub data_dir: Option<PathBuf>,
    /// The time at the start. `None` takes the system's time. A world that was kept has its own
    /// time.
    pub now: Option<Timestamp>,
    /// The speed of the clock as a multiple of real time. The value 0 stops the clock.
    pub speed: f64,
    /// The seed of all random draws.
    pub seed: u64,
    /// The faults to inject. The default is none.
    pub trouble: Trouble,
    /// More settings of the functions, as names and values of environment variables.
    pub env: Vec<(String, String)>,
}

impl Default for StackOptions {
    fn default() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            dynamodb: any,
            aws: any,
            http: any,
            data_dir: None,
            now: None,
            speed: 1.0,
            seed: 0,
            trouble: Trouble::default(),
            env: Vec::new(),
        }
    }
}

/// The faults that the stack injects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Faults of the streams. `None` for none.
    pub deliveries: Option<DeliveryTrouble>,
    /// The number of BatchMeterUsage calls, of a thousand, at which the submitter dies: just before
    /// or just after the call.
    pub crashes_per_mille: u32,
    /// `true` if lifecycle events are repeated and shuffled.
    pub lifecycle: bool,
}

/// Faults of the streams, each per thousand records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryTrouble {
    /// Records that are never delivered.
    pub dropped: u16,
    /// Records that are delivered twice.
    pub repeated: u16,
    /// Records that are delivered out of order.
    pub reordered: u16,
    /// Records that are delivered in a later batch.
    pub delayed: u16,
}

/// The reason why a stack did not start, or failed later.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// An address could not be bound.
    #[error("cannot listen on {address}: {source}; choose another address")]
    Listen {
        /// The address that could not be bound.
        address: SocketAddr,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A part of the stack failed. The text names the part and the reason.
    #[error("{0}")]
    Failed(String),
}

impl StackError {
    pub(crate) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The counts of invocations and faults since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The number of invocations by function.
    pub invocations: BTreeMap<String, u64>,
    /// The number of failed invocations by function.
    pub failures: BTreeMap<String, u64>,
    /// The number of times that the submitter died at a call.
    pub crashes: u64,
    /// The number of stream records that were dropped, repeated, reordered or delayed on purpose.
    pub delivery_faults: u64,
}
