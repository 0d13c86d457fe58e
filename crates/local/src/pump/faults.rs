//! Deliveries as they are on a bad day: repeated, out of order, late, or never.
//!
//! DynamoDB and Lambda together promise at-least-once delivery, in order for each item, for 24
//! hours. Disabled mappings, split shards and parallel pollers make less of it, and a stack that
//! bills by streams alone would lose money on that day. The same seed gives the same day again.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::PollOutcome;
use super::change::Change;

/// Chances are counted per thousand records.
const PER_MILLE: u16 = 1_000;

/// What goes wrong between the stream and the function. Each record takes its chances once, when it
/// is read; whatever happens to it is decided by the seed and its place in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryFaults {
    /// Seed of the day.
    pub seed: u64,
    /// Records of a thousand that are never delivered.
    pub drop_per_mille: u16,
    /// Records of a thousand that are delivered a second time, up to `delay_max` later.
    pub repeat_per_mille: u16,
    /// Records of a thousand that change places with the record before, if that still waits.
    pub reorder_per_mille: u16,
    /// Records of a thousand that come up to `delay_max` later, after records written after them.
    pub delay_per_mille: u16,
    /// Longest delay of a delayed or repeated record.
    pub delay_max: SignedDuration,
}

impl DeliveryFaults {
    /// Whether every chance is one, and the delay is none that lies in the past.
    pub(super) fn valid(&self) -> bool {
        [
            self.drop_per_mille,
            self.repeat_per_mille,
            self.reorder_per_mille,
            self.delay_per_mille,
        ]
        .into_iter()
        .all(|chance| chance <= PER_MILLE)
            && !self.delay_max.is_negative()
    }
}

/// The faults at work: the dice, and the records held back.
pub(super) struct FaultyDelivery {
    faults: DeliveryFaults,
    dice: fastrand::Rng,
    held: VecDeque<(Timestamp, Change)>,
}

impl FaultyDelivery {
    pub(super) fn new(faults: DeliveryFaults) -> Self {
        let dice = fastrand::Rng::with_seed(faults.seed);
        Self {
            faults,
            dice,
            held: VecDeque::new(),
        }
    }

    /// Lets one record that was read at `now` into `waiting`, or not, or later, or twice.
    pub(super) fn admit(
        &mut self,
        change: Change,
        now: Timestamp,
        waiting: &mut VecDeque<Change>,
        outcome: &mut PollOutcome,
    ) {
        // Always the same number of throws, so that one chance does not move the others.
        let drops = self.happens(self.faults.drop_per_mille);
        let repeats = self.happens(self.faults.repeat_per_mille);
        let reorders = self.happens(self.faults.reorder_per_mille);
        let delays = self.happens(self.faults.delay_per_mille);
        let later = self.later(now);
        if drops {
            outcome.dropped = outcome.dropped.saturating_add(1);
            return;
        }
        if repeats {
            outcome.repeated = outcome.repeated.saturating_add(1);
            self.hold(later, change.clone());
        }
        if delays {
            outcome.delayed = outcome.delayed.saturating_add(1);
            self.hold(later, change);
            return;
        }
        waiting.push_back(change);
        if reorders && let Some(before_last) = waiting.len().checked_sub(2) {
            outcome.reordered = outcome.reordered.saturating_add(1);
            waiting.swap(before_last, before_last.saturating_add(1));
        }
    }

    /// Lets the records whose delay is over into `waiting`.
    pub(super) fn release(&mut self, now: Timestamp, waiting: &mut VecDeque<Change>) {
        while let Some((_, mut change)) = self.held.pop_front_if(|(due, _)| *due <= now) {
            change.read_at = now;
            waiting.push_back(change);
        }
    }

    pub(super) fn next_release(&self) -> Option<Timestamp> {
        self.held.front().map(|(due, _)| *due)
    }

    fn hold(&mut self, due: Timestamp, change: Change) {
        let place = self.held.partition_point(|(other, _)| *other <= due);
        self.held.insert(place, (due, change));
    }

    fn happens(&mut self, per_mille: u16) -> bool {
        self.dice.u16(0..PER_MILLE) < per_mille
    }

    fn later(&mut self, now: Timestamp) -> Timestamp {
        let delay_ms = i64::try_from(self.faults.delay_max.as_millis()).unwrap_or(i64::MAX);
        let delay = SignedDuration::from_millis(self.dice.i64(0..=delay_ms));
        now.checked_add(delay).unwrap_or(Timestamp::MAX)
    }
}
