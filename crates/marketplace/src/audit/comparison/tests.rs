use super::*;
use crate::audit::event::{RecordResult, SentRecord};
use crate::record::Outcome;

const NOW: &str = "2026-11-23T00:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn slot(dimension: &str) -> Slot {
    Slot {
        subscription: "legacy|code|CUST".parse().unwrap(),
        hour: "2026-11-21T10".parse().unwrap(),
        dimension: dimension.parse().unwrap(),
    }
}

fn units(n: u64) -> Quantity {
    Quantity::from_micros(n * 1_000_000).unwrap()
}

fn record(dimension: &str, state: State) -> MeteringRecord {
    let key = slot(dimension);
    MeteringRecord {
        state,
        version: 2,
        outcome: Some(Outcome {
            at: at("2026-11-21T11:31:00Z"),
            code: "Success".to_owned(),
            metering_record_id: None,
            quantity_at_aws: None,
        }),
        ..MeteringRecord::new(
            key,
            "code".parse().unwrap(),
            units(5),
            at("2026-11-22T10:00:00Z"),
            at("2026-11-21T11:30:00Z"),
        )
    }
}

fn success(dimension: &str, quantity: u64) -> Call {
    let sent = SentRecord {
        slot: slot(dimension),
        quantity: Some(units(quantity)),
    };
    Call {
        event_id: "e-1".to_owned(),
        at: at("2026-11-21T11:31:05Z"),
        region: "us-east-1".to_owned(),
        error: None,
        product: "code".parse().ok(),
        is_sent_complete: true,
        results: vec![RecordResult {
            record: sent.clone(),
            status: Some("Success".to_owned()),
            metering_record_id: None,
        }],
        sent: vec![sent],
        unprocessed: Vec::new(),
        is_truncated: false,
    }
}

fn compare(records: &[MeteringRecord], calls: &[Call]) -> Comparison {
    let mut comparison = Comparison::default();
    for record in records {
        comparison.record(record);
    }
    for call in calls {
        comparison.call(call, |_| true);
    }
    comparison.judge_unseen(at(NOW));
    comparison
}

fn kinds(comparison: &Comparison) -> Vec<(&str, DifferenceKind)> {
    let name = |d: &Difference| match d.slot.dimension.as_str() {
        "gb" => ("gb", d.kind),
        _ => ("other", d.kind),
    };
    comparison.differences().iter().map(name).collect()
}

#[test]
fn a_record_that_both_sides_accepted_matches_once() {
    let accepted = [record("gb", State::Accepted)];
    let same = compare(&accepted, &[success("gb", 5), success("gb", 5)]);
    assert_eq!((same.counts().matched, same.counts().differences()), (1, 0));
}

#[test]
fn each_difference_is_named() {
    let found = compare(&[record("gb", State::Accepted)], &[]);
    assert_eq!(kinds(&found), [("gb", DifferenceKind::MissingAtAws)]);
    let found = compare(&[], &[success("gb", 5)]);
    assert_eq!(kinds(&found), [("gb", DifferenceKind::UnknownInLedger)]);
    let found = compare(&[record("gb", State::Accepted)], &[success("gb", 7)]);
    assert_eq!(kinds(&found), [("gb", DifferenceKind::Quantity)]);
    assert_eq!(
        (
            found.differences()[0].in_ledger,
            found.differences()[0].at_aws
        ),
        (Some(units(5)), Some(units(7)))
    );
    for state in [State::Expired, State::Moved] {
        let found = compare(&[record("gb", state)], &[success("gb", 5)]);
        assert_eq!(kinds(&found), [("gb", DifferenceKind::BilledUnexpectedly)]);
    }
    for state in [State::Sealed, State::Disputed, State::Unconfirmed] {
        let open = compare(&[record("gb", state)], &[success("gb", 5)]);
        assert_eq!((open.counts().open, open.counts().differences()), (1, 0));
    }
}

