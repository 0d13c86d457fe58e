//! Finds what the calls of a completely read period prove about frozen records.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::event::{Call, Effect};
pub use super::finding::{Doubt, Finding, conflict_text};
use super::witness::Witness;
use super::{CLOCK_MARGIN_MINUTES, Period, minutes_after, period_of};
use crate::batch::may_be_cut_off;
use crate::hour::UsageHour;
use crate::ids::{Dimension, ProductCode};
use crate::limits::CLOUDTRAIL_DELAY_MINUTES;
use crate::quantity::Quantity;
use crate::record::{MeteringRecord, State, Transmissions};
use crate::slot::Slot;
use crate::subscription::{IdentityKind, Subscription};

/// The most opaque events that are remembered individually. If there are more, every record is
/// doubtful. The limit is this project's.
const OPAQUE_KEPT_MAX: usize = 10_000;

/// The evidence about one record so far.
#[derive(Debug, Clone)]
struct Watched {
    slot: Slot,
    quantity: Quantity,
    /// Whether AWS Marketplace answered DuplicateRecord to the submitter.
    is_duplicate: bool,
    /// Whether a request with this record alone may be larger than CloudTrail keeps.
    may_be_cut_off: bool,
    period: Period,
    /// The time from which the absence of a call proves something.
    calls_shown_at: Timestamp,
    /// The time from which no call can carry it any more.
    calls_over_at: Timestamp,
    /// The transmissions of the record without a success.
    sent: Transmissions,
    /// The ids of the events that name its slot. An event that is shown twice is one call.
    seen: BTreeSet<String>,
    /// The first Success with the record's quantity, and its metering record id.
    billed: Option<(Timestamp, Option<String>)>,
    /// The first Success with another quantity, and its metering record id.
    conflict: Option<(Timestamp, Quantity, Option<String>)>,
    /// When the record got its last outcome; `None` before the first one.
    outcome_at: Option<Timestamp>,
    /// The first and the latest DuplicateRecord of the slot.
    duplicates: Option<Period>,
    /// The first call that may have recorded exactly this record, and its error code.
    doubt_same_content: Option<(Timestamp, Option<String>)>,
    /// The first call that may have recorded another quantity in the slot, and its error code.
    doubt_other_content: Option<(Timestamp, Option<String>)>,
    /// Whether a call may have metered the buyer's slot under another identity.
    has_other_identity: bool,
}

/// Records in question, and the evidence of the calls so far.
#[derive(Debug, Default)]
pub struct Inquiry {
    records: Vec<Watched>,
    by_slot: HashMap<Slot, usize>,
    /// The records that identify their buyer by product code and customer, or by product code and
    /// account.
    by_product: HashMap<(ProductCode, Dimension, UsageHour), Vec<usize>>,
    opaque: Vec<OpaqueEvent>,
    has_too_many_opaque: bool,
    witness: Witness,
}

/// An event of a call that may have recorded slots which the event does not show.
#[derive(Debug)]
struct OpaqueEvent {
    at: Option<Period>,
    product: Option<ProductCode>,
    /// Whether the call can only have carried a record whose request is larger than CloudTrail
    /// keeps.
    is_of_large_record: bool,
    what: String,
}

impl Inquiry {
    /// An inquiry about these records, as they are at `now`.
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
        let slot = &record.slot;
        if let Some(product) = slot.subscription.product() {
            let of_product = (product.clone(), slot.dimension.clone(), slot.hour);
            self.by_product.entry(of_product).or_default().push(place);
        }
        self.by_slot.insert(slot.clone(), place);
        self.records.push(Watched {
            slot: slot.clone(),
            quantity: record.quantity,
            is_duplicate: record.state == State::Disputed,
            may_be_cut_off: may_be_cut_off(record),
            period: period_of(record, now),
            calls_shown_at: super::calls_shown_at(record, now),
            calls_over_at: super::witness::calls_over_at(record, now),
            sent: record.sent,
            seen: BTreeSet::new(),
            billed: None,
            conflict: None,
            outcome_at: record.outcome.as_ref().map(|outcome| outcome.at),
            duplicates: None,
            doubt_same_content: None,
            doubt_other_content: None,
            has_other_identity: false,
        });
    }

    /// The periods that must be read to their ends before anything is concluded.
    pub fn periods(&self, now: Timestamp) -> Vec<Period> {
        let periods = self.records.iter().flat_map(|record| {
            let witnesses = super::witness::periods_after(record.calls_over_at, now);
            std::iter::once(record.period).chain(witnesses)
        });
        super::union(periods.collect())
    }

    /// Takes a call into account.
    pub fn call(&mut self, call: &Call) {
        self.witness.add(call);
        if call.is_opaque() {
            self.remember(OpaqueEvent {
                at: Some(Period::at(call.at)),
                product: call.product.clone(),
                is_of_large_record: call.is_of_one_large_record(),
                what: format!("event {} at {}", call.event_id, call.at),
            });
        }
        for slot in call.slots() {
            let effect = call.effect(slot);
            let is_something = effect != Effect::Nothing;
            let place = self.by_slot.get(slot);
            if let Some(record) = place.and_then(|n| self.records.get_mut(*n)) {
                record.add(call, effect);
            }
            if is_something {
                self.mark_other_identity(slot);
            }
        }
    }

    /// Takes an unreadable event into account, because it may be a call. `at` is the period of the
    /// event, if it is known.
    pub fn unreadable(&mut self, at: Option<Period>, problem: &str) {
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
            self.has_too_many_opaque = true;
        }
    }

    /// Marks the records of a slot that identify their buyer in another way. A buyer has the same
    /// slot as a customer and as an account, and the history does not show which customer has which
    /// account.
    fn mark_other_identity(&mut self, slot: &Slot) {
        let Some(product) = slot.subscription.product() else {
            return;
        };
        let of_product = (product.clone(), slot.dimension.clone(), slot.hour);
        for place in self.by_product.get(&of_product).into_iter().flatten() {
            if let Some(record) = self.records.get_mut(*place) {
                record.has_other_identity |=
                    is_other_kind(&record.slot.subscription, &slot.subscription);
            }
        }
    }

    /// The conclusion from the calls about a record. The caller must first pass in all events of
    /// [`Inquiry::periods`].
    pub fn finding(&self, slot: &Slot, now: Timestamp) -> Finding {
        let Some(record) = self.by_slot.get(slot).and_then(|n| self.records.get(*n)) else {
            return Finding::Unknown(Doubt::TooEarly);
        };
        if let Some((at, id)) = &record.billed {
            return Finding::Billed {
                at: *at,
                metering_record_id: id.clone(),
            };
        }
        if let Some((at, quantity, id)) = &record.conflict {
            return Finding::Conflict {
                quantity: *quantity,
                at: *at,
                metering_record_id: id.clone(),
            };
        }
        match self.doubt_of_period(record) {
            Some(doubt) => Finding::Unknown(doubt),
            None if record.is_duplicate || record.duplicates.is_some() => {
                record.finding_of_duplicate(now, &self.witness)
            }
            None => record.finding_of_absence(now, &self.witness),
        }
    }

    fn doubt_of_period(&self, record: &Watched) -> Option<Doubt> {
        if self.has_too_many_opaque {
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
        let is_of_another = match (&self.product, record.slot.subscription.product()) {
            (Some(theirs), Some(ours)) => theirs != ours,
            _ => false,
        };
        let fits = record.may_be_cut_off || !self.is_of_large_record;
        fits && !is_of_another && self.at.is_none_or(|at| record.period.overlaps(at))
    }
}

