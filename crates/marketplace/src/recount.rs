//! Late usage: the sum of the rows now, less the quantity that was counted already.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::fold::DimensionFold;
use crate::hour::UsageHour;
use crate::ids::Dimension;
use crate::limits::MOVEMENT_ENTRIES_MAX;
use crate::quantity::{Overflow, Quantity, Total};
use crate::record::{MeteringRecord, State};
use crate::tags::TagSet;

/// What happened to a quantity that its own record does not bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MovementKind {
    /// It was carried into a later hour, as rows of that hour.
    Carried {
        /// The later hour.
        target: UsageHour,
        /// The dimension under which it is billed there, if the record's dimension was renamed;
        /// `None` for the same dimension.
        into: Option<Dimension>,
    },
    /// It is held for a person to decide.
    Held,
    /// A person wrote it off.
    WrittenOff,
    /// It was metered beyond the rows, and claimed back as a billing adjustment.
    Refunded,
}

impl MovementKind {
    /// The kind's name in tables and reports.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Carried { .. } => "carried",
            Self::Held => "held",
            Self::WrittenOff => "written-off",
            Self::Refunded => "refunded",
        }
    }
}

/// The value of [`Movement::of`] for the shortfall of a record in conflict: AWS Marketplace's slot
/// has less than was used, and the missing quantity was counted with the record. Movements are
/// numbered from 1.
pub const OF_SHORTFALL: u32 = 0;

/// One movement of a slot's quantity. It is immutable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// The movement's number within its record, from 1.
    pub number: u32,
    /// Where the quantity went.
    pub kind: MovementKind,
    /// The quantity of each tag set.
    pub entries: Vec<(TagSet, Quantity)>,
    /// The number of the hold that this movement closes, which has counted the quantity already.
    /// [`OF_SHORTFALL`] for the shortfall of a record in conflict. `None` for usage that was not
    /// counted before.
    pub of: Option<u32>,
    /// The time of the movement.
    pub at: Timestamp,
    /// The reason, if a person or the end of an agreement decided.
    pub reason: Option<String>,
}

impl Movement {
    /// The sum of the entries.
    pub fn total(&self) -> Result<Total, Overflow> {
        Total::sum(self.entries.iter().map(|(_, quantity)| *quantity))
    }

    /// Whether the quantity was counted before, with the record or with an earlier movement. A
    /// shortfall was counted with the record as long as the record is in conflict.
    fn is_counted_already(&self, record: &MeteringRecord) -> bool {
        match self.of {
            None => false,
            Some(OF_SHORTFALL) => record.state == State::Conflict,
            Some(_) => true,
        }
    }
}

/// How much of a conflict's shortfall was moved already.
pub fn moved_shortfall(movements: &[Movement]) -> Result<Total, Overflow> {
    movements
        .iter()
        .filter(|movement| movement.of == Some(OF_SHORTFALL))
        .try_fold(Total::ZERO, |sum, movement| sum.plus(movement.total()?))
}

/// The result of a recount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Everything was counted exactly once.
    None,
    /// Some usage is not counted yet.
    Late {
        /// The quantity of each tag set, at most [`MOVEMENT_ENTRIES_MAX`] of them.
        entries: Vec<(TagSet, Quantity)>,
        /// Whether the entries are all of the late usage. Otherwise another recount is needed.
        complete: bool,
    },
    /// By this much more was counted than the rows come to. Only a billing adjustment can correct
    /// it.
    Over(Total),
}

/// The quantity that was counted for a slot: here + carried + held + written off - refunded.
pub fn counted(record: &MeteringRecord, movements: &[Movement]) -> Result<Total, Overflow> {
    movements
        .iter()
        .filter(|movement| !movement.is_counted_already(record))
        .try_fold(record.here(), |sum, movement| match movement.kind {
            MovementKind::Refunded => sum.minus(movement.total()?),
            _ => sum.plus(movement.total()?),
        })
}

/// Compares the rows of a slot with the quantity that was counted. `fold` is `None` if the slot has
/// no rows.
pub fn difference(
    record: &MeteringRecord,
    movements: &[Movement],
    fold: Option<&DimensionFold>,
) -> Result<Difference, Overflow> {
    let rows = fold.map_or(Ok(Total::ZERO), DimensionFold::total)?;
    let late = rows.minus(counted(record, movements)?)?;
    if late.is_zero() {
        return Ok(Difference::None);
    }
    if late.is_negative() {
        return late.magnitude().map(Difference::Over);
    }
    let by_tags = difference_by_tags(record, movements, fold)?;
    if by_tags.values().any(|total| total.is_negative()) || Total::sum(by_tags.values())? != late {
        // Tags were merged, rows changed, or AWS Marketplace holds another quantity than was
        // frozen. Only the sum is certain, so the usage is moved untagged.
        return Ok(late_entries([(TagSet::untagged(), late)]));
    }
    Ok(late_entries(by_tags))
}

