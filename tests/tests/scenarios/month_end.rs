use marketplace::State;
use marketplace::decision::open_holds;

use crate::market::Market;

#[tokio::test]
async fn a_months_last_hour_catches_its_late_usage_and_is_billed_before_the_month_closes() {
    let mut market = Market::open("2026-11-30T18:20:00Z").await;
    market.uses("gb", "a", "1", "2026-11-30T19:05:00Z").await;
    market.uses("gb", "last", "2", "2026-11-30T23:30:00Z").await;
    market
        .uses("gb", "new-month", "8", "2026-12-01T00:30:00Z")
        .await;
    market.until("2026-12-01T03:00:00Z").await;
    market.uses("gb", "late", "4", "2026-11-30T19:06:00Z").await;
    market.until("2026-12-01T04:59:00Z").await;
    assert_eq!(market.bill(), ["2026-11-30T19 gb 1"]);
    market.until("2026-12-01T05:10:00Z").await;
    assert_eq!(
        market.bill(),
        [
            "2026-11-30T19 gb 1",
            "2026-11-30T23 gb 6",
            "2026-12-01T00 gb 8"
        ]
    );
    market.books().await;
}

#[tokio::test]
async fn usage_that_misses_the_catch_hour_is_held_and_never_billed_to_another_month() {
    let mut market = Market::open("2026-11-30T18:20:00Z").await;
    market.uses("gb", "a", "1", "2026-11-30T19:05:00Z").await;
    market.until("2026-12-01T05:20:00Z").await;
    market
        .uses("gb", "too-late", "4", "2026-11-30T19:06:00Z")
        .await;
    market.until("2026-12-01T08:00:00Z").await;
    assert_eq!(market.bill(), ["2026-11-30T19 gb 1"]);
    assert_eq!(market.books().await.held.to_string(), "4");
}

#[tokio::test]
async fn usage_that_comes_after_its_month_was_sealed_is_held() {
    let mut market = Market::open("2026-11-30T01:20:00Z").await;
    market.until("2026-12-01T05:20:00Z").await;
    // The deadline of hour 02 has passed, and no hour of November is open.
    market.uses("gb", "late", "3", "2026-11-30T02:10:00Z").await;
    market.until("2026-12-01T05:45:00Z").await;
    assert!(market.bill().is_empty());
    let record = market
        .record("2026-11-30T02", "gb")
        .await
        .expect("itemised");
    assert_eq!(record.state, State::Expired);
    let movements = market.stack.ledger().movements_of(&record).await;
    let movements = movements.expect("readable");
    assert_eq!(open_holds(&movements).count(), 1);
    assert_eq!(market.books().await.held.to_string(), "3");
}
