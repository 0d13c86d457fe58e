//! Suspects: records similar to refused ones. They are sent last and alone, a few in each
//! invocation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use marketplace::MeteringRecord;
use marketplace::batch::BatchGroup;

use super::class::Class;
use super::parts::{group_of, order_of_suspects};

/// After this many calls of other records, one more suspect may be refused. So these refusals are
/// at most a tenth of all calls.
const OTHERS_FOR_ONE: u64 = 9;
/// A full queue keeps this many suspects of each class that spans all subscriptions.
const KEPT_OF_WIDE_MAX: usize = 200;

/// The suspects of one invocation.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    bins: BTreeMap<Class, Vec<MeteringRecord>>,
    /// The order in which classes are probed. Those that span all subscriptions come first, because
    /// most records depend on them. Then comes the class whose refusal is oldest, so that every
    /// class gets its turn.
    order: VecDeque<Class>,
    /// Whether classes were added to the order since it was sorted.
    is_unsorted: bool,
    /// Classes of one subscription that were refused in this invocation. They are not probed again.
    refused: BTreeSet<Class>,
    under_way: BTreeSet<Class>,
    wasted: u64,
    others: u64,
    allowance: u64,
}

impl Suspects {
    pub fn with_allowance(allowance: u64) -> Self {
        Self {
            allowance,
            ..Self::default()
        }
    }

    pub fn add(&mut self, class: Class, record: MeteringRecord) {
        if !self.bins.contains_key(&class) && !self.refused.contains(&class) {
            self.order.push_back(class.clone());
            self.is_unsorted = true;
        }
        self.bins.entry(class).or_default().push(record);
    }

    /// Counts a call of records that are not suspects.
    pub fn other_sent(&mut self) {
        self.others = self.others.saturating_add(1);
    }

    fn may_probe(&self) -> bool {
        let allowance = self.allowance.saturating_add(self.others / OTHERS_FOR_ONE);
        let under_way = self.under_way.len() as u64;
        self.wasted.saturating_add(under_way) < allowance
    }

    /// Removes and returns the next suspect to send, with its class; `None` if none may be sent
    /// now.
    pub fn next(
        &mut self,
        refused_at: impl Fn(&Class) -> Option<Timestamp>,
        may_call: impl Fn(&BatchGroup) -> bool,
    ) -> Option<(Class, MeteringRecord)> {
        if !self.may_probe() {
            return None;
        }
        if std::mem::take(&mut self.is_unsorted) {
            let order = self.order.make_contiguous();
            order.sort_by_cached_key(|class| (!class.is_wide(), refused_at(class)));
        }
        let mut passed = Vec::new();
        let mut found = None;
        while let Some(class) = self.order.pop_front() {
            if self.under_way.contains(&class) {
                passed.push(class);
                continue;
            }
            match self.take_first(&class, &may_call) {
                Some(record) => {
                    found = Some((class, record));
                    break;
                }
                None if self.bins.contains_key(&class) => passed.push(class),
                None => {}
            }
        }
        self.order.extend(passed);
        if let Some((class, _)) = &found {
            self.under_way.insert(class.clone());
            if self.bins.contains_key(class) {
                self.order.push_back(class.clone());
            }
        }
        found
    }

    /// Removes and returns the suspect that is sent first in a class. Records that were not refused
    /// alone come first, then those with the fewest attempts, then those with the nearest deadline.
    fn take_first(
        &mut self,
        class: &Class,
        may_call: impl Fn(&BatchGroup) -> bool,
    ) -> Option<MeteringRecord> {
        let bin = self.bins.get_mut(class)?;
        let first = bin
            .iter()
            .enumerate()
            .filter(|(_, record)| may_call(&group_of(record)))
            .min_by(|(_, a), (_, b)| order_of_suspects(a).cmp(&order_of_suspects(b)))
            .map(|(place, _)| place)?;
        let record = bin.swap_remove(first);
        if bin.is_empty() {
            self.bins.remove(class);
        }
        Some(record)
    }

    pub fn returned(&mut self, class: &Class) {
        self.under_way.remove(class);
    }

    /// Handles the refusal of a suspect of this class.
    pub fn was_refused(&mut self, class: &Class) {
        self.wasted = self.wasted.saturating_add(1);
        if !class.is_wide() {
            self.refused.insert(class.clone());
            self.order.retain(|other| other != class);
        }
    }

    /// Removes and returns the records of a class that is not suspected any more.
    pub fn released(&mut self, class: &Class) -> Vec<MeteringRecord> {
        self.order.retain(|other| other != class);
        self.refused.remove(class);
        self.bins.remove(class).unwrap_or_default()
    }

    /// Removes and returns the suspects of a group.
    pub fn drain_group(&mut self, group: &BatchGroup) -> Vec<MeteringRecord> {
        let mut taken = Vec::new();
        for bin in self.bins.values_mut() {
            taken.extend(bin.extract_if(.., |record| group_of(record) == *group));
        }
        self.bins.retain(|_, bin| !bin.is_empty());
        taken
    }

    /// Removes and returns the suspects that a full queue has no room for, with their classes. One
    /// record stays for each class of one subscription that may still be probed, and some for each
    /// class that spans all subscriptions.
    pub fn take_excess(&mut self) -> Vec<(Class, MeteringRecord)> {
        let may_probe = self.may_probe();
        let mut excess = Vec::new();
        for (class, bin) in &mut self.bins {
            let kept = match (may_probe && !self.refused.contains(class), class.is_wide()) {
                (false, _) => 0,
                (true, true) => KEPT_OF_WIDE_MAX,
                (true, false) => 1,
            };
            bin.sort_by(|a, b| order_of_suspects(a).cmp(&order_of_suspects(b)));
            let beyond = bin.split_off(kept.min(bin.len()));
            excess.extend(beyond.into_iter().map(|record| (class.clone(), record)));
        }
        self.bins.retain(|_, bin| !bin.is_empty());
        excess
    }

    /// Removes and returns all suspects, with their classes.
    pub fn take_all(&mut self) -> Vec<(Class, MeteringRecord)> {
        self.order.clear();
        let bins = std::mem::take(&mut self.bins).into_iter();
        bins.flat_map(|(class, bin)| bin.into_iter().map(move |record| (class.clone(), record)))
            .collect()
    }
}
