//! Closed items expire some months after their month. Items with undecided usage never expire.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use ledger::books::of_all;
use ledger::ticket::TicketUse;
use ledger::{Written, shard_of};
use marketplace::answer::{Next, Verdict};
use marketplace::audit::Source;
use marketplace::limits::ALLOCATIONS_MAX;
use marketplace::record::{Allocation, MeteringRecord, Transmissions};
use marketplace::recount::{Movement, MovementKind};
use marketplace::retention::Retention;
use marketplace::slot::Slot;
use marketplace::tags::Tags;
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, Month, State, Subscription, TagSet, UsageHour};
use reconciler::Task;
use runtime::Budget;
use serde_json::{Value, json};
use simulation::at;
use simulation::clients;
use simulation::run::{Executor, on_a_thread};
use simulation::world::{Listing, World};

type Item = HashMap<String, AttributeValue>;

const BUYER: &str = "legacy|closedproduct|CUSTEXAMPLE1";
const HOUR: &str = "2026-11-21T02";

fn world() -> World {
    World::at(at("2026-11-21T08:20:00Z"), 7)
}

fn record(dimension: &str, state: State) -> MeteringRecord {
    let hour: UsageHour = HOUR.parse().unwrap();
    let waits = !marketplace::record::is_closed(state, None, 0);
    MeteringRecord {
        state,
        sent: Transmissions {
            doubtful: 1,
            answered: 0,
        },
        due: waits.then(|| hour.end()),
        ..MeteringRecord::new(
            Slot {
                subscription: BUYER.parse().unwrap(),
                hour,
                dimension: dimension.parse().unwrap(),
            },
            "closedproduct".parse().unwrap(),
            "5".parse().unwrap(),
            hour.plus(24).start(),
            hour.end(),
        )
    }
}

fn movement(record: &MeteringRecord, kind: MovementKind, of: Option<u32>) -> Movement {
    Movement {
        number: record.movements + 1,
        kind,
        entries: vec![(TagSet::untagged(), "1".parse().unwrap())],
        of,
        at: at("2026-11-21T08:20:00Z"),
        reason: None,
    }
}

async fn read(world: &World, slot: &Slot) -> MeteringRecord {
    let keys = std::slice::from_ref(slot);
    world.ledger.records(keys).await.unwrap().pop().unwrap()
}

/// The items of a partition of MeteringRecords whose sort keys begin with `prefix`.
async fn items(world: &World, partition: &str, prefix: &str) -> Vec<Item> {
    let answer = clients::dynamodb(&world.wire)
        .query()
        .table_name(&world.ledger.tables().metering_records)
        .key_condition_expression("subscription = :p AND begins_with(#item, :s)")
        .expression_attribute_names("#item", "item")
        .expression_attribute_values(":p", AttributeValue::S(partition.to_owned()))
        .expression_attribute_values(":s", AttributeValue::S(prefix.to_owned()))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.last_evaluated_key, None);
    answer.items.unwrap_or_default()
}

/// The `expires_at` of a record, and of each other item that belongs to it.
async fn ends(world: &World, slot: &Slot) -> (Option<i64>, Vec<Option<i64>>) {
    let own = format!("{}#{}", slot.hour, slot.dimension);
    let mut ends = Vec::new();
    for prefix in [format!("r#{own}"), format!("c#{own}#"), format!("a#{own}#")] {
        for item in items(world, BUYER, &prefix).await {
            let end = item.get("expires_at");
            ends.push(end.map(|end| end.as_n().unwrap().parse().unwrap()));
        }
    }
    (ends.remove(0), ends)
}

/// The causes for which a record is written.
const CAUSES: [&str; 17] = [
    "accepted",
    "retried",
    "refused",
    "disputed",
    "found billed",
    "expired",
    "unconfirmed",
    "inferred",
    "conflict",
    "looked at again",
    "looked at for the last time",
    "made urgent",
    "made ordinary",
    "transmissions",
    "held",
    "carried",
    "closed by a person",
];

