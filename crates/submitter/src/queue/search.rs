//! The search for the culprit in a refused batch, and the records that the search leaves over.

use jiff::Timestamp;
use marketplace::MeteringRecord;
use marketplace::batch::Batch;

use super::Queue;
use super::attempt::{Attempt, OtherPart, Purpose, attempts};
use super::class::Class;
use super::parts::{group_of, split};

/// The share of culprits among the searched records is used only after this many culprits were
/// found.
const GUILTY_MIN: u64 = 3;
/// If at least one in this many searched records was a culprit, a refused batch is sent record by
/// record.
const ONE_BY_ONE_FROM: u64 = 4;

impl Queue {
    /// Handles an attempt whose tries all failed, perhaps because of one of its records. Its halves
    /// are tried once more, so that a record that makes every request fail is alone in the end.
    /// Returns the record if it was alone.
    pub fn failed_again(&mut self, attempt: Attempt, code: &str) -> Option<MeteringRecord> {
        self.returned(&attempt);
        let purpose = attempt.purpose.of_half();
        self.queue_other_part(attempt.purpose);
        let Batch { group, mut records } = attempt.batch;
        if records.len() <= 1 {
            self.subtract_weight(&records);
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
            purpose: purpose.clone(),
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
        let purpose = attempt.purpose.of_half();
        self.queue_other_part(attempt.purpose);
        let mut records = attempt.batch.records;
        if records.len() == 1 {
            self.subtract_weight(&records);
            let culprit = records.pop()?;
            self.found.0 = self.found.0.saturating_add(1);
            match purpose.probed() {
                // Its class was suspected already, so this refusal says nothing new about others.
                Some(class) => {
                    self.guilty.add(class.clone(), code, now);
                    self.suspects.was_refused(class);
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
            // A class of these records was found guilty while the attempt was under way.
            self.add_left_over(records);
            return None;
        }
        self.search_in(
            records,
            code.to_owned(),
            purpose.is_search(),
            purpose.is_left_over(),
        );
        None
    }

    /// Returns an attempt if it probes a suspect or has no record of a guilty class. Otherwise
    /// queues its records again, the guilty ones as suspects, and returns `None`.
    pub(super) fn without_accused(&mut self, attempt: Attempt) -> Option<Attempt> {
        let is_accused = |record: &MeteringRecord| self.guilty.class_of(record).is_some();
        if attempt.purpose.probed().is_some() || !attempt.batch.records.iter().any(is_accused) {
            return Some(attempt);
        }
        // This attempt is not sent, so no answer will show which part has the culprit.
        self.add_left_over(attempt.batch.records);
        self.queue_other_part(attempt.purpose);
        None
    }

    /// Adds records to the records that searches have left over, or to the suspects.
    pub(super) fn add_left_over(&mut self, records: Vec<MeteringRecord>) {
        for record in records {
            if let Some(record) = self.unless_suspect(record) {
                let group = self.groups.entry(group_of(&record)).or_default();
                group.left_over.push(record);
            }
        }
    }

    /// Queues the other part of a refused batch when its search does not go on.
    pub(super) fn queue_other_part(&mut self, purpose: Purpose) {
        let Purpose::Search {
            other: Some(part),
            is_left_over,
        } = purpose
        else {
            return;
        };
        if !is_left_over {
            return self.add_left_over(part.records);
        }
        for attempt in attempts(part.records, 0) {
            let group = self.groups.entry(attempt.batch.group.clone()).or_default();
            group.search.push(Attempt {
                purpose: Purpose::Search {
                    other: None,
                    is_left_over,
                },
                ..attempt
            });
        }
    }

    /// Splits records that contain a culprit, and sends the first part next.
    pub(super) fn search_in(
        &mut self,
        records: Vec<MeteringRecord>,
        code: String,
        is_searched: bool,
        is_left_over: bool,
    ) {
        let (guilty, good) = self.found;
        let all = guilty.saturating_add(good);
        if guilty >= GUILTY_MIN && guilty.saturating_mul(ONE_BY_ONE_FROM) >= all {
            for record in records {
                self.search(vec![record], None, is_left_over);
            }
            return;
        }
        let (first, second) = split(records, &code, is_searched);
        let other = (!second.is_empty()).then_some(OtherPart {
            records: second,
            code,
        });
        self.search(first, other, is_left_over);
    }

    fn search(
        &mut self,
        records: Vec<MeteringRecord>,
        other: Option<OtherPart>,
        is_left_over: bool,
    ) {
        let purpose = Purpose::Search {
            other,
            is_left_over,
        };
        let Some(attempt) = Attempt::of(records, purpose) else {
            return;
        };
        let group = self.groups.entry(attempt.batch.group.clone()).or_default();
        group.search.push(attempt);
    }

    /// Removes the records of a newly accused class from the batches that were not tried yet. The
    /// other records are batched again, so that requests stay full.
    fn batch_again(&mut self, accused: &Class) {
        let mut fresh = Vec::new();
        for group in self.groups.values_mut() {
            let is_fresh = |attempt: &Attempt| {
                let is_sent = matches!(attempt.purpose, Purpose::Send | Purpose::SendLeftOver);
                attempt.tries == 0 && is_sent
            };
            let (taken, kept) = group.ordinary.drain(..).partition::<Vec<_>, _>(is_fresh);
            group.ordinary.extend(kept);
            fresh.extend(taken.into_iter().flat_map(|attempt| attempt.batch.records));
        }
        tracing::debug!(
            ?accused,
            records = fresh.len(),
            "the records of all subscriptions in this class are suspects now"
        );
        let ordinary = fresh.into_iter();
        let ordinary = ordinary.filter_map(|r| self.unless_suspect(r)).collect();
        self.add_ordinary(ordinary, 0);
    }
}
