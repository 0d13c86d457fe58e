//! Injected faults. The same seed repeats the same faults.

mod strike;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(crate) use strike::{CallFaults, Choice, FaultState};

use crate::limits::{DELAY_MS_MAX, FAULTS_MAX};

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The call changes nothing and is answered with `ThrottlingException`.
    Throttling,
    /// The call changes nothing and is answered with `InternalServiceErrorException`, status 500.
    InternalError,
    /// The call changes nothing and is answered with `DisabledApiException`.
    DisabledApi,
    /// The call changes nothing and is answered with `AccessDeniedException`.
    AccessDenied,
    /// The call changes nothing and is answered with `ExpiredTokenException`, as if the caller's
    /// credentials had expired.
    ExpiredCredentials,
    /// The call changes nothing and is answered with `InvalidSignatureException`, as if the
    /// caller's clock were wrong.
    ClockSkew,
    /// The call changes nothing and is answered with status 502 and a page that is not an AWS
    /// error, as from a proxy.
    BadGateway,
    /// The call changes nothing and is answered with an error code that no API model contains
    /// (`ServiceUnavailableException`, status 503).
    UnknownError,
    /// The call changes nothing, and the connection is closed without an answer.
    DropBefore,
    /// The call does its work, and then the connection is closed without an answer.
    DropAfter,
    /// The answer is delayed by `delay_ms` of real time.
    Delay,
    /// Some records are not processed and are returned in `UnprocessedRecords`.
    Unprocessed,
    /// The results are returned in another order.
    Reorder,
    /// Some records are processed, but neither list of the answer contains them.
    MissingRecord,
    /// Some records are processed, but their results have no status.
    MissingStatus,
    /// Some records are processed, but their results have a status that no API model contains.
    UnknownStatus,
}

/// How often a fault occurs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// In this share of the calls, 0 to 1, drawn from the seed.
    Rate(f64),
    /// In this many of the next calls.
    Next(u32),
}

/// One rule: the operation, the kind of fault and how often it occurs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "FaultJson", into = "FaultJson")]
pub struct Fault {
    /// The name of an operation (`BatchMeterUsage`), or `*` for every operation.
    pub operation: String,
    /// The kind of fault.
    pub kind: FaultKind,
    /// How often the fault occurs.
    pub when: When,
    /// How many records of a call are affected, for faults of single records. At least one.
    pub records: u32,
    /// The length of a [`FaultKind::Delay`], in milliseconds of real time. 0 for other kinds.
    pub delay_ms: u64,
    /// Only calls whose body contains this text, such as a customer's identifier. `None` for all
    /// calls.
    pub containing: Option<String>,
}

impl Fault {
    /// A fault in a share of the operation's calls, 0 to 1.
    pub fn rate(operation: &str, kind: FaultKind, rate: f64) -> Fault {
        Fault {
            operation: operation.to_owned(),
            kind,
            when: When::Rate(rate),
            records: 1,
            delay_ms: 0,
            containing: None,
        }
    }

    /// A fault in the operation's next `count` calls.
    pub fn next(operation: &str, kind: FaultKind, count: u32) -> Fault {
        Fault {
            when: When::Next(count),
            ..Fault::rate(operation, kind, 0.0)
        }
    }

    /// The same fault, affecting this many records of a call.
    pub fn records(mut self, records: u32) -> Fault {
        self.records = records;
        self
    }

    /// The same fault, only in calls whose body contains this text.
    pub fn containing(mut self, text: &str) -> Fault {
        self.containing = Some(text.to_owned());
        self
    }
}

/// All faults in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// The seed of the random draws. With the same seed, the same calls are affected.
    pub seed: u64,
    /// The rules. Each is drawn independently.
    pub faults: Vec<Fault>,
}

/// Why a set of faults is not valid.
#[derive(Debug, Error, PartialEq)]
pub enum FaultError {
    /// Neither or both of `rate` and `next` are given.
    #[error("fault `{kind}`: give exactly one of `rate` (0 to 1) and `next` (a count of calls)")]
    When {
        /// The name of the fault's kind.
        kind: String,
    },
    /// The rate is not between 0 and 1.
    #[error("fault `{kind}`: rate {rate} is not between 0 and 1")]
    Rate {
        /// The name of the fault's kind.
        kind: String,
        /// The rate that was given.
        rate: f64,
    },
    /// A fault of single records affects no record.
    #[error("fault `{kind}`: `records` is 0, but the fault must affect at least one record")]
    Records {
        /// The name of the fault's kind.
        kind: String,
    },
    /// A delay has no length, or one beyond the limit.
    #[error(
        "fault `{kind}`: `delay_ms` is {delay_ms}, but must be 1 to {DELAY_MS_MAX} for a delay and absent otherwise"
    )]
    Delay {
        /// The name of the fault's kind.
        kind: String,
        /// The delay that was given, in milliseconds.
        delay_ms: u64,
    },
    /// The text is empty, so that every body contains it.
    #[error("fault `{kind}`: `containing` is empty; leave it out for calls with any body")]
    Containing {
        /// The name of the fault's kind.
        kind: String,
    },
    /// The emulator has no such operation.
    #[error("fault for operation `{operation}`: no such operation; use one of {known}, or `*`")]
    Operation {
        /// The name that was given.
        operation: String,
        /// The names that exist.
        known: String,
    },
    /// There are too many rules.
    #[error("{count} faults are too many: at most {FAULTS_MAX} may be in force")]
    Count {
        /// The number of rules given.
        count: usize,
    },
}

/// The JSON form of a fault.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultJson {
    #[serde(default = "every_operation")]
    operation: String,
    kind: FaultKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<u32>,
    #[serde(default = "one")]
    records: u32,
    #[serde(default)]
    delay_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    containing: Option<String>,
}

fn every_operation() -> String {
    "*".to_owned()
}

fn one() -> u32 {
    1
}

impl TryFrom<FaultJson> for Fault {
    type Error = FaultError;

    fn try_from(text: FaultJson) -> Result<Fault, FaultError> {
        let kind = text.kind.name();
        let when = match (text.rate, text.next) {
            (Some(rate), None) if (0.0..=1.0).contains(&rate) => When::Rate(rate),
            (Some(rate), None) => return Err(FaultError::Rate { kind, rate }),
            (None, Some(next)) => When::Next(next),
            _ => return Err(FaultError::When { kind }),
        };
        if text.records == 0 {
            return Err(FaultError::Records { kind });
        }
        let delays = text.kind == FaultKind::Delay;
        if delays != (text.delay_ms > 0) || text.delay_ms > DELAY_MS_MAX {
            let delay_ms = text.delay_ms;
            return Err(FaultError::Delay { kind, delay_ms });
        }
        if text.containing.as_deref() == Some("") {
            return Err(FaultError::Containing { kind });
        }
        Ok(Fault {
            operation: text.operation,
            kind: text.kind,
            when,
            records: text.records,
            delay_ms: text.delay_ms,
            containing: text.containing,
        })
    }
}

impl From<Fault> for FaultJson {
    fn from(fault: Fault) -> FaultJson {
        let (rate, next) = match fault.when {
            When::Rate(rate) => (Some(rate), None),
            When::Next(next) => (None, Some(next)),
        };
        FaultJson {
            operation: fault.operation,
            kind: fault.kind,
            rate,
            next,
            records: fault.records,
            delay_ms: fault.delay_ms,
            containing: fault.containing,
        }
    }
}

impl FaultKind {
    /// The name of the kind in JSON.
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            _ => format!("{self:?}"),
        }
    }
}
