//! Finds what the calls of a completely read span prove about frozen records.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::event::{Call, Effect};
pub use super::finding::{Doubt, Finding, conflict_text};
use super::witness::Witness;
use super::{CLOCK_MARGIN_MINUTES, Span, minutes_after, span_of};
use crate::batch::may_be_cut_off;
use crate::hour::UsageHour;
use crate::ids::{Dimension, ProductCode};
use crate::limits::CLOUDTRAIL_DELAY_MINUTES;
use crate::quantity::Quantity;
use crate::record::{MeteringRecord, RecordKey, State, Transmissions};
use crate::subscription::{IdentityKind, Subscription};

/// The most opaque events that are remembered individually. If there are more, every record is
/// doubtful. Our own choice.
const OPAQUE_KEPT_MAX: usize = 10_000;

/// What is known about one record so far.
#[derive(Debug, Clone)]
struct Watched {
    key: RecordKey,
    quantity: Quantity,
    is_duplicate: bool,
    /// Whether a request with this record alone may be larger than CloudTrail keeps.
    may_be_cut_off: bool,
    span: Span,
    /// The time from which the absence of a call proves something.
    over_at: Timestamp,
    /// The time from which no call can carry it any more.
    quiet_at: Timestamp,
    /// How often it was sent.
    sent: Transmissions,
    /// The ids of the events that name its slot. An event that is shown twice is one call.
    seen: BTreeSet<String>,
    billed: Option<(Timestamp, Option<String>)>,
    other: Option<(Timestamp, Quantity, Option<String>)>,
    duplicate_at: Option<Timestamp>,
    ours_doubtful: Option<(Timestamp, Option<String>)>,
    other_doubtful: Option<(Timestamp, Option<String>)>,
    has_other_identity: bool,
}

/// Records in question, and what the calls so far say about them.
#[derive(Debug, Default)]
pub struct Inquiry {
    records: Vec<Watched>,
    by_key: HashMap<RecordKey, usize>,
    /// Records whose keys name a product, which may name the buyer by customer or by account.
    by_product: HashMap<(ProductCode, Dimension, UsageHour), Vec<usize>>,
    opaque: Vec<OpaqueEvent>,
    is_overrun: bool,
    witness: Witness,
}

/// An event of a call that may have recorded slots which the event does not show.
#[derive(Debug)]
struct OpaqueEvent {
    at: Option<Span>,
    product: Option<ProductCode>,
    /// Whether it can only be about a record whose request is larger than CloudTrail keeps.
    is_of_large_record: bool,
    what: String,
}