async fn write(world: &World, record: &MeteringRecord, cause: &str) -> Written {
    let ledger = &world.ledger;
    let now = at("2026-11-21T08:20:00Z");
    let later = now + SignedDuration::from_hours(1);
    let outcome = |verdict: Verdict, state: State, retry_after: Option<SignedDuration>| async move {
        let next = Next { state, retry_after };
        ledger.write_outcome(record, &verdict, &next, now).await
    };
    let hour = Some(SignedDuration::from_hours(1));
    let success = Verdict::Accepted {
        metering_record_id: Some("id".to_owned()),
    };
    let target = record.slot.hour.plus(7);
    match cause {
        "accepted" => outcome(success, State::Accepted, None).await,
        "retried" => outcome(Verdict::Unprocessed, State::Sealed, hour).await,
        "refused" => outcome(Verdict::NotSubscribed, State::Refused, hour).await,
        "disputed" => outcome(Verdict::Duplicate, State::Disputed, None).await,
        "found billed" => ledger.write_success_found(record, None, now, now).await,
        "expired" => ledger.write_state(record, State::Expired, "x", now).await,
        "unconfirmed" => {
            ledger
                .write_state(record, State::Unconfirmed, "x", now)
                .await
        }
        "inferred" => ledger.write_inferred(record, now).await,
        "conflict" => {
            ledger
                .write_conflict(record, "4".parse().unwrap(), None, now)
                .await
        }
        "looked at again" => {
            ledger
                .postpone_audit(record, Some(later), Some("why"))
                .await
        }
        "looked at for the last time" => ledger.postpone_audit(record, None, None).await,
        "made urgent" => ledger.make_urgent(record, later, now).await,
        "made ordinary" => ledger.make_ordinary(record).await,
        "transmissions" => {
            ledger
                .add_transmissions(&record.slot, record.sent, None)
                .await
        }
        "held" => {
            let held = movement(record, MovementKind::Held, None);
            ledger.move_quantity(record, &held).await
        }
        "carried" => {
            let kind = MovementKind::Carried { target, into: None };
            let of = (record.open_holds > 0).then_some(record.movements);
            ledger
                .move_quantity(record, &movement(record, kind, of))
                .await
        }
        "closed by a person" => {
            let moved = movement(record, MovementKind::WrittenOff, None);
            ledger.close_record(record, &moved).await
        }
        _ => unreachable!("{cause}"),
    }
    .unwrap()
}

/// Checks that a record and its other items have an end exactly if the record is closed.
async fn check(world: &World, slot: &Slot, case: &str) {
    let stored = read(world, slot).await;
    let until = world.ledger.retention().ends(slot.hour).as_second();
    let due = stored.is_closed().then_some(until);
    let (end, children) = ends(world, slot).await;
    assert_eq!(end, due, "{case}: {stored:?}");
    if due.is_none() {
        assert!(children.iter().all(Option::is_none), "{case}: {children:?}");
    }
    world.ledger.settle_life_span(slot).await.unwrap();
    let (end, children) = ends(world, slot).await;
    assert_eq!(end, due, "{case}");
    assert!(
        children.iter().all(|end| *end == due),
        "{case}: {children:?}"
    );
    let again = world.ledger.settle_life_span(slot).await.unwrap();
    assert_eq!(again, 0, "{case}");
}

