//! Decides which records are sent next: full batches, parts of a refused batch, or single suspects.
//!
//! AWS Marketplace refuses a request as a whole when one of its records, the culprit, is wrong. So
//! a culprit delays the records that are sent with it. These rules limit the number of calls that
//! this costs:
//! * *Groups.* The requests of one product and identity kind are a group. Groups take turns. A
//!   group whose calls fail makes one call at a time. After 12 failures in a row it is left out for
//!   the rest of the invocation, and the other groups go on.
//! * *Search.* A refused batch is split, and the first part is sent. If that part is accepted, the
//!   culprit is in the second part, which is split without sending it again. If the first part is
//!   refused, nothing is known about the second part, and it is sent later together with the rest
//!   of other searches. One culprit among 25 records costs at most 8 calls, three cost 26, and 25
//!   cost 60. Once a quarter of the searched records were culprits, the records of a refused batch
//!   are sent one by one, which costs 25 calls.
//! * *Accusation.* A culprit makes every record of its narrow [`Class`] a suspect: the records of
//!   the same subscription, and with most errors only those of the same dimension. All
//!   subscriptions become suspects only when 8 of them were found guilty one by one and none was
//!   accepted. One accepted record withdraws an accusation.
//! * *Memory.* Guilty lanes are remembered from one invocation to the next (`marketplace::lane`).
//! * *Allowance.* Suspects are sent last and alone, beginning with the class whose refusal is
//!   oldest. An accepted suspect uses no allowance, and releases its class. A sweep may have
//!   [`SWEEP_ALLOWANCE`] refused suspects, and a delivery [`STREAM_ALLOWANCE`]. Both may have one
//!   more for every nine other calls. After that the remaining suspects wait for an hour and are
//!   not sent.
//!
//! A record may also make every request that contains it fail, with an error that does not name the
//! record as the cause. A batch whose records were often sent without a clear answer is halved
//! until each part succeeds or is a single record.
//!
//! `cargo run --release -p submitter --example isolation` counts the calls of an hour in which a
//! dimension was renamed for every buyer. The tests count them if 1, 10 or 50 percent of the
//! agreements lack a dimension.

mod attempt;
mod class;
mod group;
mod guilt;
mod parts;
mod search;
mod suspects;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;

use marketplace::MeteringRecord;
use marketplace::batch::{Batch, BatchGroup};
use marketplace::error_table::{About, about};
use marketplace::lane::RefusedLane;

pub use attempt::Attempt;
use attempt::{Purpose, attempts};
pub use class::Class;
use group::Group;
use guilt::Guilty;
pub use guilt::LaneChange;
use parts::group_of;
use suspects::Suspects;

/// The number of suspects that may be refused in a sweep. In 12 sweeps an hour these are 2,400 of
/// the 36,000 calls that the quota of 10 per second allows.
pub const SWEEP_ALLOWANCE: u64 = 200;
/// The number of suspects that may be refused in a delivery of the stream. There may be one
/// delivery a minute.
pub const STREAM_ALLOWANCE: u64 = 4;

/// No more records are read when the records in the queue and their allocations reach this number.
/// The limit is this project's, and it bounds the memory of an invocation.
const WEIGHT_MAX: usize = 20_000;
/// More records are read while fewer than this number may be sent now. This number fills ten calls.
const READY_MIN: usize = 250;

/// The records that one invocation must send.
#[derive(Debug, Default)]
pub struct Queue {
    groups: BTreeMap<BatchGroup, Group>,
    /// The group that had its turn last.
    last: Option<BatchGroup>,
    guilty: Guilty,
    suspects: Suspects,
    /// The number of records of refused batches that were found to be culprits, and the number that
    /// were found to be good.
    found: (u64, u64),
    weight: usize,
}

fn weight_of(record: &MeteringRecord) -> usize {
    record.allocations.len().saturating_add(1)
}

impl Queue {
    /// Makes an empty queue. Suspects may be refused `allowance` times, and the records of `lanes`
    /// are suspects from the beginning.
    pub fn new(allowance: u64, lanes: Vec<RefusedLane>) -> Self {
        Self {
            guilty: Guilty::remembered(lanes),
            suspects: Suspects::with_allowance(allowance),
            ..Self::default()
        }
    }

    /// Returns whether more records should be read.
    pub fn wants_more(&self) -> bool {
        let ready: usize = self.groups.values().map(Group::ready).sum();
        self.weight < WEIGHT_MAX && ready < READY_MIN
    }

