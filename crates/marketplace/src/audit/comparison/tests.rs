use super::*;
use crate::audit::event::{RecordResult, SentRecord};
use crate::record::Outcome;

const NOW: &str = "2026-11-23T00:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn key(dimension: &str) -> RecordKey {
    RecordKey {
        subscription: "legacy|code|CUST".parse().unwrap(),
        hour: "2026-11-21T10".parse().unwrap(),
        dimension: dimension.parse().unwrap(),
    }
}

fn units(n: u64) -> Quantity {
    Quantity::from_micros(n * 1_000_000).unwrap()
}

fn record(dimension: &str, state: State) -> MeteringRecord {
    let key = key(dimension);
    let start = key.hour.start();
    MeteringRecord {
        key,
        product: "code".parse().unwrap(),
        account: None,
        quantity: units(5),
        allocations: Vec::new(),
        stamp: start,
        deadline: at("2026-11-22T10:00:00Z"),
        sealed_at: at("2026-11-21T11:30:00Z"),
        state,
        version: 2,
        movements: 0,
        attempts: 0,
        due: None,
        outcome: Some(Outcome {
            at: at("2026-11-21T11:31:00Z"),
            code: "Success".to_owned(),
            metering_record_id: None,
            quantity_at_aws: None,
        }),
    }
}

fn success(dimension: &str, quantity: u64) -> Call {
    let sent = SentRecord {
        key: key(dimension),
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
    let name = |d: &Difference| match d.key.dimension.as_str() {
        "gb" => ("gb", d.kind),
        _ => ("other", d.kind),
    };
    comparison.differences().iter().map(name).collect()
}

#[test]
fn what_was_accepted_here_and_there_matches_once() {
    let accepted = [record("gb", State::Accepted)];
    let same = compare(&accepted, &[success("gb", 5), success("gb", 5)]);
    assert_eq!((same.counts().matched, same.counts().differences()), (1, 0));
}

#[test]
fn each_difference_is_named() {
    let found = compare(&[record("gb", State::Accepted)], &[]);
    assert_eq!(kinds(&found), [("gb", DifferenceKind::MissingAtAws)]);
    let found = compare(&[], &[success("gb", 5)]);
    assert_eq!(kinds(&found), [("gb", DifferenceKind::UnknownHere)]);
    let found = compare(&[record("gb", State::Accepted)], &[success("gb", 7)]);
    assert_eq!(kinds(&found), [("gb", DifferenceKind::Quantity)]);
    assert_eq!(
        (found.differences()[0].here, found.differences()[0].at_aws),
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
fn what_cannot_be_in_the_history_is_not_missing() {
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
fn a_success_is_looked_for_where_it_was_written_and_then_everywhere() {
    let mut comparison = Comparison::default();
    comparison.record(&record("gb", State::Accepted));
    let spans = comparison.spans_of_unseen(None, at(NOW));
    assert_eq!(spans.len(), 1);
    assert!(spans[0].contains(at("2026-11-21T11:31:05Z")));
    assert!(!spans[0].contains(at("2026-11-21T12:00:00Z")));
    let wide = comparison.spans_of_unseen(Some(25 * 60), at(NOW));
    assert!(wide[0].contains(at("2026-11-22T10:59:00Z")));
    comparison.witness(&success("gb", 5));
    assert!(comparison.spans_of_unseen(None, at(NOW)).is_empty());
    comparison.count_seen();
    assert_eq!(comparison.counts().matched, 1);
}

#[test]
fn successes_of_what_is_not_served_here_are_counted_apart() {
    let mut comparison = compare(&[], &[success("gb", 5), success("other", 1)]);
    comparison.not_ours(|key| key.dimension.as_str() == "other");
    assert_eq!(
        (comparison.counts().unknown, comparison.counts().elsewhere),
        (1, 1)
    );
    assert_eq!(comparison.differences().len(), 1);
}
