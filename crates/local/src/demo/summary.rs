//! The result of a demo, and the check of this result.

use std::collections::BTreeMap;

use marketplace::books::Books;
use marketplace::{State, Total};
use serde_json::{Value, json};

use crate::stack::Counts;

/// The result of a demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The number of subscriptions made.
    pub subscriptions: u32,
    /// The number of events sent, repeats included.
    pub events_sent: u64,
    /// The number of distinct events that a correct stack meters, as planned.
    pub events_ingested: u64,
    /// The number of events that are not metered, because intake refused them or the sealer set
    /// them aside.
    pub events_rejected: u64,
    /// The books, counted from the ledger.
    pub books: Books,
    /// The quantity that the seller's software sent, each event counted once.
    pub expected: Total,
    /// The quantity in AWS Marketplace's own slots.
    pub billed_by_marketplace: Total,
    /// The number of BatchMeterUsage calls that AWS Marketplace received.
    pub calls: u64,
    /// The smallest number of calls that the sealing rounds allow.
    pub calls_minimum: u64,
    /// Write units that the events cost in UsageEvents, in thousandths.
    pub usage_write_milli_units: u64,
    /// Write units that the functions cost in MeteringRecords, in thousandths.
    pub record_write_milli_units: u64,
    /// The invocations, failures and faults during the demo.
    pub counts: Counts,
}

impl Summary {
    /// The reasons why the result is wrong. Empty when it is right.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.books.is_balanced().unwrap_or(false) {
            problems.push("the books do not balance".to_owned());
        }
        if self.books.ingested != self.expected {
            problems.push(format!(
                "{} was sent, {} was ingested",
                self.expected, self.books.ingested
            ));
        }
        if self.books.accepted != self.billed_by_marketplace {
            problems.push(format!(
                "the ledger says {} was accepted, AWS Marketplace billed {}",
                self.books.accepted, self.billed_by_marketplace
            ));
        }
        if !self.books.pending.is_zero() {
            problems.push(format!("{} is still pending", self.books.pending));
        }
        if !self.books.over_metered.is_zero() {
            problems.push(format!(
                "{} was metered beyond the rows",
                self.books.over_metered
            ));
        }
        problems
    }

    /// Returns whether the books balance and both sides agree to the last micro-unit.
    pub fn is_balanced(&self) -> bool {
        self.problems().is_empty()
    }

    /// The summary as `--json` prints it.
    pub fn to_json(&self) -> Value {
        let records: BTreeMap<&str, u64> = self
            .books
            .records
            .iter()
            .map(|(s, n)| (State::as_str(*s), *n))
            .collect();
        json!({
            "subscriptions": self.subscriptions,
            "events": {
                "sent": self.events_sent,
                "ingested": self.events_ingested,
                "rejected": self.events_rejected,
            },
            "quantity": {
                "ingested": self.books.ingested.to_string(),
                "accepted": self.books.accepted.to_string(),
                "pending": self.books.pending.to_string(),
                "held": self.books.held.to_string(),
                "lost": self.books.lost.to_string(),
            },
            "billed_by_marketplace": self.billed_by_marketplace.to_string(),
            "records": records,
            "api_calls": {"batch_meter_usage": self.calls, "minimum": self.calls_minimum},
            "balanced": self.is_balanced(),
        })
    }
}
