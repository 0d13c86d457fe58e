//! What is sent next: full batches, the search for what spoils one, and suspects by themselves.
//!
//! A request is refused as a whole when one of its records is wrong, so what is wrong costs its
//! neighbours their turn. Three rules bound that cost in calls:
//! * *Search.* A refused batch is split, and the first part is sent. If it is accepted, the culprit
//!   is in the second, which is split without sending it again; if it is refused, nothing is known of
//!   the second, which joins what other searches have left over. One culprit among 25 costs at most
//!   8 calls, three cost 26, and 25 cost 60.
//! * *Accusation.* A culprit that names more than itself (a dimension of a product, a buyer, an hour)
//!   makes everything of its [`Class`] in this invocation a suspect; full batches of the rest go on.
//! * *Allowance.* Suspects go last, in batches of their own class. An accepted one costs nothing. The
//!   refused ones may be [`SWEEP_ALLOWANCE`] in a sweep, [`STREAM_ALLOWANCE`] in a delivery, and one
//!   for nine other calls; then the rest waits for an hour, unsent.
//!
//! A record may also be what makes every request fail that it is in, without an error that says so.
//! What has failed in several invocations is halved until it succeeds or stands alone; in an outage
//! the submitter has stopped asking by then.
//!
//! What is guilty is learnt anew in each invocation. With the records in the order of their
//! dimensions that costs two rounds of calls, nine with four at once. 200,000 records are 20
//! deliveries, so learning of a renamed dimension costs an hour with 12 sweeps some 300 of its 36,000
//! calls (`cargo run -p submitter --example isolation`). Keeping the knowledge in a table would save
//! them, and it would have to be forgotten in time when the dimension is put right. A suspect's own
//! outcome is kept, with the record.

mod class;
mod parts;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use marketplace::MeteringRecord;
use marketplace::batch::{Batch, plan};
use marketplace::error_table::{About, about};

pub use class::Class;
use parts::{attempts, describe, group_of, order_of_suspects, split};

/// Refused calls of suspects in a sweep: with 12 sweeps an hour 2,400 of the 36,000 calls that the
/// quota of 10 per second allows.
pub const SWEEP_ALLOWANCE: u64 = 200;
/// Refused calls of suspects in a delivery of the stream, of which there may be one a minute.
pub const STREAM_ALLOWANCE: u64 = 4;
/// One refused call of suspects for so many calls of others: a tenth of all.
const OTHERS_FOR_ONE: u64 = 9;

/// A batch to be sent.
#[derive(Debug)]
pub struct Attempt {
    /// What is sent.
    pub batch: Batch<MeteringRecord>,
    /// How often it was, for reasons outside its records.
    pub tries: u32,
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

/// What is to be sent in one invocation.
#[derive(Debug, Default)]
pub struct Queue {
    ordinary: VecDeque<Attempt>,
    search: Vec<Attempt>,
    /// What searches have left over; it is sent together.
    left_over: Vec<MeteringRecord>,
    suspects: BTreeMap<Class, Vec<MeteringRecord>>,
    /// Classes with the code that accused them.
    accused: BTreeMap<Class, String>,
    /// Calls of suspects that were refused, by class.
    wasted: BTreeMap<Class, u64>,
    /// Calls of others.
    others: u64,
    allowance: u64,
    turn: Option<Class>,
}

impl Queue {
    /// An empty queue in which suspects may be refused this often.
    pub fn new(allowance: u64) -> Self {
        Self {
            allowance,
            ..Self::default()
        }
    }

    /// Adds records: what is nearest to its deadline is sent first, then dimension by dimension.
    pub fn add(&mut self, records: Vec<MeteringRecord>) {
        let mut others = Vec::new();
        for record in records {
            match self.class_of_suspect(&record) {
                Some(class) => self.suspects.entry(class).or_default().push(record),
                None => others.push(record),
            }
        }
        self.ordinary.extend(attempts(others, 0));
    }

    /// Adds again what was sent and not refused, but not answered either.
    pub fn add_again(&mut self, records: Vec<MeteringRecord>, tries: u32) {
        self.ordinary.extend(attempts(records, tries));
    }

    /// Puts back an attempt that failed for a reason outside its records.
    pub fn put_back(&mut self, attempt: Attempt) {
        let tries = attempt.tries.saturating_add(1);
        self.ordinary.push_back(Attempt { tries, ..attempt });
    }