#[test]
fn a_record_that_cannot_be_in_the_history_is_not_missing() {
    let mut inferred = record("gb", State::Accepted);
    inferred.outcome.as_mut().unwrap().code = INFERRED.to_owned();
    let mut recent = record("gb", State::Accepted);
    recent.outcome.as_mut().unwrap().at = at("2026-11-22T23:30:00Z");
    let mut cut = success("other", 1);
    cut.results.clear();
    cut.is_truncated = true;
    cut.is_sent_complete = false;
    let counts = |record: MeteringRecord, calls: &[Call]| compare(&[record], calls).counts();
    assert_eq!(counts(inferred, &[]).inferred, 1);
    assert_eq!(counts(recent, &[]).too_recent, 1);
    let clouded = counts(record("gb", State::Accepted), &[cut]);
    assert_eq!(
        (
            clouded.undecidable,
            clouded.truncated_calls,
            clouded.missing
        ),
        (1, 1, 0)
    );
}

#[test]
fn a_success_is_looked_for_around_its_outcome_and_then_in_the_whole_window() {
    let mut comparison = Comparison::default();
    comparison.record(&record("gb", State::Accepted));
    let periods = comparison.periods_of_unseen(None, at(NOW));
    assert_eq!(periods.len(), 1);
    assert!(periods[0].contains(at("2026-11-21T11:31:05Z")));
    assert!(!periods[0].contains(at("2026-11-21T12:00:00Z")));
    let wide = comparison.periods_of_unseen(Some(25 * 60), at(NOW));
    assert!(wide[0].contains(at("2026-11-22T10:59:00Z")));
    comparison.mark_seen(&success("gb", 5));
    assert!(comparison.periods_of_unseen(None, at(NOW)).is_empty());
    comparison.count_seen();
    assert_eq!(comparison.counts().matched, 1);
}

/// A success of another product's subscription.
fn success_elsewhere(dimension: &str) -> Call {
    let mut call = success(dimension, 1);
    let subscription: Subscription = "legacy|elsewhere|CUST".parse().unwrap();
    call.sent[0].slot.subscription = subscription.clone();
    call.results[0].record.slot.subscription = subscription;
    call
}

fn is_elsewhere(subscription: &Subscription) -> bool {
    subscription.to_string() == "legacy|elsewhere|CUST"
}

#[test]
fn successes_of_products_that_are_not_served_are_counted_apart() {
    let mut comparison = compare(&[], &[success("gb", 5), success_elsewhere("gb")]);
    comparison.drop_unserved_products(is_elsewhere);
    assert_eq!(
        (comparison.counts().unknown, comparison.counts().elsewhere),
        (1, 1)
    );
    assert_eq!(
        kinds(&comparison),
        [("gb", DifferenceKind::UnknownInLedger)]
    );
}

#[test]
fn successes_beyond_the_kept_details_are_counted_apart_too() {
    let mut calls: Vec<Call> = (0..DIFFERENCES_KEPT_MAX + 5)
        .map(|n| success_elsewhere(&format!("d{n}")))
        .collect();
    calls.push(success("gb", 5));
    let mut comparison = compare(&[], &calls);
    comparison.drop_unserved_products(is_elsewhere);
    assert_eq!(
        (comparison.counts().unknown, comparison.counts().elsewhere),
        (1, 1_005)
    );
    assert!(comparison.differences().is_empty());
}

#[test]
fn a_record_that_was_not_found_is_read_again_before_it_is_judged() {
    let mut comparison = Comparison::default();
    for dimension in ["gone", "held", "gb", "other"] {
        comparison.record(&record(dimension, State::Accepted));
    }
    comparison.mark_seen(&success("other", 5));
    let unseen = comparison.unseen_slots();
    assert_eq!(unseen, ["gb", "gone", "held"].map(slot));
    let mut later = record("gb", State::Accepted);
    later.outcome.as_mut().unwrap().at = at("2026-11-22T23:59:00Z");
    comparison.replace(&unseen, &[later, record("held", State::Disputed)]);
    comparison.judge_unseen(at(NOW));
    comparison.count_seen();
    let counts = comparison.counts();
    assert_eq!(
        (counts.too_recent, counts.missing, counts.matched),
        (1, 0, 1)
    );
}

#[test]
fn a_difference_counts_whatever_its_kind() {
    let kinds = [
        DifferenceKind::MissingAtAws,
        DifferenceKind::UnknownInLedger,
        DifferenceKind::Quantity,
        DifferenceKind::BilledUnexpectedly,
    ];
    assert_eq!(
        kinds.map(DifferenceKind::as_str).join(" "),
        "missing-at-aws unknown-in-ledger different-quantity billed-unexpectedly"
    );
    let counts = Counts {
        missing: 1,
        unknown: 2,
        different: 4,
        unexpected: 8,
        matched: 16,
        ..Counts::default()
    };
    assert_eq!(counts.differences(), 15);
}

