use super::*;
use crate::books::{Books, SlotBooks};
use crate::fold::Fold;
use crate::record::{Allocation, Outcome};
use crate::recount::{Difference, counted, difference};
use crate::slot::Slot;
use crate::tags::Tags;
use crate::usage::{Field, UsageRow};

fn record(state: State, quantity: &str) -> MeteringRecord {
    let slot: Slot = "legacy|code|cust@2026-11-21T02#gb".parse().unwrap();
    let end = slot.hour.end();
    MeteringRecord {
        state,
        ..MeteringRecord::new(
            slot,
            "code".parse().unwrap(),
            quantity.parse().unwrap(),
            end,
            end,
        )
    }
}

fn reason() -> Reason {
    " by hand ".parse().unwrap()
}

fn carried() -> MovementKind {
    MovementKind::Carried {
        target: "2026-11-21T09".parse().unwrap(),
        into: None,
    }
}

fn held(number: u32, quantity: &str) -> Movement {
    Movement {
        number,
        kind: MovementKind::Held,
        entries: vec![(TagSet::untagged(), quantity.parse().unwrap())],
        of: None,
        at: Timestamp::UNIX_EPOCH,
        reason: None,
    }
}

fn rows(quantity: &str) -> Fold<'static> {
    let hour = "2026-11-21T02".parse().unwrap();
    let mut fold = Fold::new(hour, None);
    fold.add(&UsageRow {
        dimension_event: "gb#1".into(),
        quantity: Field::Value(quantity.into()),
        time: Field::Value("2026-11-21T02:00:00Z".into()),
        tags: Field::Absent,
        expires_at: None,
    })
    .unwrap();
    fold
}

#[test]
fn a_reason_is_required_and_bounded() {
    assert_eq!(reason().to_string(), "by hand");
    for wrong in ["", "   ", "two\nlines", &"x".repeat(501)] {
        assert!(wrong.parse::<Reason>().is_err());
    }
    assert!("é".repeat(500).parse::<Reason>().is_ok());
}

#[test]
fn closing_a_hold_moves_it_and_counts_nothing_twice() {
    let mut record = record(State::Accepted, "4");
    let mut movements = vec![held(1, "1.5"), held(2, "0.5")];
    record.movements = 2;
    let fold = rows("6");
    let rows = fold.dimensions().get("gb");
    for kind in [carried(), MovementKind::WrittenOff] {
        let hold = open_holds(&movements).next().unwrap().clone();
        let movement = close_hold(&record, &hold, kind, Timestamp::UNIX_EPOCH, &reason());
        record.movements += 1;
        movements.push(movement);
        let now = difference(&record, &movements, rows).unwrap();
        assert_eq!(now, Difference::None);
        assert_eq!(counted(&record, &movements).unwrap().to_string(), "6");
    }
    assert_eq!(open_holds(&movements).count(), 0);
    let line = SlotBooks::of(rows, Some(&record), &movements).unwrap();
    assert_eq!(
        [line.recorded, line.carried_out, line.held, line.written_off].map(|t| t.to_string()),
        ["4", "1.5", "0", "0.5"]
    );
    let mut books = Books::default();
    books.add(&line).unwrap();
    books.carried_in = line.carried_out;
    books.ingested = books.ingested.minus(line.carried_out).unwrap();
    assert!(books.is_balanced().unwrap(), "{books:?}");
}

#[test]
fn a_refused_record_closes_with_all_of_its_quantity() {
    let mut refused = record(State::Refused, "5");
    refused.allocations = (0..200)
        .map(|n| Allocation {
            tags: TagSet::try_from(Tags::from([("team".to_owned(), n.to_string())])).unwrap(),
            quantity: "0.02".parse().unwrap(),
        })
        .collect();
    assert_eq!(closing_rule(&refused), ClosingRule::Free);
    // An earlier transmission may have been recorded before its answer was lost.
    let mut doubtful = record(State::Refused, "5");
    doubtful.sent.doubtful = 1;
    assert_eq!(closing_rule(&doubtful), ClosingRule::Checked);
    for state in [State::Disputed, State::Unconfirmed] {
        assert_eq!(closing_rule(&record(state, "5")), ClosingRule::Checked);
    }
    assert_eq!(
        closing_rule(&record(State::Accepted, "5")),
        ClosingRule::Never
    );
    for (untagged, entries) in [(false, MOVEMENT_ENTRIES_MAX), (true, 1)] {
        let at = Timestamp::UNIX_EPOCH;
        let movement = close_record(&refused, carried(), untagged, at, &reason()).unwrap();
        assert_eq!(movement.entries.len(), entries);
        assert_eq!(movement.total().unwrap().to_string(), "5");
        let mut closed = refused.clone();
        closed.state = State::Moved;
        assert_eq!(counted(&closed, &[movement]).unwrap().to_string(), "5");
    }
}

