//! Subscriptions that are bought again, and ends that are overruled or become known late.
//!
//! The tests deliver lifecycle messages themselves, so that each arrives exactly as late as the
//! story requires.

use std::cell::RefCell;

use emulator::{
    Agreement, EndedOnRenewal, LicenseOnRenewal, LifecycleMessage, NewAgreement, Readings,
};
use jiff::{SignedDuration, Timestamp};
use local::stack::function_event;
use marketplace::lifecycle::Status;
use marketplace::slot::Slot;
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, MeteringRecord, State, Subscription, TagSet, UsageHour};
use serde_json::Value;
use simulation::at;
use simulation::bill::bill_and_books;
use simulation::run::{Executor, on_a_thread};
use simulation::wire::Fate;
use simulation::world::{Listing, World};

/// One buyer of one product, and the messages that are on their way.
struct Story {
    world: World,
    listing: Listing,
    agreement: Agreement,
    subscription: Subscription,
    start: Timestamp,
    /// Messages that contain this text are kept back. `None` keeps nothing back.
    late: RefCell<Option<String>>,
    kept: RefCell<Vec<Value>>,
}

fn run_story<Story>(story: impl FnOnce() -> Story + Send)
where
    Story: Future<Output = ()> + 'static,
{
    on_a_thread(|| Executor::default().finish(story()));
}

impl Story {
    async fn begin(start: &str, identity: IdentityKind) -> Self {
        let world = World::at(at(start), 7);
        let listing = Listing {
            code: "storyproduct".to_owned(),
            identity,
            dimensions: vec!["gb".to_owned()],
        };
        world.list(&listing).await;
        let (agreement, subscription) = world.subscribe(&listing);
        world.register(&agreement.registration_token).await;
        Self {
            world,
            listing,
            agreement,
            subscription,
            start: at(start),
            late: RefCell::default(),
            kept: RefCell::default(),
        }
    }

    /// Delivers messages and fires schedules every `minutes`, until `time`.
    async fn until(&self, time: &str, minutes: i64) {
        while self.world.now.get() < at(time) {
            let next = self.world.now.get() + SignedDuration::from_mins(minutes);
            let next = next.min(at(time));
            self.world.set_time(next);
            self.deliver().await;
            let before = next - SignedDuration::from_mins(minutes);
            let reconcile = UsageHour::of(next) != UsageHour::of(before);
            self.world.tick(reconcile).await;
        }
    }

    async fn deliver(&self) {
        for message in self.world.emulator.take_lifecycle() {
            let event = function_event(message);
            let late = self.late.borrow().clone();
            match late.is_some_and(|late| event.to_string().contains(&late)) {
                true => self.kept.borrow_mut().push(event),
                false => self.world.deliver_event(event).await.expect("delivered"),
            }
        }
    }

    /// Delivers license events as if the story's agreement also granted the license of the
    /// agreement `other`. Other messages are left out. Returns the events.
    async fn deliver_license_events(&self, other: &str) -> Vec<Value> {
        let mut delivered = Vec::new();
        for message in self.world.emulator.take_lifecycle() {
            let event = function_event(message);
            let kind = event["detail-type"].as_str().unwrap_or_default();
            if kind.starts_with("License ") {
                let text = event.to_string();
                let text = text.replace(other, &self.agreement.agreement_id);
                let event: Value = serde_json::from_str(&text).expect("JSON");
                let answer = self.world.deliver_event(event.clone()).await;
                answer.expect("delivered");
                delivered.push(event);
            }
        }
        delivered
    }

    /// Delivers the messages that were kept back, twice and in the wrong order.
    async fn deliver_kept(&self) {
        self.late.take();
        let mut events = self.kept.take();
        events.reverse();
        for event in [events.clone(), events].concat() {
            self.world.deliver_event(event).await.expect("delivered");
        }
    }

