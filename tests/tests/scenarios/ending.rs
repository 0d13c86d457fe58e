use marketplace::State;
use marketplace::lifecycle::Status;

use crate::market::Market;

async fn cancel(market: &Market) {
    let id = market.agreement.agreement_id.clone();
    market
        .stack
        .emulator()
        .cancel_agreement(&id)
        .expect("cancelled");
}

#[tokio::test]
async fn everything_up_to_the_end_is_billed_within_the_final_hour() {
    let mut market = Market::open("2026-11-21T08:20:00Z").await;
    market.uses("gb", "a", "1", "2026-11-21T09:05:00Z").await;
    market.until("2026-11-21T10:24:57Z").await;
    market.uses("gb", "b", "2", "2026-11-21T10:20:00Z").await;
    cancel(&market).await;
    market.until("2026-11-21T10:35:00Z").await;
    // A producer reports the last usage that it has buffered.
    market.uses("gb", "c", "4", "2026-11-21T10:24:00Z").await;
    market.until("2026-11-21T11:20:00Z").await;
    assert_eq!(market.bill(), ["2026-11-21T09 gb 1", "2026-11-21T10 gb 6"]);
    assert_eq!(market.books().await.pending.to_string(), "0");
}

#[tokio::test]
async fn late_usage_found_at_the_end_goes_into_the_last_hour() {
    let mut market = Market::open("2026-11-21T07:20:00Z").await;
    market.uses("gb", "a", "1", "2026-11-21T08:05:00Z").await;
    market.until("2026-11-21T10:24:57Z").await;
    cancel(&market).await;
    market.uses("gb", "late", "2", "2026-11-21T08:06:00Z").await;
    market.until("2026-11-21T11:20:00Z").await;
    assert_eq!(market.bill(), ["2026-11-21T08 gb 1", "2026-11-21T10 gb 2"]);
    market.books().await;
}

/// The hour of the end lies in the new month. So the last hour of the old month is the latest that
/// late usage can go into.
#[tokio::test]
async fn late_usage_of_the_past_month_found_at_the_end_goes_into_that_months_last_hour() {
    let mut market = Market::open("2026-11-30T20:20:00Z").await;
    market.uses("gb", "a", "1", "2026-11-30T22:05:00Z").await;
    market.uses("gb", "b", "2", "2026-11-30T23:05:00Z").await;
    market.until("2026-12-01T00:04:57Z").await;
    market.uses("gb", "c", "4", "2026-12-01T00:02:00Z").await;
    cancel(&market).await;
    market.until("2026-12-01T00:13:00Z").await;
    market.uses("gb", "late", "8", "2026-11-30T22:06:00Z").await;
    market.until("2026-12-01T01:04:00Z").await;
    assert_eq!(
        market.bill(),
        [
            "2026-11-30T22 gb 1",
            "2026-11-30T23 gb 10",
            "2026-12-01T00 gb 4"
        ]
    );
    market.books().await;
}

#[tokio::test]
async fn usage_after_the_end_is_held_and_the_subscription_ends() {
    let mut market = Market::open("2026-11-21T08:20:00Z").await;
    market.uses("gb", "a", "1", "2026-11-21T09:05:00Z").await;
    market.until("2026-11-21T10:24:57Z").await;
    cancel(&market).await;
    market
        .uses("gb", "after", "3", "2026-11-21T11:05:00Z")
        .await;
    market.until("2026-11-21T14:10:00Z").await;
    assert_eq!(market.bill(), ["2026-11-21T09 gb 1"]);
    let record = market
        .record("2026-11-21T11", "gb")
        .await
        .expect("itemised");
    assert_eq!(record.state, State::Moved);
    assert_eq!(market.books().await.held.to_string(), "3");
    let profile = market
        .stack
        .ledger()
        .profile(&market.subscription)
        .await
        .expect("readable");
    assert_eq!(profile.expect("a profile").status(), Status::Ended);
}