#[test]
fn a_shortfall_moves_once_and_the_books_stay_balanced() {
    let mut record = record(State::Conflict, "5");
    record.outcome = Some(Outcome {
        at: Timestamp::UNIX_EPOCH,
        code: "Conflict".to_owned(),
        metering_record_id: None,
        quantity_at_aws: Some("3".parse().unwrap()),
    });
    let fold = rows("5");
    let rows = fold.dimensions().get("gb");
    for kind in [carried(), MovementKind::WrittenOff] {
        let short = shortfall(&record, &[], Total::ZERO).unwrap();
        assert_eq!(short.to_string(), "2");
        let is_carried = kind != MovementKind::WrittenOff;
        let movement = move_shortfall(&record, short, kind, Timestamp::UNIX_EPOCH, &reason());
        let movements = [movement];
        let left = shortfall(&record, &movements, Total::ZERO).unwrap();
        assert_eq!(left, Quantity::ZERO);
        // The whole quantity was carried before the conflict was found.
        let left = shortfall(&record, &[], record.quantity.into()).unwrap();
        assert_eq!(left, Quantity::ZERO);
        assert_eq!(
            difference(&record, &movements, rows).unwrap(),
            Difference::None
        );
        let line = SlotBooks::of(rows, Some(&record), &movements).unwrap();
        let mut books = Books::default();
        books.add(&line).unwrap();
        books.carried_in = line.carried_out;
        books.ingested = books.ingested.minus(line.carried_out).unwrap();
        assert!(books.is_balanced().unwrap(), "{books:?}");
        let lost = if is_carried { "0" } else { "2" };
        assert_eq!(
            [books.accepted, books.lost, books.held].map(|t| t.to_string()),
            ["3", lost, "0"]
        );
        // The record was billed after all. So the carried quantity is billed twice, and the books
        // show that.
        let mut accepted = record.clone();
        accepted.state = State::Accepted;
        let over = difference(&accepted, &movements, rows).unwrap();
        assert_eq!(over, Difference::Over(Total::from(short)));
    }
    record.state = State::Accepted;
    assert_eq!(
        shortfall(&record, &[], Total::ZERO).unwrap(),
        Quantity::ZERO
    );
}

#[test]
fn a_refund_is_at_most_the_over_metered_quantity() {
    let accepted = record(State::Accepted, "5");
    let over = Total::from("2".parse::<Quantity>().unwrap());
    let try_refund = |quantity: &str| {
        let quantity = quantity.parse().unwrap();
        refund(&accepted, over, quantity, Timestamp::UNIX_EPOCH, &reason())
    };
    assert!(try_refund("0").is_none());
    assert!(try_refund("2.000001").is_none());
    let movement = try_refund("2").unwrap();
    assert_eq!(counted(&accepted, &[movement]).unwrap().to_string(), "3");
}

#[test]
fn a_record_of_tagged_usage_only_leaves_no_empty_entry() {
    let mut refused = record(State::Refused, "5");
    let tags = Tags::from([("team".to_owned(), "a".to_owned())]);
    refused.allocations = vec![Allocation {
        tags: TagSet::try_from(tags).unwrap(),
        quantity: "5".parse().unwrap(),
    }];
    let at = Timestamp::UNIX_EPOCH;
    let movement = close_record(&refused, carried(), false, at, &reason()).unwrap();
    assert_eq!(movement.entries.len(), 1);
}