    /// Delivers an SNS message of the legacy listing.
    async fn sns(&self, action: &str, time: &str) {
        let code = &self.listing.code;
        let customer = &self.agreement.customer_identifier;
        let message = LifecycleMessage::Sns {
            topic_arn: format!(
                "arn:aws:sns:us-east-1:287250355862:aws-mp-subscription-notification-{code}"
            ),
            message: serde_json::json!({
                "action": action,
                "customer-identifier": customer,
                "product-code": code,
            })
            .to_string(),
            message_id: format!("{action}-{time}"),
            timestamp: at(time),
        };
        self.world
            .deliver_event(function_event(message))
            .await
            .expect("delivered");
    }

    async fn uses(&self, id: &str, quantity: &str, time: &str) {
        let event = UsageEvent {
            dimension: "gb".parse().expect("a dimension"),
            id: id.parse().expect("an id"),
            quantity: quantity.parse().expect("a quantity"),
            time: at(time),
            tags: TagSet::untagged(),
        };
        self.world.report(&self.subscription, &event).await;
    }

    async fn record(&self, hour: &str) -> Option<MeteringRecord> {
        let slot = Slot {
            subscription: self.subscription.clone(),
            hour: hour.parse().expect("an hour"),
            dimension: "gb".parse().expect("a dimension"),
        };
        self.world
            .ledger
            .records(&[slot])
            .await
            .expect("readable")
            .pop()
    }

    async fn status(&self) -> Status {
        let profile = self.world.ledger.profile(&self.subscription).await;
        profile.expect("readable").expect("a profile").status()
    }

    /// The bill and the held quantity. It checks that nothing is pending.
    async fn end(&self) -> (Vec<String>, String) {
        let (bill, held, pending) = self.stand().await;
        assert_eq!(pending, "0");
        (bill, held)
    }

    /// The bill in AWS Marketplace's slots as `hour quantity`, and the held and pending quantities
    /// of the books.
    async fn stand(&self) -> (Vec<String>, String, String) {
        let first = UsageHour::of(self.start).plus(-1);
        let last = UsageHour::of(self.world.now.get());
        let who = [self.subscription.clone()];
        let end = bill_and_books(&self.world, &who, first, last).await;
        let books = end.books.get(&self.subscription).expect("books");
        assert!(books.is_balanced().expect("in range"), "{books:?}");
        assert!(books.over_metered.is_zero(), "{books:?}");
        let bill = end.bill();
        let bill = bill
            .iter()
            .map(|line| line.replacen("gb ", "", 1))
            .collect();
        (bill, books.held.to_string(), books.pending.to_string())
    }
}

/// The stamp follows the span in force, not the very first activation. AWS Marketplace refuses a
/// time before the new purchase.
async fn bought_again(identity: IdentityKind) {
    let story = Story::begin("2026-11-21T08:20:00Z", identity).await;
    story.uses("a", "1", "2026-11-21T09:05:00Z").await;
    story.until("2026-11-21T10:05:00Z", 5).await;
    let id = story.agreement.agreement_id.clone();
    story
        .world
        .emulator
        .cancel_agreement(&id)
        .expect("cancelled");
    story.until("2026-11-21T16:05:00Z", 10).await;
    assert_eq!(story.status().await, Status::Ended);
    story.uses("gap", "2", "2026-11-22T10:05:00Z").await;
    story.until("2026-11-23T12:20:00Z", 120).await;
    story.world.set_time(at("2026-11-23T12:24:00Z"));
    let again = NewAgreement::of(&story.listing.code).by(&story.agreement.account_id);
    let again = story.world.emulator.add_agreement(again).expect("bought");
    story.world.register(&again.registration_token).await;
    story.until("2026-11-23T12:30:00Z", 2).await;
    assert_eq!(story.status().await, Status::Active);
    story.uses("b", "4", "2026-11-23T12:30:00Z").await;
    // Late usage of the gap and of the first purchase. The new purchase does not pay for either.
    story.uses("late-gap", "8", "2026-11-22T11:05:00Z").await;
    story.uses("late", "16", "2026-11-21T09:06:00Z").await;
    story.until("2026-11-23T15:00:00Z", 5).await;
    let record = story.record("2026-11-23T12").await.expect("a record");
    assert_eq!(record.state, State::Accepted);
    let bought = at("2026-11-23T12:24:00Z");
    assert!((bought..bought + SignedDuration::from_mins(2)).contains(&record.stamp));
    let (bill, held) = story.end().await;
    assert_eq!(bill, ["2026-11-21T09 1", "2026-11-23T12 4"]);
    assert_eq!(held, "26");
    for hour in ["2026-11-22T10", "2026-11-22T11"] {
        let record = story.record(hour).await.expect("itemised");
        assert_eq!(record.state, State::Moved);
        let movements = story.world.ledger.movements_of(&record).await;
        assert_eq!(movements.expect("readable").len(), 1);
    }
}

