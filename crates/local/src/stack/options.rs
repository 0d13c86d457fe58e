//! How a stack is started, and what it says of itself.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

/// What a stack is started with.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// Where DynamoDB listens.
    pub dynamodb: SocketAddr,
    /// Where AWS Marketplace listens.
    pub aws: SocketAddr,
    /// Where `/register` and `/usage` are served.
    pub http: SocketAddr,
    /// Keeps the tables and the emulator's world in a folder that exists; in memory where absent.
    pub data_dir: Option<PathBuf>,
    /// The time at the start; the system's where absent. A world that was kept has its own.
    pub now: Option<Timestamp>,
    /// How much faster than real time it runs; 0 stands still.
    pub speed: f64,
    /// Everything random comes from it.
    pub seed: u64,
    /// Trouble, or none.
    pub trouble: Trouble,
    /// More settings of the functions, by their environment variables.
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

/// What goes wrong on the way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Of a thousand stream records: dropped, repeated, reordered, delayed.
    pub deliveries: Option<DeliveryTrouble>,
    /// Of a thousand calls of BatchMeterUsage: the submitter dies just before or just after.
    pub crashes_per_mille: u32,
    /// Lifecycle events come twice and in another order.
    pub lifecycle: bool,
}

/// How streams misbehave, per thousand records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryTrouble {
    /// Never delivered.
    pub dropped: u16,
    /// Delivered twice.
    pub repeated: u16,
    /// Delivered out of order.
    pub reordered: u16,
    /// Delivered in a later batch.
    pub delayed: u16,
}

/// Why a stack did not start or broke down.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// An address could not be bound.
    #[error("cannot listen on {address}: {source}; choose another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Something of the stack failed.
    #[error("{0}")]
    Failed(String),
}

impl StackError {
    pub(crate) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What happened since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Happenings {
    /// Invocations by function.
    pub invocations: BTreeMap<String, u64>,
    /// Invocations that failed, by function.
    pub failures: BTreeMap<String, u64>,
    /// Submitters that died at a call.
    pub crashes: u64,
    /// Stream records dropped, repeated, reordered or delayed on purpose.
    pub delivery_faults: u64,
}
