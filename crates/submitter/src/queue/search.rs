//! The search for the record because of which a batch was refused, and what it leaves over.

use jiff::Timestamp;
use marketplace::MeteringRecord;
use marketplace::batch::Batch;

use super::parts::{attempts, group_of, split};
use super::{Attempt, Class, Queue};

/// The share of culprits is used only after this many were found.
const GUILTY_MIN: u64 = 3;
/// If one in this many searched records was a culprit, a refused batch is sent record by record.
const ONE_BY_ONE_FROM: u64 = 4;

impl Queue {
    /// Handles an attempt that failed in all its tries when one of its records may be the cause.
    /// Each half is tried once more, so that a record that makes every request fail is alone in the
    /// end. Then it is returned.
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

    /// Handles an attempt that was refused at `now` because of a record in it. Returns that record
    /// if it was sent alone.
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
                // Its class was suspected already, so this refusal says nothing new about others.
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
            // One of its classes was found guilty while the attempt was under way.
            self.add_left_over(records);
            return None;
        }
        self.search_in(records, code.to_owned(), attempt.searched, attempt.again);
        None
    }

    pub(super) fn without_accused(&mut self, attempt: Attempt) -> Option<Attempt> {
        let is_accused = |record: &MeteringRecord| self.guilty.class_of(record).is_some();
        if attempt.suspects.is_some() || !attempt.batch.records.iter().any(is_accused) {
            return Some(attempt);
        }
        // What is known about the other part does not hold for an attempt without its suspects.
        self.add_left_over(attempt.batch.records);
        self.leave_over(attempt.other, attempt.again);
        None
    }

    pub(super) fn add_left_over(&mut self, records: Vec<MeteringRecord>) {
        for record in records {
            if let Some(record) = self.unless_suspect(record) {
                let group = self.groups.entry(group_of(&record)).or_default();
                group.left_over.push(record);
            }
        }
    }

    pub(super) fn leave_over(&mut self, other: Option<(Vec<MeteringRecord>, String)>, again: bool) {
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

    /// Splits records that contain a culprit, and sends the first part next.
    pub(super) fn search_in(
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

    /// Batches the records again that were not tried yet, without the newly accused class, so that
    /// requests stay full.
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
}