#[test]
fn a_customer_who_buys_again_is_billed_from_the_new_purchase_on() {
    run_story(|| bought_again(IdentityKind::Customer));
}

#[test]
fn an_account_that_buys_again_is_billed_from_the_new_purchase_on() {
    run_story(|| bought_again(IdentityKind::Account));
}

/// A buyer comes back in the last hour of a month, and uses the product before the stack knows of
/// the new purchase. The known purchase is over, so the row flags its hour. Nevertheless the hour must
/// stay open until it is due, because it is the last one that can take usage of the month.
async fn used_before_the_new_purchase_is_known(identity: IdentityKind, known_at: &str) {
    let story = Story::begin("2026-11-30T08:20:00Z", identity).await;
    story.until("2026-11-30T10:05:00Z", 5).await;
    let id = story.agreement.agreement_id.clone();
    story
        .world
        .emulator
        .cancel_agreement(&id)
        .expect("cancelled");
    story.until("2026-11-30T16:05:00Z", 10).await;
    assert_eq!(story.status().await, Status::Ended);
    story.until("2026-11-30T23:05:00Z", 60).await;
    story.world.set_time(at("2026-11-30T23:07:00Z"));
    let again = NewAgreement::of(&story.listing.code).by(&story.agreement.account_id);
    let again = story.world.emulator.add_agreement(again).expect("bought");
    // Every message is late.
    *story.late.borrow_mut() = Some(String::new());
    story.world.register(&again.registration_token).await;
    story.world.set_time(at("2026-11-30T23:10:00Z"));
    story.uses("a", "1", "2026-11-30T23:09:00Z").await;
    story.until(known_at, 1).await;
    assert_eq!(story.status().await, Status::Ended);
    story.deliver_kept().await;
    story.until("2026-11-30T23:50:00Z", 1).await;
    assert_eq!(story.status().await, Status::Active);
    story.uses("b", "2", "2026-11-30T23:49:00Z").await;
    assert_eq!(story.record("2026-11-30T23").await, None);
    story.until("2026-12-01T05:30:00Z", 5).await;
    let (bill, held) = story.end().await;
    assert_eq!(bill, ["2026-11-30T23 3"]);
    assert_eq!(held, "0");
}

#[test]
fn usage_before_a_new_purchase_is_known_does_not_seal_its_hour_early() {
    for identity in [IdentityKind::Customer, IdentityKind::Account] {
        for known_at in ["2026-11-30T23:14:00Z", "2026-11-30T23:40:00Z"] {
            run_story(|| used_before_the_new_purchase_is_known(identity, known_at));
        }
    }
}

