//! Compares records with the calls of the history.
//!
//! A record is kept as a few numbers, so that a million records need about a hundred megabytes.
//! Each record has 16 bytes for its slot and 32 bytes for the rest, and the table that holds them
//! is up to half empty. The name of each subscription and dimension is kept once.

mod counts;
mod difference;
mod names;

use std::collections::HashMap;

use jiff::Timestamp;

use super::event::{Call, Effect};
use super::{CLOCK_MARGIN_MINUTES, Period, minutes_after};
use crate::batch::may_be_cut_off;
use crate::error_table::INFERRED;
use crate::hour::UsageHour;
use crate::ids::Dimension;
use crate::limits::{CLOUDTRAIL_DELAY_MINUTES, INVOCATION_MINUTES_MAX};
use crate::quantity::Quantity;
use crate::record::{MeteringRecord, State};
use crate::slot::Slot;
use crate::subscription::Subscription;
use names::Names;

pub use counts::Counts;
pub use difference::{Difference, DifferenceKind};

/// The most differences that are kept with their details. Further ones are only counted. The limit
/// is this project's.
pub const DIFFERENCES_KEPT_MAX: usize = 1_000;

/// The number of the subscription, the number of the dimension, and the number of the hour.
type SlotIds = (u32, u32, i64);

#[derive(Debug, Clone, Copy)]
struct Entry {
    quantity: Quantity,
    state: State,
    /// Whether the audit inferred that the record is billed.
    is_inferred: bool,
    /// Whether a Success of the record was found.
    is_seen: bool,
    /// Whether CloudTrail may cut off a request with this record alone.
    may_be_cut_off: bool,
    /// The time of the last outcome, or of the sealing if there is no outcome.
    outcome_at: Timestamp,
}

/// Records to compare with the calls of a history.
#[derive(Debug, Default)]
pub struct Comparison {
    subscriptions: Names<Subscription>,
    dimensions: Names<Dimension>,
    entries: HashMap<SlotIds, Entry>,
    counts: Counts,
    differences: Vec<Difference>,
    /// The number of successes without a record, by subscription. It includes successes whose
    /// details are not kept.
    unknown: HashMap<Subscription, u64>,
    /// Whether some event may hide a success of any record.
    may_hide_any: bool,
    /// Whether some event may hide a success of a record that is too large for CloudTrail.
    may_hide_large: bool,
}

impl Comparison {
    /// Adds a record of the ledger. Records must be added before the calls.
    pub fn record(&mut self, record: &MeteringRecord) {
        let ids = (
            self.subscriptions.number(&record.slot.subscription),
            self.dimensions.number(&record.slot.dimension),
            record.slot.hour.number(),
        );
        let outcome = record.outcome.as_ref();
        let entry = Entry {
            quantity: record.quantity,
            state: record.state,
            is_inferred: outcome.is_some_and(|outcome| outcome.code == INFERRED),
            is_seen: false,
            may_be_cut_off: may_be_cut_off(record),
            outcome_at: outcome.map_or(record.sealed_at, |outcome| outcome.at),
        };
        self.entries.insert(ids, entry);
    }

    /// How many records were added.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no record was added.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds the counts and differences of another comparison, and forgets its records. So each page
    /// of calls can be compared with only the records that the page names.
    pub fn absorb(&mut self, other: Self) {
        self.counts.add(other.counts);
        for (subscription, unknown) in other.unknown {
            let sum = self.unknown.entry(subscription).or_default();
            *sum = sum.saturating_add(unknown);
        }
        let room = DIFFERENCES_KEPT_MAX.saturating_sub(self.differences.len());
        self.differences
            .extend(other.differences.into_iter().take(room));
        self.may_hide_any |= other.may_hide_any;
        self.may_hide_large |= other.may_hide_large;
    }

    /// The slots of the accepted records without a Success so far, in their order.
    pub fn unseen_slots(&self) -> Vec<Slot> {
        let slots = self.unseen().filter_map(|(ids, _)| self.slot_of(ids));
        let mut slots: Vec<Slot> = slots.collect();
        slots.sort();
        slots
    }

    /// Replaces the records of these slots by the records that were read again. A record that was
    /// not found again, or is not accepted, is removed.
    pub fn replace(&mut self, slots: &[Slot], read_again: &[MeteringRecord]) {
        for slot in slots {
            if let Some(ids) = self.ids_of(slot) {
                self.entries.remove(&ids);
            }
        }
        for record in read_again {
            if record.state == State::Accepted {
                self.record(record);
            }
        }
    }

