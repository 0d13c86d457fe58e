use jiff::{SignedDuration, Timestamp};
use marketplace::decision::open_holds;
use marketplace::{Quantity, State};

use crate::market::{Market, hour, without_streams};

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

/// Every hour brings usage of its own and usage of the hour three hours earlier.
#[tokio::test]
async fn thirty_hours_without_streams_around_a_months_end_lose_nothing() {
    let after = |time: Timestamp, minutes| {
        let later = time.checked_add(SignedDuration::from_mins(minutes));
        later.expect("a time").to_string()
    };
    let mut market = Market::with("2026-11-29T23:20:00Z", without_streams()).await;
    for n in 0..30 {
        let this = hour("2026-11-30T00").plus(n).start();
        market.until(&after(this, 10)).await;
        let id = format!("own-{n}");
        market.uses("gb", &id, "1", &after(this, 5)).await;
        market.until(&after(this, 50)).await;
        if n >= 3 {
            let id = format!("late-{n}");
            market.uses("gb", &id, "0.25", &after(this, -170)).await;
        }
    }
    // No hour of November is open any more.
    market
        .uses("gb", "too-late", "2", "2026-11-30T20:10:00Z")
        .await;
    market.until("2026-12-01T16:00:00Z").await;
    let sum_of = |month: &str| {
        let bill = market.bill();
        let quantities = bill.iter().filter(|line| line.starts_with(month));
        let micros = quantities.map(|line| {
            let quantity = line.rsplit(' ').next().expect("a quantity");
            quantity.parse::<Quantity>().expect("a quantity").micros()
        });
        micros.sum::<u64>()
    };
    // The bill has 24 hours of November with all their late usage, and the hours of December so
    // far.
    assert_eq!(sum_of("2026-11"), 30_000_000);
    assert_eq!(sum_of("2026-12"), 6_750_000);
    // No stream record announces the row that came too late. The proof of the books finds it.
    let books = market.books().await;
    assert_eq!(
        (books.accepted.to_string(), books.held.to_string()),
        ("36.75".into(), "2".into())
    );
}
