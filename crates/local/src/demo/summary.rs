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
    /// Write units that the functions cost in MeteringRecords for records, late usage and rows that
    /// were set aside, in thousandths.
    pub record_write_milli_units: u64,
    /// Write units that the functions cost in MeteringRecords for the stack's own items, such as
    /// progress and places, in thousandths. They depend on the time, not on the usage.
    pub progress_write_milli_units: u64,
    /// The hours of the stack's time that the demo took, rounded up.
    pub hours: u64,
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

    /// Write units per event, with three decimals; `-` without events.
    pub fn write_units_per_event(&self) -> String {
        thousandths(self.usage_write_milli_units, self.events_sent)
    }

    /// Write units per metering record, with three decimals; `-` without records.
    pub fn write_units_per_record(&self) -> String {
        let records = self.books.records.values().sum();
        thousandths(self.record_write_milli_units, records)
    }

    /// Write units per hour for the stack's own items, with three decimals.
    pub fn write_units_per_hour(&self) -> String {
        thousandths(self.progress_write_milli_units, self.hours)
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
            "write_units": {
                "per_event": self.write_units_per_event(),
                "per_record": self.write_units_per_record(),
                "of_the_stack_per_hour": self.write_units_per_hour(),
            },
            "balanced": self.is_balanced(),
        })
    }
}

/// `milli / count` thousandths as a decimal with three places, rounded down. `-` if `count` is
/// zero.
pub fn thousandths(milli: u64, count: u64) -> String {
    match milli.checked_div(count) {
        Some(each) => format!("{}.{:03}", each / 1_000, each % 1_000),
        None => "-".to_owned(),
    }
}