    /// Compares a call. Only successes of the slots that `concerns` selects are compared.
    pub fn call(&mut self, call: &Call, concerns: impl Fn(&Slot) -> bool) {
        self.count_call(call);
        for slot in call.slots().into_iter().filter(|slot| concerns(slot)) {
            if let Effect::Success { quantity, .. } = call.effect(slot) {
                self.success(slot, quantity, &call.event_id);
            }
        }
    }

    /// Marks the records for which a call was a success, and reports no difference. It is for calls
    /// that are compared elsewhere.
    pub fn mark_seen(&mut self, call: &Call) {
        self.add_hidden(call);
        for slot in call.slots() {
            let ids = self.ids_of(slot);
            if let Effect::Success { .. } = call.effect(slot)
                && let Some(entry) = ids.and_then(|ids| self.entries.get_mut(&ids))
            {
                entry.is_seen = true;
            }
        }
    }

    /// Counts an unreadable event, which may be a call.
    pub fn unreadable(&mut self) {
        self.counts.unreadable_events = self.counts.unreadable_events.saturating_add(1);
        self.may_hide_any = true;
    }

    /// Counts an event of another operation.
    pub fn foreign(&mut self) {
        self.counts.foreign_events = self.counts.foreign_events.saturating_add(1);
    }

    fn count_call(&mut self, call: &Call) {
        let counts = &mut self.counts;
        counts.calls = counts.calls.saturating_add(1);
        counts.failed_calls = counts
            .failed_calls
            .saturating_add(u64::from(call.error.is_some()));
        counts.truncated_calls = counts
            .truncated_calls
            .saturating_add(u64::from(call.is_truncated));
        self.add_hidden(call);
    }

    /// Remembers whether the event of a call may hide a success.
    fn add_hidden(&mut self, call: &Call) {
        let may_hide_success = may_hide_success(call);
        self.may_hide_large |= may_hide_success;
        self.may_hide_any |= may_hide_success && !call.is_of_one_large_record();
    }

    fn ids_of(&self, slot: &Slot) -> Option<SlotIds> {
        Some((
            self.subscriptions.known(&slot.subscription)?,
            self.dimensions.known(&slot.dimension)?,
            slot.hour.number(),
        ))
    }

    fn success(&mut self, slot: &Slot, quantity: Quantity, event_id: &str) {
        let ids = self.ids_of(slot);
        let Some(entry) = ids.and_then(|ids| self.entries.get_mut(&ids)) else {
            return self.differ(Difference {
                slot: slot.clone(),
                kind: DifferenceKind::UnknownInLedger,
                in_ledger: None,
                at_aws: Some(quantity),
                state: None,
                event_id: Some(event_id.to_owned()),
            });
        };
        // A record that was sent twice has two answers, but is counted once.
        let was_seen = std::mem::replace(&mut entry.is_seen, true);
        let entry = *entry;
        let kind = if quantity != entry.quantity {
            DifferenceKind::Quantity
        } else if was_seen {
            return;
        } else {
            match entry.state {
                State::Accepted | State::DryRun => {
                    self.counts.matched = self.counts.matched.saturating_add(1);
                    return;
                }
                State::Sealed | State::Refused | State::Disputed | State::Unconfirmed => {
                    self.counts.open = self.counts.open.saturating_add(1);
                    return;
                }
                State::Expired | State::Moved | State::Conflict => {
                    DifferenceKind::BilledUnexpectedly
                }
            }
        };
        self.differ(Difference {
            slot: slot.clone(),
            kind,
            in_ledger: Some(entry.quantity),
            at_aws: Some(quantity),
            state: Some(entry.state),
            event_id: Some(event_id.to_owned()),
        });
    }

    fn differ(&mut self, difference: Difference) {
        if difference.kind == DifferenceKind::UnknownInLedger {
            let unknown = self
                .unknown
                .entry(difference.slot.subscription.clone())
                .or_default();
            *unknown = unknown.saturating_add(1);
        }
        let count = match difference.kind {
            DifferenceKind::MissingAtAws => &mut self.counts.missing,
            DifferenceKind::UnknownInLedger => &mut self.counts.unknown,
            DifferenceKind::Quantity => &mut self.counts.different,
            DifferenceKind::BilledUnexpectedly => &mut self.counts.unexpected,
        };
        *count = count.saturating_add(1);
        if self.differences.len() < DIFFERENCES_KEPT_MAX {
            self.differences.push(difference);
        }
    }

