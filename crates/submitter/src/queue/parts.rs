//! Groups, orders and splits records.

use std::collections::BTreeSet;

use marketplace::batch::BatchGroup;
use marketplace::{MeteringRecord, State};
use metering_api::record_bytes;

use super::class::Class;

pub(super) fn order_of_suspects(
    record: &MeteringRecord,
) -> (bool, u32, jiff::Timestamp, &marketplace::Slot) {
    let refused = record.state == State::Refused;
    (refused, record.attempts, record.last_chance(), &record.slot)
}

pub(super) fn group_of(record: &MeteringRecord) -> BatchGroup {
    BatchGroup {
        product: record.product.clone(),
        kind: record.slot.subscription.kind(),
    }
}

pub(super) fn describe(record: &MeteringRecord) -> (BatchGroup, usize) {
    (group_of(record), record_bytes(record))
}

/// Splits records into two parts. The first part is never empty. The place of the split depends on
/// the classes that span all subscriptions and that the error may concern:
/// * If the records belong to several such classes, the split is between two classes.
/// * If all records belong to one such class and were not searched before, the first record is sent
///   alone, because its answer is likely to hold for the whole class.
/// * Otherwise the split is in the middle.
pub(super) fn split(
    mut records: Vec<MeteringRecord>,
    code: &str,
    is_searched: bool,
) -> (Vec<MeteringRecord>, Vec<MeteringRecord>) {
    let class_of = |record: &MeteringRecord| Class::wide(code, record);
    let classes: BTreeSet<Option<Class>> = records.iter().map(class_of).collect();
    let middle = records.len().div_ceil(2);
    let is_first_alone = !is_searched && !classes.contains(&None);
    let at = if classes.len() > 1 {
        records.sort_by_key(class_of);
        let bounds = records
            .windows(2)
            .zip(1_usize..)
            .filter(|(pair, _)| match pair {
                [a, b] => class_of(a) != class_of(b),
                _ => false,
            })
            .map(|(_, at)| at);
        bounds
            .min_by_key(|at| at.abs_diff(middle))
            .unwrap_or(middle)
    } else if is_first_alone {
        1
    } else {
        middle
    };
    let second = records.split_off(at.min(records.len()));
    (records, second)
}
