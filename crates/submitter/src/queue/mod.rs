//! What is sent next: full batches, the search for what spoils one, and suspects by themselves.
//!
//! A request is refused as a whole when one of its records is wrong, so what is wrong costs its
//! neighbours their turn. These rules bound that cost in calls:
//! * *Groups.* The requests of one product and identity kind are a group. Groups take turns. A group
//!   whose calls fail makes one call at a time, and is set aside for the invocation after 12 failures
//!   in a row; the others go on.
//! * *Search.* A refused batch is split, and the first part is sent. If it is accepted, the culprit
//!   is in the second, which is split without sending it again. If it is refused, nothing is known of
//!   the second, which joins what other searches have left over. One culprit among 25 costs at most
//!   8 calls, three cost 26, and 25 cost 60. Where a quarter of what was searched is guilty, the
//!   records of a refused batch are sent one by one, which costs 25.
//! * *Accusation.* A culprit makes everything of its narrow [`Class`] a suspect: of its subscription,
//!   and with most errors of its dimension too. Only when 8 subscriptions were found guilty one by one and none
//!   was accepted are all subscriptions suspected. One accepted record takes an accusation back.
//! * *Memory.* Guilty lanes are remembered from one invocation to the next (`marketplace::lane`).
//! * *Allowance.* Suspects go last and alone, first the class that was refused longest ago. An
//!   accepted one costs nothing, and releases its class. The refused ones may be [`SWEEP_ALLOWANCE`]
//!   in a sweep, [`STREAM_ALLOWANCE`] in a delivery, and one for nine other calls; then the rest waits
//!   for an hour, unsent.
//!
//! A record may also be what makes every request fail that it is in, without an error that says so.
//! What has failed in several invocations is halved until it succeeds or stands alone.
//!
//! `cargo run --release -p submitter --example isolation` counts the calls of an hour with a renamed
//! dimension, and with agreements of which 1, 10 and 50 % lack a dimension.

mod class;
mod group;
mod guilt;
mod parts;
mod suspects;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;

use jiff::Timestamp;
use marketplace::MeteringRecord;
use marketplace::batch::{Batch, BatchGroup};
use marketplace::error_table::{About, about};
use marketplace::lane::Guilt;

pub use class::Class;
use group::Group;
use guilt::Guilty;
pub use guilt::LaneChange;
use parts::{attempts, group_of, split};
use suspects::Suspects;

/// Refused calls of suspects in a sweep: with 12 sweeps an hour 2,400 of the 36,000 calls that the
/// quota of 10 per second allows.
pub const SWEEP_ALLOWANCE: u64 = 200;
/// Refused calls of suspects in a delivery of the stream, of which there may be one a minute.
pub const STREAM_ALLOWANCE: u64 = 4;

/// Records in the queue, each counted with its allocations, beyond which no more are read. Ours: what
/// an invocation keeps in memory is bounded by it.
const WEIGHT_MAX: usize = 20_000;
/// Records that may be sent now, of which there should always be some: several calls.
const READY_MIN: usize = 250;
/// Records found guilty before their share among the searched ones means anything.
const GUILTY_MIN: u64 = 3;
/// One guilty record of so many searched: then a refused batch is sent record by record.
const ONE_BY_ONE_FROM: u64 = 4;

/// A batch to be sent.
#[derive(Debug)]
pub struct Attempt {
    /// What is sent.
    pub batch: Batch<MeteringRecord>,
    /// How often it was, for reasons outside its records.
    pub tries: u32,
    /// The code it failed by last, if it was tried.
    pub failed: Option<String>,
    /// The suspects' class it belongs to, if it does.
    suspects: Option<Class>,
    /// The other part of what was refused, and by which code: if this part is not refused, that one
    /// has the culprit.
    other: Option<(Vec<MeteringRecord>, String)>,
    /// Whether it is part of something that was refused.
    searched: bool,
    /// Whether one culprit was found in it before: there may be many, so nothing is put together.
    again: bool,
}