    /// The periods in which the missing successes of accepted records should lie: the time around
    /// each record's outcome. `wide` is a number of minutes. With it, each period begins with the
    /// record's hour and lasts that long: the whole time in which the record could be sent.
    pub fn periods_of_unseen(&self, wide: Option<i64>, now: Timestamp) -> Vec<Period> {
        let periods = self.unseen().map(|(slot, entry)| {
            let (from, to) = match wide {
                None => (
                    minutes_after(entry.outcome_at, CLOCK_MARGIN_MINUTES.saturating_neg()),
                    minutes_after(
                        entry.outcome_at,
                        INVOCATION_MINUTES_MAX.saturating_add(CLOCK_MARGIN_MINUTES),
                    ),
                ),
                Some(window_minutes) => {
                    let start = hour_of(slot).start();
                    let from = minutes_after(start, CLOCK_MARGIN_MINUTES.saturating_neg());
                    (from, minutes_after(start, window_minutes))
                }
            };
            Period {
                from,
                to: to.min(now).max(from),
            }
        });
        super::union(periods.collect())
    }

    fn unseen(&self) -> impl Iterator<Item = (&SlotIds, &Entry)> {
        self.entries.iter().filter(|(_, entry)| {
            entry.state == State::Accepted && !entry.is_seen && !entry.is_inferred
        })
    }

    /// Reports the accepted records without a Success. All calls that can have one must have been
    /// read.
    pub fn judge_unseen(&mut self, now: Timestamp) {
        let recent = minutes_after(
            now,
            CLOUDTRAIL_DELAY_MINUTES
                .saturating_add(INVOCATION_MINUTES_MAX)
                .saturating_neg(),
        );
        let inferred = self
            .entries
            .values()
            .filter(|entry| entry.state == State::Accepted && entry.is_inferred && !entry.is_seen)
            .count();
        let inferred = u64::try_from(inferred).unwrap_or(u64::MAX);
        self.counts.inferred = self.counts.inferred.saturating_add(inferred);
        let mut missing: Vec<(SlotIds, Entry)> = self.unseen().map(|(i, e)| (*i, *e)).collect();
        missing.sort_by_key(|(ids, _)| (ids.2, ids.0, ids.1));
        for (ids, entry) in missing {
            if entry.outcome_at > recent {
                self.counts.too_recent = self.counts.too_recent.saturating_add(1);
            } else if self.may_hide_any || self.may_hide_large && entry.may_be_cut_off {
                self.counts.undecidable = self.counts.undecidable.saturating_add(1);
            } else if let Some(slot) = self.slot_of(&ids) {
                self.differ(Difference {
                    slot,
                    kind: DifferenceKind::MissingAtAws,
                    in_ledger: Some(entry.quantity),
                    at_aws: None,
                    state: Some(entry.state),
                    event_id: None,
                });
            }
        }
    }

    /// Counts the records with a Success, for a comparison that used only
    /// [`mark_seen`](Self::mark_seen).
    pub fn count_seen(&mut self) {
        let seen = self.entries.values().filter(|entry| entry.is_seen).count();
        let seen = u64::try_from(seen).unwrap_or(u64::MAX);
        self.counts.matched = self.counts.matched.saturating_add(seen);
    }

    fn slot_of(&self, ids: &SlotIds) -> Option<Slot> {
        Some(Slot {
            subscription: self.subscriptions.name(ids.0)?.clone(),
            hour: hour_of(ids),
            dimension: self.dimensions.name(ids.1)?.clone(),
        })
    }

    /// The subscriptions with successes that have no record.
    pub fn unknown_subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.unknown.keys()
    }

    /// Removes successes without a record from the differences if this stack does not serve the
    /// product of their subscription.
    pub fn drop_unserved_products(&mut self, is_elsewhere: impl Fn(&Subscription) -> bool) {
        let mut taken: u64 = 0;
        self.unknown.retain(|subscription, unknown| {
            let is_ours = !is_elsewhere(subscription);
            if !is_ours {
                taken = taken.saturating_add(*unknown);
            }
            is_ours
        });
        self.differences.retain(|difference| {
            difference.kind != DifferenceKind::UnknownInLedger
                || self.unknown.contains_key(&difference.slot.subscription)
        });
        self.counts.unknown = self.counts.unknown.saturating_sub(taken);
        self.counts.elsewhere = self.counts.elsewhere.saturating_add(taken);
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The differences found so far, at most [`DIFFERENCES_KEPT_MAX`].
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }
}

/// Whether a call may have recorded something that its event does not show.
fn may_hide_success(call: &Call) -> bool {
    call.is_opaque() || (call.is_truncated && !call.recorded_nothing())
}

fn hour_of(ids: &SlotIds) -> UsageHour {
    UsageHour::of(Timestamp::UNIX_EPOCH).plus(ids.2)
}

#[cfg(test)]
mod tests;