#[test]
fn a_record_has_an_end_exactly_while_nothing_is_open_about_it() {
    on_a_thread(|| {
        Executor::default().finish(async {
            for state in State::ALL {
                for before in ["", "held", "carried"] {
                    let world = world();
                    for (n, cause) in CAUSES.into_iter().enumerate() {
                        let case = format!("{state}, {before}, {cause}");
                        let record = record(&format!("d{n:02}"), state);
                        world.ledger.create_record(&record).await.unwrap();
                        check(&world, &record.slot, &case).await;
                        let mut stored = record;
                        if !before.is_empty() {
                            assert_eq!(write(&world, &stored, before).await, Written::Done);
                            check(&world, &stored.slot, &case).await;
                            stored = read(&world, &stored.slot).await;
                        }
                        write(&world, &stored, cause).await;
                        check(&world, &stored.slot, &case).await;
                        // A closed record opens again when its usage is held, and closes when a
                        // person decides about the hold.
                        let then = ["held", "carried", "accepted"];
                        for then in then.into_iter().filter(|_| before.is_empty()) {
                            let stored = read(&world, &stored.slot).await;
                            assert_eq!(write(&world, &stored, then).await, Written::Done);
                            check(&world, &stored.slot, &format!("{case}, {then}")).await;
                        }
                    }
                }
            }
        });
    });
}

#[test]
fn a_success_does_not_close_a_record_whose_usage_is_held_meanwhile() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let world = world();
            let sealed = record("gb", State::Sealed);
            world.ledger.create_record(&sealed).await.unwrap();
            assert_eq!(write(&world, &sealed, "held").await, Written::Done);
            // The writer of the success read the record before the hold.
            assert_eq!(write(&world, &sealed, "accepted").await, Written::Done);
            let stored = read(&world, &sealed.slot).await;
            assert_eq!((stored.state, stored.open_holds), (State::Accepted, 1));
            check(&world, &sealed.slot, "held meanwhile").await;
            // The writer of the next success read the record before the decision.
            assert_eq!(write(&world, &stored, "carried").await, Written::Done);
            assert_eq!(write(&world, &stored, "accepted").await, Written::Done);
            let decided = read(&world, &sealed.slot).await;
            assert!(decided.is_closed(), "{decided:?}");
            check(&world, &sealed.slot, "decided meanwhile").await;
        });
    });
}

#[test]
fn allocations_in_items_of_their_own_expire_with_their_record() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let world = world();
            let mut large = record("gb", State::Sealed);
            large.allocations = (0..ALLOCATIONS_MAX)
                .map(|n| Allocation {
                    tags: TagSet::try_from(Tags::from([("team".to_owned(), format!("{n:0>200}"))]))
                        .unwrap(),
                    quantity: "0.002".parse().unwrap(),
                })
                .collect();
            world.ledger.create_record(&large).await.unwrap();
            assert_eq!(ends(&world, &large.slot).await, (None, vec![None, None]));
            assert_eq!(write(&world, &large, "accepted").await, Written::Done);
            let until = Some(world.ledger.retention().ends(large.slot.hour).as_second());
            let closed = (until, vec![until, until]);
            assert_eq!(ends(&world, &large.slot).await, closed);
            let stored = read(&world, &large.slot).await;
            assert_eq!(write(&world, &stored, "held").await, Written::Done);
            let open = (None, vec![None, None, None]);
            assert_eq!(ends(&world, &large.slot).await, open);
            // All items expire together, once no hold is open.
            let stored = read(&world, &large.slot).await;
            assert_eq!(write(&world, &stored, "carried").await, Written::Done);
            let closed = (until, vec![until; 4]);
            assert_eq!(ends(&world, &large.slot).await, closed);
        });
    });
}

fn usage(hour: &str, quantity: &str) -> UsageEvent {
    let hour: UsageHour = hour.parse().unwrap();
    UsageEvent {
        dimension: "gb".parse().unwrap(),
        id: format!("of-{hour}").parse().unwrap(),
        quantity: quantity.parse().unwrap(),
        time: hour.start() + Duration::from_secs(1_500),
        tags: TagSet::untagged(),
    }
}

/// Sets up a buyer whose usage of one hour is sealed, and not sent.
async fn sealed_once(world: &World) -> Subscription {
    let listing = Listing {
        code: "closedproduct".to_owned(),
        identity: IdentityKind::Customer,
        dimensions: vec!["gb".to_owned()],
    };
    world.list(&listing).await;
    let (agreement, subscription) = world.subscribe(&listing);
    world.register(&agreement.registration_token).await;
    world.deliver_lifecycle().await;
    world.set_time(at("2026-11-21T08:35:00Z"));
    world.seal().await.unwrap();
    world
        .report(&subscription, &usage("2026-11-21T09", "2"))
        .await;
    for time in ["2026-11-21T09:35:00Z", "2026-11-21T10:35:00Z"] {
        world.set_time(at(time));
        world.seal().await.unwrap();
    }
    subscription
}

