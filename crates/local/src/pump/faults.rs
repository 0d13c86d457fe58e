//! Faulty deliveries: repeated, out of order, late, or never made.
//!
//! DynamoDB and Lambda together promise at-least-once delivery for 24 hours, in order for each
//! item. Disabled mappings, split shards and parallel pollers break that promise, and a stack that
//! billed by streams alone would then lose money. The same seed produces the same faults.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::PollOutcome;
use super::change::Change;

/// The scale of the chances: they are given per thousand records.
const PER_MILLE: u16 = 1_000;

/// The faults between the stream and the function. They are drawn once for each record, when it is
/// read. The seed and the record's place in the stream decide the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryFaults {
    /// Seed of the random draws.
    pub seed: u64,
    /// Records per thousand that are never delivered.
    pub drop_per_mille: u16,
    /// Records per thousand that are delivered a second time, up to `delay_max` later.
    pub repeat_per_mille: u16,
    /// Records per thousand that change places with the previous record, if the previous record is
    /// still waiting.
    pub reorder_per_mille: u16,
    /// Records per thousand that arrive up to `delay_max` late, after records that were written
    /// later.
    pub delay_per_mille: u16,
    /// Longest delay of a delayed or repeated record. Not negative.
    pub delay_max: SignedDuration,
}

impl DeliveryFaults {
    /// Returns whether every chance is at most 1,000 and the delay is not negative.
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

/// Applies the faults with a random generator, and holds delayed and repeated records back.
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

    /// Adds one record that was read at `now` to `waiting`, or drops, delays or repeats it.
    pub(super) fn admit(
        &mut self,
        change: Change,
        now: Timestamp,
        waiting: &mut VecDeque<Change>,
        outcome: &mut PollOutcome,
    ) {
        // Always draw the same number of times, so that a change of one chance does not change the
        // draws for the others.
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

    /// Moves the records whose delay is over into `waiting`.
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
