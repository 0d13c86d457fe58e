//! Trouble on demand, repeatable from a seed.

mod strike;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(crate) use strike::{Choice, FaultState, Struck};

use crate::limits::{DELAY_MS_MAX, FAULTS_MAX};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// `ThrottlingException`, nothing done.
    Throttling,
    /// `InternalServiceErrorException` with status 500, nothing done.
    InternalError,
    /// `DisabledApiException`, nothing done.
    DisabledApi,
    /// `AccessDeniedException`, nothing done.
    AccessDenied,
    /// `ExpiredTokenException` for the caller's credentials, nothing done.
    ExpiredCredentials,
    /// `InvalidSignatureException`, as a caller with a wrong clock meets it, nothing done.
    ClockSkew,
    /// Status 502 with a page that is no AWS error, as a proxy answers, nothing done.
    BadGateway,
    /// An error code no model names (`ServiceUnavailableException`, status 503), nothing done.
    UnknownError,
    /// The connection closes without an answer, nothing done.
    DropBefore,
    /// The work is done, then the connection closes without an answer.
    DropAfter,
    /// The answer waits `delay_ms` of real time.
    Delay,
    /// Some records are not looked at and come back in `UnprocessedRecords`.
    Unprocessed,
    /// The results stand in another order.
    Reorder,
    /// Some records are worked on, but stand in neither list of the answer.
    MissingRecord,
    /// Some records are worked on, but their results carry no status.
    MissingStatus,
    /// Some records are worked on, but their results carry a status no model names.
    UnknownStatus,
}

/// How often a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// In this share of the calls, 0 to 1, drawn from the seed.
    Rate(f64),
    /// In the next calls, this many.
    Next(u32),
}

/// One rule: which operation, what, how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "FaultText", into = "FaultText")]
pub struct Fault {
    /// An operation's name (`BatchMeterUsage`), or `*` for each.
    pub operation: String,
    /// What goes wrong.
    pub kind: FaultKind,
    /// How often.
    pub when: When,
    /// How many records a record-wise fault strikes; at least one.
    pub records: u32,
    /// For [`FaultKind::Delay`]: how long, in milliseconds of real time.
    pub delay_ms: u64,
    /// Only calls whose body contains this text, such as a customer's identifier; all if absent.
    pub containing: Option<String>,
}

impl Fault {
    /// A fault in this share of the operation's calls.
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

    /// The same fault, striking this many records of a call.
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

/// The faults in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Where the draws start; the same seed strikes the same calls.
    pub seed: u64,
    /// The rules, each drawn for itself.
    pub faults: Vec<Fault>,
}

/// Why a set of faults cannot be taken as it was written.
#[derive(Debug, Error, PartialEq)]
pub enum FaultError {
    /// Neither or both of `rate` and `next`.
    #[error("fault `{kind}`: give exactly one of `rate` (0 to 1) and `next` (a count of calls)")]
    When {
        /// The fault's kind.
        kind: String,
    },
    /// A rate outside 0 to 1.
    #[error("fault `{kind}`: rate {rate} is not between 0 and 1")]
    Rate {
        /// The fault's kind.
        kind: String,
        /// The rate given.
        rate: f64,
    },
    /// A record-wise fault over no record.
    #[error("fault `{kind}`: `records` is 0, but the fault strikes at least one record")]
    Records {
        /// The fault's kind.
        kind: String,
    },
    /// A delay without its length, or beyond the limit.
    #[error(
        "fault `{kind}`: `delay_ms` is {delay_ms}, but must be 1 to {DELAY_MS_MAX} for a delay and absent otherwise"
    )]
    Delay {
        /// The fault's kind.
        kind: String,
        /// The delay given.
        delay_ms: u64,
    },
    /// A text that every body contains.
    #[error("fault `{kind}`: `containing` is empty; leave it out for calls with any body")]
    Containing {
        /// The fault's kind.
        kind: String,
    },
    /// An operation the emulator does not have.
    #[error("fault for operation `{operation}`: no such operation; use one of {known}, or `*`")]
    Operation {
        /// The name given.
        operation: String,
        /// The names that exist.
        known: String,
    },
    /// Too many rules.
    #[error("{count} faults are too many: at most {FAULTS_MAX} may be in force")]
    Count {
        /// The rules given.
        count: usize,
    },
}

/// A fault as JSON has it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultText {
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

impl TryFrom<FaultText> for Fault {
    type Error = FaultError;

    fn try_from(text: FaultText) -> Result<Fault, FaultError> {
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

impl From<Fault> for FaultText {
    fn from(fault: Fault) -> FaultText {
        let (rate, next) = match fault.when {
            When::Rate(rate) => (Some(rate), None),
            When::Next(next) => (None, Some(next)),
        };
        FaultText {
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
    /// The name JSON has for it.
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            _ => format!("{self:?}"),
        }
    }
}
