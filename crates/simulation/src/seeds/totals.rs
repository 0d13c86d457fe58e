//! The sums of the reports of many seeds. They can be stored, so that a long run can be interrupted
//! and continued.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::SeedReport;
use super::marks::Marks;

/// The sums of the reports of many seeds. Quantities are in micro-units.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// The number of seeds.
    pub seeds: u64,
    /// The number of seeds with a violation.
    pub failing: u64,
    /// The violations, each with its seed.
    pub violations: Vec<String>,
    /// The calls that were numbered.
    pub calls: u128,
    /// The calls that met a fault.
    pub faults_met: u128,
    /// The usage that the seller's software sent.
    pub sent: u128,
    /// The usage that had to be billed.
    pub owed: u128,
    /// The usage that AWS Marketplace billed.
    pub billed: u128,
    /// The usage that was held for a person.
    pub held: u128,
    /// The usage that was lost.
    pub lost: u128,
    /// The usage that was billed twice.
    pub billed_twice: u128,
    /// The usage that need not be billed, and the largest part of it that was not billed, by the
    /// excuse in words.
    pub excused: BTreeMap<String, (u128, u128)>,
    /// The number of times that each state was reached.
    pub marks: Marks,
    /// The time that all seeds took together, in milliseconds.
    pub took_ms: u128,
}

impl Totals {
    /// Adds the report of a seed.
    pub fn add(&mut self, report: &SeedReport) {
        let result = &report.result;
        self.seeds += 1;
        self.failing += u64::from(!result.violations.is_empty());
        for violation in &result.violations {
            self.violations
                .push(format!("seed {}: {violation}", report.seed));
        }
        for (sum, more) in [
            (&mut self.calls, u128::from(report.calls)),
            (&mut self.faults_met, u128::from(report.faults_met)),
            (&mut self.sent, result.sent),
            (&mut self.owed, result.owed),
            (&mut self.billed, result.billed),
            (&mut self.held, result.held),
            (&mut self.lost, result.lost),
            (&mut self.billed_twice, result.billed_twice),
        ] {
            *sum += more;
        }
        for (excuse, (units, unbilled)) in &result.excused {
            let sum = self.excused.entry(excuse.words().to_owned()).or_default();
            *sum = (sum.0 + units, sum.1 + unbilled);
        }
        for (name, times) in &report.marks {
            *self.marks.entry(name.clone()).or_default() += times;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::on_a_thread;

    #[test]
    fn totals_are_the_same_after_they_were_stored() {
        let report = on_a_thread(|| super::super::judge(3));
        let mut totals = Totals::default();
        totals.add(&report);
        totals.add(&report);
        // More than fits in 64 bits.
        totals.sent += u128::from(u64::MAX);
        assert_eq!(totals.seeds, 2);
        assert_eq!(totals.calls, 2 * u128::from(report.calls));
        let stored = serde_json::to_string(&totals).expect("text");
        let read: Totals = serde_json::from_str(&stored).expect("totals");
        assert_eq!(read, totals);
    }
}