/// Sets up a buyer whose usage of one hour is billed.
async fn billed_once(world: &World) -> Subscription {
    let subscription = sealed_once(world).await;
    world.set_time(at("2026-11-21T10:45:00Z"));
    world.sweep().await.unwrap();
    let records = world
        .ledger
        .records_with_prefix(&subscription, "r#")
        .await
        .unwrap();
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0].state, State::Accepted);
    subscription
}

#[test]
fn after_the_retention_closed_records_are_gone_and_open_ones_stay() {
    on_a_thread(|| Executor::default().finish(age()));
}

async fn age() {
    let world = world();
    let billed = billed_once(&world).await;
    // One hour has a closed record with a movement, an unconfirmed record with a movement, and a
    // record with held usage.
    for (dimension, state, cause) in [
        ("closed", State::Accepted, "carried"),
        ("doubtful", State::Unconfirmed, "carried"),
        ("held", State::Accepted, "held"),
    ] {
        let record = record(dimension, state);
        world.ledger.create_record(&record).await.unwrap();
        assert_eq!(write(&world, &record, cause).await, Written::Done);
    }
    let nobodys = json!({"Records": [put("nobody@yesterday", "gb#1")]});
    world.deliver_usage(&nobodys).await.unwrap();
    assert_eq!(
        world.ledger.itemised_unattributed(9).await.unwrap().0.len(),
        1
    );
    world.sweep_ttl();
    assert_eq!(sorts(&world, BUYER).await.len(), 6);

    world.set_time(at("2028-12-22T12:00:00Z"));
    // The open month has a record with its row.
    let mut open = record("gb", State::Accepted);
    open.slot.subscription = billed.clone();
    open.slot.hour = "2028-12-22T09".parse().unwrap();
    world.ledger.create_record(&open).await.unwrap();
    let row = usage("2028-12-22T09", "5");
    world.report(&billed, &row).await;
    let month = async || {
        let (first, last) = ("2028-12-01T00", "2028-12-22T12");
        let (first, last) = (first.parse().unwrap(), last.parse().unwrap());
        of_all(&world.ledger, first, last, |_| {}).await.unwrap()
    };
    let before = month().await;
    assert_eq!(before.accepted.to_string(), "5");
    assert!(world.sweep_ttl() > 0);

    let left = [
        "c#2026-11-21T02#doubtful#1",
        "c#2026-11-21T02#held#1",
        "r#2026-11-21T02#doubtful",
        "r#2026-11-21T02#held",
    ];
    assert_eq!(sorts(&world, BUYER).await, left);
    let of_billed = world.ledger.records_with_prefix(&billed, "r#").await;
    let of_billed: Vec<UsageHour> = of_billed.unwrap().iter().map(|r| r.slot.hour).collect();
    assert_eq!(of_billed, [open.slot.hour]);
    assert_eq!(world.ledger.itemised_unattributed(9).await.unwrap().0, []);
    assert_eq!(month().await, before);
    // The terms of the subscription, which decisions need, are kept. The received events are gone.
    let profile = world.ledger.profile(&billed).await.unwrap().unwrap();
    assert!(profile.terms().is_some());
    let events = clients::dynamodb(&world.wire)
        .scan()
        .table_name(&world.ledger.tables().subscriptions)
        .filter_expression("begins_with(#item, :event)")
        .expression_attribute_names("#item", "item")
        .expression_attribute_values(":event", AttributeValue::S("event#".to_owned()))
        .send()
        .await
        .unwrap();
    assert_eq!(events.items(), []);
}

