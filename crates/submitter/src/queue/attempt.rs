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
    /// The reason for which the batch is sent.
    pub(super) purpose: Purpose,
}

/// The reason for which a batch is sent.
#[derive(Debug, Clone)]
pub(super) enum Purpose {
    /// Its records are due, and no search concerns them.
    Send,
    /// Its records were left over by earlier searches, and many of them may be culprits. If this
    /// batch is refused too, its unsent part becomes batches of its own. It is not mixed with other
    /// left-over records.
    SendLeftOver,
    /// Its one record shows whether the class of suspects is still refused.
    Probe(Class),
    /// It is a part of a batch that was refused.
    Search {
        /// The other part; `None` if it is sent already. If this part is not refused, the culprit
        /// is in the other part.
        other: Option<OtherPart>,
        /// Whether the batch that was refused was left over by earlier searches.
        is_left_over: bool,
    },
}

/// The part of a refused batch that is not sent yet.
#[derive(Debug, Clone)]
pub(super) struct OtherPart {
    pub records: Vec<MeteringRecord>,
    /// The error code of the refusal.
    pub code: String,
}

impl Purpose {
    /// The class of suspects that the batch probes.
    pub fn probed(&self) -> Option<&Class> {
        match self {
            Self::Probe(class) => Some(class),
            _ => None,
        }
    }

    /// Whether the batch is a part of a batch that was refused.
    pub fn is_search(&self) -> bool {
        matches!(self, Self::Search { .. })
    }

    /// Whether the other part of the refused batch waits for the answer to this part.
    pub fn has_other(&self) -> bool {
        matches!(self, Self::Search { other: Some(_), .. })
    }

    /// Whether earlier searches have left the records over.
    pub fn is_left_over(&self) -> bool {
        match self {
            Self::SendLeftOver => true,
            Self::Search { is_left_over, .. } => *is_left_over,
            Self::Send | Self::Probe(_) => false,
        }
    }

    /// The other part of the refused batch, if it waits for the answer to this part.
    pub fn into_other(self) -> Option<OtherPart> {
        match self {
            Self::Search { other, .. } => other,
            _ => None,
        }
    }

    /// The same purpose for a half of the batch. The other part is not with it.
    pub fn of_half(&self) -> Self {
        match self {
            Self::Search { is_left_over, .. } => Self::Search {
                other: None,
                is_left_over: *is_left_over,
            },
            other => other.clone(),
        }
    }
}

impl Attempt {
    /// Makes an attempt of records of one group that were not tried yet; `None` if there are no
    /// records.
    pub(super) fn of(records: Vec<MeteringRecord>, purpose: Purpose) -> Option<Self> {
        let group = group_of(records.first()?);
        Some(Self {
            batch: Batch { group, records },
            tries: 0,
            failed: None,
            purpose,
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
        purpose: Purpose::Send,
    };
    batches.into_iter().map(attempt).collect()
}
