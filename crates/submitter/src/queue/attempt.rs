//! A request that waits to be sent or is under way.

use marketplace::MeteringRecord;
use marketplace::batch::{Batch, plan};

use super::class::Class;
use super::parts::{describe, group_of};

/// A batch that waits to be sent or is under way.
#[derive(Debug)]
pub struct Attempt {
    /// The records of the request.
    pub batch: Batch<MeteringRecord>,
    /// The number of earlier tries, all of which failed for a reason outside the records.
    pub tries: u32,
    /// The error code of the last failed try; `None` if no try has failed.
    pub failed: Option<String>,
    /// The class of suspects that this attempt probes; `None` for other attempts.
    pub(super) suspects: Option<Class>,
    /// The other part of a refused batch, and the error code of the refusal. If this attempt is not
    /// refused, the culprit is in the other part.
    pub(super) other: Option<(Vec<MeteringRecord>, String)>,
    /// Whether the attempt is a part of a batch that was refused.
    pub(super) is_searched: bool,
    /// Whether earlier searches left these records over. Such records may contain many culprits. So
    /// if this attempt is searched, the part that is not sent is not mixed with other records that
    /// are left over, but sent as batches of its own.
    pub(super) is_left_over: bool,
}

impl Attempt {
    /// Makes an attempt of records of one group that were not tried yet; `None` if there are no
    /// records.
    pub(super) fn of(records: Vec<MeteringRecord>) -> Option<Self> {
        let group = group_of(records.first()?);
        Some(Self {
            batch: Batch { group, records },
            tries: 0,
            failed: None,
            suspects: None,
            other: None,
            is_searched: false,
            is_left_over: false,
        })
    }
}

/// Groups records into batches in the order of sending: by deadline, then by dimension. So a
/// dimension that the product does not have is mixed with other dimensions in few batches only.
pub(super) fn attempts(mut records: Vec<MeteringRecord>, tries: u32) -> Vec<Attempt> {
    let order = |r: &MeteringRecord| (r.last_chance(), r.slot.dimension.clone());
    records.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.slot.cmp(&b.slot)));
    let mut batches = plan(records, describe);
    batches.sort_by_key(|batch| batch.records.iter().map(MeteringRecord::last_chance).min());
    let attempt = |batch| Attempt {
        batch,
        tries,
        failed: None,
        suspects: None,
        other: None,
        is_searched: false,
        is_left_over: false,
    };
    batches.into_iter().map(attempt).collect()
}
