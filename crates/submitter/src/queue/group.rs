//! The queue of one batch group, and the state of its calls.

use std::collections::VecDeque;

use marketplace::MeteringRecord;

use super::attempt::{Attempt, Purpose, attempts};

/// A group is left out for the rest of the invocation after this many failures in a row for reasons
/// outside its records. The number is this project's: three requests that are tried four times
/// each.
const FAILURES_MAX: u32 = 12;

/// The queued requests of one product and identity kind.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub ordinary: VecDeque<Attempt>,
    pub search: Vec<Attempt>,
    /// Records that searches have left over. They are sent together.
    pub left_over: Vec<MeteringRecord>,
    under_way: usize,
    searching: usize,
    failures: u32,
    /// The error code for which the group is left out; `None` if it is not.
    left_out_for: Option<String>,
}

impl Group {
    /// Returns whether the group has something to send now. A group whose calls fail makes one call
    /// at a time, so that groups whose calls succeed can make the others.
    pub fn may_send(&self) -> bool {
        let has_left_over = self.searching == 0 && !self.left_over.is_empty();
        let has_any = !self.search.is_empty() || !self.ordinary.is_empty() || has_left_over;
        has_any && self.may_call()
    }

    /// Returns whether another call of this group may be made now.
    pub fn may_call(&self) -> bool {
        self.left_out_for.is_none() && (self.failures == 0 || self.under_way == 0)
    }

    /// Returns the error code for which the group is left out; `None` if it is not.
    pub fn left_out_for(&self) -> Option<&str> {
        self.left_out_for.as_deref()
    }

    pub fn pop(&mut self) -> Option<Attempt> {
        if self.searching == 0 && self.search.is_empty() && !self.left_over.is_empty() {
            let together = std::mem::take(&mut self.left_over);
            for attempt in attempts(together, 0).into_iter().rev() {
                self.ordinary.push_front(Attempt {
                    purpose: Purpose::SendLeftOver,
                    ..attempt
                });
            }
        }
        self.search.pop().or_else(|| self.ordinary.pop_front())
    }

    pub fn sent(&mut self, attempt: &Attempt) {
        self.under_way = self.under_way.saturating_add(1);
        self.searching = self
            .searching
            .saturating_add(usize::from(attempt.purpose.has_other()));
    }

    pub fn returned(&mut self, attempt: &Attempt) {
        self.under_way = self.under_way.saturating_sub(1);
        self.searching = self
            .searching
            .saturating_sub(usize::from(attempt.purpose.has_other()));
    }

    /// Handles a call that was answered, or refused because of one record: the group as a whole
    /// works.
    pub fn works(&mut self) {
        self.failures = 0;
        self.left_out_for = None;
    }

    /// Handles a call that failed for a reason that may concern the whole group. Returns whether
    /// the group is left out now.
    pub fn failed(&mut self, code: &str) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_MAX {
            self.left_out_for = Some(code.to_owned());
        }
        self.left_out_for.is_some()
    }

    /// Returns the number of records that may be sent without waiting for an answer.
    pub fn ready(&self) -> usize {
        match self.failures == 0 && self.left_out_for.is_none() {
            true => self.waiting(),
            false => 0,
        }
    }

    fn waiting(&self) -> usize {
        let of = |attempt: &Attempt| attempt.batch.records.len();
        let ordinary: usize = self.ordinary.iter().map(of).sum();
        let search: usize = self.search.iter().map(of).sum();
        ordinary + search + self.left_over.len()
    }

    /// Removes and returns all records of the group, each with the error code of its last try, if
    /// there was one.
    pub fn drain(&mut self) -> Vec<(MeteringRecord, Option<String>)> {
        let attempts = self.ordinary.drain(..).chain(self.search.drain(..));
        let mut rest: Vec<(MeteringRecord, Option<String>)> = attempts
            .flat_map(|attempt| {
                let failed = attempt.failed;
                let other = attempt.purpose.into_other().into_iter();
                let other = other.flat_map(|part| part.records);
                let sent = attempt.batch.records.into_iter();
                sent.map(move |record| (record, failed.clone()))
                    .chain(other.map(|record| (record, None)))
            })
            .collect();
        rest.extend(self.left_over.drain(..).map(|record| (record, None)));
        rest
    }
}