impl Inquiry {
    /// An inquiry about these records, at `now`.
    pub fn about<'r>(
        records: impl IntoIterator<Item = &'r MeteringRecord>,
        now: Timestamp,
    ) -> Self {
        let mut inquiry = Self::default();
        for record in records {
            inquiry.watch(record, now);
        }
        inquiry
    }

    fn watch(&mut self, record: &MeteringRecord, now: Timestamp) {
        let place = self.records.len();
        let key = &record.key;
        if let Some(product) = key.subscription.product() {
            let slot = (product.clone(), key.dimension.clone(), key.hour);
            self.by_product.entry(slot).or_default().push(place);
        }
        self.by_key.insert(key.clone(), place);
        self.records.push(Watched {
            key: key.clone(),
            quantity: record.quantity,
            is_duplicate: record.state == State::Disputed,
            may_be_cut_off: may_be_cut_off(record),
            span: span_of(record, now),
            over_at: super::over_at(record, now),
            quiet_at: super::witness::quiet_at(record, now),
            sent: record.sent,
            seen: BTreeSet::new(),
            billed: None,
            other: None,
            duplicate_at: None,
            ours_doubtful: None,
            other_doubtful: None,
            has_other_identity: false,
        });
    }

    /// The spans that must be read to their ends before anything is concluded.
    pub fn spans(&self, now: Timestamp) -> Vec<Span> {
        let spans = self.records.iter().flat_map(|record| {
            let witnesses = super::witness::spans_after(record.quiet_at, now);
            std::iter::once(record.span).chain(witnesses)
        });
        super::union(spans.collect())
    }

    /// Takes a call into account.
    pub fn call(&mut self, call: &Call) {
        self.witness.see(call);
        if call.is_opaque() {
            self.remember(OpaqueEvent {
                at: Some(Span::at(call.at)),
                product: call.product.clone(),
                is_of_large_record: call.is_of_one_large_record(),
                what: format!("event {} at {}", call.event_id, call.at),
            });
        }
        for key in call.slots() {
            let effect = call.effect(key);
            let is_something = effect != Effect::Nothing;
            if let Some(record) = self.by_key.get(key).and_then(|n| self.records.get_mut(*n)) {
                record.note(call, effect);
            }
            if is_something {
                self.note_other_identity(key);
            }
        }
    }

    /// Takes an event into account that may be a call and cannot be read. `at` is the period in
    /// which it was, if that is known.
    pub fn unreadable(&mut self, at: Option<Span>, problem: &str) {
        self.remember(OpaqueEvent {
            at,
            product: None,
            is_of_large_record: false,
            what: problem.to_owned(),
        });
    }

    fn remember(&mut self, event: OpaqueEvent) {
        if self.opaque.len() < OPAQUE_KEPT_MAX {
            self.opaque.push(event);
        } else {
            self.is_overrun = true;
        }
    }

    /// A buyer of a product has one slot, whether a record names the customer or the account, and
    /// the history does not show which customer has which account.
    fn note_other_identity(&mut self, key: &RecordKey) {
        let Some(product) = key.subscription.product() else {
            return;
        };
        let slot = (product.clone(), key.dimension.clone(), key.hour);
        for place in self.by_product.get(&slot).into_iter().flatten() {
            if let Some(record) = self.records.get_mut(*place) {
                record.has_other_identity |=
                    is_other_kind(&record.key.subscription, &key.subscription);
            }
        }
    }

    /// What the calls prove about a record. All events of [`Inquiry::spans`] must have been taken
    /// into account.
    pub fn finding(&self, key: &RecordKey, now: Timestamp) -> Finding {
        let Some(record) = self.by_key.get(key).and_then(|n| self.records.get(*n)) else {
            return Finding::Unknown(Doubt::TooEarly);
        };
        if let Some((at, id)) = &record.billed {
            return Finding::Billed {
                at: *at,
                metering_record_id: id.clone(),
            };
        }
        if let Some((at, quantity, id)) = &record.other {
            return Finding::Conflict {
                quantity: *quantity,
                at: *at,
                metering_record_id: id.clone(),
            };
        }
        match self.doubt_of_span(record) {
            Some(doubt) => Finding::Unknown(doubt),
            None if record.is_duplicate || record.duplicate_at.is_some() => {
                record.finding_of_duplicate(now, &self.witness)
            }
            None => record.finding_of_silence(now, &self.witness),
        }
    }

    fn doubt_of_span(&self, record: &Watched) -> Option<Doubt> {
        if self.is_overrun {
            return Some(Doubt::Opaque(format!("more than {OPAQUE_KEPT_MAX} events")));
        }
        self.opaque
            .iter()
            .find(|event| event.may_have_carried(record))
            .map(|event| Doubt::Opaque(event.what.clone()))
            .or_else(|| record.has_other_identity.then_some(Doubt::OtherIdentity))
    }
}

impl OpaqueEvent {
    /// Whether the record can have been in the event's call.
    fn may_have_carried(&self, record: &Watched) -> bool {
        let is_of_another = match (&self.product, record.key.subscription.product()) {
            (Some(theirs), Some(ours)) => theirs != ours,
            _ => false,
        };
        let fits = record.may_be_cut_off || !self.is_of_large_record;
        fits && !is_of_another && self.at.is_none_or(|at| record.span.overlaps(at))
    }
}

