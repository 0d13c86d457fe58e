use emulator::{Readings, ZeroQuantity};
use local::stack::StackOptions;
use marketplace::State;

use crate::market::Market;

/// A quiet morning with heartbeats. Late usage arrives for an hour that was metered as zero.
async fn a_quiet_morning(zero_quantity: ZeroQuantity) -> Market {
    let options = StackOptions {
        env: vec![("HEARTBEATS".to_owned(), "true".to_owned())],
        ..StackOptions::default()
    };
    let mut market = Market::with("2026-11-21T09:20:00Z", options).await;
    market.stack.emulator().set_readings(Readings {
        zero_quantity,
        ..Readings::default()
    });
    market.uses("gb", "a", "1.5", "2026-11-21T11:05:00Z").await;
    market.until("2026-11-21T12:40:00Z").await;
    for (hour, dimension, quantity) in [
        ("2026-11-21T10", "gb", "0"),
        ("2026-11-21T10", "requests", "0"),
        ("2026-11-21T11", "gb", "1.5"),
        ("2026-11-21T11", "requests", "0"),
    ] {
        let record = market.record(hour, dimension).await.expect("a record");
        assert_eq!(record.quantity.to_string(), quantity, "{hour} {dimension}");
        assert_eq!(record.state, State::Accepted, "{hour} {dimension}");
    }
    // The buyer subscribed at 09:20, so hour 09 is not wholly inside the agreement.
    assert!(market.record("2026-11-21T09", "gb").await.is_none());
    market.uses("gb", "late", "2", "2026-11-21T10:30:00Z").await;
    market.until("2026-11-21T14:00:00Z").await;
    market
}

#[tokio::test]
async fn usage_that_comes_after_a_zero_is_billed_once_whether_or_not_the_zero_spends_its_slot() {
    for reading in [ZeroQuantity::SpendsSlot, ZeroQuantity::LeavesSlotFree] {
        let market = a_quiet_morning(reading).await;
        let billed: Vec<String> = market
            .bill()
            .into_iter()
            .filter(|line| !line.ends_with(" 0"))
            .collect();
        assert_eq!(
            billed,
            ["2026-11-21T11 gb 1.5", "2026-11-21T12 gb 2"],
            "{reading:?}"
        );
        let books = market.books().await;
        assert_eq!(
            (books.ingested.to_string(), books.accepted.to_string()),
            ("3.5".into(), "3.5".into()),
            "{reading:?}"
        );
    }
}
