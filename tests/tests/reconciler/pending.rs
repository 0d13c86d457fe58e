//! A subscription whose activation becomes known late. Its hours are flagged once. When it is
//! active, its usage is billed, held or itemised.

use std::cell::RefCell;
use std::rc::Rc;

use emulator::{Agreement, LifecycleMessage};
use jiff::SignedDuration;
use ledger::flag::LateFlag;
use ledger::shard_of;
use local::stack::function_event;
use marketplace::lifecycle::Status;
use marketplace::recount::MovementKind;
use marketplace::slot::Slot;
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, MeteringRecord, State, Subscription, TagSet, UsageHour};
use reconciler::{Report, Task};
use simulation::bill::bill_and_books;
use simulation::run::{Executor, on_a_thread};
use simulation::wire::{Call, Fate};
use simulation::world::{Listing, World};

use crate::town::{at, result, start};

const PRODUCT: &str = "pendingproduct";
const HOUR: &str = "2026-11-27T02";

/// A buyer who has registered, and whose lifecycle messages are kept back.
struct PendingBuyer {
    world: World,
    agreement: Agreement,
    subscription: Subscription,
    first: UsageHour,
    kept: RefCell<Vec<LifecycleMessage>>,
}

impl PendingBuyer {
    async fn since(start: &str, identity: IdentityKind) -> Self {
        let world = World::at(at(start), 7);
        let listing = Listing {
            code: PRODUCT.to_owned(),
            identity,
            dimensions: vec!["gb".to_owned()],
        };
        world.list(&listing).await;
        let (agreement, subscription) = world.subscribe(&listing);
        world.register(&agreement.registration_token).await;
        let buyer = Self {
            kept: RefCell::new(world.emulator.take_lifecycle()),
            world,
            agreement,
            subscription,
            first: UsageHour::of(at(start)).plus(-24),
        };
        assert_eq!(buyer.status().await, Status::Pending);
        buyer
    }

    /// Fires the schedules every hour until `time`, and the reconciler's every six hours.
    async fn until(&self, time: &str) {
        while self.world.now.get() < at(time) {
            let next = self.world.now.get() + SignedDuration::from_hours(1);
            self.world.set_time(next.min(at(time)));
            let messages = self.world.emulator.take_lifecycle();
            self.kept.borrow_mut().extend(messages);
            let hour = UsageHour::of(self.world.now.get()).number();
            self.world.tick(hour.rem_euclid(6) == 0).await;
        }
    }

    async fn seal_at(&self, time: &str) -> sealer::Report {
        self.world.set_time(at(time));
        self.world.seal().await.unwrap()
    }

    async fn run_at(&self, time: &str, task: Task) -> Report {
        self.world.set_time(at(time));
        let report = self.world.reconcile_task(task).await.unwrap();
        assert!(report.finished, "{report:?}");
        report
    }

    async fn deliver_kept(&self) {
        for message in self.kept.take() {
            let delivered = self.world.deliver_event(function_event(message)).await;
            delivered.unwrap();
        }
    }

    /// Delivers the SNS message of a purchase that became effective at `time`.
    async fn is_subscribed_at(&self, time: &str) {
        let topic = "arn:aws:sns:us-east-1:287250355862:aws-mp-subscription-notification";
        let body = serde_json::json!({
            "action": "subscribe-success",
            "customer-identifier": self.agreement.customer_identifier,
            "product-code": PRODUCT,
        });
        let message = LifecycleMessage::Sns {
            topic_arn: format!("{topic}-{PRODUCT}"),
            message: body.to_string(),
            message_id: format!("subscribe-success-{time}"),
            timestamp: at(time),
        };
        let delivered = self.world.deliver_event(function_event(message)).await;
        delivered.unwrap();
    }

    async fn uses(&self, id: &str, quantity: &str, time: &str) {
        let event = UsageEvent {
            dimension: "gb".parse().unwrap(),
            id: id.parse().unwrap(),
            quantity: quantity.parse().unwrap(),
            time: at(time),
            tags: TagSet::untagged(),
        };
        self.world.report(&self.subscription, &event).await;
    }

    async fn status(&self) -> Status {
        let profile = self.world.ledger.profile(&self.subscription).await;
        profile.unwrap().expect("a profile").status()
    }

