//! A damaged item, or an hour that cannot be settled yet, does not keep the sealer from other work.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use emulator::{AgreementView, Metered};
use jiff::SignedDuration;
use ledger::shard_of;
use ledger::usage_event::to_item;
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, Subscription, TagSet, Tags, UsageHour};
use simulation::at;
use simulation::bill::billed;
use simulation::clients;
use simulation::run::{Executor, on_a_thread};
use simulation::wire::Fate;
use simulation::world::{Listing, World};

const BUYERS: usize = 8;
const HOUR: &str = "2026-11-21T09";
/// An hour that is sealed when the tests begin.
const SEALED_HOUR: &str = "2026-11-21T08";
/// So many tag sets that a record keeps its allocations in a separate item.
const TAG_SETS: usize = 45;

/// A world whose tables are changed by hand.
struct Damaged {
    world: World,
    client: Client,
    buyers: Vec<Subscription>,
}

impl Damaged {
    /// A world of buyers with usage in an hour that is due at 10:30. Either all are new, or all are
    /// in the rounds.
    async fn with_buyers(are_new: bool) -> Self {
        let world = World::at(at("2026-11-21T08:20:00Z"), 7);
        let client = clients::dynamodb(&world.wire);
        let listing = Listing {
            code: "damagedproduct".to_owned(),
            identity: IdentityKind::License,
            dimensions: vec!["gb".to_owned()],
        };
        world.list(&listing).await;
        let mut buyers = Vec::new();
        for _ in 0..BUYERS {
            let (agreement, subscription) = world.subscribe(&listing);
            world.register(&agreement.registration_token).await;
            world.deliver_lifecycle().await;
            buyers.push(subscription);
        }
        for time in ["2026-11-21T08:30:00Z", "2026-11-21T09:31:00Z"] {
            world.set_time(at(time));
            world.seal().await.unwrap();
            if !are_new {
                world.reconcile().await.unwrap();
            }
        }
        for buyer in &buyers {
            report(&world, buyer, HOUR).await;
        }
        Self {
            world,
            client,
            buyers,
        }
    }

    /// Sets one attribute of an item of Subscriptions to another value, or removes it.
    async fn change(&self, partition: &str, sort: &str, name: &str, value: Option<AttributeValue>) {
        let table = &self.world.ledger.tables().subscriptions;
        self.change_in(table, partition, sort, name, value).await;
    }

    async fn change_in(
        &self,
        table: &str,
        partition: &str,
        sort: &str,
        name: &str,
        value: Option<AttributeValue>,
    ) {
        let request = self
            .client
            .update_item()
            .table_name(table)
            .key("subscription", AttributeValue::S(partition.to_owned()))
            .key("item", AttributeValue::S(sort.to_owned()))
            .condition_expression("attribute_exists(#version)")
            .expression_attribute_names("#name", name)
            .expression_attribute_names("#version", "version");
        let request = match value {
            Some(value) => request
                .update_expression("SET #name = :value")
                .expression_attribute_values(":value", value),
            None => request.update_expression("REMOVE #name"),
        };
        request.send().await.unwrap();
    }

    /// Puts an item that none of the functions wrote.
    async fn put(&self, table: &str, attributes: &[(&str, AttributeValue)]) {
        let mut request = self.client.put_item().table_name(table);
        for (name, value) in attributes {
            request = request.item(*name, value.clone());
        }
        request.send().await.unwrap();
    }

    /// Runs the sealer ten times. Each run must complete. Returns how many damaged items they
    /// reported.
    async fn run_ten_times(&self) -> u64 {
        let mut damaged = 0;
        let mut now = at("2026-11-21T10:31:00Z");
        for _ in 0..10 {
            self.world.set_time(now);
            self.world.pump_usage(now).await;
            damaged += self.world.seal().await.unwrap().damaged;
            self.world.sweep().await.unwrap();
            self.world.pump_records(now).await;
            now += SignedDuration::from_mins(5);
        }
        damaged
    }

