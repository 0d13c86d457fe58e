use marketplace::State;

use crate::market::{Market, hour};

#[tokio::test]
async fn an_hour_is_billed_half_an_hour_after_its_end() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market.uses("gb", "a", "1.5", "2026-11-21T10:05:00Z").await;
    market
        .uses("gb", "b", "0.000001", "2026-11-21T10:59:59Z")
        .await;
    market
        .uses("requests", "a", "7", "2026-11-21T10:05:00Z")
        .await;
    market.until("2026-11-21T11:29:00Z").await;
    assert!(market.bill().is_empty());
    market.until("2026-11-21T11:33:00Z").await;
    assert_eq!(
        market.bill(),
        ["2026-11-21T10 gb 1.500001", "2026-11-21T10 requests 7"]
    );
    assert_eq!(market.calls(), 1);
    let record = market.record("2026-11-21T10", "gb").await.expect("sealed");
    assert_eq!(record.state, State::Accepted);
    assert!(record.outcome.and_then(|o| o.metering_record_id).is_some());
    let books = market.books().await;
    assert_eq!(
        (books.accepted.to_string(), books.pending.to_string()),
        ("8.500001".into(), "0".into())
    );
}

#[tokio::test]
async fn usage_before_the_first_hour_is_over_is_stamped_with_the_activation() {
    let mut market = Market::open("2026-11-21T10:24:11Z").await;
    market.uses("gb", "a", "1", "2026-11-21T10:30:00Z").await;
    market.until("2026-11-21T11:35:00Z").await;
    assert_eq!(market.bill(), ["2026-11-21T10 gb 1"]);
    let stamp = market.stack.emulator().metered()[0].timestamp;
    assert_eq!(stamp.to_string(), "2026-11-21T10:24:11Z");
}

#[tokio::test]
async fn a_bad_row_is_itemised_and_the_rest_of_its_hour_is_billed() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market.uses("gb", "good", "2", "2026-11-21T10:05:00Z").await;
    market
        .uses("seats", "unknown", "3", "2026-11-21T10:05:00Z")
        .await;
    market.until("2026-11-21T11:35:00Z").await;
    assert_eq!(market.bill(), ["2026-11-21T10 gb 2"]);
    let itemised = market
        .stack
        .ledger()
        .itemised(&market.subscription, hour("2026-11-21T10"))
        .await
        .expect("readable");
    let found: Vec<_> = itemised
        .iter()
        .map(|row| (row.dimension_event.as_str(), row.code.as_str()))
        .collect();
    assert_eq!(found, [("seats#unknown", "unknown-dimension")]);
    assert!(
        itemised[0].reason.contains("seats"),
        "{}",
        itemised[0].reason
    );
}

#[tokio::test]
async fn zeros_alone_make_no_record() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market
        .uses("gb", "nothing", "0", "2026-11-21T10:05:00Z")
        .await;
    market.until("2026-11-21T11:35:00Z").await;
    assert_eq!(market.calls(), 0);
    assert!(market.record("2026-11-21T10", "gb").await.is_none());
}

#[tokio::test]
async fn more_than_a_record_can_hold_goes_on_in_the_next_hours() {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    market
        .uses("gb", "a", "9999999999.999999", "2026-11-21T10:05:00Z")
        .await;
    market.uses("gb", "b", "2.5", "2026-11-21T10:06:00Z").await;
    market.until("2026-11-21T13:35:00Z").await;
    assert_eq!(
        market.bill(),
        ["2026-11-21T10 gb 9999999999.999999", "2026-11-21T11 gb 2.5"]
    );
    market.books().await;
}