    async fn flag(&self, hour: &str) -> Option<LateFlag> {
        let hour = hour.parse().unwrap();
        let flag = self.world.ledger.late_flag(&self.subscription, hour).await;
        flag.unwrap()
    }

    async fn record(&self, hour: &str) -> MeteringRecord {
        let slot = Slot {
            subscription: self.subscription.clone(),
            hour: hour.parse().unwrap(),
            dimension: "gb".parse().unwrap(),
        };
        let read = self.world.ledger.records(&[slot]).await.unwrap();
        read.into_iter().next().expect("a record")
    }

    /// The bill, and the accepted, held and pending quantities of the books, which must balance.
    async fn stand(&self) -> (Vec<String>, [String; 3]) {
        let last = UsageHour::of(self.world.now.get());
        let who = std::slice::from_ref(&self.subscription);
        let stand = bill_and_books(&self.world, who, self.first, last).await;
        let books = &stand.books[&self.subscription];
        assert!(books.is_balanced().unwrap(), "{books:?}");
        assert!(books.over_metered.is_zero(), "{books:?}");
        let sums = [books.accepted, books.held, books.pending];
        (stand.bill(), sums.map(|sum| sum.to_string()))
    }
}

/// How the activation becomes known on the 3rd.
#[derive(Debug, Clone, Copy)]
enum Activation {
    /// The purchase was effective at once, but its messages come days late.
    Late,
    /// The purchase becomes effective days after the registration.
    Today,
}

#[test]
fn usage_of_a_subscription_that_becomes_active_in_the_next_month_is_billed_or_held() {
    for activation in [Activation::Late, Activation::Today] {
        on_a_thread(|| Executor::default().finish(activate_in_the_next_month(activation)));
    }
}

async fn activate_in_the_next_month(activation: Activation) {
    let buyer = PendingBuyer::since("2026-11-28T08:20:00Z", IdentityKind::Customer).await;
    buyer.until("2026-11-28T09:20:00Z").await;
    buyer.uses("a", "1", "2026-11-28T09:05:00Z").await;
    buyer.until("2026-11-29T10:20:00Z").await;
    // This hour has only a row that cannot be metered.
    let strange = "2026-11-29T10";
    let partition = format!("{}@{strange}", buyer.subscription);
    let time = "2026-11-29T10:05:00Z";
    buyer
        .world
        .put_raw(&partition, "gb#strange", "-1", time)
        .await;
    for (until, id, quantity, time) in [
        ("2026-11-30T23:20:00Z", "b", "2", "2026-11-30T23:05:00Z"),
        ("2026-12-01T00:20:00Z", "c", "4", "2026-12-01T00:05:00Z"),
        ("2026-12-02T08:20:00Z", "d", "8", "2026-12-02T08:05:00Z"),
    ] {
        buyer.until(until).await;
        buyer.uses(id, quantity, time).await;
    }
    buyer.until("2026-12-03T09:20:00Z").await;
    assert_eq!(buyer.status().await, Status::Pending);
    let sums = ["0", "0", "15"].map(str::to_owned);
    assert_eq!(buyer.stand().await, (Vec::new(), sums), "{activation:?}");

    match activation {
        Activation::Late => buyer.deliver_kept().await,
        Activation::Today => buyer.is_subscribed_at("2026-12-03T09:00:00Z").await,
    }
    assert_eq!(buyer.status().await, Status::Active);
    buyer.until("2026-12-03T10:20:00Z").await;
    buyer.uses("e", "16", "2026-12-03T10:05:00Z").await;
    buyer.until("2026-12-03T20:20:00Z").await;
    // The usage of December is carried into the first hour that was open. November is closed.
    let bill = vec!["gb 2026-12-03T10 28".to_owned()];
    let sums = ["28", "3", "0"].map(str::to_owned);
    assert_eq!(buyer.stand().await, (bill, sums), "{activation:?}");
    for hour in ["2026-11-28T09", "2026-11-30T23"] {
        let record = buyer.record(hour).await;
        let state = match activation {
            Activation::Late => State::Expired,
            Activation::Today => State::Moved,
        };
        assert_eq!(record.state, state, "{hour}");
        let movements = buyer.world.ledger.movements_of(&record).await.unwrap();
        let held: Vec<_> = movements.iter().map(|m| (&m.kind, &m.reason)).collect();
        // It is the closed month that holds the usage, and not the end of an agreement.
        assert_eq!(held, [(&MovementKind::Held, &None)], "{hour}");
    }
    let itemised = buyer
        .world
        .ledger
        .itemised(&buyer.subscription, strange.parse().unwrap())
        .await;
    assert_eq!(itemised.unwrap().len(), 1, "{activation:?}");
    for hour in ["2026-11-28T09", strange, "2026-11-30T23", "2026-12-02T08"] {
        assert_eq!(buyer.flag(hour).await, None, "{hour}");
    }
}