    /// The next attempts, at most `count`; none when all that may be sent was.
    pub fn next(&mut self, count: usize) -> Vec<Attempt> {
        let mut next: Vec<Attempt> = Vec::new();
        while next.len() < count {
            let searching = next.iter().any(|attempt| attempt.other.is_some());
            if !searching && self.search.is_empty() && !self.left_over.is_empty() {
                let together = std::mem::take(&mut self.left_over);
                for attempt in attempts(together, 0).into_iter().rev() {
                    let again = true;
                    self.ordinary.push_front(Attempt { again, ..attempt });
                }
            }
            let attempt = self.search.pop().or_else(|| self.ordinary.pop_front());
            match attempt {
                Some(attempt) => next.extend(self.without_accused(attempt)),
                None => match self.next_suspects() {
                    Some(attempt) => next.push(attempt),
                    None => break,
                },
            }
        }
        let others = next.iter().filter(|a| a.suspects.is_none()).count();
        self.others = self.others.saturating_add(others as u64);
        next
    }

    /// An attempt was answered, so nothing in it spoils a request: gives back its batch.
    pub fn answered(&mut self, attempt: Attempt) -> Batch<MeteringRecord> {
        if let Some((culprits, code)) = attempt.other {
            self.search_in(culprits, code, attempt.suspects, true, attempt.again);
        }
        attempt.batch
    }

    /// An attempt failed for good, for a reason outside its records: gives back its records. Of the
    /// part that was not sent nothing is known.
    pub fn given_up(&mut self, attempt: Attempt) -> Vec<MeteringRecord> {
        self.leave_over(attempt.other, attempt.suspects, attempt.again);
        attempt.batch.records
    }

    /// An attempt failed as often as it may, and nothing says why: each half is tried once more, so that
    /// a record that makes every request fail stands alone in the end. Gives it back when it does.
    pub fn failed_again(&mut self, attempt: Attempt) -> Option<MeteringRecord> {
        self.leave_over(attempt.other, attempt.suspects.clone(), attempt.again);
        let Batch { group, mut records } = attempt.batch;
        if records.len() <= 1 {
            return records.pop();
        }
        let second = records.split_off(records.len().div_ceil(2));
        for records in [records, second] {
            self.ordinary.push_back(Attempt {
                batch: Batch {
                    group: group.clone(),
                    records,
                },
                tries: attempt.tries,
                suspects: attempt.suspects.clone(),
                other: None,
                searched: attempt.searched,
                again: attempt.again,
            });
        }
        None
    }

    /// An attempt was refused because of a record: gives back the record if it stood alone.
    pub fn refused(&mut self, attempt: Attempt, code: &str) -> Option<MeteringRecord> {
        if let Some(class) = &attempt.suspects {
            let wasted = self.wasted.entry(class.clone()).or_default();
            *wasted = wasted.saturating_add(1);
        }
        self.leave_over(attempt.other, attempt.suspects.clone(), attempt.again);
        let mut records = attempt.batch.records;
        if records.len() == 1 {
            let culprit = records.pop()?;
            self.accuse(Class::of(code, &culprit), code);
            return Some(culprit);
        }
        if attempt.suspects.is_none() && records.iter().any(|r| self.accused_class(r).is_some()) {
            // Somebody was found guilty while this was under way.
            self.add_left_over(records);
            return None;
        }
        self.search_in(
            records,
            code.to_owned(),
            attempt.suspects,
            attempt.searched,
            attempt.again,
        );
        None
    }

    /// Everything that was not sent, suspects as well.
    pub fn rest(&mut self) -> Vec<MeteringRecord> {
        let attempts = self.ordinary.drain(..).chain(self.search.drain(..));
        let mut rest: Vec<MeteringRecord> = attempts
            .flat_map(|attempt| {
                let other = attempt.other.map(|(records, _)| records);
                attempt
                    .batch
                    .records
                    .into_iter()
                    .chain(other.into_iter().flatten())
            })
            .collect();
        rest.append(&mut self.left_over);
        rest.extend(std::mem::take(&mut self.suspects).into_values().flatten());
        rest
    }

    /// The suspects for which there is no allowance, with the code they are suspected of.
    pub fn take_unsent_suspects(&mut self) -> Vec<(MeteringRecord, String)> {
        let mut unsent = Vec::new();
        for (class, records) in std::mem::take(&mut self.suspects) {
            for record in records {
                let own = record.outcome.as_ref().map(|outcome| &outcome.code);
                let own = own.filter(|code| about(code) != About::Request);
                if let Some(code) = self.accused.get(&class).or(own).cloned() {
                    unsent.push((record, code));
                }
            }
        }
        unsent
    }

