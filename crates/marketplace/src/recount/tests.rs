use super::*;
use crate::record::Allocation;
use crate::slot::Slot;
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
        stamp: at,
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
        state,
        ..MeteringRecord::new(
            Slot {
                subscription: "legacy|code|cust".parse().unwrap(),
                hour: UsageHour::of(at),
                dimension: "gb".parse().unwrap(),
            },
            "code".parse().unwrap(),
            units(split.iter().map(|(_, n)| n).sum()),
            at,
            at,
        )
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
fn usage_that_does_not_fit_one_movement_is_left_for_the_next_recount() {
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
fn usage_that_does_not_fit_one_entry_is_left_for_the_next_recount() {
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
fn movements_have_the_names_that_are_in_tables() {
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
