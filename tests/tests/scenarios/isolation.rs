use std::collections::BTreeSet;

use emulator::{Fault, FaultKind, Faults, NewAgreement};
use marketplace::usage::UsageEvent;
use marketplace::{State, Subscription, TagSet};

use crate::market::{Market, PRODUCT, at};

const BUYERS: usize = 30;

/// A market with many more buyers.
async fn with_buyers() -> (Market, Vec<Subscription>) {
    let mut market = Market::open("2026-11-21T09:20:00Z").await;
    let mut subscriptions: Vec<Subscription> = Vec::new();
    for _ in 0..BUYERS {
        let agreement = NewAgreement::of(PRODUCT);
        let agreement = market.stack.emulator().add_agreement(agreement);
        let license = agreement.expect("an agreement").license_arn;
        subscriptions.push(license.parse().expect("a license"));
    }
    market.until("2026-11-21T09:50:00Z").await;
    (market, subscriptions)
}

async fn use_one(market: &Market, subscription: &Subscription, dimension: &str) {
    let event = UsageEvent {
        dimension: dimension.parse().expect("a dimension"),
        id: "one".parse().expect("an id"),
        quantity: "1".parse().expect("a quantity"),
        time: at("2026-11-21T10:05:00Z"),
        tags: TagSet::untagged(),
    };
    let ledger = market.stack.ledger();
    ledger
        .put_event(subscription, &event)
        .await
        .expect("stored");
}

/// An hour in which each of many buyers uses `gb` and one more dimension. Returns the number of
/// calls that it took.
async fn an_hour_with(dimension: &str) -> (Market, usize) {
    let (mut market, subscriptions) = with_buyers().await;
    for subscription in &subscriptions {
        use_one(&market, subscription, "gb").await;
        use_one(&market, subscription, dimension).await;
    }
    market.until("2026-11-21T11:40:00Z").await;
    let calls = market.calls();
    (market, calls)
}

#[tokio::test]
async fn a_renamed_dimension_of_every_buyer_holds_up_none_of_the_good_records() {
    let (control, calls_of_control) = an_hour_with("requests").await;
    assert_eq!(control.bill().len(), 2 * BUYERS);
    let (market, calls) = an_hour_with("renamed").await;
    let billed: BTreeSet<_> = market.bill().into_iter().collect();
    assert_eq!(market.bill().len(), BUYERS, "every gb, and nothing else");
    assert_eq!(billed.len(), 1);
    // The calls are the search for eight refused buyers, the delivery's allowance, and the calls
    // that were under way at that time.
    assert!(
        calls <= calls_of_control + 20 + 4 + 3,
        "{calls} calls, {calls_of_control} without the renamed dimension"
    );
    let books = market.books().await;
    assert_eq!(books.accepted.to_string(), BUYERS.to_string());
    let waiting = books
        .records
        .get(&State::Refused)
        .copied()
        .unwrap_or_default()
        + books
            .records
            .get(&State::Sealed)
            .copied()
            .unwrap_or_default();
    assert_eq!(waiting, BUYERS as u64, "nothing ended without an outcome");
}

#[tokio::test]
async fn a_record_that_makes_every_request_fail_does_not_keep_its_neighbours_waiting() {
    let (mut market, subscriptions) = with_buyers().await;
    for subscription in &subscriptions {
        use_one(&market, subscription, "gb").await;
    }
    let Subscription::License(license) = &subscriptions[11] else {
        panic!("{} is no license", subscriptions[11]);
    };
    let fails = Fault::rate("BatchMeterUsage", FaultKind::InternalError, 1.0);
    market.stack.emulator().set_faults(Faults {
        seed: 0,
        faults: vec![fails.containing(license.as_str())],
    });
    market.until("2026-11-21T12:30:00Z").await;
    assert_eq!(
        market.bill().len(),
        BUYERS - 1,
        "only the failing record is missing"
    );
    assert_eq!(market.books().await.pending.to_string(), "1");
    market.stack.emulator().set_faults(Faults::default());
    market.until("2026-11-21T13:00:00Z").await;
    assert_eq!(market.bill().len(), BUYERS);
    assert_eq!(
        market.books().await.accepted.to_string(),
        BUYERS.to_string()
    );
}

#[tokio::test]
async fn an_outage_is_not_met_with_ever_more_and_smaller_requests() {
    let (mut market, subscriptions) = with_buyers().await;
    for subscription in &subscriptions {
        use_one(&market, subscription, "gb").await;
    }
    market.stack.emulator().set_faults(Faults {
        seed: 0,
        faults: vec![Fault::rate(
            "BatchMeterUsage",
            FaultKind::InternalError,
            1.0,
        )],
    });
    market.until("2026-11-21T12:30:00Z").await;
    let before = market.calls();
    market.until("2026-11-21T13:30:00Z").await;
    let calls = market.calls() - before;
    // There are twelve sweeps. Each stops after twelve failures while three more calls are under
    // way, and the SDK makes each call three times.
    assert!(calls <= 12 * 15 * 3, "{calls} calls in an hour of outage");
    market.stack.emulator().set_faults(Faults::default());
    market.until("2026-11-21T14:00:00Z").await;
    assert_eq!(market.bill().len(), BUYERS);
    assert_eq!(
        market.books().await.accepted.to_string(),
        BUYERS.to_string()
    );
}
