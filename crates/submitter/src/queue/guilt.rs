//! The guilty classes: those that earlier invocations have stored as lanes, and those that this
//! invocation found.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use marketplace::lane::{Lane, RefusedLane};
use marketplace::{MeteringRecord, State, Subscription};

use super::class::Class;

/// The records of all subscriptions become suspects after this many subscriptions were found guilty
/// one by one and none was accepted. The number is this project's. Suppose half of all
/// subscriptions are guilty. Then the first eight are all guilty in one case of 256. The first
/// accepted record withdraws the accusation.
const GUILTY_FOR_ALL: usize = 8;

/// A change of the remembered lanes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaneChange {
    /// The lane was refused, for the first time or again.
    Refused(RefusedLane),
    /// A record of the lane was answered, so the lane is no longer remembered.
    PutRight(Lane),
}

#[derive(Debug)]
struct Known {
    code: String,
    refused_at: Timestamp,
}

/// The guilty classes of one invocation.
#[derive(Debug, Default)]
pub(super) struct Guilty {
    known: BTreeMap<Class, Known>,
    /// For each class that spans all subscriptions, the subscriptions that were found guilty one by
    /// one.
    found_guilty: BTreeMap<Class, BTreeSet<Subscription>>,
    /// Classes that span all subscriptions and had an answered request in this invocation.
    answered: BTreeSet<Class>,
    /// Classes that were guilty until a record of them was answered in this invocation.
    put_right: BTreeSet<Class>,
    changes: Vec<LaneChange>,
}

impl Guilty {
    pub fn remembered(lanes: Vec<RefusedLane>) -> Self {
        let known = lanes.into_iter().map(|guilt| {
            let RefusedLane {
                lane,
                code,
                refused_at,
            } = guilt;
            (Class::Lane(lane), Known { code, refused_at })
        });
        Self {
            known: known.collect(),
            ..Self::default()
        }
    }

    pub fn code(&self, class: &Class) -> Option<&str> {
        self.known.get(class).map(|known| known.code.as_str())
    }

    pub fn refused_at(&self, class: &Class) -> Option<Timestamp> {
        self.known.get(class).map(|known| known.refused_at)
    }

    /// Returns the guilty class of a record. A narrow class takes precedence over one that spans
    /// all subscriptions.
    pub fn class_of(&self, record: &MeteringRecord) -> Option<Class> {
        if self.known.is_empty() {
            return None;
        }
        Class::all_of(record)
            .into_iter()
            .find(|class| self.known.contains_key(class))
    }

    /// Returns the class of a record that was refused in an earlier invocation, unless that class
    /// was put right since. If the error is about the record's tags or allocations, the class is
    /// returned in any case, because an answer to another record says nothing about them.
    pub fn class_of_answer(&self, record: &MeteringRecord) -> Option<Class> {
        use marketplace::error_table::{About, about};
        let code = record.outcome.as_ref().map(|o| o.code.as_str())?;
        let class = match about(code) {
            About::Request => return None,
            // Only a record that was refused alone has the state Refused. The others only waited as
            // suspects.
            About::Record if record.state != State::Refused => return None,
            About::Record | About::RecordForNow => Class::narrow(code, record),
        };
        let is_of_its_content = matches!(
            code,
            "InvalidTagException" | "InvalidUsageAllocationsException"
        );
        (is_of_its_content || !self.put_right.contains(&class)).then_some(class)
    }

    /// Handles a record that was refused alone. If this refusal makes the class guilty that spans
    /// all subscriptions, returns that class.
    pub fn accuse(&mut self, code: &str, record: &MeteringRecord, at: Timestamp) -> Option<Class> {
        self.add(Class::narrow(code, record), code, at);
        let wide = Class::wide(code, record)?;
        let found_guilty = self.found_guilty.entry(wide.clone()).or_default();
        if found_guilty.len() < GUILTY_FOR_ALL {
            found_guilty.insert(record.slot.subscription.clone());
        }
        if found_guilty.len() < GUILTY_FOR_ALL || self.answered.contains(&wide) {
            return None;
        }
        if self.known.contains_key(&wide) {
            return None;
        }
        self.add(wide.clone(), code, at);
        Some(wide)
    }

    /// Makes a class guilty from the refusal at `at`, for the first time or again.
    pub fn add(&mut self, class: Class, code: &str, at: Timestamp) {
        if matches!(class, Class::Itself(_)) {
            return;
        }
        if let Class::Lane(lane) = &class {
            self.changes.push(LaneChange::Refused(RefusedLane {
                lane: lane.clone(),
                code: code.to_owned(),
                refused_at: at,
            }));
        }
        self.put_right.remove(&class);
        self.known.insert(
            class,
            Known {
                code: code.to_owned(),
                refused_at: at,
            },
        );
    }

    /// Handles a record whose request was answered. Its classes are not guilty any more. Returns
    /// the classes that were guilty until now.
    pub fn answered(&mut self, record: &MeteringRecord) -> Vec<Class> {
        for wide in Class::wide_of(record) {
            if !self.answered.contains(&wide) {
                self.answered.insert(wide);
            }
        }
        let classes = Class::all_of(record).into_iter();
        let mut right: Vec<Class> = match self.known.is_empty() {
            true => Vec::new(),
            false => classes
                .filter(|class| self.known.remove(class).is_some())
                .collect(),
        };
        let own = self.class_of_answer(record);
        right.extend(own.filter(|class| !right.contains(class)));
        for class in &right {
            if let Class::Lane(lane) = class {
                self.changes.push(LaneChange::PutRight(lane.clone()));
            }
            self.put_right.insert(class.clone());
        }
        right
    }

    pub fn take_changes(&mut self) -> Vec<LaneChange> {
        std::mem::take(&mut self.changes)
    }
}
