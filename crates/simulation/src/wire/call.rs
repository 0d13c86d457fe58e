//! A call of a function, its fate and its invocation.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::Notify;

/// The service that a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// DynamoDB, with the tables.
    DynamoDb,
    /// AWS Marketplace, and CloudTrail with its Event history and its trail in S3.
    Marketplace,
}

/// A call that is about to leave its function.
#[derive(Debug, Clone)]
pub struct Call {
    /// The number of the call in its world, from 1, among the counted calls.
    pub number: u64,
    /// The name of the function that makes the call.
    pub function: &'static str,
    /// The service that the call goes to.
    pub service: Service,
    /// The operation, such as `TransactWriteItems`.
    pub operation: String,
    /// The number of the call in its invocation, from 1.
    pub in_invocation: u64,
}

impl Call {
    /// Whether the call changes nothing at the service.
    pub fn is_read(&self) -> bool {
        const READS: [&str; 8] = [
            "BatchGetItem",
            "GetItem",
            "GetObject",
            "ListObjectsV2",
            "LookupEvents",
            "Query",
            "ResolveCustomer",
            "Scan",
        ];
        READS.contains(&self.operation.as_str())
    }
}

/// The fate of a call: an answer or a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The call is answered.
    Answered,
    /// The call waits before it reaches the service. It is answered once it is released.
    Waits,
    /// The caller's process dies before the call is sent.
    DiesBefore,
    /// The call takes effect, and the caller's process dies before the answer arrives.
    DiesAfter,
    /// The connection breaks before the call is sent.
    Unsent,
    /// The call takes effect, and the connection breaks before the answer arrives.
    Unanswered,
    /// DynamoDB throttles the call, and nothing is done.
    Throttled,
    /// DynamoDB answers with an internal error, and nothing is done.
    Failed,
    /// Another transaction holds one of the items that the call writes, and nothing is done. Calls
    /// that write nothing are answered.
    Conflicting,
    /// A query of an index, or another read that is eventually consistent, gets an earlier answer.
    /// Other calls are answered.
    Stale,
    /// A BatchGetItem leaves one key unprocessed, and a BatchWriteItem half of its items. Other
    /// calls are answered.
    Partly,
    /// AWS Marketplace refuses the call with this code, and nothing is done.
    Refused(&'static str),
    /// The call takes effect, and half of the answer arrives.
    CutOff,
    /// The call takes effect, and the answer does not arrive in time.
    TimedOut,
}

/// The error of a call whose answer does not arrive in time.
pub const TIMED_OUT: &str = "the answer did not come in time";

/// Decides the fate of each call.
pub type Plan = Box<dyn FnMut(&Call) -> Fate + Send>;

/// The facts about an invocation of a function that the wire needs.
#[derive(Debug)]
pub struct Invocation {
    /// The name of the function.
    pub function: &'static str,
    /// Notified when the invocation's process dies.
    pub died: Notify,
    /// Number of calls that the invocation has made.
    pub calls: AtomicU64,
    /// Number of calls that all invocations of the function have made.
    pub made: &'static AtomicU64,
}

tokio::task_local! {
    /// The invocation of the task that runs now.
    pub static INVOCATION: Arc<Invocation>;
}
