use super::*;
use crate::usage::Field;
use proptest::prelude::*;

const HOUR: &str = "2026-11-21T02";

fn row(key: String, quantity: &str, team: Option<&str>) -> UsageRow<'static> {
    UsageRow {
        dimension_event: key.into(),
        quantity: Field::Value(quantity.to_owned().into()),
        time: Field::Value("2026-11-21T02:15:00Z".into()),
        tags: team.map_or(Field::Absent, |team| {
            Field::Value([("team".to_owned(), team.to_owned())].into())
        }),
        expires_at: None,
    }
}

fn fold<'d>(rows: &[UsageRow<'_>], known: Option<&'d BTreeSet<Dimension>>) -> Fold<'d> {
    let mut fold = Fold::new(HOUR.parse().unwrap(), known);
    for row in rows {
        fold.add(row).unwrap();
    }
    fold
}

#[test]
fn a_dimension_does_not_include_another_whose_name_begins_alike() {
    let rows = [
        row("gb#1".into(), "1", None),
        row("gb#x#1".into(), "2", None),
    ];
    let fold = fold(&rows, None);
    let totals: Vec<_> = fold
        .dimensions()
        .iter()
        .map(|(name, share)| (name.as_str(), share.total().unwrap().to_string()))
        .collect();
    assert_eq!(totals, [("gb", "1".to_owned()), ("gb#x", "2".to_owned())]);
}

#[test]
fn a_bad_row_is_set_aside_and_its_siblings_are_metered() {
    let known = BTreeSet::from(["gb".parse().unwrap()]);
    let rows = [
        row("gb#1".into(), "1.000001", None),
        row("gb#2".into(), "-1", None),
        row("seats#3".into(), "1", None),
        row("gb#carry:nonsense".into(), "1", None),
    ];
    let fold = fold(&rows, Some(&known));
    assert_eq!(
        fold.dimensions()["gb"].total().unwrap().to_string(),
        "1.000001"
    );
    let codes: Vec<_> = fold
        .rows_set_aside()
        .iter()
        .map(|s| s.reason.code())
        .collect();
    assert_eq!(
        codes,
        ["invalid-quantity", "unknown-dimension", "reserved-id"]
    );
}

#[test]
fn carried_rows_wait_for_their_movement() {
    let carry = CarryId {
        origin: "2026-11-21T00".parse().unwrap(),
        hash: "0123456789abcdef".into(),
        movement: 1,
        entry: 0,
    };
    let mut fold = fold(&[row(format!("gb#{carry}"), "2", None)], None);
    assert!(fold.dimensions().is_empty());
    let carries = fold.take_carries();
    assert_eq!(carries[0].carry, carry);
    fold.refuse(&carries[0]).unwrap();
    assert_eq!(fold.rows_set_aside_count(), 1);
    fold.admit(carries[0].clone()).unwrap();
    assert_eq!(fold.dimensions()["gb"].carried_in.to_string(), "2");
    assert!(fold.dimensions()["gb"].own.is_zero());
}

#[test]
fn tagged_usage_is_allocated_and_the_rest_is_untagged() {
    let rows = [
        row("gb#1".into(), "1", Some("a")),
        row("gb#2".into(), "2", Some("b")),
        row("gb#3".into(), "0.5", None),
        row("gb#4".into(), "1", Some("a")),
    ];
    let frozen = fold(&rows, None).dimensions()["gb"].freeze().unwrap();
    assert_eq!(frozen.quantity.to_string(), "4.5");
    let split: Vec<_> = frozen
        .allocations
        .iter()
        .map(|a| (a.tags.len(), a.quantity.to_string()))
        .collect();
    assert_eq!(
        split,
        [
            (0, "0.5".to_owned()),
            (1, "2".to_owned()),
            (1, "2".to_owned())
        ]
    );
}

#[test]
fn too_many_tag_sets_merge_into_the_untagged_bucket_and_the_sum_stays() {
    let rows: Vec<_> = (1..=3_000)
        .map(|n| {
            row(
                format!("gb#{n}"),
                &n.to_string(),
                Some(&format!("team-{n}")),
            )
        })
        .collect();
    let frozen = fold(&rows, None).dimensions()["gb"].freeze().unwrap();
    assert_eq!(frozen.allocations.len(), ALLOCATIONS_MAX);
    let sum = Total::sum(frozen.allocations.iter().map(|a| a.quantity)).unwrap();
    assert_eq!(sum, Total::from(frozen.quantity));
    assert_eq!(
        frozen.allocations[0].quantity.to_string(),
        (1..=501).sum::<u64>().to_string()
    );
}

#[test]
fn a_fold_keeps_a_limited_number_of_tag_sets_and_the_rest_is_untagged() {
    let mut share = DimensionFold::default();
    let tags =
        |n: usize| TagSet::try_from(crate::tags::Tags::from([("n".to_owned(), n.to_string())]));
    for n in (0..=FOLD_BUCKETS_MAX).chain([0]) {
        share.add("1".parse().unwrap(), tags(n).unwrap()).unwrap();
    }
    let of = |tags: &TagSet| share.buckets[tags].to_string();
    assert_eq!(share.buckets.len(), FOLD_BUCKETS_MAX + 1);
    assert_eq!(
        (of(&TagSet::untagged()), of(&tags(0).unwrap())),
        ("1".into(), "2".into())
    );
}