/// A record is frozen with a stamp that was right at the time. Later news puts the stamp between
/// two purchases, where AWS Marketplace accepts none. The record is given up long before its
/// deadline, and its usage is carried.
async fn stamped_between_two_purchases(identity: IdentityKind) {
    let story = Story::begin("2026-11-21T06:20:00Z", identity).await;
    story.uses("a", "1", "2026-11-21T07:05:00Z").await;
    story.until("2026-11-21T08:16:00Z", 4).await;
    // Every text contains the empty text, so all messages are kept back from now on.
    *story.late.borrow_mut() = Some(String::new());
    let id = story.agreement.agreement_id.clone();
    let emulator = &story.world.emulator;
    emulator.cancel_agreement(&id).expect("cancelled");
    story.until("2026-11-21T09:39:00Z", 4).await;
    let again = NewAgreement::of(&story.listing.code).by(&story.agreement.account_id);
    emulator.add_agreement(again).expect("bought");
    story.until("2026-11-21T09:50:00Z", 4).await;
    story.uses("b", "2", "2026-11-21T09:45:00Z").await;
    story.until("2026-11-21T11:20:00Z", 5).await;
    let frozen = story.record("2026-11-21T09").await.expect("a record");
    assert!(
        frozen.state.is_sendable() && frozen.sent.answered > 0,
        "{frozen:?}"
    );
    assert_eq!(frozen.stamp, at("2026-11-21T09:00:00Z"));
    story.deliver_kept().await;
    story.until("2026-11-21T11:40:00Z", 5).await;
    let given_up = story.record("2026-11-21T09").await.expect("a record");
    assert_eq!(given_up.state, State::Unconfirmed);
    assert!(given_up.deadline <= at("2026-11-21T11:40:00Z"));
    let (_, held, pending) = story.stand().await;
    assert_eq!((held.as_str(), pending.as_str()), ("2", "0"));
    story.until("2026-11-21T16:10:00Z", 5).await;
    let (bill, held) = story.end().await;
    assert_eq!(bill, ["2026-11-21T07 1", "2026-11-21T14 2"]);
    assert_eq!(held, "0");
}

#[test]
fn usage_whose_stamp_turns_out_to_lie_between_two_purchases_is_carried_within_hours() {
    for identity in [IdentityKind::Customer, IdentityKind::Account] {
        run_story(move || stamped_between_two_purchases(identity));
    }
}

/// Ten units in six rows, before and after a renewal at 10:10. The new agreement becomes known at
/// 13:25.
async fn renewed_late(identity: IdentityKind, license: LicenseOnRenewal) -> Story {
    let story = Story::begin("2026-11-21T08:20:00Z", identity).await;
    let readings = story.world.emulator.readings();
    story.world.emulator.set_readings(Readings {
        license_on_renewal: license,
        ..readings
    });
    story.uses("a", "1", "2026-11-21T09:05:00Z").await;
    story.until("2026-11-21T10:05:00Z", 5).await;
    story.uses("b", "1", "2026-11-21T10:05:00Z").await;
    story.until("2026-11-21T10:10:00Z", 5).await;
    let old = story.agreement.agreement_id.clone();
    let renewed = story.world.emulator.renew_agreement(&old).expect("renewed");
    *story.late.borrow_mut() = Some(renewed.agreement_id);
    for (until, id, quantity, time) in [
        ("2026-11-21T10:40:00Z", "c", "2", "2026-11-21T10:39:00Z"),
        ("2026-11-21T11:10:00Z", "d", "1", "2026-11-21T11:05:00Z"),
        ("2026-11-21T12:10:00Z", "e", "2", "2026-11-21T12:05:00Z"),
    ] {
        story.until(until, 5).await;
        story.uses(id, quantity, time).await;
    }
    story.until("2026-11-21T13:35:00Z", 5).await;
    story
}

async fn once_it_is_known(story: &Story) -> (Vec<String>, String) {
    story.deliver_kept().await;
    assert_eq!(story.status().await, Status::Active);
    story.until("2026-11-21T13:40:00Z", 5).await;
    story.uses("f", "3", "2026-11-21T13:36:00Z").await;
    story.until("2026-11-21T20:00:00Z", 5).await;
    story.end().await
}

