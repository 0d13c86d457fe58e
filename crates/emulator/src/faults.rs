//! Trouble on demand, repeatable from a seed.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::mix;
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
        Ok(Fault {
            operation: text.operation,
            kind: text.kind,
            when,
            records: text.records,
            delay_ms: text.delay_ms,
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

/// What strikes one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Struck {
    /// An error instead of any work; the first rule that struck wins.
    pub(crate) refusal: Option<FaultKind>,
    pub(crate) drop_after: bool,
    pub(crate) delay_ms: u64,
    pub(crate) unprocessed: u32,
    pub(crate) missing: u32,
    pub(crate) missing_status: u32,
    pub(crate) unknown_status: u32,
    pub(crate) reorder: bool,
    /// Where the choice of records starts.
    pub(crate) seed: u64,
    /// Every fault that struck, for the log of calls.
    pub(crate) kinds: Vec<FaultKind>,
}

/// The rules in force with their draws so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultState {
    faults: Faults,
    /// Calls each rule has been drawn for.
    draws: Vec<u64>,
}

impl FaultState {
    pub(crate) fn new(faults: Faults) -> FaultState {
        FaultState {
            draws: vec![0; faults.faults.len()],
            faults,
        }
    }

    /// The rules as they are now: `next` counts down.
    pub(crate) fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// Draws every rule that covers the operation once. A rule's draws depend on nothing but the
    /// seed, its place and how often it was drawn.
    pub(crate) fn strike(&mut self, operation: &str) -> Struck {
        let mut struck = Struck::default();
        let seed = self.faults.seed;
        let rules = self.faults.faults.iter_mut().zip(self.draws.iter_mut());
        for (place, (fault, draws)) in rules.enumerate() {
            if fault.operation != "*" && fault.operation != operation {
                continue;
            }
            *draws += 1;
            let draw = mix(mix(mix(seed) ^ place as u64) ^ *draws);
            if strikes(&mut fault.when, draw) {
                struck.add(fault, mix(draw));
            }
        }
        struck
    }
}

fn strikes(when: &mut When, draw: u64) -> bool {
    match when {
        When::Next(0) => false,
        When::Next(left) => {
            *left -= 1;
            true
        }
        // 53 bits are what a float holds exactly.
        When::Rate(rate) => ((draw >> 11) as f64) < *rate * (1_u64 << 53) as f64,
    }
}

impl Struck {
    fn add(&mut self, fault: &Fault, seed: u64) {
        self.kinds.push(fault.kind);
        self.seed ^= seed;
        match fault.kind {
            FaultKind::Delay => self.delay_ms = self.delay_ms.max(fault.delay_ms),
            FaultKind::DropAfter => self.drop_after = true,
            FaultKind::Unprocessed => self.unprocessed = self.unprocessed.max(fault.records),
            FaultKind::MissingRecord => self.missing = self.missing.max(fault.records),
            FaultKind::MissingStatus => {
                self.missing_status = self.missing_status.max(fault.records);
            }
            FaultKind::UnknownStatus => {
                self.unknown_status = self.unknown_status.max(fault.records);
            }
            FaultKind::Reorder => self.reorder = true,
            FaultKind::Throttling
            | FaultKind::InternalError
            | FaultKind::DisabledApi
            | FaultKind::AccessDenied
            | FaultKind::ExpiredCredentials
            | FaultKind::UnknownError
            | FaultKind::DropBefore => {
                self.refusal.get_or_insert(fault.kind);
            }
        }
    }
}

/// A choice of `count` of the first `total` numbers, and shuffles, from a seed.
pub(crate) struct Choice {
    state: u64,
}

impl Choice {
    pub(crate) fn new(seed: u64) -> Choice {
        Choice { state: seed }
    }

    fn below(&mut self, end: usize) -> usize {
        self.state = mix(self.state);
        let end = end.max(1) as u64;
        usize::try_from(self.state % end).unwrap_or(0)
    }

    /// Another order (of two or more), always different from the one given.
    pub(crate) fn reorder<T>(&mut self, items: &mut [T]) {
        if items.len() < 2 {
            return;
        }
        let by = 1 + self.below(items.len() - 1);
        items.rotate_left(by);
    }

    /// Marks `count` of `total`.
    pub(crate) fn mark(&mut self, total: usize, count: u32) -> Vec<bool> {
        let mut marked = vec![false; total];
        let count = usize::try_from(count).unwrap_or(total).min(total);
        let mut places: Vec<usize> = (0..total).collect();
        for _ in 0..count {
            let place = places.swap_remove(self.below(places.len()));
            if let Some(mark) = marked.get_mut(place) {
                *mark = true;
            }
        }
        marked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_strikes_the_same_calls() {
        let faults = Faults {
            seed: 7,
            faults: vec![Fault::rate("*", FaultKind::Throttling, 0.3)],
        };
        let story = |mut state: FaultState| -> Vec<Struck> {
            (0..100).map(|_| state.strike("BatchMeterUsage")).collect()
        };
        let first = story(FaultState::new(faults.clone()));
        assert_eq!(first, story(FaultState::new(faults)));
        let struck = first.iter().filter(|s| s.refusal.is_some()).count();
        assert!((10..60).contains(&struck), "{struck} of 100");
    }

    #[test]
    fn next_strikes_exactly_that_many_calls_of_its_operation() {
        let mut state = FaultState::new(Faults {
            seed: 0,
            faults: vec![Fault::next("BatchMeterUsage", FaultKind::DropAfter, 2)],
        });
        assert!(!state.strike("ResolveCustomer").drop_after);
        let struck: Vec<bool> = (0..4)
            .map(|_| state.strike("BatchMeterUsage").drop_after)
            .collect();
        assert_eq!(struck, [true, true, false, false]);
    }

    #[test]
    fn a_fault_needs_exactly_one_of_rate_and_next() {
        for text in [
            r#"{"kind":"throttling"}"#,
            r#"{"kind":"throttling","rate":0.1,"next":1}"#,
            r#"{"kind":"throttling","rate":1.5}"#,
            r#"{"kind":"delay","next":1}"#,
            r#"{"kind":"reorder","next":1,"records":0}"#,
            r#"{"kind":"thunder","next":1}"#,
        ] {
            assert!(serde_json::from_str::<Fault>(text).is_err(), "{text}");
        }
        let fault: Fault = serde_json::from_str(r#"{"kind":"delay","next":1,"delay_ms":5}"#)
            .expect("a whole fault");
        assert_eq!(fault.operation, "*");
    }

    #[test]
    fn marks_fall_on_distinct_records() {
        let marked = Choice::new(3).mark(25, 10);
        assert_eq!(marked.iter().filter(|m| **m).count(), 10);
        assert_eq!(Choice::new(3).mark(2, 10), [true, true]);
    }
}