    /// Delivers the rows of [`SEALED_HOUR`] that were just reported, and recounts the hour. Returns
    /// the number of records that were sealed.
    async fn recount_sealed_hour(&self) -> u64 {
        for time in ["2026-11-21T09:33:00Z", "2026-11-21T09:35:00Z"] {
            self.world.set_time(at(time));
            self.world.pump_usage(at(time)).await;
        }
        let sealed = self.world.seal().await.unwrap();
        assert!(sealed.flags_cleared > 0, "{sealed:?}");
        sealed.records_sealed
    }

    /// The items of a buyer in MeteringRecords whose sort keys begin with `prefix`.
    async fn items(
        &self,
        buyer: &Subscription,
        prefix: &str,
    ) -> Vec<HashMap<String, AttributeValue>> {
        let answer = self
            .client
            .query()
            .table_name(&self.world.ledger.tables().metering_records)
            .key_condition_expression("#p = :p AND begins_with(#s, :s)")
            .expression_attribute_names("#p", "subscription")
            .expression_attribute_names("#s", "item")
            .expression_attribute_values(":p", AttributeValue::S(buyer.to_string()))
            .expression_attribute_values(":s", AttributeValue::S(prefix.to_owned()))
            .send()
            .await
            .unwrap();
        answer.items.unwrap_or_default()
    }

    /// The hours for which a buyer is billed, with the quantities.
    fn bill_of(&self, buyer: &Subscription) -> Vec<String> {
        let buyer = buyer.to_string();
        let slots = billed(&self.world);
        let of_buyer = slots.iter().filter(|((who, _, _), _)| *who == buyer);
        of_buyer
            .map(|((_, _, hour), quantity)| format!("{hour} {quantity}"))
            .collect()
    }

    /// The number of buyers who are billed for the hour.
    fn billed(&self) -> usize {
        let hour: UsageHour = HOUR.parse().unwrap();
        let slots = billed(&self.world);
        slots.keys().filter(|(_, _, of)| *of == hour).count()
    }
}