#[test]
fn an_announced_end_that_is_overruled_late_loses_nothing() {
    run_story(|| async {
        let story = renewed_late(IdentityKind::License, LicenseOnRenewal::Survives).await;
        assert_eq!(story.status().await, Status::Ending);
        let (_, held, _) = story.stand().await;
        assert_eq!(held, "0");
        let (bill, held) = once_it_is_known(&story).await;
        assert_eq!(
            bill,
            [
                "2026-11-21T09 1",
                "2026-11-21T10 1",
                "2026-11-21T11 3",
                "2026-11-21T12 2",
                "2026-11-21T13 3"
            ]
        );
        assert_eq!(held, "0");
    });
}

#[test]
fn usage_held_for_a_removal_that_is_overruled_late_is_released_once() {
    run_story(|| async {
        let story = renewed_late(IdentityKind::Account, LicenseOnRenewal::Replaced).await;
        let (bill, held) = story.end().await;
        assert_eq!(bill, ["2026-11-21T09 1", "2026-11-21T10 1"]);
        assert_eq!(held, "5");
        let (bill, held) = once_it_is_known(&story).await;
        assert_eq!(
            bill,
            ["2026-11-21T09 1", "2026-11-21T10 1", "2026-11-21T13 8"]
        );
        assert_eq!(held, "0");
    });
}

/// A sealer that dies at one of its transactions has released all of a hold or nothing of it. The
/// next run does the rest.
#[test]
fn a_release_survives_a_death_at_each_of_its_transactions() {
    for deadly in 1..=3 {
        for fate in [Fate::DiesBefore, Fate::DiesAfter] {
            run_story(move || async move {
                let story = renewed_late(IdentityKind::Account, LicenseOnRenewal::Replaced).await;
                let mut transactions = 0;
                story.world.wire.follow(Box::new(move |call| {
                    let is_movement = call.operation == "TransactWriteItems";
                    transactions += i32::from(is_movement);
                    match is_movement && transactions == deadly {
                        true => fate,
                        false => Fate::Answered,
                    }
                }));
                let (bill, held) = once_it_is_known(&story).await;
                assert_eq!(story.world.wire.faults_met(), 1);
                let [.., last] = &bill[..] else {
                    panic!("{bill:?}")
                };
                assert_eq!((bill.len(), last.as_str()), (3, "2026-11-21T13 8"));
                assert_eq!(held, "0");
            });
        }
    }
}

/// The end of the renewed agreement is never reported, so it still looks in force when the new
/// agreement is cancelled. The last hour must be sealed early all the same: a round would seal it
/// at 13:30, and its final hour is over at 13:10.
#[test]
fn a_cancellation_after_a_renewal_without_an_end_is_billed_in_the_final_hour() {
    run_story(|| async {
        let story = Story::begin("2026-11-21T08:20:00Z", IdentityKind::License).await;
        let emulator = &story.world.emulator;
        emulator.set_readings(Readings {
            ended_on_renewal: EndedOnRenewal::NotSent,
            ..emulator.readings()
        });
        story.uses("a", "1", "2026-11-21T09:05:00Z").await;
        story.until("2026-11-21T10:10:00Z", 5).await;
        let old = &story.agreement;
        let renewed = emulator.renew_agreement(&old.agreement_id);
        let renewed = renewed.expect("renewed");
        assert_eq!(renewed.license_arn, old.license_arn);
        story.until("2026-11-21T12:10:00Z", 5).await;
        assert_eq!(story.status().await, Status::Active);
        story.uses("b", "2", "2026-11-21T12:05:00Z").await;
        emulator
            .cancel_agreement(&renewed.agreement_id)
            .expect("cancelled");
        story.until("2026-11-21T12:15:00Z", 5).await;
        assert_eq!(story.status().await, Status::Ending);
        story.until("2026-11-21T13:10:00Z", 5).await;
        let record = story.record("2026-11-21T12").await.expect("a record");
        assert_eq!(record.state, State::Accepted);
        assert_eq!(record.final_at, Some(at("2026-11-21T13:10:31Z")));
        let (bill, held) = story.end().await;
        assert_eq!(bill, ["2026-11-21T09 1", "2026-11-21T12 2"]);
        assert_eq!(held, "0");
        story.until("2026-11-21T18:10:00Z", 10).await;
        assert_eq!(story.status().await, Status::Ended);
    });
}