/// A buyer with usage of [`HOUR`], which the recount at 12:40 has flagged.
async fn flagged_buyer() -> PendingBuyer {
    let buyer = PendingBuyer::since("2026-11-27T00:20:00Z", IdentityKind::License).await;
    buyer.seal_at("2026-11-27T01:31:00Z").await;
    // The progress of the recounts begins.
    buyer
        .run_at("2026-11-27T01:40:00Z", Task::Recount(None))
        .await;
    buyer.world.set_time(at("2026-11-27T02:20:00Z"));
    buyer.uses("a", "1", "2026-11-27T02:10:00Z").await;
    buyer.seal_at("2026-11-27T12:31:00Z").await;
    assert_eq!(buyer.flag(HOUR).await, None);
    let report = buyer
        .run_at("2026-11-27T12:40:00Z", Task::Recount(None))
        .await;
    let found = (report.hours_flagged, report.pending_with_usage);
    assert_eq!(found, (1, 1), "{report:?}");
    buyer
}

#[test]
fn an_hour_of_a_pending_subscription_is_flagged_once() {
    on_a_thread(|| Executor::default().finish(flag_once()));
}

async fn flag_once() {
    let buyer = flagged_buyer().await;
    let flagged = buyer.flag(HOUR).await.expect("a flag");
    let sealed = buyer.seal_at("2026-11-27T12:45:00Z").await;
    // The reconciler reports the subscription, so the sealer does not count its hour.
    assert_eq!((sealed.left_flagged, sealed.flags_cleared), (0, 0));
    let postponed = buyer.flag(HOUR).await.expect("a flag");
    assert_eq!((&postponed.mark, postponed.tries), (&flagged.mark, 1));
    // A flag that is put again would have another mark, and would be due at once.
    buyer.seal_at("2026-11-28T07:31:00Z").await;
    for time in ["2026-11-28T07:40:00Z", "2026-11-28T20:50:00Z"] {
        let report = buyer.run_at(time, Task::Prove(None)).await;
        let found = (report.hours_flagged, report.pending_with_usage);
        assert_eq!(found, (0, 1), "{report:?}");
        // The day is not proved, because nothing counts its usage.
        assert!(report.days_proved > 0, "{report:?}");
        let flag = buyer.flag(HOUR).await.expect("a flag");
        assert_eq!(flag.mark, flagged.mark);
        assert!(flag.tries > 0, "{flag:?}");
    }
}

#[test]
fn a_damaged_flag_of_a_pending_subscription_is_put_again() {
    on_a_thread(|| Executor::default().finish(put_damaged_flag_again()));
}

async fn put_damaged_flag_again() {
    let buyer = flagged_buyer().await;
    let (name, sort) = (buyer.subscription.to_string(), format!("l#{HOUR}"));
    let table = buyer.world.ledger.tables().metering_records.clone();
    // The sealer does not find a flag that is in no partition of the work index.
    buyer
        .world
        .set_attribute(&table, (&name, &sort), "work", "nowhere")
        .await;
    buyer.seal_at("2026-11-28T07:31:00Z").await;
    let report = buyer
        .run_at("2026-11-28T07:40:00Z", Task::Prove(None))
        .await;
    assert_eq!(report.hours_flagged, 1, "{report:?}");
    assert_eq!(report.damaged, [format!("{name} / {sort}")]);
    let put_again = buyer.flag(HOUR).await.expect("a flag");
    buyer.seal_at("2026-11-28T07:45:00Z").await;
    let postponed = buyer.flag(HOUR).await.expect("a flag");
    let expected = LateFlag {
        tries: 1,
        ..put_again
    };
    assert_eq!(postponed, expected);
}

#[test]
fn a_row_of_a_pending_subscription_that_no_stream_reported_is_found_at_the_end_of_the_month() {
    on_a_thread(|| Executor::default().finish(find_at_month_end()));
}