    /// Returns whether there is room for more records besides these.
    pub fn has_room_beside(&self, records: &[MeteringRecord]) -> bool {
        let weight: usize = records.iter().map(weight_of).sum();
        self.weight.saturating_add(weight) < WEIGHT_MAX
    }

    /// Returns whether there is no room for more records.
    pub fn is_full(&self) -> bool {
        self.weight >= WEIGHT_MAX
    }

    /// Adds records. Within a group the records with the least time left are sent first, ordered by
    /// dimension. Returns the records whose group is left out, each with the error code.
    pub fn add(&mut self, records: Vec<MeteringRecord>) -> Vec<(MeteringRecord, String)> {
        let mut left_out = Vec::new();
        let mut ordinary = Vec::new();
        for record in records {
            let group = self.groups.get(&group_of(&record));
            match group.and_then(Group::left_out_for).map(str::to_owned) {
                Some(code) => left_out.push((record, code)),
                None => {
                    self.weight = self.weight.saturating_add(weight_of(&record));
                    ordinary.extend(self.unless_suspect(record));
                }
            }
        }
        self.add_ordinary(ordinary, 0);
        left_out
    }

    /// Adds records again that got no result when they were sent.
    pub fn add_again(&mut self, records: Vec<MeteringRecord>, tries: u32) {
        for record in &records {
            self.weight = self.weight.saturating_add(weight_of(record));
        }
        self.add_ordinary(records, tries);
    }

    fn add_ordinary(&mut self, records: Vec<MeteringRecord>, tries: u32) {
        for attempt in attempts(records, tries) {
            let group = self.groups.entry(attempt.batch.group.clone()).or_default();
            group.ordinary.push_back(attempt);
        }
    }

    /// Puts back an attempt that failed for a reason outside its records.
    pub fn put_back(&mut self, attempt: Attempt, code: &str) {
        // A suspect that is tried again still probes its class, so the class stays under way.
        let group = self.group_of(&attempt);
        group.returned(&attempt);
        let again = Attempt {
            tries: attempt.tries.saturating_add(1),
            failed: Some(code.to_owned()),
            ..attempt
        };
        // The search that an attempt belongs to goes on when the attempt is repeated.
        match again.purpose.has_other() {
            true => group.search.insert(0, again),
            false => group.ordinary.push_back(again),
        }
    }

    /// Removes and returns the next attempts, at most `count`.
    pub fn next(&mut self, count: usize) -> Vec<Attempt> {
        std::iter::from_fn(|| self.next_one()).take(count).collect()
    }

    /// Removes and returns the next attempt; `None` if nothing may be sent before an attempt under
    /// way has its answer.
    pub fn next_one(&mut self) -> Option<Attempt> {
        while let Some(group) = self.next_group() {
            let popped = self.groups.get_mut(&group).and_then(Group::pop);
            self.last = Some(group);
            let attempt = popped?;
            if let Some(attempt) = self.without_accused(attempt) {
                if attempt.purpose.probed().is_none() {
                    self.suspects.other_sent();
                }
                self.group_of(&attempt).sent(&attempt);
                return Some(attempt);
            }
        }
        let attempt = self.next_suspect()?;
        self.group_of(&attempt).sent(&attempt);
        Some(attempt)
    }

    fn next_group(&self) -> Option<BatchGroup> {
        let may_send = |(_, group): &(&BatchGroup, &Group)| group.may_send();
        let Some(last) = &self.last else {
            return self.groups.iter().find(may_send).map(|(id, _)| id.clone());
        };
        let after = self
            .groups
            .range((Bound::Excluded(last), Bound::Unbounded))
            .find(may_send);
        let next = after.or_else(|| self.groups.range(..=last).find(may_send));
        next.map(|(id, _)| id.clone())
    }

    fn next_suspect(&mut self) -> Option<Attempt> {
        let guilty = &self.guilty;
        let groups = &self.groups;
        let may_call = |id: &BatchGroup| groups.get(id).is_none_or(Group::may_call);
        let (class, record) = self
            .suspects
            .next(|class| guilty.refused_at(class), may_call)?;
        Attempt::of(vec![record], Purpose::Probe(class))
    }

    fn group_of(&mut self, attempt: &Attempt) -> &mut Group {
        self.groups.entry(attempt.batch.group.clone()).or_default()
    }