/// The kinds of the items in Subscriptions: their sort keys up to the first `#`.
async fn kinds(world: &World) -> BTreeSet<String> {
    let scanned = clients::dynamodb(&world.wire)
        .scan()
        .table_name(&world.ledger.tables().subscriptions)
        .send()
        .await
        .unwrap();
    assert_eq!(scanned.last_evaluated_key(), None);
    let sorts = scanned.items().iter().map(|item| item["item"].as_s());
    let kinds = sorts.map(|sort| sort.unwrap().split('#').next().unwrap().to_owned());
    kinds.collect()
}

#[test]
fn of_what_is_known_about_subscriptions_only_events_and_used_tickets_expire() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let world = world();
            let registered = billed_once(&world).await;
            let ledger = &world.ledger;
            let now = at("2026-11-21T10:45:00Z");
            let typed = BTreeMap::from([("name".to_owned(), "Jane Doe".to_owned())]);
            let completed = ledger.complete_contact(&registered, &typed, now).await;
            completed.unwrap();
            let written = ledger.write_page_settings(None, "{}").await;
            assert_eq!(written.unwrap(), Written::Done);
            let used = ledger
                .use_ticket("0123456789abcdef", "request 1", now)
                .await;
            assert_eq!(used.unwrap(), TicketUse::Granted);
            let kept = [
                "configuration",
                "contact",
                "facts",
                "joint",
                "link",
                "profile",
                "subscription",
            ];
            let kept: BTreeSet<String> = kept.map(str::to_owned).into();
            let mut all = kept.clone();
            all.extend(["event", "used"].map(str::to_owned));
            assert_eq!(kinds(&world).await, all);
            // A ticket is valid for minutes, and its use is remembered for a day.
            world.set_time(now + SignedDuration::from_hours(23));
            world.sweep_ttl();
            let again = ledger
                .use_ticket("0123456789abcdef", "request 2", now)
                .await;
            assert_eq!(again.unwrap(), TicketUse::AlreadyUsed);
            world.set_time(at("2030-01-01T00:00:00Z"));
            assert!(world.sweep_ttl() > 0);
            assert_eq!(kinds(&world).await, kept);
        });
    });
}

/// The time from which an item of MeteringRecords may be removed; `None` if there is no such item.
///
/// # Panics
///
/// If the item has no end.
async fn end_of(world: &World, partition: &str, sort: &str) -> Option<Timestamp> {
    let item = items(world, partition, sort).await.into_iter();
    let mut item = item.filter(|item| item["item"].as_s().unwrap() == sort);
    let end = item.next()?.get("expires_at").expect("an end").clone();
    Some(Timestamp::from_second(end.as_n().unwrap().parse().unwrap()).unwrap())
}

#[test]
fn the_sums_and_the_note_of_a_proved_day_expire_no_earlier_than_its_records() {
    on_a_thread(|| Executor::default().finish(age_of_a_day()));
}

