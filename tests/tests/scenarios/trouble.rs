use emulator::{Fault, FaultKind, Faults};
use local::stack::{StackOptions, Trouble};
use marketplace::State;

use crate::market::{Market, at};

fn next(kind: FaultKind, count: u32) -> Faults {
    Faults {
        faults: vec![Fault::next("BatchMeterUsage", kind, count)],
        ..Faults::default()
    }
}

#[tokio::test]
async fn one_refused_dimension_does_not_hold_up_the_rest() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    for n in 0..12 {
        let hour = format!("2026-11-21T10:{n:02}:00Z");
        market.uses("gb", &format!("g{n}"), "1", &hour).await;
        market.uses("requests", &format!("r{n}"), "1", &hour).await;
    }
    market
        .uses("renamed", "x", "5", "2026-11-21T10:05:00Z")
        .await;
    market.until("2026-11-21T11:40:00Z").await;
    assert_eq!(
        market.bill(),
        ["2026-11-21T10 gb 12", "2026-11-21T10 requests 12"]
    );
    let record = market
        .record("2026-11-21T10", "renamed")
        .await
        .expect("kept");
    assert_eq!(record.state, State::Refused);
    assert_eq!(
        record.outcome.expect("an outcome").code,
        "InvalidUsageDimensionException"
    );
    assert_eq!(market.books().await.held.to_string(), "5");
}

#[tokio::test]
async fn hours_without_permission_end_nothing() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
    market
        .stack
        .emulator()
        .set_faults(next(FaultKind::AccessDenied, 10_000));
    market.until("2026-11-21T17:00:00Z").await;
    assert!(market.bill().is_empty());
    let record = market.record("2026-11-21T10", "gb").await.expect("kept");
    assert_eq!(
        (
            record.state,
            record.outcome.expect("an outcome").code.as_str()
        ),
        (State::Sealed, "AccessDeniedException")
    );
    market.stack.emulator().set_faults(Faults::default());
    market.until("2026-11-21T18:10:00Z").await;
    assert_eq!(market.bill(), ["2026-11-21T10 gb 1"]);
}

#[tokio::test]
async fn a_lost_reply_is_asked_again_and_billed_once() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
    market
        .stack
        .emulator()
        .set_faults(next(FaultKind::DropAfter, 5));
    market.until("2026-11-21T12:40:00Z").await;
    assert_eq!(market.bill(), ["2026-11-21T10 gb 1"]);
    assert!(market.calls() >= 2);
    let record = market.record("2026-11-21T10", "gb").await.expect("kept");
    assert_eq!(record.state, State::Accepted);
}

#[tokio::test]
async fn a_missing_or_strange_answer_ends_nothing() {
    for kind in [
        FaultKind::MissingRecord,
        FaultKind::MissingStatus,
        FaultKind::UnknownStatus,
        FaultKind::Unprocessed,
        FaultKind::UnknownError,
    ] {
        let mut market = Market::open("2026-11-21T09:20:00Z").await;
        market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
        market.stack.emulator().set_faults(next(kind, 6));
        market.until("2026-11-21T13:40:00Z").await;
        assert_eq!(market.bill(), ["2026-11-21T10 gb 1"], "{kind:?}");
        let record = market.record("2026-11-21T10", "gb").await.expect("kept");
        assert_eq!(record.state, State::Accepted, "{kind:?}");
    }
}

#[tokio::test]
async fn a_suspended_buyer_is_billed_once_the_suspension_is_over() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    let agreement = market.agreement.agreement_id.clone();
    market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
    market
        .stack
        .emulator()
        .suspend_agreement(&agreement)
        .expect("suspended");
    market.until("2026-11-21T15:00:00Z").await;
    assert!(market.bill().is_empty());
    market
        .stack
        .emulator()
        .resume_agreement(&agreement)
        .expect("resumed");
    market.until("2026-11-21T16:40:00Z").await;
    assert_eq!(market.bill(), ["2026-11-21T10 gb 1"]);
}

#[tokio::test]
async fn a_record_without_outcome_at_its_deadline_is_held_until_it_is_proved_unbilled_and_then_carried()
 {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
    market
        .stack
        .emulator()
        .set_faults(next(FaultKind::AccessDenied, 100_000));
    market.until("2026-11-22T10:30:00Z").await;
    let record = market.record("2026-11-21T10", "gb").await.expect("kept");
    assert_eq!(record.state, State::Unconfirmed);
    assert_eq!(market.books().await.held.to_string(), "1");
    // Nothing else is metered. So the audit asks for an empty call before it concludes anything
    // from the silence.
    market.until("2026-11-22T12:30:00Z").await;
    let record = market.record("2026-11-21T10", "gb").await.expect("kept");
    assert_eq!(record.state, State::Expired);
    let again = record.due.expect("compared again");
    assert_eq!(again, at("2026-11-23T12:00:00Z"));
    let books = market.books().await;
    assert_eq!(
        (books.held.to_string(), books.pending.to_string()),
        ("0".into(), "1".into())
    );
    market.stack.emulator().set_faults(Faults::default());
    market.until("2026-11-22T13:40:00Z").await;
    assert_eq!(market.bill(), ["2026-11-22T12 gb 1"]);
    for (until, due) in [
        ("2026-11-23T12:10:00Z", Some(at("2026-11-25T12:00:00Z"))),
        ("2026-11-25T12:10:00Z", None),
    ] {
        market.until(until).await;
        let record = market.record("2026-11-21T10", "gb").await.expect("kept");
        assert_eq!((record.state, record.due), (State::Expired, due));
    }
}

#[tokio::test]
async fn a_submitter_that_dies_at_every_other_call_bills_everything_once() {
    let options = StackOptions {
        seed: 3,
        trouble: Trouble {
            crashes_per_mille: 500,
            ..Trouble::default()
        },
        ..StackOptions::default()
    };
    let mut market = Market::with("2026-11-21T09:20:00Z", options).await;
    for (n, time) in [
        "2026-11-21T10:05:00Z",
        "2026-11-21T11:05:00Z",
        "2026-11-21T12:05:00Z",
    ]
    .iter()
    .enumerate()
    {
        market.uses("gb", &format!("e{n}"), "1.5", time).await;
    }
    market.until("2026-11-21T16:00:00Z").await;
    assert_eq!(
        market.bill(),
        [
            "2026-11-21T10 gb 1.5",
            "2026-11-21T11 gb 1.5",
            "2026-11-21T12 gb 1.5"
        ]
    );
    assert!(market.stack.counts().crashes > 0);
    assert_eq!(market.books().await.accepted.to_string(), "4.5");
}
