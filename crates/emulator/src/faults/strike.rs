//! Draws from a seed the faults that affect a call, and the records that a fault affects.

use super::{Fault, FaultKind, Faults, When};
use crate::ids::mix;

/// The faults that affect one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CallFaults {
    /// The error that is answered instead of doing the work. If several rules demand an error, the
    /// first rule counts.
    pub(crate) refusal: Option<FaultKind>,
    pub(crate) drop_after: bool,
    pub(crate) delay_ms: u64,
    pub(crate) unprocessed: u32,
    pub(crate) missing: u32,
    pub(crate) missing_status: u32,
    pub(crate) unknown_status: u32,
    pub(crate) reorder: bool,
    /// The seed for the choice of records.
    pub(crate) seed: u64,
    /// Every fault that affects the call, for the log of calls.
    pub(crate) kinds: Vec<FaultKind>,
}

/// The rules in force and the number of their draws.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultState {
    faults: Faults,
    /// The number of calls that each rule was drawn for.
    draws: Vec<u64>,
}

impl FaultState {
    pub(crate) fn new(faults: Faults) -> FaultState {
        FaultState {
            draws: vec![0; faults.faults.len()],
            faults,
        }
    }

    /// The rules in their present state: each `next` is the number of calls that remain.
    pub(crate) fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// Draws once for every rule that covers the call. A draw depends only on the seed, on the
    /// rule's place and on the number of the rule's earlier draws.
    pub(crate) fn strike(&mut self, operation: &str, body: &[u8]) -> CallFaults {
        let mut struck = CallFaults::default();
        let seed = self.faults.seed;
        let rules = self.faults.faults.iter_mut().zip(self.draws.iter_mut());
        for (place, (fault, draws)) in rules.enumerate() {
            let is_covered = fault.operation == "*" || fault.operation == operation;
            let text = fault.containing.as_deref();
            if !is_covered || text.is_some_and(|text| !contains(body, text.as_bytes())) {
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

fn contains(body: &[u8], text: &[u8]) -> bool {
    body.windows(text.len().max(1)).any(|part| part == text)
}

fn strikes(when: &mut When, draw: u64) -> bool {
    match when {
        When::Next(0) => false,
        When::Next(left) => {
            *left -= 1;
            true
        }
        // The draw is cut to 53 bits, because a float holds exactly that many.
        When::Rate(rate) => ((draw >> 11) as f64) < *rate * (1_u64 << 53) as f64,
    }
}

impl CallFaults {
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
            | FaultKind::ClockSkew
            | FaultKind::BadGateway
            | FaultKind::DropBefore => {
                self.refusal.get_or_insert(fault.kind);
            }
        }
    }
}

/// Chooses and shuffles records, from a seed.
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

    /// Changes the order of two or more items. The new order always differs from the old one.
    pub(crate) fn reorder<T>(&mut self, items: &mut [T]) {
        if items.len() < 2 {
            return;
        }
        let by = 1 + self.below(items.len() - 1);
        items.rotate_left(by);
    }

    /// Marks `count` of `total` places.
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
        let story = |mut state: FaultState| -> Vec<CallFaults> {
            (0..100)
                .map(|_| state.strike("BatchMeterUsage", b""))
                .collect()
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
        assert!(!state.strike("ResolveCustomer", b"").drop_after);
        let struck: Vec<bool> = (0..4)
            .map(|_| state.strike("BatchMeterUsage", b"").drop_after)
            .collect();
        assert_eq!(struck, [true, true, false, false]);
    }

    #[test]
    fn a_fault_may_strike_only_calls_that_contain_a_text() {
        let mut state = FaultState::new(Faults {
            seed: 0,
            faults: vec![Fault::next("*", FaultKind::InternalError, 1).containing("cust7")],
        });
        let mut refusal = |body: &str| state.strike("BatchMeterUsage", body.as_bytes()).refusal;
        assert_eq!(refusal("\"cust6\""), None);
        assert_eq!(refusal(""), None);
        assert_eq!(refusal("\"cust7\""), Some(FaultKind::InternalError));
        assert_eq!(refusal("\"cust7\""), None, "its one call is spent");
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
            r#"{"kind":"throttling","next":1,"containing":""}"#,
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