async fn age_of_a_day() {
    let world = world();
    let billed = billed_once(&world).await;
    let name = billed.to_string();
    world.set_time(at("2026-11-22T07:31:00Z"));
    world.seal().await.unwrap();
    world.set_time(at("2026-11-22T07:40:00Z"));
    let proved = world.reconcile_task(Task::Prove(None)).await.unwrap();
    assert_eq!((proved.days_proved, proved.balanced), (2, Some(true)));
    let sums = async || end_of(&world, &name, "d#2026-11-21").await;
    let note = async || end_of(&world, &name, "d#2026-11-21#changed").await;
    let (hour, last): (UsageHour, UsageHour) = (
        "2026-11-21T09".parse().unwrap(),
        "2026-11-21T23".parse().unwrap(),
    );
    let retention = world.ledger.retention();
    // The proof began after the day's end, so the sums stay a little longer than the day's records.
    let proved = at("2026-11-22T07:40:00Z");
    assert_eq!(sums().await, Some(retention.after(proved)));
    assert!(sums().await > Some(retention.ends(last)));
    // Each change gives the note a new end, for example when a person decides after half a year.
    for (time, reaches) in [
        ("2026-11-22T10:00:00Z", "2026-11-22T10:05:00Z"),
        ("2027-06-01T08:00:00Z", "2027-06-01T08:05:00Z"),
    ] {
        let flagged = world.ledger.flag_late(&billed, hour, at(time)).await;
        flagged.unwrap();
        assert_eq!(note().await, Some(retention.after(at(reaches))), "{time}");
    }
    // A proof long after the day, for example because of a note, gives the sums a new end as well.
    let first = "2026-11-21T00".parse().unwrap();
    let days = world
        .ledger
        .proved_days(&billed, first, last, at("2027-06-01T08:00:00Z"));
    let mut again = days.await.unwrap().sums.remove(&first).unwrap();
    again.proved_at = at("2027-06-02T08:00:00Z");
    world.ledger.put_day(&billed, &again).await.unwrap();
    assert_eq!(sums().await, Some(retention.after(again.proved_at)));

    world.set_time(retention.ends(last) + SignedDuration::from_hours(24));
    assert!(world.sweep_ttl() > 0);
    assert!(sums().await.is_some() && note().await.is_some());
    world.set_time(retention.after(again.proved_at) + SignedDuration::from_hours(1));
    assert!(world.sweep_ttl() > 0);
    assert_eq!((sums().await, note().await), (None, None));
}

#[test]
fn an_ended_subscription_is_listed_until_nobody_proves_its_month_any_more() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let world = world();
            let ended: Subscription = BUYER.parse().unwrap();
            let shard = shard_of(&ended);
            let month = Month::of(at("2026-11-21T00:00:00Z"));
            let sort = format!("{month}#{ended}");
            let end = async || end_of(&world, &format!("ended#{shard}"), &sort).await;
            let list = async |now: &str| {
                let listed = world.ledger.list_ended(&ended, month, at(now)).await;
                listed.unwrap();
            };
            let retention = world.ledger.retention();
            list("2026-11-21T08:20:00Z").await;
            let of_month = retention.ends(month.last_hour());
            assert_eq!(end().await, Some(of_month));
            // The subscription ends once more, long after that month.
            list("2027-06-01T08:00:00Z").await;
            let renewed = retention.after(at("2027-06-01T08:00:00Z"));
            assert_eq!(end().await, Some(renewed));
            world.set_time(of_month + SignedDuration::from_hours(24));
            world.sweep_ttl();
            let page = world.ledger.ended_page(shard, month, None).await.unwrap();
            assert_eq!(page.subscriptions, std::slice::from_ref(&ended));
            world.set_time(renewed + SignedDuration::from_hours(1));
            world.sweep_ttl();
            let page = world.ledger.ended_page(shard, month, None).await.unwrap();
            assert_eq!(page.subscriptions, []);
        });
    });
}

/// The items of MeteringRecords that stay without an end, by the beginnings of their keys. Either
/// their number is constant, or there is at most one for each subscription.
const WITHOUT_END: [(&str, &str); 6] = [
    ("stack", ""),
    ("shard#", "progress"),
    ("sweeps", ""),
    ("audit", "progress"),
    ("places", ""),
    ("", "p#recount"),
];

