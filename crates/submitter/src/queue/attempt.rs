//! One request that is to be sent.

use marketplace::MeteringRecord;
use marketplace::batch::Batch;

use super::class::Class;
use super::parts::group_of;

/// A batch to be sent.
#[derive(Debug)]
pub struct Attempt {
    /// The records of the request.
    pub batch: Batch<MeteringRecord>,
    /// How often it was tried before and failed for a reason outside its records.
    pub tries: u32,
    /// The error code of the last try, if there was one.
    pub failed: Option<String>,
    /// The class of suspects that this attempt probes; `None` for other attempts.
    pub(super) suspects: Option<Class>,
    /// The other part of a refused batch, and the code of its refusal. If this attempt is not
    /// refused, the culprit is in the other part.
    pub(super) other: Option<(Vec<MeteringRecord>, String)>,
    /// Whether it is part of a batch that was refused.
    pub(super) searched: bool,
    /// Whether its records are left over from a search that found a culprit. There may be many
    /// more, so what this search leaves over is not put together again.
    pub(super) again: bool,
}

impl Attempt {
    /// The first try of some records of one group; `None` if there are no records.
    pub(super) fn of(records: Vec<MeteringRecord>) -> Option<Self> {
        let group = group_of(records.first()?);
        Some(Self {
            batch: Batch { group, records },
            tries: 0,
            failed: None,
            suspects: None,
            other: None,
            searched: false,
            again: false,
        })
    }
}