impl Attempt {
    fn of(records: Vec<MeteringRecord>) -> Option<Self> {
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

/// What is to be sent in one invocation.
#[derive(Debug, Default)]
pub struct Queue {
    groups: BTreeMap<BatchGroup, Group>,
    /// The group that had its turn last.
    last: Option<BatchGroup>,
    guilty: Guilty,
    suspects: Suspects,
    /// Records of refused batches that were found guilty, and found good.
    found: (u64, u64),
    weight: usize,
}

fn weight_of(record: &MeteringRecord) -> usize {
    record.allocations.len().saturating_add(1)
}

impl Queue {
    /// An empty queue in which suspects may be refused this often, with the lanes that are remembered.
    pub fn new(allowance: u64, lanes: Vec<Guilt>) -> Self {
        Self {
            guilty: Guilty::remembered(lanes),
            suspects: Suspects::with_allowance(allowance),
            ..Self::default()
        }
    }

    /// Whether more records should be read.
    pub fn wants_more(&self) -> bool {
        let ready: usize = self.groups.values().map(Group::ready).sum();
        self.weight < WEIGHT_MAX && ready < READY_MIN
    }

    /// Whether there is no room for more records.
    pub fn is_full(&self) -> bool {
        self.weight >= WEIGHT_MAX
    }

    /// Adds records: within a group, what has least time left is sent first, then dimension by
    /// dimension. Gives back those of groups that were set aside, with the reason.
    pub fn add(&mut self, records: Vec<MeteringRecord>) -> Vec<(MeteringRecord, String)> {
        let mut aside = Vec::new();
        let mut ordinary = Vec::new();
        for record in records {
            let reason = self.groups.get(&group_of(&record)).and_then(Group::aside);
            match reason.map(str::to_owned) {
                Some(code) => aside.push((record, code)),
                None => {
                    self.weight = self.weight.saturating_add(weight_of(&record));
                    ordinary.extend(self.unless_suspect(record));
                }
            }
        }
        self.add_ordinary(ordinary, 0);
        aside
    }

    /// Adds again what was sent and not refused, but not answered either.
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
        self.returned(&attempt);
        let tries = attempt.tries.saturating_add(1);
        let failed = Some(code.to_owned());
        self.group_of(&attempt).ordinary.push_back(Attempt {
            tries,
            failed,
            ..attempt
        });
    }

    /// The next attempts, at most `count`.
    pub fn next(&mut self, count: usize) -> Vec<Attempt> {
        std::iter::from_fn(|| self.next_one()).take(count).collect()
    }

    /// The next attempt; none while nothing more may be sent before others are answered.
    pub fn next_one(&mut self) -> Option<Attempt> {
        while let Some(group) = self.next_group() {
            let popped = self.groups.get_mut(&group).and_then(Group::pop);
            self.last = Some(group);
            let attempt = popped?;
            if let Some(attempt) = self.without_accused(attempt) {
                if attempt.suspects.is_none() {
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
        let suspects = Some(class);
        let attempt = Attempt::of(vec![record])?;
        Some(Attempt {
            suspects,
            ..attempt
        })
    }

    fn group_of(&mut self, attempt: &Attempt) -> &mut Group {
        self.groups.entry(attempt.batch.group.clone()).or_default()
    }

    fn returned(&mut self, attempt: &Attempt) {
        self.group_of(attempt).returned(attempt);
        if let Some(class) = &attempt.suspects {
            self.suspects.returned(class);
        }
    }

    fn took_out(&mut self, records: &[MeteringRecord]) {
        let weight: usize = records.iter().map(weight_of).sum();
        self.weight = self.weight.saturating_sub(weight);
    }

    /// An attempt was answered, so nothing in it spoils a request: gives back its batch.
    pub fn answered(&mut self, attempt: Attempt) -> Batch<MeteringRecord> {
        self.returned(&attempt);
        self.group_of(&attempt).works();
        self.took_out(&attempt.batch.records);
        if attempt.searched {
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
        if let Some((culprits, code)) = attempt.other {
            self.search_in(culprits, code, true, attempt.again);
        }
        attempt.batch
    }

    /// An attempt failed for good, for a reason outside its records: gives back its records. The part
    /// that was not sent is still to be sent.
    pub fn given_up(&mut self, attempt: Attempt) -> Vec<MeteringRecord> {
        self.returned(&attempt);
        self.leave_over(attempt.other, attempt.again);
        self.took_out(&attempt.batch.records);
        attempt.batch.records
    }

    /// An attempt failed as often as it may, and nothing says why: each half is tried once more, so that
    /// a record that makes every request fail stands alone in the end. Gives it back when it does.
    pub fn failed_again(&mut self, attempt: Attempt, code: &str) -> Option<MeteringRecord> {
        self.returned(&attempt);
        self.leave_over(attempt.other, attempt.again);
        let Batch { group, mut records } = attempt.batch;
        if records.len() <= 1 {
            self.took_out(&records);
            return records.pop();
        }
        let second = records.split_off(records.len().div_ceil(2));
        let halves = [records, second].map(|records| Attempt {
            batch: Batch {
                group: group.clone(),
                records,
            },
            tries: attempt.tries,
            failed: Some(code.to_owned()),
            suspects: attempt.suspects.clone(),
            other: None,
            searched: attempt.searched,
            again: attempt.again,
        });
        self.groups
            .entry(group)
            .or_default()
            .ordinary
            .extend(halves);
        None
    }

    /// An attempt was refused at `now` because of a record: gives back the record if it stood alone.
    pub fn refused(
        &mut self,
        attempt: Attempt,
        code: &str,
        now: Timestamp,
    ) -> Option<MeteringRecord> {
        self.returned(&attempt);
        self.group_of(&attempt).works();
        self.leave_over(attempt.other, attempt.again);
        let mut records = attempt.batch.records;
        if records.len() == 1 {
            self.took_out(&records);
            let culprit = records.pop()?;
            self.found.0 = self.found.0.saturating_add(1);
            match attempt.suspects {
                // It was known already, so it says nothing new of others.
                Some(class) => {
                    self.guilty.note(class.clone(), code, now);
                    self.suspects.was_refused(&class);
                }
                None => {
                    if let Some(wide) = self.guilty.accuse(code, &culprit, now) {
                        self.batch_again(&wide);
                    }
                }
            }
            return Some(culprit);
        }
        if records.iter().any(|r| self.guilty.class_of(r).is_some()) {
            // Somebody was found guilty while this was under way.
            self.add_left_over(records);
            return None;
        }
        self.search_in(records, code.to_owned(), attempt.searched, attempt.again);
        None
    }

    /// A call of a group failed for a reason outside its records. Where that sets the group aside,
    /// gives back everything of it that was not sent, with the code it failed by, if it was tried.
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
            .for_each(|(record, _)| self.took_out(std::slice::from_ref(record)));
        rest
    }

    /// What changed of the lanes that are remembered, since this was asked last.
    pub fn take_lane_changes(&mut self) -> Vec<LaneChange> {
        self.guilty.take_changes()
    }

    /// Everything that was not sent, suspects as well. What was tried already comes with the code it
    /// failed by.
    pub fn rest(&mut self) -> Vec<(MeteringRecord, Option<String>)> {
        let mut rest: Vec<_> = self.groups.values_mut().flat_map(Group::drain).collect();
        let suspects = self.suspects.take_all().into_iter();
        rest.extend(suspects.map(|(_, record)| (record, None)));
        self.weight = 0;
        rest
    }

    /// The suspects that are not sent in this invocation, with the code they are suspected of: all of
    /// them, or when the queue is full only those that it has no room for.
    pub fn take_unsent_suspects(&mut self) -> Vec<(MeteringRecord, String)> {
        let unsent = match self.is_full() {
            true => self.suspects.take_excess(),
            false => self.suspects.take_all(),
        };
        let coded = unsent.into_iter().filter_map(|(class, record)| {
            self.took_out(std::slice::from_ref(&record));
            let own = record.outcome.as_ref().map(|outcome| outcome.code.as_str());
            let own = own.filter(|code| about(code) != About::Request);
            let code = self.guilty.code(&class).or(own)?.to_owned();
            Some((record, code))
        });
        coded.collect()
    }

    /// Puts a record among the suspects if it is one; otherwise gives it back.
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

    /// Batches again what was not tried yet, without a class that is accused now, so that requests
    /// stay full.
    fn batch_again(&mut self, accused: &Class) {
        let mut fresh = Vec::new();
        for group in self.groups.values_mut() {
            let is_fresh = |a: &Attempt| {
                a.tries == 0 && a.suspects.is_none() && a.other.is_none() && !a.searched
            };
            let (taken, kept) = group.ordinary.drain(..).partition::<Vec<_>, _>(is_fresh);
            group.ordinary.extend(kept);
            fresh.extend(taken.into_iter().flat_map(|attempt| attempt.batch.records));
        }
        tracing::debug!(
            ?accused,
            records = fresh.len(),
            "all subscriptions are suspected"
        );
        let ordinary = fresh.into_iter();
        let ordinary = ordinary.filter_map(|r| self.unless_suspect(r)).collect();
        self.add_ordinary(ordinary, 0);
    }

    fn without_accused(&mut self, attempt: Attempt) -> Option<Attempt> {
        let is_accused = |record: &MeteringRecord| self.guilty.class_of(record).is_some();
        if attempt.suspects.is_some() || !attempt.batch.records.iter().any(is_accused) {
            return Some(attempt);
        }
        // Without the accused in it, what was known of the other part is no longer so.
        self.add_left_over(attempt.batch.records);
        self.leave_over(attempt.other, attempt.again);
        None
    }

    fn add_left_over(&mut self, records: Vec<MeteringRecord>) {
        for record in records {
            if let Some(record) = self.unless_suspect(record) {
                let group = self.groups.entry(group_of(&record)).or_default();
                group.left_over.push(record);
            }
        }
    }

    fn leave_over(&mut self, other: Option<(Vec<MeteringRecord>, String)>, again: bool) {
        match other {
            None => {}
            Some((records, _)) if again => {
                for attempt in attempts(records, 0) {
                    let group = self.groups.entry(attempt.batch.group.clone()).or_default();
                    group.search.push(Attempt {
                        searched: true,
                        again,
                        ..attempt
                    });
                }
            }
            Some((records, _)) => self.add_left_over(records),
        }
    }

    /// Splits records of which one is a culprit, and sends the first part next.
    fn search_in(
        &mut self,
        records: Vec<MeteringRecord>,
        code: String,
        searched: bool,
        again: bool,
    ) {
        let (guilty, good) = self.found;
        let all = guilty.saturating_add(good);
        if guilty >= GUILTY_MIN && guilty.saturating_mul(ONE_BY_ONE_FROM) >= all {
            for record in records {
                self.search(vec![record], None, again);
            }
            return;
        }
        let (first, second) = split(records, &code, searched);
        let other = (!second.is_empty()).then_some((second, code));
        self.search(first, other, again);
    }

    fn search(
        &mut self,
        records: Vec<MeteringRecord>,
        other: Option<(Vec<MeteringRecord>, String)>,
        again: bool,
    ) {
        let Some(attempt) = Attempt::of(records) else {
            return;
        };
        let group = self.groups.entry(attempt.batch.group.clone()).or_default();
        group.search.push(Attempt {
            other,
            searched: true,
            again,
            ..attempt
        });
    }
}