#[test]
fn items_whose_number_grows_expire() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let world = world();
            let billed = billed_once(&world).await;
            let nobodys = json!({"Records": [put("nobody@yesterday", "gb#1")]});
            world.deliver_usage(&nobodys).await.unwrap();
            for time in ["2026-11-22T07:31:00Z", "2026-11-22T07:40:00Z"] {
                world.set_time(at(time));
                world.seal().await.unwrap();
                world.reconcile().await.unwrap();
            }
            let now = at("2026-11-22T10:00:00Z");
            let hour = "2026-11-21T09".parse().unwrap();
            // Late usage of a proved day arrives and is carried.
            world.set_time(now);
            let mut late = usage("2026-11-21T09", "1");
            late.id = "late".parse().unwrap();
            world.report(&billed, &late).await;
            world.ledger.flag_late(&billed, hour, now).await.unwrap();
            world.seal().await.unwrap();
            let month = Month::of(now);
            let listed = world.ledger.list_ended(&billed, month, now).await;
            listed.unwrap();
            let all = clients::dynamodb(&world.wire)
                .scan()
                .table_name(&world.ledger.tables().metering_records)
                .send()
                .await
                .unwrap();
            let key = |item: &Item, name: &str| item[name].as_s().unwrap().clone();
            let (mut kinds, mut endless) = (BTreeSet::new(), Vec::new());
            for item in all.items() {
                let (partition, sort) = (key(item, "subscription"), key(item, "item"));
                kinds.extend(sort.split_once('#').map(|(kind, _)| kind.to_owned()));
                let may_stay = WITHOUT_END
                    .iter()
                    .any(|(p, s)| partition.starts_with(p) && sort.starts_with(s));
                if !item.contains_key("expires_at") && !may_stay {
                    endless.push(format!("{partition} / {sort}"));
                }
            }
            assert!(endless.is_empty(), "{endless:#?}");
            for kind in ["2026-11", "c", "d", "r", "x"] {
                assert!(kinds.contains(kind), "{kind} is not in {kinds:?}");
            }
        });
    });
}

/// Runs the sealer with so little time that it cannot seal all hours until now. It settles flagged
/// hours nevertheless.
async fn seal_a_little(world: &World) -> sealer::Report {
    let budget = Budget::of(Duration::from_secs(1));
    world.seal_within(budget).await.unwrap()
}

async fn sorts(world: &World, partition: &str) -> Vec<String> {
    let sort = |item: &Item| item["item"].as_s().unwrap().clone();
    let mut sorts = Vec::new();
    for kind in ["a#", "c#", "l#", "r#", "x#"] {
        sorts.extend(items(world, partition, kind).await.iter().map(sort));
    }
    sorts
}

fn put(partition: &str, row: &str) -> Value {
    json!({"eventName": "INSERT", "dynamodb": {
        "Keys": {"subscription_hour": {"S": partition}, "dimension_event": {"S": row}},
        "SequenceNumber": "1",
    }})
}

#[test]
fn a_removal_by_ttl_wakes_nobody() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let world = world();
            let billed = billed_once(&world).await;
            let calls = world.wire.calls();
            world.set_time(at("2028-12-22T12:00:00Z"));
            assert!(world.sweep_ttl() > 0);
            world.wire.follow(Box::new(|call| {
                panic!("{} calls {}", call.function, call.operation);
            }));
            let later = at("2028-12-22T12:05:00Z");
            world.pump_records(later).await;
            world.pump_usage(later).await;
            world.wire.heal();
            assert_eq!(world.wire.calls(), calls);
            let left = world.ledger.records_with_prefix(&billed, "r#").await;
            assert_eq!(left.unwrap(), []);
        });
    });
}

#[test]
fn rows_that_expired_are_not_metered_too_much() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let world = world();
            let billed = billed_once(&world).await;
            let hour: UsageHour = "2026-11-21T09".parse().unwrap();
            let now = at("2027-03-02T12:00:00Z");
            world.set_time(now);
            let row = format!("gb#of-{hour}");
            world.delete_row(&format!("{billed}@{hour}"), &row).await;
            world.ledger.flag_late(&billed, hour, now).await.unwrap();
            let flagged = async || world.ledger.late_flag(&billed, hour).await.unwrap();
            let mut over = 0;
            while flagged().await.is_some() {
                over += seal_a_little(&world).await.over_metered;
            }
            assert_eq!(over, 0);
        });
    });
}

/// A record was never sent, and it is judged three months later. Rows are kept for a hundred days
/// only. After that, a recount may not find the usage of the record.
#[test]
fn usage_that_was_not_billed_stays_held_once_its_rows_may_have_expired() {
    for (time, is_usage_gone) in [
        ("2027-03-01T08:59:59Z", false),
        ("2027-03-01T09:00:00Z", true),
    ] {
        on_a_thread(|| Executor::default().finish(judge_late(time, is_usage_gone)));
    }
}