fn is_other_kind(ours: &Subscription, theirs: &Subscription) -> bool {
    ours.kind() != theirs.kind()
        && ours.kind() != IdentityKind::License
        && theirs.kind() != IdentityKind::License
}

impl Watched {
    fn note(&mut self, call: &Call, effect: Effect) {
        self.seen.insert(call.event_id.clone());
        match effect {
            Effect::Nothing => {}
            Effect::Duplicate => {
                let last = self.duplicate_at.map_or(call.at, |at| at.max(call.at));
                self.duplicate_at = Some(last);
            }
            Effect::Success {
                quantity,
                metering_record_id,
            } if quantity == self.quantity => {
                // The first Success is the one that was billed. Later ones repeat it.
                if self.billed.as_ref().is_none_or(|(at, _)| call.at < *at) {
                    self.billed = Some((call.at, metering_record_id));
                }
            }
            Effect::Success {
                quantity,
                metering_record_id,
            } => {
                if self.other.as_ref().is_none_or(|(at, ..)| call.at < *at) {
                    self.other = Some((call.at, quantity, metering_record_id));
                }
            }
            Effect::Doubtful(quantities) => {
                let is_ours =
                    !quantities.is_empty() && quantities.iter().all(|q| *q == self.quantity);
                let doubt = match is_ours {
                    true => &mut self.ours_doubtful,
                    false => &mut self.other_doubtful,
                };
                if doubt.as_ref().is_none_or(|(at, _)| call.at < *at) {
                    *doubt = Some((call.at, call.error.clone()));
                }
            }
        }
    }

    /// The finding if the slot is taken. If every call that can have taken it carried exactly this
    /// record, then this record took it.
    fn finding_of_duplicate(&self, now: Timestamp, witness: &Witness) -> Finding {
        let Some(duplicate_at) = self.duplicate_at else {
            // Not even the call that was answered DuplicateRecord is in the history yet.
            return Finding::Unknown(Doubt::TooEarly);
        };
        if now < minutes_after(duplicate_at, CLOUDTRAIL_DELAY_MINUTES) {
            return Finding::Unknown(Doubt::TooEarly);
        }
        match (&self.other_doubtful, &self.ours_doubtful) {
            (Some(_), _) => Finding::Unknown(Doubt::OtherContent),
            (None, Some((at, _))) if *at <= duplicate_at => {
                // The slot was taken before that answer, so the history must reach to it.
                let since = minutes_after(duplicate_at, CLOCK_MARGIN_MINUTES);
                match self.doubt_of_silence(since, witness) {
                    Some(doubt) => Finding::Unknown(doubt),
                    None => Finding::BilledByInference,
                }
            }
            (None, _) => Finding::Unknown(Doubt::Unexplained),
        }
    }

    fn finding_of_silence(&self, now: Timestamp, witness: &Witness) -> Finding {
        if let Some((at, code)) = self.ours_doubtful.as_ref().or(self.other_doubtful.as_ref()) {
            return Finding::Unknown(Doubt::MayHaveRecorded {
                code: code.clone(),
                at: *at,
            });
        }
        if now < self.over_at {
            return Finding::Unknown(Doubt::TooEarly);
        }
        match self.doubt_of_silence(self.quiet_at, witness) {
            Some(doubt) => Finding::Unknown(doubt),
            None => Finding::NotBilled,
        }
    }

    /// Why nothing may be concluded from the absence of a call; `None` if something may.
    fn doubt_of_silence(&self, since: Timestamp, witness: &Witness) -> Option<Doubt> {
        if !witness.is_from(since) {
            return Some(Doubt::NoWitness { since });
        }
        // Calls with a clear answer are not among those without one, so they are subtracted.
        let seen = u32::try_from(self.seen.len()).unwrap_or(u32::MAX);
        let explained = seen.saturating_sub(self.sent.answered);
        (explained < self.sent.doubtful).then_some(Doubt::CallsMissing {
            seen,
            sent: self.sent.answered.saturating_add(self.sent.doubtful),
        })
    }
}

#[cfg(test)]
mod tests;
