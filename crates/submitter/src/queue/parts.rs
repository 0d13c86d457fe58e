//! Records put together to batches, in the order in which they are sent, and batches taken apart.

use std::collections::BTreeSet;

use marketplace::batch::{BatchGroup, plan};
use marketplace::{MeteringRecord, State};
use metering_api::record_bytes;

use super::{Attempt, Class};

pub(super) fn order_of_suspects(
    record: &MeteringRecord,
) -> (bool, u32, jiff::Timestamp, &marketplace::RecordKey) {
    let refused = record.state == State::Refused;
    (refused, record.attempts, record.deadline, &record.key)
}

pub(super) fn group_of(record: &MeteringRecord) -> BatchGroup {
    BatchGroup {
        product: record.product.clone(),
        kind: record.key.subscription.kind(),
    }
}

pub(super) fn describe(record: &MeteringRecord) -> (BatchGroup, usize) {
    (group_of(record), record_bytes(record))
}

/// Batches in the order in which they are sent. Within a deadline they go by dimension, so that one
/// that the product does not have meets few others.
pub(super) fn attempts(mut records: Vec<MeteringRecord>, tries: u32) -> Vec<Attempt> {
    let order = |r: &MeteringRecord| (r.deadline, r.key.dimension.clone());
    records.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.key.cmp(&b.key)));
    let mut batches = plan(records, describe);
    batches.sort_by_key(|batch| batch.records.iter().map(|r| r.deadline).min());
    let attempt = |batch| Attempt {
        batch,
        tries,
        suspects: None,
        other: None,
        searched: false,
        again: false,
    };
    batches.into_iter().map(attempt).collect()
}

/// Splits records in two, the first part never empty: between two classes of the code where there
/// are several; at first one from the rest where all are of one class, for which it can then speak;
/// else in the middle.
pub(super) fn split(
    mut records: Vec<MeteringRecord>,
    code: &str,
    searched: bool,
) -> (Vec<MeteringRecord>, Vec<MeteringRecord>) {
    let classes: BTreeSet<Class> = records.iter().map(|r| Class::of(code, r)).collect();
    let middle = records.len().div_ceil(2);
    let speaks_for_others = !searched && !matches!(classes.first(), Some(Class::Itself(_)));
    let at = if classes.len() > 1 {
        records.sort_by_key(|record| Class::of(code, record));
        let bounds = records
            .windows(2)
            .zip(1_usize..)
            .filter(|(pair, _)| match pair {
                [a, b] => Class::of(code, a) != Class::of(code, b),
                _ => false,
            })
            .map(|(_, at)| at);
        bounds
            .min_by_key(|at| at.abs_diff(middle))
            .unwrap_or(middle)
    } else if speaks_for_others {
        1
    } else {
        middle
    };
    let second = records.split_off(at.min(records.len()));
    (records, second)
}