fn on_damaged<Work>(are_new: bool, work: impl Fn(Arc<Damaged>) -> Work + Send + Copy + 'static)
where
    Work: Future<Output = ()> + 'static,
{
    on_a_thread(move || {
        Executor::default().finish(async move {
            let damaged = Arc::new(Damaged::with_buyers(are_new).await);
            work(damaged).await;
        });
    });
}

#[test]
fn a_damaged_profile_keeps_nobody_else_from_being_sealed() {
    let damages = [
        ("product_code", None),
        ("product_code", Some(AttributeValue::N("7".to_owned()))),
        ("signs", Some(AttributeValue::S("lately".to_owned()))),
        ("version", None),
    ];
    for are_new in [false, true] {
        for (name, value) in damages.clone() {
            on_a_thread(|| {
                Executor::default().finish(async move {
                    let damaged = Damaged::with_buyers(are_new).await;
                    let victim = damaged.buyers[3].to_string();
                    damaged.change(&victim, "profile", name, value).await;
                    assert!(damaged.run_ten_times().await > 0);
                    assert_eq!(damaged.billed(), BUYERS - 1, "{name}");
                });
            });
        }
    }
}

#[test]
fn usage_of_a_damaged_profile_is_billed_after_its_repair() {
    on_damaged(false, |damaged| async move {
        let victim = damaged.buyers[3].to_string();
        damaged
            .change(&victim, "profile", "product_code", None)
            .await;
        assert!(damaged.run_ten_times().await > 0);
        let code = AttributeValue::S("damagedproduct".to_owned());
        damaged
            .change(&victim, "profile", "product_code", Some(code))
            .await;
        let now = at("2026-11-21T12:20:00Z");
        damaged.world.set_time(now);
        let report = damaged.world.seal().await.unwrap();
        assert_eq!((report.damaged, report.left_flagged), (0, 0), "{report:?}");
        damaged.world.set_time(now + SignedDuration::from_mins(6));
        damaged.world.sweep().await.unwrap();
        assert_eq!(damaged.billed(), BUYERS);
    });
}

#[test]
fn an_index_item_that_names_nobody_keeps_nobody_from_being_sealed() {
    on_damaged(true, |damaged| async move {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        for shard in 0..8 {
            damaged
                .put(
                    &damaged.world.ledger.tables().subscriptions,
                    &[
                        ("subscription", text(&format!("nobody{shard}"))),
                        ("item", text("profile")),
                        ("live", text(&shard.to_string())),
                        ("attention", text("yes")),
                    ],
                )
                .await;
        }
        assert!(damaged.run_ten_times().await > 0);
        assert_eq!(damaged.billed(), BUYERS);
    });
}

#[test]
fn a_damaged_product_is_metered_as_one_without_configuration() {
    on_damaged(false, |damaged| async move {
        let value = Some(AttributeValue::S("gb".to_owned()));
        let product = "product|damagedproduct";
        damaged
            .change(product, "configuration", "dimensions", value)
            .await;
        assert!(damaged.run_ten_times().await > 0);
        assert_eq!(damaged.billed(), BUYERS);
    });
}

#[test]
fn a_shard_with_a_damaged_progress_keeps_no_other_from_being_sealed() {
    on_damaged(false, |damaged| async move {
        let shard = shard_of(&damaged.buyers[0]);
        let table = damaged.world.ledger.tables().metering_records.clone();
        let value = Some(AttributeValue::N("9".to_owned()));
        damaged
            .change_in(
                &table,
                &format!("shard#{shard}"),
                "progress",
                "sealed_through",
                value,
            )
            .await;
        assert!(damaged.run_ten_times().await > 0);
        let others = damaged.buyers.iter().filter(|b| shard_of(b) != shard);
        // The stream may have flagged some hours of the damaged shard itself.
        assert!(damaged.billed() >= others.count());
    });
}

/// No other item says which rows may have been read, so nothing is sealed until the watermark is
/// corrected. The submitter and the reconciler do what does not depend on it.
#[test]
fn while_the_watermark_is_damaged_records_are_sent_and_no_row_is_lost() {
    let damages = [
        None,
        Some(AttributeValue::S("soon".to_owned())),
        Some(AttributeValue::N("9".to_owned())),
    ];
    for value in damages {
        on_a_thread(|| Executor::default().finish(wait_for_watermark(value)));
    }
}

async fn wait_for_watermark(value: Option<AttributeValue>) {
    let damaged = Damaged::with_buyers(false).await;
    let (world, buyer) = (&damaged.world, &damaged.buyers[0]);
    // This record is sealed before the damage, and sent after it.
    report(world, buyer, SEALED_HOUR).await;
    assert_eq!(damaged.recount_sealed_hour().await, 1);
    let table = world.ledger.tables().metering_records.clone();
    let change = async |value| {
        let (partition, sort) = ("stack", "watermark");
        damaged
            .change_in(&table, partition, sort, "sealing_through", value)
            .await;
    };
    change(value).await;
    world.set_time(at("2026-11-21T10:29:00Z"));
    let late = UsageEvent {
        id: "late".parse().unwrap(),
        ..event_of(SEALED_HOUR.parse().unwrap())
    };
    world.report(buyer, &late).await;
    for time in ["2026-11-21T10:29:00Z", "2026-11-21T10:31:00Z"] {
        world.set_time(at(time));
        world.pump_usage(at(time)).await;
    }
    let error = world.seal().await.unwrap_err();
    assert!(error.contains("stack / watermark"), "{error}");
    world.sweep().await.unwrap();
    assert_eq!(damaged.bill_of(buyer), ["2026-11-21T08 1"]);
    let reconciled = world.reconcile().await.unwrap();
    assert_eq!(reconciled.damaged, ["stack / watermark"]);
    assert!(!reconciled.finished, "{reconciled:?}");

    change(Some(AttributeValue::S(SEALED_HOUR.to_owned()))).await;
    assert_eq!(damaged.run_ten_times().await, 0);
    assert_eq!(damaged.billed(), BUYERS);
    bill_carried_usage(world, "2026-11-21T10").await;
    let bill = ["2026-11-21T08 1", "2026-11-21T09 1", "2026-11-21T10 1"];
    assert_eq!(damaged.bill_of(buyer), bill);
    assert_eq!(billed(world).len(), BUYERS + 2);
}

/// Seals and sends the records of an hour, into which late usage was carried.
async fn bill_carried_usage(world: &World, hour: &str) {
    let hour: UsageHour = hour.parse().unwrap();
    world.set_time(hour.end() + SignedDuration::from_mins(31));
    world.seal().await.unwrap();
    world.set_time(hour.end() + SignedDuration::from_mins(37));
    world.sweep().await.unwrap();
}

#[test]
fn a_watermark_with_a_damaged_version_is_raised_nevertheless() {
    for value in [None, Some(AttributeValue::S("one".to_owned()))] {
        on_a_thread(|| {
            Executor::default().finish(async move {
                let damaged = Damaged::with_buyers(false).await;
                let table = damaged.world.ledger.tables().metering_records.clone();
                damaged
                    .change_in(&table, "stack", "watermark", "version", value)
                    .await;
                assert_eq!(damaged.run_ten_times().await, 0);
                assert_eq!(damaged.billed(), BUYERS);
            });
        });
    }
}

/// A record whose allocations are damaged is neither sent nor counted. Everything else of the buyer
/// is billed, and after the repair so is the record, with the allocations that were frozen.
#[test]
fn damaged_allocations_keep_only_their_own_record_from_being_sent_and_counted() {
    let text = |text: &str| Some(AttributeValue::S(text.to_owned()));
    let damages = [
        None,
        text("[["),
        // These allocations could be sent, but they are not those that were frozen.
        text(r#"[["45",{}]]"#),
        Some(AttributeValue::N("45".to_owned())),
    ];
    for value in damages {
        on_a_thread(|| Executor::default().finish(wait_for_allocations(value)));
    }
}

async fn wait_for_allocations(value: Option<AttributeValue>) {
    let damaged = Damaged::with_buyers(false).await;
    let world = &damaged.world;
    let (victim, other) = (&damaged.buyers[3], &damaged.buyers[4]);
    for n in 0..TAG_SETS {
        let team = Tags::from([("team".to_owned(), format!("{n:0>200}"))]);
        let event = UsageEvent {
            id: format!("tagged-{n}").parse().unwrap(),
            tags: TagSet::try_from(team).unwrap(),
            ..event_of(SEALED_HOUR.parse().unwrap())
        };
        world.report(victim, &event).await;
    }
    assert_eq!(damaged.recount_sealed_hour().await, 1);
    let parts = damaged.items(victim, "a#").await;
    assert_eq!(parts.len(), 1, "{parts:?}");
    let part = parts[0]["item"].as_s().unwrap();
    let frozen = Some(parts[0]["allocations"].clone());
    let table = world.ledger.tables().metering_records.clone();
    let change = async |value| {
        let victim = victim.to_string();
        damaged
            .change_in(&table, &victim, part, "allocations", value)
            .await;
    };
    change(value).await;
    // Both have late usage.
    report(world, victim, SEALED_HOUR).await;
    report(world, other, SEALED_HOUR).await;
    assert!(damaged.run_ten_times().await > 0);
    assert_eq!(damaged.billed(), BUYERS);
    assert_eq!(damaged.bill_of(victim), ["2026-11-21T09 1"]);
    let bill = ["2026-11-21T08 1", "2026-11-21T09 1"];
    assert_eq!(damaged.bill_of(other), bill);
    assert_eq!(world.ledger.damaged(), [format!("{victim} / {part}")]);

    change(frozen).await;
    world.set_time(at("2026-11-21T11:20:00Z"));
    let sealed = world.seal().await.unwrap();
    assert_eq!((sealed.damaged, sealed.movements), (0, 1), "{sealed:?}");
    world.sweep().await.unwrap();
    bill_carried_usage(world, "2026-11-21T11").await;
    let bill = ["2026-11-21T08 45", "2026-11-21T09 1", "2026-11-21T11 1"];
    assert_eq!(damaged.bill_of(victim), bill);
    let metered = world.emulator.metered();
    let is_split = |slot: &&Metered| slot.allocations.len() == TAG_SETS;
    assert_eq!(metered.iter().filter(is_split).count(), 1);
}

#[test]
fn a_damaged_flag_keeps_no_other_from_being_settled() {
    on_damaged(false, |damaged| async move {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let table = damaged.world.ledger.tables().metering_records.clone();
        damaged.world.set_time(at("2026-11-21T10:30:00Z"));
        damaged.world.seal().await.unwrap();
        for buyer in &damaged.buyers {
            let work = format!("late#{}", shard_of(buyer));
            for (item, version) in [
                ("l#soon", text("mark")),
                ("l#2026-11-21T07", AttributeValue::N("1".to_owned())),
            ] {
                damaged
                    .put(
                        &table,
                        &[
                            ("subscription", text(&buyer.to_string())),
                            ("item", text(item)),
                            ("version", version),
                            ("work", text(&work)),
                            ("due", AttributeValue::N("0".to_owned())),
                        ],
                    )
                    .await;
            }
            report(&damaged.world, buyer, "2026-11-21T08").await;
        }
        assert!(damaged.run_ten_times().await > 0);
        assert_eq!(damaged.billed(), BUYERS);
        assert_eq!(billed(&damaged.world).len(), 2 * BUYERS);
    });
}

#[test]
fn a_damaged_place_costs_no_more_than_the_place() {
    on_damaged(true, |damaged| async move {
        let table = damaged.world.ledger.tables().metering_records.clone();
        let text = |text: &str| AttributeValue::S(text.to_owned());
        for pass in ["open", "recount"] {
            damaged
                .put(
                    &table,
                    &[
                        ("subscription", text("places")),
                        ("item", text(pass)),
                        ("place", text("somewhere")),
                    ],
                )
                .await;
        }
        damaged.world.set_time(at("2026-11-21T10:31:00Z"));
        let report = damaged.world.seal().await.unwrap();
        assert!(report.finished, "{report:?}");
        damaged.run_ten_times().await;
        assert_eq!(damaged.billed(), BUYERS);
        // The first run has replaced the place of its pass. Nothing is ending, so there was no
        // recount.
        let ledger = damaged.world.ledger.with_new_damage_list();
        for pass in ["open", "recount"] {
            ledger.place_of_pass(pass).await.unwrap();
        }
        assert_eq!(ledger.damaged(), ["places / recount"]);
    });
}

#[test]
fn a_damaged_record_of_an_ending_buyer_does_not_keep_the_final_hour_from_being_sealed() {
    on_damaged(true, |damaged| async move {
        let world = &damaged.world;
        let victim = &damaged.buyers[3];
        // An earlier hour gets a record, which is then damaged.
        report(world, victim, "2026-11-21T08").await;
        for time in ["2026-11-21T09:33:00Z", "2026-11-21T09:35:00Z"] {
            world.set_time(at(time));
            world.pump_usage(at(time)).await;
        }
        let sealed = world.seal().await.unwrap();
        assert!(sealed.flags_cleared > 0, "{sealed:?}");
        let slot = format!("{victim}@2026-11-21T08#gb").parse().unwrap();
        world.damage(&slot).await;
        let agreements = world.emulator.agreements();
        let of_victim = |agreement: &&AgreementView| agreement.license_arn == victim.to_string();
        let agreement = agreements.iter().find(of_victim).unwrap();
        world.set_time(at("2026-11-21T09:40:00Z"));
        let cancelled = world.emulator.cancel_agreement(&agreement.agreement_id);
        cancelled.unwrap();
        world.deliver_lifecycle().await;
        // The hour of the end is due twenty minutes after the end.
        world.set_time(at("2026-11-21T10:02:00Z"));
        let sealed = world.seal().await.unwrap();
        assert!(sealed.damaged > 0, "{sealed:?}");
        world.set_time(at("2026-11-21T10:10:00Z"));
        world.sweep().await.unwrap();
        let slots = billed(world);
        let hour: UsageHour = HOUR.parse().unwrap();
        let victim = victim.to_string();
        assert!(
            slots.contains_key(&(victim, "gb".to_owned(), hour)),
            "{slots:?}"
        );
    });
}

#[test]
fn a_row_that_expires_too_soon_is_itemised_and_billed_once_its_end_is_set_later() {
    on_damaged(false, |damaged| async move {
        let world = &damaged.world;
        let buyer = &damaged.buyers[0];
        let hour: UsageHour = HOUR.parse().unwrap();
        let event = UsageEvent {
            id: "short-lived".parse().unwrap(),
            ..event_of(hour)
        };
        let table = world.ledger.tables().usage_events.clone();
        let row = |kept_days: i64| {
            let end = hour.start() + SignedDuration::from_hours(24 * kept_days);
            let end = AttributeValue::N(end.as_second().to_string());
            let mut row = to_item(buyer, &event);
            row.insert("expires_at".to_owned(), end);
            row
        };
        let put = |row| {
            let request = damaged.client.put_item().table_name(&table);
            request.set_item(Some(row)).send()
        };
        put(row(99)).await.unwrap();
        damaged.run_ten_times().await;
        assert_eq!(damaged.billed(), BUYERS);
        let slots = billed(world);
        assert!(slots.values().all(|billed| billed.to_string() == "1"));
        let itemised = world.ledger.itemised(buyer, hour).await.unwrap();
        let codes: Vec<&str> = itemised.iter().map(|row| row.code.as_str()).collect();
        assert_eq!(codes, ["expires-too-soon"]);

        // The seller's software sets a later end. The stream reports the row again.
        put(row(100)).await.unwrap();
        for time in ["2026-11-21T11:20:00Z", "2026-11-21T11:25:00Z"] {
            world.set_time(at(time));
            world.pump_usage(at(time)).await;
            world.seal().await.unwrap();
        }
        bill_carried_usage(world, "2026-11-21T11").await;
        let slots = billed(world);
        let of_buyer = |slot: &(String, String, UsageHour)| slot.0 == buyer.to_string();
        let mut of_buyer = slots.iter().filter(|(slot, _)| of_buyer(slot));
        assert_eq!(of_buyer.clone().count(), 2, "{slots:?}");
        assert!(of_buyer.all(|(_, billed)| billed.to_string() == "1"));
    });
}

#[test]
fn hours_that_cannot_be_settled_yet_are_tried_less_and_less() {
    on_damaged(false, |damaged| async move {
        let world = &damaged.world;
        for n in 0..50 {
            let nobody = format!("legacy|damagedproduct|nobody{n}").parse().unwrap();
            let hour = "2026-11-21T08".parse().unwrap();
            world
                .ledger
                .flag_late(&nobody, hour, world.now.get())
                .await
                .unwrap();
        }
        let gets = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&gets);
        world.wire.follow(Box::new(move |call| {
            let is_one = call.function == "sealer" && call.operation == "GetItem";
            counted.fetch_add(u64::from(is_one), Ordering::Relaxed);
            Fate::Answered
        }));
        let mut now = at("2026-11-21T09:32:00Z");
        let mut left = Vec::new();
        for _ in 0..24 {
            world.set_time(now);
            left.push(world.seal().await.unwrap().left_flagged);
            now += SignedDuration::from_mins(5);
        }
        let tries: u64 = left.iter().sum::<u64>() / 50;
        // It is tried again after 5, 15, 35 and 75 minutes.
        assert_eq!((left[0], tries), (50, 5), "{left:?}");
        let gets = gets.load(Ordering::Relaxed);
        assert!(gets < 24 * 50, "{gets}");
    });
}

async fn report(world: &World, subscription: &Subscription, hour: &str) {
    let event = event_of(hour.parse().unwrap());
    world.report(subscription, &event).await;
}

/// An event in the middle of an hour.
fn event_of(hour: UsageHour) -> UsageEvent {
    UsageEvent {
        dimension: "gb".parse().unwrap(),
        id: format!("of-{hour}").parse().unwrap(),
        quantity: "1".parse().unwrap(),
        time: hour.start() + Duration::from_secs(1_500),
        tags: TagSet::untagged(),
    }
}
