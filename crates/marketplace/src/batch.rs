//! Splits records into BatchMeterUsage requests. A request has one product, one kind of identity
//! and at most 25 records, and is small enough that CloudTrail logs all of it.
//!
//! Facts: M1, M2, M3, M54 (docs/marketplace-rules.md).

use std::collections::BTreeMap;

use crate::ids::ProductCode;
use crate::limits::{AUDITABLE_REQUEST_BYTES_MAX, BATCH_RECORDS_MAX};
use crate::record::MeteringRecord;
use crate::subscription::IdentityKind;

/// The product and identity kind that all records of a request share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchGroup {
    /// The product. All records of a request have the same product, even if licenses identify the
    /// buyers.
    pub product: ProductCode,
    /// How the buyers are identified.
    pub kind: IdentityKind,
}

/// Records to be sent in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<T> {
    /// The product and identity kind of all its records.
    pub group: BatchGroup,
    /// The records, 1 to [`BATCH_RECORDS_MAX`].
    pub records: Vec<T>,
}

/// Splits records into as few requests as the limits allow. The records of a group keep their
/// order.
///
/// `describe` returns a record's group and the size of its JSON in bytes. A record that alone
/// exceeds the auditable size gets a request of its own.
pub fn plan<T>(
    records: impl IntoIterator<Item = T>,
    describe: impl Fn(&T) -> (BatchGroup, usize),
) -> Vec<Batch<T>> {
    let mut groups: BTreeMap<BatchGroup, Vec<(T, usize)>> = BTreeMap::new();
    for record in records {
        let (group, bytes) = describe(&record);
        groups.entry(group).or_default().push((record, bytes));
    }
    let mut batches = Vec::new();
    for (group, records) in groups {
        let mut current: Vec<T> = Vec::new();
        let mut size: usize = 0;
        for (record, bytes) in records {
            let size_with = size.saturating_add(bytes).saturating_add(1);
            let full =
                current.len() >= BATCH_RECORDS_MAX || size_with > AUDITABLE_REQUEST_BYTES_MAX;
            if full && !current.is_empty() {
                batches.push(Batch {
                    group: group.clone(),
                    records: std::mem::take(&mut current),
                });
                size = 0;
            }
            size = size.saturating_add(bytes).saturating_add(1);
            current.push(record);
        }
        if !current.is_empty() {
            batches.push(Batch {
                group,
                records: current,
            });
        }
    }
    batches
}

/// Upper bound of the bytes of a record's JSON without its texts and allocations.
const RECORD_BYTES: usize = 300;
/// Upper bound of the bytes of an allocation's JSON without its tags.
const ALLOCATION_BYTES: usize = 100;
/// Upper bound of the bytes of a tag's JSON without its texts.
const TAG_BYTES: usize = 24;

/// Whether CloudTrail may cut off a request with this record. [`plan`] gives a record above the
/// limit a request of its own. So an event of this stack that is cut off has one record, and that
/// record is above the limit. The size is an upper bound, computed without the JSON.
pub fn may_be_cut_off(record: &MeteringRecord) -> bool {
    let account = record
        .account
        .as_ref()
        .map_or(0, |id| json_bytes(id.as_str()));
    let names = [
        json_bytes(&record.slot.subscription.to_string()),
        json_bytes(record.slot.dimension.as_str()),
        json_bytes(record.product.as_str()),
        account,
    ];
    let allocations = record.allocations.iter().map(|allocation| {
        let tags = allocation.tags.iter().map(|(key, value)| {
            let texts = json_bytes(key).saturating_add(json_bytes(value));
            texts.saturating_add(TAG_BYTES)
        });
        tags.fold(ALLOCATION_BYTES, usize::saturating_add)
    });
    let bytes = allocations
        .chain(names)
        .fold(RECORD_BYTES, usize::saturating_add);
    bytes > AUDITABLE_REQUEST_BYTES_MAX
}

/// Upper bound of the bytes that a text takes in JSON.
fn json_bytes(text: &str) -> usize {
    let escapes = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(escapes).fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn group(product: usize, kind: usize) -> BatchGroup {
        BatchGroup {
            product: format!("product{product}").parse().unwrap(),
            kind: [
                IdentityKind::License,
                IdentityKind::Customer,
                IdentityKind::Account,
            ][kind],
        }
    }

    proptest! {
        #[test]
        fn batches_keep_every_limit_and_lose_nothing(
            records in proptest::collection::vec((0usize..3, 0usize..3, 1usize..120_000), 0..120)
        ) {
            let batches = plan(records.clone(), |(product, kind, bytes)| (group(*product, *kind), *bytes));
            let mut sent: Vec<_> = batches.iter().flat_map(|b| b.records.clone()).collect();
            for batch in &batches {
                prop_assert!((1..=BATCH_RECORDS_MAX).contains(&batch.records.len()));
                prop_assert!(batch.records.iter().all(|(p, k, _)| group(*p, *k) == batch.group));
                let bytes: usize = batch.records.iter().map(|(.., bytes)| bytes + 1).sum();
                prop_assert!(bytes <= AUDITABLE_REQUEST_BYTES_MAX || batch.records.len() == 1);
            }
            let mut all = records;
            all.sort_unstable();
            sent.sort_unstable();
            prop_assert_eq!(sent, all);
        }

        #[test]
        fn no_other_split_in_this_order_needs_fewer_requests(
            sizes in proptest::collection::vec(prop_oneof![1usize..2_000, 1usize..90_000], 0..70)
        ) {
            let batches = plan(sizes.clone(), |bytes| (group(0, 0), *bytes));
            // The fewest requests for the first n records, found by trying every size of the last
            // request.
            let mut fewest = vec![0_usize];
            for end in 1..=sizes.len() {
                let fits = |begin: &usize| {
                    let bytes: usize = sizes[*begin..end].iter().map(|bytes| bytes + 1).sum();
                    let few = end - begin <= BATCH_RECORDS_MAX;
                    few && (bytes <= AUDITABLE_REQUEST_BYTES_MAX || end - begin == 1)
                };
                let best = (0..end).filter(fits).map(|begin| fewest[begin] + 1).min();
                fewest.push(best.unwrap());
            }
            prop_assert_eq!(batches.len(), fewest[sizes.len()]);
        }

        #[test]
        fn small_records_need_no_more_requests_than_their_number_asks(count in 0usize..200) {
            let batches = plan(0..count, |_| (group(0, 0), 200));
            prop_assert_eq!(batches.len(), count.div_ceil(BATCH_RECORDS_MAX));
        }
    }

    #[test]
    fn a_request_may_be_exactly_as_large_as_the_limit() {
        let half = AUDITABLE_REQUEST_BYTES_MAX / 2 - 1;
        assert_eq!(plan([half, half], |bytes| (group(0, 0), *bytes)).len(), 1);
        assert_eq!(
            plan([half, half + 1], |bytes| (group(0, 0), *bytes)).len(),
            2
        );
    }
}