#[test]
fn a_limited_number_of_rows_set_aside_is_named_and_all_are_counted() {
    let rows: Vec<_> = (0..=FOLD_SET_ASIDE_MAX)
        .map(|n| row(format!("gb#{n}"), "-1", None))
        .collect();
    let fold = fold(&rows, None);
    assert_eq!(fold.rows_set_aside().len(), FOLD_SET_ASIDE_MAX);
    assert_eq!(fold.rows_set_aside_count(), 1_001);
}

#[test]
fn no_allocation_is_zero() {
    let rows = [
        row("gb#1".into(), "1", Some("a")),
        row("gb#2".into(), "0", Some("b")),
    ];
    let frozen = fold(&rows, None).dimensions()["gb"].freeze().unwrap();
    let quantities: Vec<_> = frozen
        .allocations
        .iter()
        .map(|a| a.quantity.to_string())
        .collect();
    assert_eq!(quantities, ["1"]);
}

#[test]
fn allocations_that_a_request_cannot_hold_are_untagged() {
    let long = "x".repeat(250);
    let tags = |n: usize| {
        let tags = (0..5).map(|k| (format!("key{k}"), format!("{n}-{k}-{long}")));
        TagSet::try_from(tags.collect::<crate::tags::Tags>()).unwrap()
    };
    let mut share = DimensionFold::default();
    for n in 0..1_000 {
        share.add_own("2".parse().unwrap(), tags(n)).unwrap();
    }
    let frozen = share.freeze().unwrap();
    let bytes: usize = frozen
        .allocations
        .iter()
        .map(|a| allocation_bytes(&a.tags))
        .sum();
    let largest = allocation_bytes(&tags(999));
    assert!(bytes <= RECORD_BYTES_MAX + allocation_bytes(&TagSet::untagged()));
    assert!(bytes > RECORD_BYTES_MAX - largest, "{bytes}");
    let sum = Total::sum(frozen.allocations.iter().map(|a| a.quantity)).unwrap();
    assert_eq!(sum.to_string(), "2000");
}

#[test]
fn an_allocations_bytes_are_never_underestimated() {
    let tags = |key: &str, value: &str| {
        TagSet::try_from(crate::tags::Tags::from([(
            key.to_owned(),
            value.to_owned(),
        )]))
        .unwrap()
    };
    assert_eq!(allocation_bytes(&TagSet::untagged()), 64);
    assert_eq!(allocation_bytes(&tags("ab", "c")), 64 + 24 + 3);
    // JSON escapes the quotation mark.
    assert_eq!(allocation_bytes(&tags("a", "\"b")), 64 + 24 + 1 + 3);
}

#[test]
fn above_the_maximum_the_record_is_full_and_says_so() {
    let rows = [
        row("gb#1".into(), "9999999999.999999", None),
        row("gb#2".into(), "1", Some("a")),
    ];
    let frozen = fold(&rows, None).dimensions()["gb"].freeze().unwrap();
    assert_eq!((frozen.quantity, frozen.complete), (Quantity::MAX, false));
}

proptest! {
    #[test]
    fn the_fold_is_the_sum_in_any_order(
        mut rows in proptest::collection::vec((0u64..=10_000_000_000, 0usize..4, 0usize..3), 1..60).prop_shuffle(),
    ) {
        let make = |rows: &[(u64, usize, usize)]| {
            let rows: Vec<_> = rows.iter().enumerate().map(|(n, (micros, team, dimension))| {
                let quantity = Quantity::from_micros(*micros).unwrap().to_string();
                let team = ["a", "b", "c"].get(*team).copied();
                row(format!("{}#{n}", ["gb", "gb#x", "seats"][*dimension]), &quantity, team)
            }).collect();
            fold(&rows, None).dimensions().iter().map(|(d, f)| (d.to_string(), f.freeze().unwrap())).collect::<Vec<_>>()
        };
        let frozen = make(&rows);
        let expected: u64 = rows.iter().map(|(micros, ..)| micros).sum();
        let total = Total::sum(frozen.iter().map(|(_, f)| f.quantity)).unwrap();
        prop_assert_eq!(total.micros(), i128::from(expected));
        rows.reverse();
        prop_assert_eq!(make(&rows), frozen);
    }
}

#[test]
fn rows_of_a_removed_dimension_count_if_the_hour_has_a_record_of_it() {
    let known = BTreeSet::from(["seats".parse().unwrap()]);
    let mut fold = Fold::new(HOUR.parse().unwrap(), Some(&known));
    for key in ["gb#1", "requests#1", "seats#1"] {
        let row = row(key.into(), "2", None);
        fold.add_beside_records(&row, |dimension| dimension == "gb")
            .unwrap();
    }
    let counted: Vec<_> = fold.dimensions().keys().map(Dimension::as_str).collect();
    assert_eq!(counted, ["gb", "seats"]);
    assert_eq!(fold.rows_set_aside_count(), 1);
}