    fn returned(&mut self, attempt: &Attempt) {
        self.group_of(attempt).returned(attempt);
        if let Some(class) = attempt.purpose.probed() {
            self.suspects.returned(class);
        }
    }

    fn subtract_weight(&mut self, records: &[MeteringRecord]) {
        let weight: usize = records.iter().map(weight_of).sum();
        self.weight = self.weight.saturating_sub(weight);
    }

    /// Handles an attempt that was answered. It contains no culprit, because the request was not
    /// refused. Returns its batch.
    pub fn answered(&mut self, attempt: Attempt) -> Batch<MeteringRecord> {
        self.returned(&attempt);
        self.group_of(&attempt).works();
        self.subtract_weight(&attempt.batch.records);
        if attempt.purpose.is_search() {
            self.found.1 = self
                .found
                .1
                .saturating_add(attempt.batch.records.len() as u64);
        }
        for record in &attempt.batch.records {
            for class in self.guilty.answered(record) {
                let released = self.suspects.released(&class);
                let ordinary = released
                    .into_iter()
                    .filter_map(|record| self.unless_suspect(record))
                    .collect();
                self.add_ordinary(ordinary, 0);
            }
        }
        let is_left_over = attempt.purpose.is_left_over();
        if let Some(part) = attempt.purpose.into_other() {
            self.search_in(part.records, part.code, true, is_left_over);
        }
        attempt.batch
    }

    /// Handles an attempt that failed in all its tries, for a reason outside its records. Returns
    /// its records. The other part, which was not sent, stays in the queue.
    pub fn given_up(&mut self, attempt: Attempt) -> Vec<MeteringRecord> {
        self.returned(&attempt);
        self.queue_other_part(attempt.purpose);
        self.subtract_weight(&attempt.batch.records);
        attempt.batch.records
    }

    /// Handles a call of a group that failed for a reason outside its records. If the group is left
    /// out from now on, returns its unsent records, each with the error code of its last try, if
    /// there was one.
    pub fn group_failed(
        &mut self,
        id: &BatchGroup,
        code: &str,
    ) -> Vec<(MeteringRecord, Option<String>)> {
        if !self.groups.entry(id.clone()).or_default().failed(code) {
            return Vec::new();
        }
        let mut rest = self
            .groups
            .get_mut(id)
            .map(Group::drain)
            .unwrap_or_default();
        let suspects = self.suspects.drain_group(id).into_iter();
        rest.extend(suspects.map(|record| (record, None)));
        rest.iter()
            .for_each(|(record, _)| self.subtract_weight(std::slice::from_ref(record)));
        rest
    }

    /// Removes and returns the changes of lanes since the last call of this function.
    pub fn take_lane_changes(&mut self) -> Vec<LaneChange> {
        self.guilty.take_changes()
    }

    /// Removes and returns all records, suspects included, each with the error code of its last
    /// try, if there was one.
    pub fn rest(&mut self) -> Vec<(MeteringRecord, Option<String>)> {
        let mut rest: Vec<_> = self.groups.values_mut().flat_map(Group::drain).collect();
        let suspects = self.suspects.take_all().into_iter();
        rest.extend(suspects.map(|(_, record)| (record, None)));
        self.weight = 0;
        rest
    }

    /// Removes and returns the suspects that are not sent in this invocation, with the error code
    /// that they are suspected of. These are all suspects. If the queue is full, they are only the
    /// suspects that it has no room for.
    pub fn take_unsent_suspects(&mut self) -> Vec<(MeteringRecord, String)> {
        let unsent = match self.is_full() {
            true => self.suspects.take_excess(),
            false => self.suspects.take_all(),
        };
        let coded = unsent.into_iter().filter_map(|(class, record)| {
            self.subtract_weight(std::slice::from_ref(&record));
            let own = record.outcome.as_ref().map(|outcome| outcome.code.as_str());
            let own = own.filter(|code| about(code) != About::Request);
            let code = self.guilty.code(&class).or(own)?.to_owned();
            Some((record, code))
        });
        coded.collect()
    }

    /// Adds a record to the suspects if it is one. Returns the record if it is not.
    fn unless_suspect(&mut self, record: MeteringRecord) -> Option<MeteringRecord> {
        let class = self.guilty.class_of(&record);
        match class.or_else(|| self.guilty.class_of_answer(&record)) {
            Some(class) => {
                self.suspects.add(class, record);
                None
            }
            None => Some(record),
        }
    }
}