async fn judge_late(time: &str, is_usage_gone: bool) {
    let world = World::with_source(at("2026-11-21T08:20:00Z"), 7, Source::Trail);
    let subscription = sealed_once(&world).await;
    let hour: UsageHour = "2026-11-21T09".parse().unwrap();
    world.set_time(at("2026-11-22T09:01:00Z"));
    let expired = world.reconcile_task(Task::Expire).await.unwrap();
    assert_eq!(expired.unconfirmed, 1, "{expired:?}");
    // A call that bills nothing shows that the trail reaches so far.
    world.set_time(at("2027-03-01T08:00:00Z"));
    let metering = &world.functions.submitter.metering;
    let witness = metering.batch_meter_usage_raw(json!({"UsageRecords": []}));
    witness.await.unwrap();
    if is_usage_gone {
        let row = format!("gb#of-{hour}");
        let partition = format!("{subscription}@{hour}");
        world.delete_row(&partition, &row).await;
    }
    world.set_time(at(time));
    let report = world.reconcile_task(Task::Judge).await.unwrap();
    let found = (report.audit.expired, report.audit.given_up);
    let expected = (u64::from(!is_usage_gone), u64::from(is_usage_gone));
    assert_eq!(found, expected, "{report:?}");
    let records = world.ledger.records_with_prefix(&subscription, "r#").await;
    let records = records.unwrap();
    let record = &records[0];
    let flag = world.ledger.late_flag(&subscription, hour).await.unwrap();
    assert_eq!(flag.is_some(), !is_usage_gone);
    if !is_usage_gone {
        assert_eq!(record.state, State::Expired);
        return;
    }
    // The record waits for a person, however long that takes.
    assert_eq!((record.state, record.due), (State::Unconfirmed, None));
    let doubt = world.ledger.doubt_about(&record.slot).await.unwrap();
    let doubt = doubt.expect("a reason");
    assert!(doubt.contains("its rows may have expired"), "{doubt}");
    world.set_time(at("2028-12-22T12:00:00Z"));
    world.sweep_ttl();
    assert_eq!(read(&world, &record.slot).await, *record);
}

#[test]
fn an_hour_whose_records_are_gone_is_not_counted_again() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let mut world = world();
            let shortest = Retention::from_months(4).unwrap();
            let ledger = world.ledger.clone().keeping(shortest);
            world.functions.sealer.ledger = ledger.clone();
            world.functions.submitter.ledger = ledger.clone();
            world.functions.late_usage.ledger = ledger;
            let billed = billed_once(&world).await;
            let hour: UsageHour = "2026-11-21T09".parse().unwrap();
            world.set_time(at("2027-03-22T12:00:00Z"));
            assert!(world.sweep_ttl() > 0);
            // Rows live longer than the records, and a late row comes to this hour.
            let late = json!({"Records": [put(&format!("{billed}@{hour}"), "gb#late")]});
            world.deliver_usage(&late).await.unwrap();
            let (itemised, _) = world.ledger.itemised_unattributed(9).await.unwrap();
            assert_eq!(itemised[0].code, "hour-too-old");
            assert_eq!(world.ledger.late_flag(&billed, hour).await.unwrap(), None);
            // A flag that was put while the records still existed is removed without a recount.
            let now = at("2027-03-22T12:00:00Z");
            world.ledger.flag_late(&billed, hour, now).await.unwrap();
            while world
                .ledger
                .late_flag(&billed, hour)
                .await
                .unwrap()
                .is_some()
            {
                let report = seal_a_little(&world).await;
                let counted = (report.movements, report.records_sealed);
                assert_eq!(counted, (0, 0), "{report:?}");
            }
            let left = world.ledger.records_with_prefix(&billed, "r#").await;
            assert_eq!(left.unwrap(), []);
        });
    });
}