/// Whether the two subscriptions identify their buyers in different ways, both with a product code.
fn is_other_kind(ours: &Subscription, theirs: &Subscription) -> bool {
    ours.kind() != theirs.kind()
        && ours.kind() != IdentityKind::License
        && theirs.kind() != IdentityKind::License
}

impl Watched {
    /// Adds the effect of a call that names the record's slot.
    fn add(&mut self, call: &Call, effect: Effect) {
        self.seen.insert(call.event_id.clone());
        match effect {
            Effect::Nothing => {}
            Effect::Duplicate => {
                let Period { from, to } = self.duplicates.unwrap_or(Period::at(call.at));
                self.duplicates = Some(Period {
                    from: from.min(call.at),
                    to: to.max(call.at),
                });
            }
            Effect::Success {
                quantity,
                metering_record_id,
            } if quantity == self.quantity => {
                // The first Success was billed. Later ones repeat it.
                if self.billed.as_ref().is_none_or(|(at, _)| call.at < *at) {
                    self.billed = Some((call.at, metering_record_id));
                }
            }
            Effect::Success {
                quantity,
                metering_record_id,
            } => {
                if self.conflict.as_ref().is_none_or(|(at, ..)| call.at < *at) {
                    self.conflict = Some((call.at, quantity, metering_record_id));
                }
            }
            Effect::Doubtful(quantities) => {
                let is_ours =
                    !quantities.is_empty() && quantities.iter().all(|q| *q == self.quantity);
                let doubt = match is_ours {
                    true => &mut self.doubt_same_content,
                    false => &mut self.doubt_other_content,
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
        let Some(Period {
            from: first,
            to: last,
        }) = self.duplicates
        else {
            // The call that was answered DuplicateRecord is not in the history yet.
            return Finding::Unknown(Doubt::RefusalNotShown {
                since: self.outcome_at.unwrap_or(now),
            });
        };
        if now < minutes_after(last, CLOUDTRAIL_DELAY_MINUTES) {
            return Finding::Unknown(Doubt::TooEarly);
        }
        match (&self.doubt_other_content, &self.doubt_same_content) {
            (Some(_), _) => Finding::Unknown(Doubt::OtherContent),
            // The slot was taken before the first such answer.
            (None, Some((at, _))) if *at <= first => {
                // The history must reach to the latest one.
                let since = minutes_after(last, CLOCK_MARGIN_MINUTES);
                match self.doubt_of_absence(since, witness) {
                    Some(doubt) => Finding::Unknown(doubt),
                    None => Finding::BilledByInference,
                }
            }
            (None, _) => Finding::Unknown(Doubt::Unexplained),
        }
    }

    /// The finding if no call is known to have taken the slot.
    fn finding_of_absence(&self, now: Timestamp, witness: &Witness) -> Finding {
        let doubt = self.doubt_same_content.as_ref();
        if let Some((at, code)) = doubt.or(self.doubt_other_content.as_ref()) {
            return Finding::Unknown(Doubt::MayHaveRecorded {
                code: code.clone(),
                at: *at,
            });
        }
        if now < self.calls_shown_at {
            return Finding::Unknown(Doubt::TooEarly);
        }
        match self.doubt_of_absence(self.calls_over_at, witness) {
            Some(doubt) => Finding::Unknown(doubt),
            None => Finding::NotBilled,
        }
    }

    /// The doubt that forbids a conclusion from the absence of a call; `None` if the conclusion is
    /// allowed.
    fn doubt_of_absence(&self, since: Timestamp, witness: &Witness) -> Option<Doubt> {
        if !witness.is_at_or_after(since) {
            return Some(Doubt::NoWitness { since });
        }
        // The calls with a definite answer are in `seen` too, so their number is subtracted.
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