fn difference_by_tags(
    record: &MeteringRecord,
    movements: &[Movement],
    fold: Option<&DimensionFold>,
) -> Result<BTreeMap<TagSet, Total>, Overflow> {
    let mut by_tags: BTreeMap<TagSet, Total> = fold.map(|f| f.buckets.clone()).unwrap_or_default();
    let mut take = |tags: &TagSet, quantity: Total| -> Result<(), Overflow> {
        let bucket = by_tags.entry(tags.clone()).or_default();
        *bucket = bucket.minus(quantity)?;
        Ok(())
    };
    if !record.here().is_zero() {
        if record.allocations.is_empty() {
            take(&TagSet::untagged(), record.quantity.into())?;
        }
        for allocation in &record.allocations {
            take(&allocation.tags, allocation.quantity.into())?;
        }
    }
    let uncounted = |movement: &&Movement| !movement.is_counted_already(record);
    for movement in movements.iter().filter(uncounted) {
        for (tags, quantity) in &movement.entries {
            let quantity = Total::from(*quantity);
            match movement.kind {
                MovementKind::Refunded => take(tags, Total::ZERO.minus(quantity)?)?,
                _ => take(tags, quantity)?,
            }
        }
    }
    Ok(by_tags)
}

fn late_entries(by_tags: impl IntoIterator<Item = (TagSet, Total)>) -> Difference {
    let mut entries = Vec::new();
    let mut complete = true;
    for (tags, total) in by_tags {
        if total.is_zero() {
            continue;
        }
        if entries.len() == MOVEMENT_ENTRIES_MAX {
            complete = false;
            break;
        }
        // The part that one row cannot hold is left for the next recount.
        let quantity = total.to_quantity().unwrap_or(Quantity::MAX);
        complete &= Total::from(quantity) == total;
        entries.push((tags, quantity));
    }
    Difference::Late { entries, complete }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Allocation, RecordKey};
    use crate::tags::Tags;

    fn tagged(team: &str) -> TagSet {
        if team.is_empty() {
            TagSet::untagged()
        } else {
            TagSet::try_from(Tags::from([("team".to_owned(), team.to_owned())])).unwrap()
        }
    }

    fn units(n: u64) -> Quantity {
        Quantity::from_micros(n * 1_000_000).unwrap()
    }

    fn record(state: State, split: &[(&str, u64)]) -> MeteringRecord {
        let at: Timestamp = "2026-11-21T02:00:00Z".parse().unwrap();
        MeteringRecord {
            key: RecordKey {
                subscription: "legacy|code|cust".parse().unwrap(),
                hour: UsageHour::of(at),
                dimension: "gb".parse().unwrap(),
            },
            product: "code".parse().unwrap(),
            account: None,
            quantity: units(split.iter().map(|(_, n)| n).sum()),
            allocations: if split.iter().all(|(team, _)| team.is_empty()) {
                Vec::new()
            } else {
                split
                    .iter()
                    .map(|(team, n)| Allocation {
                        tags: tagged(team),
                        quantity: units(*n),
                    })
                    .collect()
            },
            stamp: at,
            deadline: at,
            sealed_at: at,
            state,
            version: 1,
            movements: 0,
            open_holds: 0,
            final_at: None,
            attempts: 0,
            sent: crate::record::Transmissions::default(),
            due: None,
            outcome: None,
        }
    }

    fn rows(split: &[(&str, u64)]) -> DimensionFold {
        let mut fold = DimensionFold::default();
        for (team, n) in split {
            fold.own = fold.own.plus(units(*n)).unwrap();
            let bucket = fold.buckets.entry(tagged(team)).or_default();
            *bucket = bucket.plus(units(*n)).unwrap();
        }
        fold
    }

    fn moved(kind: MovementKind, split: &[(&str, u64)]) -> Movement {
        Movement {
            number: 1,
            kind,
            entries: split
                .iter()
                .map(|(team, n)| (tagged(team), units(*n)))
                .collect(),
            of: None,
            at: Timestamp::UNIX_EPOCH,
            reason: None,
        }
    }

    #[track_caller]
    fn check(
        record: MeteringRecord,
        movements: &[Movement],
        fold: &[(&str, u64)],
        expected: Result<&[(&str, u64)], u64>,
    ) {
        let fold = rows(fold);
        let expected = match expected {
            Ok([]) => Difference::None,
            Ok(late) => Difference::Late {
                entries: late
                    .iter()
                    .map(|(team, n)| (tagged(team), units(*n)))
                    .collect(),
                complete: true,
            },
            Err(over) => Difference::Over(units(over).into()),
        };
        assert_eq!(
            difference(&record, movements, Some(&fold)).unwrap(),
            expected
        );
    }

    #[test]
    fn late_usage_is_the_rows_less_what_was_counted() {
        use State::*;
        let carried = || MovementKind::Carried {
            target: "2026-11-21T05".parse().unwrap(),
            into: None,
        };
        check(record(Accepted, &[("", 5)]), &[], &[("", 5)], Ok(&[]));
        check(
            record(Accepted, &[("", 5)]),
            &[],
            &[("", 7)],
            Ok(&[("", 2)]),
        );
        check(
            record(Accepted, &[("", 5)]),
            &[moved(carried(), &[("", 2)])],
            &[("", 7)],
            Ok(&[]),
        );
        check(
            record(Accepted, &[("", 5)]),
            &[moved(MovementKind::Held, &[("", 1)])],
            &[("", 7)],
            Ok(&[("", 1)]),
        );
        check(record(Accepted, &[("", 5)]), &[], &[("", 4)], Err(1));
        check(
            record(Accepted, &[("", 5)]),
            &[moved(MovementKind::Refunded, &[("", 1)])],
            &[("", 4)],
            Ok(&[]),
        );
        check(
            record(Accepted, &[("", 5)]),
            &[moved(MovementKind::Refunded, &[("", 1)])],
            &[("", 5)],
            Ok(&[("", 1)]),
        );
    }

    #[test]
    fn a_moved_or_expired_record_counts_nothing_of_its_own() {
        check(
            record(State::Expired, &[("", 5)]),
            &[],
            &[("", 5)],
            Ok(&[("", 5)]),
        );
        check(
            record(State::Moved, &[("a", 5)]),
            &[],
            &[("a", 5)],
            Ok(&[("a", 5)]),
        );
        check(
            record(State::Unconfirmed, &[("", 5)]),
            &[],
            &[("", 5)],
            Ok(&[]),
        );
    }

    #[test]
    fn a_success_after_a_carry_shows_as_over_metered() {
        let carried = MovementKind::Carried {
            target: "2026-11-21T05".parse().unwrap(),
            into: None,
        };
        check(
            record(State::Accepted, &[("", 5)]),
            &[moved(carried, &[("", 5)])],
            &[("", 5)],
            Err(5),
        );
    }

    #[test]
    fn late_usage_keeps_its_tags_unless_they_do_not_add_up() {
        let accepted = || record(State::Accepted, &[("", 1), ("a", 4)]);
        check(
            accepted(),
            &[],
            &[("", 1), ("a", 5), ("b", 2)],
            Ok(&[("a", 1), ("b", 2)]),
        );
        check(accepted(), &[], &[("", 4), ("a", 3)], Ok(&[("", 2)]));
        check(accepted(), &[], &[("", 2), ("a", 3)], Ok(&[]));
    }

    #[test]
    fn what_does_not_fit_one_movement_is_left_for_the_next_recount() {
        let names: Vec<String> = (0..100).map(|n| format!("t{n:03}")).collect();
        let split: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let late = difference(
            &record(State::Accepted, &[("", 1)]),
            &[],
            Some(&rows(&[&split[..], &[("", 1)]].concat())),
        );
        let Difference::Late { entries, complete } = late.unwrap() else {
            panic!("nothing is late")
        };
        assert_eq!((entries.len(), complete), (MOVEMENT_ENTRIES_MAX, false));
    }

    #[test]
    fn usage_that_comes_back_after_a_refund_is_late_by_its_tags() {
        check(
            record(State::Accepted, &[("", 1), ("a", 4)]),
            &[moved(MovementKind::Refunded, &[("", 1)])],
            &[("", 1), ("a", 5)],
            Ok(&[("", 1), ("a", 1)]),
        );
    }

    #[test]
    fn what_does_not_fit_one_entry_is_left_for_the_next_recount() {
        let mut fold = rows(&[("", 1)]);
        fold.own = fold.own.plus(Quantity::MAX).unwrap();
        fold.buckets.insert(tagged(""), fold.own);
        let late = difference(&record(State::Expired, &[("", 1)]), &[], Some(&fold));
        let expected = Difference::Late {
            entries: vec![(tagged(""), Quantity::MAX)],
            complete: false,
        };
        assert_eq!(late.unwrap(), expected);
    }

    #[test]
    fn movements_have_the_names_that_stand_in_tables() {
        let carried = MovementKind::Carried {
            target: "2026-11-21T05".parse().unwrap(),
            into: None,
        };
        let others = [
            MovementKind::Held,
            MovementKind::WrittenOff,
            MovementKind::Refunded,
        ];
        assert_eq!(carried.as_str(), "carried");
        let names = others.map(|kind| kind.as_str());
        assert_eq!(names, ["held", "written-off", "refunded"]);
    }
}