    fn accused_class(&self, record: &MeteringRecord) -> Option<Class> {
        if self.accused.is_empty() {
            return None;
        }
        Class::all_of(record)
            .into_iter()
            .find(|class| self.accused.contains_key(class))
    }

    fn class_of_suspect(&self, record: &MeteringRecord) -> Option<Class> {
        self.accused_class(record).or_else(|| {
            let code = record.outcome.as_ref().map(|o| o.code.as_str());
            let code = code.filter(|code| about(code) != About::Request)?;
            Some(Class::of(code, record))
        })
    }

    /// Makes everything of a class a suspect; the rest is batched anew, so that requests stay full.
    fn accuse(&mut self, class: Class, code: &str) {
        if matches!(class, Class::Itself(_)) || self.accused.contains_key(&class) {
            return;
        }
        self.accused.insert(class, code.to_owned());
        let (fresh, tried): (Vec<_>, Vec<_>) = self
            .ordinary
            .drain(..)
            .partition(|a| a.tries == 0 && a.suspects.is_none() && a.other.is_none());
        self.ordinary.extend(tried);
        self.add(fresh.into_iter().flat_map(|a| a.batch.records).collect());
    }

    fn without_accused(&mut self, attempt: Attempt) -> Option<Attempt> {
        let is_accused = |record: &MeteringRecord| self.accused_class(record).is_some();
        if attempt.suspects.is_some() || !attempt.batch.records.iter().any(is_accused) {
            return Some(attempt);
        }
        // Without the accused in it, what was known of the other part is no longer so.
        self.add_left_over(attempt.batch.records);
        self.leave_over(attempt.other, None, attempt.again);
        None
    }

    fn add_left_over(&mut self, records: Vec<MeteringRecord>) {
        for record in records {
            match self.class_of_suspect(&record) {
                Some(class) => self.suspects.entry(class).or_default().push(record),
                None => self.left_over.push(record),
            }
        }
    }

    fn leave_over(
        &mut self,
        other: Option<(Vec<MeteringRecord>, String)>,
        suspects: Option<Class>,
        again: bool,
    ) {
        match (other, suspects) {
            (None, _) => {}
            (Some((records, _)), Some(class)) => {
                self.suspects.entry(class).or_default().extend(records);
            }
            (Some((records, _)), None) if again => {
                let attempts = attempts(records, 0).into_iter();
                self.search.extend(attempts.map(|attempt| Attempt {
                    searched: true,
                    again,
                    ..attempt
                }));
            }
            (Some((records, _)), None) => self.add_left_over(records),
        }
    }

    /// Splits records of which one is a culprit, and sends the first part next.
    fn search_in(
        &mut self,
        records: Vec<MeteringRecord>,
        code: String,
        suspects: Option<Class>,
        searched: bool,
        again: bool,
    ) {
        let (first, second) = split(records, &code, searched);
        let Some(record) = first.first() else {
            return;
        };
        let other = (!second.is_empty()).then_some((second, code));
        self.search.push(Attempt {
            batch: Batch {
                group: group_of(record),
                records: first,
            },
            tries: 0,
            suspects,
            other,
            searched: true,
            again,
        });
    }

    /// The next batch of suspects, of each class in turn, while there is an allowance for it.
    fn next_suspects(&mut self) -> Option<Attempt> {
        let allowance = self.allowance.saturating_add(self.others / OTHERS_FOR_ONE);
        let wasted = self
            .wasted
            .values()
            .fold(0_u64, |sum, n| sum.saturating_add(*n));
        if wasted >= allowance {
            return None;
        }
        let share = (allowance / (self.suspects.len().max(1) as u64)).max(1);
        let may = |class: &&Class| self.wasted.get(*class).copied().unwrap_or_default() < share;
        let behind = |class: &&Class| self.turn.as_ref().is_none_or(|turn| *class > turn);
        let class = self.suspects.keys().filter(may).find(behind);
        let class = class.or_else(|| self.suspects.keys().find(may))?.clone();
        self.turn = Some(class.clone());
        let mut records = self.suspects.remove(&class)?;
        // Those that were not yet found guilty by themselves come first.
        records.sort_by(|a, b| order_of_suspects(a).cmp(&order_of_suspects(b)));
        let mut batches = plan(records, describe).into_iter();
        let batch = batches.next()?;
        let rest: Vec<MeteringRecord> = batches.flat_map(|batch| batch.records).collect();
        if !rest.is_empty() {
            self.suspects.insert(class.clone(), rest);
        }
        Some(Attempt {
            batch,
            tries: 0,
            suspects: Some(class),
            other: None,
            searched: false,
            again: false,
        })
    }
}
