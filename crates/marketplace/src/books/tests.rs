use super::*;
use crate::hour::UsageHour;
use crate::quantity::Quantity;
use crate::slot::Slot;
use crate::tags::TagSet;

fn units(n: u64) -> Quantity {
    Quantity::from_micros(n * 1_000_000).unwrap()
}

fn rows(own: u64, carried_in: u64) -> DimensionFold {
    DimensionFold {
        own: units(own).into(),
        carried_in: units(carried_in).into(),
        rows: 1,
        buckets: BTreeMap::new(),
    }
}

fn record(state: State, n: u64) -> MeteringRecord {
    let hour: UsageHour = "2026-11-21T02".parse().unwrap();
    MeteringRecord {
        state,
        ..MeteringRecord::new(
            Slot {
                subscription: "legacy|code|cust".parse().unwrap(),
                hour,
                dimension: "gb".parse().unwrap(),
            },
            "code".parse().unwrap(),
            units(n),
            hour.end(),
            hour.end(),
        )
    }
}

fn movement(kind: MovementKind, n: u64) -> Movement {
    Movement {
        number: 1,
        kind,
        entries: vec![(TagSet::untagged(), units(n))],
        of: None,
        at: jiff::Timestamp::UNIX_EPOCH,
        reason: None,
    }
}

fn books(lines: &[SlotBooks]) -> Books {
    let mut books = Books::default();
    for line in lines {
        books.add(line).unwrap();
    }
    books
}

#[test]
fn late_usage_that_arrives_balances_and_a_carry_that_vanished_does_not() {
    let target = "2026-11-21T05".parse().unwrap();
    let origin = SlotBooks::of(
        Some(&rows(7, 0)),
        Some(&record(State::Accepted, 5)),
        &[movement(MovementKind::Carried { target, into: None }, 2)],
    )
    .unwrap();
    let arrived = SlotBooks::of(Some(&rows(1, 2)), Some(&record(State::Accepted, 3)), &[]).unwrap();
    let both = books(&[origin.clone(), arrived]);
    assert!(both.is_balanced().unwrap());
    assert_eq!(
        (both.ingested.to_string(), both.accepted.to_string()),
        ("8".into(), "8".into())
    );
    assert!(!books(&[origin]).is_balanced().unwrap());
}

#[test]
fn every_state_has_its_place() {
    for (state, place) in [
        (State::Sealed, "pending"),
        (State::Refused, "held"),
        (State::Disputed, "held"),
        (State::Unconfirmed, "held"),
        (State::Conflict, "lost"),
        (State::DryRun, "dry-run"),
    ] {
        let books =
            books(&[SlotBooks::of(Some(&rows(5, 0)), Some(&record(state, 5)), &[]).unwrap()]);
        let found = [
            ("pending", books.pending),
            ("held", books.held),
            ("lost", books.lost),
            ("dry-run", books.dry_run),
        ];
        for (name, total) in found {
            assert_eq!(
                total.to_string(),
                if name == place { "5" } else { "0" },
                "{state}"
            );
        }
        assert!(books.is_balanced().unwrap());
    }
}

#[test]
fn a_success_after_a_carry_is_over_metered_and_a_refund_is_seen() {
    let target = "2026-11-21T05".parse().unwrap();
    let carried = movement(MovementKind::Carried { target, into: None }, 5);
    let twice = SlotBooks::of(
        Some(&rows(5, 0)),
        Some(&record(State::Accepted, 5)),
        std::slice::from_ref(&carried),
    )
    .unwrap();
    assert_eq!(twice.uncounted.to_string(), "-5");
    let arrived = SlotBooks::of(Some(&rows(0, 5)), Some(&record(State::Accepted, 5)), &[]).unwrap();
    assert_eq!(
        books(&[twice, arrived.clone()]).over_metered.to_string(),
        "5"
    );
    assert!(books(&[arrived]).carried_in.is_positive());
    let refunded = SlotBooks::of(
        Some(&rows(5, 0)),
        Some(&record(State::Accepted, 7)),
        &[movement(MovementKind::Refunded, 2)],
    )
    .unwrap();
    let sum = books(&[refunded]);
    assert!(sum.is_balanced().unwrap());
    assert_eq!(
        (sum.refunded.to_string(), sum.over_metered.to_string()),
        ("2".into(), "0".into())
    );
}

#[test]
fn a_conflict_bills_what_aws_holds_and_loses_the_shortfall_or_shows_the_surplus() {
    for (held, accepted, lost, over_metered) in
        [(3, "3", "2", "0"), (5, "5", "0", "0"), (7, "7", "0", "2")]
    {
        let mut conflict = record(State::Conflict, 5);
        conflict.outcome = Some(crate::record::Outcome {
            at: conflict.stamp,
            code: "Conflict".to_owned(),
            metering_record_id: None,
            quantity_at_aws: Some(units(held)),
        });
        let line = SlotBooks::of(Some(&rows(5, 0)), Some(&conflict), &[]).unwrap();
        // The shortfall is not late usage, so it is never metered a second time.
        assert!(!line.uncounted.is_positive());
        let sum = books(&[line]);
        assert!(sum.is_balanced().unwrap(), "{sum:?}");
        let found = [sum.accepted, sum.lost, sum.over_metered].map(|total| total.to_string());
        assert_eq!(found, [accepted, lost, over_metered]);
        // Once the surplus is claimed back, nothing is late and nothing is over-metered.
        if held > 5 {
            let refund = movement(MovementKind::Refunded, held - 5);
            let line = SlotBooks::of(Some(&rows(5, 0)), Some(&conflict), &[refund]).unwrap();
            assert!(line.uncounted.is_zero());
            assert!(books(&[line]).is_balanced().unwrap());
        }
    }
}

#[test]
fn usage_without_a_record_is_pending() {
    let waiting = SlotBooks::of(Some(&rows(3, 0)), None, &[]).unwrap();
    let books = books(&[waiting]);
    assert_eq!(books.pending.to_string(), "3");
    assert!(books.is_balanced().unwrap());
}

#[test]
fn merged_books_have_the_sums_of_both() {
    let accepted = SlotBooks::of(Some(&rows(3, 1)), Some(&record(State::Accepted, 4)), &[]);
    let mut one = Books::default();
    one.add(&accepted.unwrap()).unwrap();
    one.rows = 2;
    one.rows_set_aside = 1;
    let mut two = one.clone();
    two.merge(&one).unwrap();
    assert_eq!(
        [two.ingested, two.accepted, two.carried_in].map(|t| t.to_string()),
        ["6", "8", "2"]
    );
    assert_eq!((two.rows, two.rows_set_aside), (4, 2));
    assert_eq!(two.records[&State::Accepted], 2);
}

#[test]
fn books_are_balanced_only_if_both_equations_hold() {
    let amount = |n: u64| Total::from(units(n));
    let vanished_carry = Books {
        carried_out: amount(1),
        ..Books::default()
    };
    assert!(!vanished_carry.is_balanced().unwrap());
    let unplaced = Books {
        ingested: amount(1),
        ..Books::default()
    };
    assert!(!unplaced.is_balanced().unwrap());
    let both = Books {
        carried_out: amount(1),
        ingested: amount(1),
        ..Books::default()
    };
    assert!(!both.is_balanced().unwrap());
    assert!(Books::default().is_balanced().unwrap());
}
