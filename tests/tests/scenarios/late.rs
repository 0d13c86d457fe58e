use jiff::SignedDuration;
use ledger::Written;
use local::stack::StackOptions;
use marketplace::State;

use crate::market::{Market, PRODUCT, at, without_streams};

fn env(name: &str, value: &str) -> StackOptions {
    StackOptions {
        env: vec![(name.to_owned(), value.to_owned())],
        ..StackOptions::default()
    }
}

#[tokio::test]
async fn late_usage_is_billed_with_the_running_hour_and_steals_no_slot() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
    market.until("2026-11-21T12:10:00Z").await;
    market
        .uses("gb", "late", "0.25", "2026-11-21T10:06:00Z")
        .await;
    market.uses("gb", "own", "4", "2026-11-21T12:11:00Z").await;
    market.until("2026-11-21T13:35:00Z").await;
    assert_eq!(
        market.bill(),
        ["2026-11-21T10 gb 1", "2026-11-21T12 gb 4.25"]
    );
    let books = market.books().await;
    assert_eq!(
        (books.ingested.to_string(), books.carried_in.to_string()),
        ("5.25".into(), "0.25".into())
    );
}

#[tokio::test]
async fn late_usage_of_an_hour_that_had_none_is_sealed_as_the_round_would() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market.until("2026-11-21T12:10:00Z").await;
    market.uses("gb", "late", "3", "2026-11-21T10:06:00Z").await;
    market.until("2026-11-21T12:20:00Z").await;
    assert_eq!(market.bill(), ["2026-11-21T10 gb 3"]);
}

#[tokio::test]
async fn usage_that_is_too_late_for_its_own_hour_is_carried_within_its_month() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market.until("2026-11-22T12:10:00Z").await;
    market.uses("gb", "late", "3", "2026-11-21T10:06:00Z").await;
    market.until("2026-11-22T13:40:00Z").await;
    assert_eq!(market.bill(), ["2026-11-22T12 gb 3"]);
    let record = market
        .record("2026-11-21T10", "gb")
        .await
        .expect("itemised");
    assert_eq!((record.state, record.due), (State::Expired, None));
    market.books().await;
}

#[tokio::test]
async fn a_carry_that_comes_too_late_itself_is_late_usage_again() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
    market.uses("gb", "b", "1", "2026-11-21T12:05:00Z").await;
    market.until("2026-11-21T12:10:00Z").await;
    market.uses("gb", "late", "2", "2026-11-21T10:06:00Z").await;
    market.until("2026-11-21T13:40:00Z").await;
    market
        .uses("gb", "later", "0.5", "2026-11-21T12:07:00Z")
        .await;
    market
        .uses("gb", "later", "0.5", "2026-11-21T10:07:00Z")
        .await;
    market.until("2026-11-21T15:40:00Z").await;
    let billed: Vec<_> = market.bill();
    assert_eq!(
        billed,
        [
            "2026-11-21T10 gb 1",
            "2026-11-21T12 gb 3",
            "2026-11-21T13 gb 1"
        ]
    );
    market.books().await;
}

#[tokio::test]
async fn without_any_stream_late_usage_is_found_by_the_reconciler_and_records_are_sent_by_the_schedule()
 {
    let mut market = Market::with("2026-11-21T09:20:00Z", without_streams()).await;
    market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
    market.until("2026-11-21T12:00:00Z").await;
    assert_eq!(market.bill(), ["2026-11-21T10 gb 1"]);
    market.uses("gb", "late", "2", "2026-11-21T10:06:00Z").await;
    market.until("2026-11-21T21:00:00Z").await;
    let books = market.books().await;
    assert_eq!(
        (books.accepted.to_string(), books.pending.to_string()),
        ("3".into(), "0".into())
    );
}

#[tokio::test]
async fn a_row_that_claims_to_be_carried_counts_only_if_it_was() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market
        .uses(
            "gb",
            "carry:2026-11-21T09:0123456789abcdef:1.0",
            "5",
            "2026-11-21T10:05:00Z",
        )
        .await;
    market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
    market.until("2026-11-21T11:40:00Z").await;
    assert_eq!(market.bill(), ["2026-11-21T10 gb 1"]);
}

#[tokio::test]
async fn the_policy_hold_keeps_late_usage_for_a_person() {
    let mut market = Market::with("2026-11-21T09:20:00Z", env("LATE_POLICY", "hold")).await;
    market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
    market.until("2026-11-21T12:10:00Z").await;
    market.uses("gb", "late", "2", "2026-11-21T10:06:00Z").await;
    market.until("2026-11-21T14:00:00Z").await;
    assert_eq!(market.bill(), ["2026-11-21T10 gb 1"]);
    assert_eq!(market.books().await.held.to_string(), "2");
}

#[tokio::test]
async fn a_dry_run_sends_nothing_and_what_it_froze_is_never_sent() {
    let mut market = Market::with("2026-11-21T09:20:00Z", env("DRY_RUN", "true")).await;
    market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
    market.until("2026-11-21T13:00:00Z").await;
    assert_eq!(market.calls(), 0);
    let record = market.record("2026-11-21T10", "gb").await.expect("frozen");
    assert_eq!((record.state, record.due), (State::DryRun, None));
    let now = market.stack.emulator().now();
    let later = now
        .checked_add(SignedDuration::from_hours(48))
        .expect("in range");
    for shard in 0..ledger::SHARDS {
        let page = market
            .stack
            .ledger()
            .due_records(shard, later, None)
            .await
            .expect("readable");
        assert!(page.slots.is_empty());
    }
    assert!(!record.is_sendable(at("2026-11-21T11:00:00Z")));
    assert_eq!(market.books().await.dry_run.to_string(), "1");
}

#[tokio::test]
async fn usage_of_a_dimension_that_is_removed_later_is_not_over_metered() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market.uses("gb", "a", "1", "2026-11-21T10:05:00Z").await;
    let time = "2026-11-21T10:06:00Z";
    market.uses("requests", "a", "2", time).await;
    market.until("2026-11-21T12:10:00Z").await;
    let ledger = market.stack.ledger();
    let code = PRODUCT.parse().expect("a product code");
    let before = ledger.product(&code).await.expect("readable");
    let mut after = before.clone().expect("configured");
    after.dimensions.retain(|name| name.as_str() != "gb");
    after.version += 1;
    let written = ledger.write_product(before.as_ref(), &after).await;
    assert_eq!(written.expect("configured"), Written::Done);
    // The hour is recounted because of this row.
    market.uses("requests", "late", "0.5", time).await;
    market.until("2026-11-21T13:40:00Z").await;
    assert_eq!(
        market.bill(),
        [
            "2026-11-21T10 gb 1",
            "2026-11-21T10 requests 2",
            "2026-11-21T12 requests 0.5",
        ]
    );
    let books = market.books().await;
    assert_eq!(books.ingested.to_string(), "3.5");
    assert!(books.is_balanced().expect("in range"), "{books:?}");
}