async fn find_at_month_end() {
    let buyer = PendingBuyer::since("2026-11-27T00:20:00Z", IdentityKind::License).await;
    buyer.seal_at("2026-11-27T01:31:00Z").await;
    buyer
        .run_at("2026-11-27T01:40:00Z", Task::Recount(None))
        .await;
    buyer.seal_at("2026-11-29T07:31:00Z").await;
    for task in [Task::Recount(None), Task::Prove(None)] {
        let report = buyer.run_at("2026-11-29T07:40:00Z", task).await;
        assert_eq!(report.pending_with_usage, 0, "{report:?}");
    }
    // The hour was recounted, and its day is proved.
    let hour = "2026-11-28T05";
    buyer.world.set_time(at("2026-11-29T09:00:00Z"));
    buyer.uses("unreported", "1", "2026-11-28T05:10:00Z").await;
    buyer.world.forget_usage_stream().await;
    for time in ["2026-11-30T12:31:00Z", "2026-12-01T03:31:00Z"] {
        buyer.seal_at(time).await;
    }
    assert_eq!(buyer.flag(hour).await, None);
    let report = buyer
        .run_at("2026-12-01T03:32:00Z", Task::Recount(None))
        .await;
    let found = (report.hours_flagged, report.pending_with_usage);
    assert_eq!(found, (1, 1), "{report:?}");
    buyer.world.set_time(at("2026-12-03T09:20:00Z"));
    buyer.deliver_kept().await;
    buyer.seal_at("2026-12-03T09:31:00Z").await;
    let sums = ["0", "1", "0"].map(str::to_owned);
    assert_eq!(buyer.stand().await, (Vec::new(), sums));
}

/// The reconciler has read that the subscription is pending. Then it becomes active, and the sealer
/// counts the flagged hour. Another row of the hour comes before the sealer removes the flag. The
/// reconciler finds this row, and the flag, which the sealer is about to remove.
#[test]
fn a_row_that_comes_while_its_subscription_becomes_active_is_flagged() {
    on_a_thread(|| {
        let mut executor = Executor::default();
        let buyer = Rc::new(executor.finish(flagged_buyer()));
        let inside = Rc::clone(&buyer);
        executor.finish(async move { inside.seal_at("2026-11-28T07:31:00Z").await });
        let wire = &buyer.world.wire;
        buyer.world.set_time(at("2026-11-28T07:40:00Z"));
        let mut queries = 0;
        wire.follow(Box::new(move |call: &Call| {
            let is_query = call.function == "reconciler" && call.operation == "Query";
            queries += i32::from(is_query);
            // The first query reads the list of subscriptions, and the profile is read next.
            let has_read_profile = is_query && queries == 2;
            let removes = call.function == "sealer" && call.operation == "DeleteItem";
            match has_read_profile || removes {
                true => Fate::Waits,
                false => Fate::Answered,
            }
        }));
        let (inside, shard) = (Rc::clone(&buyer), shard_of(&buyer.subscription));
        let proof = start(&executor, async move {
            let task = Task::Prove(Some(shard));
            inside.world.reconcile_task(task).await
        });
        executor.run_until_stalled();
        assert_eq!(wire.waiting(), 1, "the proof waits");
        let inside = Rc::clone(&buyer);
        executor.finish(async move { inside.deliver_kept().await });
        let inside = Rc::clone(&buyer);
        let sealing = start(&executor, async move { inside.world.seal().await });
        executor.run_until_stalled();
        assert_eq!(wire.waiting(), 2, "the sealer waits");
        let inside = Rc::clone(&buyer);
        executor.finish(async move {
            inside.uses("b", "2", "2026-11-27T02:20:00Z").await;
            inside.world.forget_usage_stream().await;
        });
        wire.heal();
        wire.release(0);
        executor.run_until_stalled();
        let report: Report = result(&proof);
        assert_eq!(report.hours_flagged, 1, "{report:?}");
        wire.release(0);
        executor.run_until_stalled();
        let sealed: sealer::Report = result(&sealing);
        assert_eq!(sealed.flags_cleared, 0, "{sealed:?}");

        let inside = Rc::clone(&buyer);
        executor.finish(async move {
            assert_eq!(inside.record(HOUR).await.movements, 1);
            inside.seal_at("2026-11-28T07:45:00Z").await;
            assert_eq!(inside.record(HOUR).await.movements, 2);
            assert_eq!(inside.flag(HOUR).await, None);
        });
    });
}