#[test]
fn a_limited_number_of_differences_is_named_and_all_are_counted() {
    let names = (0..=DIFFERENCES_KEPT_MAX).map(|n| success(&format!("d{n}"), 1));
    let found = compare(&[], &names.collect::<Vec<_>>());
    assert_eq!(found.differences().len(), DIFFERENCES_KEPT_MAX);
    assert_eq!(found.counts().unknown, 1_001);
}

#[test]
fn pages_add_up_and_their_records_are_forgotten() {
    let mut comparison = Comparison::default();
    assert!(comparison.is_empty());
    for (dimension, quantity) in [("gb", 5), ("other", 7)] {
        let mut page = Comparison::default();
        page.record(&record(dimension, State::Accepted));
        page.call(&success(dimension, quantity), |_| true);
        page.call(&success_elsewhere(dimension), |_| true);
        assert_eq!((page.len(), page.is_empty()), (1, false));
        comparison.absorb(page);
    }
    assert!(comparison.is_empty());
    comparison.drop_unserved_products(is_elsewhere);
    let counts = comparison.counts();
    assert_eq!(
        (
            counts.calls,
            counts.matched,
            counts.different,
            counts.elsewhere
        ),
        (4, 1, 1, 2)
    );
    assert_eq!(kinds(&comparison), [("other", DifferenceKind::Quantity)]);
}

#[test]
fn a_record_takes_as_few_bytes_as_the_documentation_says() {
    assert_eq!((size_of::<SlotIds>(), size_of::<Entry>()), (16, 32));
}

#[test]
fn other_events_are_counted_and_an_unreadable_event_may_hide_a_success() {
    let mut comparison = Comparison::default();
    comparison.record(&record("gb", State::Accepted));
    comparison.foreign();
    comparison.unreadable();
    comparison.judge_unseen(at(NOW));
    let counts = comparison.counts();
    assert_eq!(
        (
            counts.foreign_events,
            counts.unreadable_events,
            counts.undecidable
        ),
        (1, 1, 1)
    );
    let mut comparison = Comparison::default();
    comparison.record(&record("gb", State::Accepted));
    comparison.foreign();
    comparison.judge_unseen(at(NOW));
    assert_eq!(comparison.counts().missing, 1);
}

#[test]
fn only_records_accepted_by_inference_alone_are_counted_as_inferred() {
    let inferred = |dimension: &str, state| {
        let mut record = record(dimension, state);
        record.outcome.as_mut().unwrap().code = INFERRED.to_owned();
        record
    };
    let records = [
        inferred("a", State::Accepted),
        inferred("b", State::Accepted),
        inferred("c", State::Conflict),
        record("d", State::Accepted),
    ];
    let found = compare(&records, &[success("b", 5)]);
    let counts = found.counts();
    assert_eq!((counts.inferred, counts.matched, counts.missing), (1, 1, 1));
}

#[test]
fn a_success_is_missing_once_the_history_must_have_it() {
    let accepted_at = |time: &str| {
        let mut record = record("gb", State::Accepted);
        record.outcome.as_mut().unwrap().at = at(time);
        let counts = compare(&[record], &[]).counts();
        (counts.too_recent, counts.missing)
    };
    assert_eq!(accepted_at("2026-11-22T23:25:00Z"), (0, 1));
    assert_eq!(accepted_at("2026-11-22T23:25:01Z"), (1, 0));
}

#[test]
fn only_a_call_that_may_have_recorded_more_than_it_shows_hides_a_success() {
    let accepted = [
        record("gb", State::Accepted),
        record("other", State::Accepted),
    ];
    let undecidable = |change: fn(&mut Call)| {
        let mut call = success("other", 5);
        change(&mut call);
        compare(&accepted, &[call]).counts().undecidable > 0
    };
    assert!(!undecidable(|_| {}));
    assert!(undecidable(|call| call.is_truncated = true));
    assert!(undecidable(|call| call.is_sent_complete = false));
    assert!(!undecidable(|call| {
        call.is_truncated = true;
        call.error = Some("AccessDenied".to_owned());
        call.results.clear();
    }));
}