/// One agreement grants two licenses of a product, and one of them is removed. If the product is
/// metered by license, the other license is a subscription of its own. If it is metered by account,
/// both licenses belong to one subscription.
async fn one_of_two_licenses_is_removed(identity: IdentityKind) {
    let story = Story::begin("2026-11-21T08:20:00Z", identity).await;
    let emulator = &story.world.emulator;
    let other = NewAgreement::of(&story.listing.code).by(&story.agreement.account_id);
    let other = emulator.add_agreement(other).expect("bought");
    let bought = story.deliver_license_events(&other.agreement_id).await;
    assert_eq!(bought.len(), 2);
    story.uses("a", "1", "2026-11-21T09:05:00Z").await;
    story.until("2026-11-21T10:05:00Z", 5).await;
    emulator
        .cancel_agreement(&other.agreement_id)
        .expect("cancelled");
    // The legacy listing's messages about the customer are kept back, because the customer goes on.
    *story.late.borrow_mut() = Some("unsubscribe".to_owned());
    story.world.set_time(at("2026-11-21T10:06:00Z"));
    let removed = story.deliver_license_events(&other.agreement_id).await;
    assert_eq!(removed.len(), 1);
    // The events of the purchase come once more.
    for event in bought {
        story.world.deliver_event(event).await.expect("delivered");
    }
    assert_eq!(story.status().await, Status::Active);
    story.until("2026-11-21T12:10:00Z", 5).await;
    story.uses("b", "2", "2026-11-21T12:05:00Z").await;
    story.until("2026-11-21T14:10:00Z", 5).await;
    assert_eq!(story.status().await, Status::Active);
    let (bill, held) = story.end().await;
    assert_eq!(bill, ["2026-11-21T09 1", "2026-11-21T12 2"]);
    assert_eq!(held, "0");
}

#[test]
fn usage_is_billed_on_when_another_license_of_the_agreement_is_removed() {
    for identity in [IdentityKind::License, IdentityKind::Account] {
        run_story(move || one_of_two_licenses_is_removed(identity));
    }
}

#[test]
fn the_hour_between_unsubscribe_pending_and_success_is_billed() {
    run_story(|| async {
        let story = Story::begin("2026-11-21T08:20:00Z", IdentityKind::Customer).await;
        story.until("2026-11-21T10:20:00Z", 5).await;
        story.uses("a", "1", "2026-11-21T10:10:00Z").await;
        story
            .sns("unsubscribe-pending", "2026-11-21T10:20:00Z")
            .await;
        story.until("2026-11-21T10:50:00Z", 5).await;
        story.uses("b", "2", "2026-11-21T10:48:00Z").await;
        story.until("2026-11-21T11:20:00Z", 5).await;
        story.uses("c", "4", "2026-11-21T11:05:00Z").await;
        story
            .sns("unsubscribe-success", "2026-11-21T11:20:00Z")
            .await;
        story.until("2026-11-21T11:30:00Z", 5).await;
        story.uses("d", "8", "2026-11-21T11:15:00Z").await;
        story.until("2026-11-21T12:20:00Z", 5).await;
        let (bill, _) = story.end().await;
        assert_eq!(bill, ["2026-11-21T10 1", "2026-11-21T11 14"]);
        let record = story.record("2026-11-21T11").await.expect("a record");
        assert_eq!(record.final_at, Some(at("2026-11-21T12:20:00Z")));
        story.uses("after", "16", "2026-11-21T12:05:00Z").await;
        story.until("2026-11-21T15:10:00Z", 5).await;
        let (bill, held) = story.end().await;
        assert_eq!(bill, ["2026-11-21T10 1", "2026-11-21T11 14"]);
        assert_eq!((held.as_str(), story.status().await), ("16", Status::Ended));
    });
}
