//! Which classes are guilty: what earlier invocations remember, and what this one found out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use marketplace::lane::{Guilt, Lane};
use marketplace::{MeteringRecord, State, Subscription};

use super::Class;

/// Subscriptions that have to be found guilty one by one, and no other accepted, before all
/// subscriptions are suspected of the same. Ours: where half of them are guilty, eight guilty ones in
/// a row come once in 256 times, and the first accepted one takes the accusation back.
const WITNESSES_FOR_ALL: usize = 8;

/// What changed of what is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaneChange {
    /// It was refused.
    Refused(Guilt),
    /// It was put right.
    PutRight(Lane),
}

#[derive(Debug)]
struct Known {
    code: String,
    refused_at: Timestamp,
}

/// The classes that are guilty.
#[derive(Debug, Default)]
pub(super) struct Guilty {
    known: BTreeMap<Class, Known>,
    /// By class of many subscriptions: those found guilty by themselves.
    witnesses: BTreeMap<Class, BTreeSet<Subscription>>,
    /// Classes of many subscriptions of which a request was answered in this invocation.
    answered: BTreeSet<Class>,
    /// Classes that were put right in this invocation.
    put_right: BTreeSet<Class>,
    changes: Vec<LaneChange>,
}

impl Guilty {
    pub fn remembered(lanes: Vec<Guilt>) -> Self {
        let known = lanes.into_iter().map(|guilt| {
            let Guilt {
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

    /// The guilty class that a record is in, a narrow one before one of all subscriptions.
    pub fn class_of(&self, record: &MeteringRecord) -> Option<Class> {
        if self.known.is_empty() {
            return None;
        }
        Class::all_of(record)
            .into_iter()
            .find(|class| self.known.contains_key(class))
    }

    /// The class that a record's own last answer puts it in: it was refused by itself, and nothing
    /// says that this was put right.
    pub fn class_of_answer(&self, record: &MeteringRecord) -> Option<Class> {
        use marketplace::error_table::{About, about};
        let code = record.outcome.as_ref().map(|o| o.code.as_str())?;
        let class = match about(code) {
            About::Request => return None,
            // Only a record that was found guilty by itself is refused; others were suspected.
            About::Record if record.state != State::Refused => return None,
            About::Record | About::RecordForNow => Class::narrow(code, record),
        };
        let is_of_its_content = matches!(
            code,
            "InvalidTagException" | "InvalidUsageAllocationsException"
        );
        (is_of_its_content || !self.put_right.contains(&class)).then_some(class)
    }

    /// A record was refused by itself: gives back the class of all subscriptions, if it is guilty now.
    pub fn accuse(&mut self, code: &str, record: &MeteringRecord, at: Timestamp) -> Option<Class> {
        self.note(Class::narrow(code, record), code, at);
        let wide = Class::wide(code, record)?;
        let witnesses = self.witnesses.entry(wide.clone()).or_default();
        if witnesses.len() < WITNESSES_FOR_ALL {
            witnesses.insert(record.key.subscription.clone());
        }
        if witnesses.len() < WITNESSES_FOR_ALL || self.answered.contains(&wide) {
            return None;
        }
        if self.known.contains_key(&wide) {
            return None;
        }
        self.note(wide.clone(), code, at);
        Some(wide)
    }

    /// Notes that a class was refused again.
    pub fn note(&mut self, class: Class, code: &str, at: Timestamp) {
        if matches!(class, Class::Itself(_)) {
            return;
        }
        if let Class::Lane(lane) = &class {
            self.changes.push(LaneChange::Refused(Guilt {
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

    /// A request with this record was answered, so nothing in it is refused any more: gives back the
    /// classes that were guilty.
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
