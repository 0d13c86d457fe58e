//! A day is proved once. It is proved again only if its books may have changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_dynamodb::types::AttributeValue;
use ledger::Written;
use ledger::day::digest_of_known;
use marketplace::UsageHour;
use marketplace::books::Books;
use marketplace::carry_id::{CarryId, origin_hash};
use marketplace::record::Transmissions;
use marketplace::recount::MovementKind;
use reconciler::{Report, Task};
use simulation::clients;
use simulation::run::{Executor, on_a_thread};
use simulation::wire::Fate;

use crate::town::{Town, at};

const BUYERS: usize = 3;
const HOUR: &str = "2026-11-27T02";

/// A town in which the 26th and the 27th were proved at 2026-11-28T07:40.
async fn proved_town() -> Town {
    let town = Town::of(BUYERS).await;
    for n in 0..BUYERS {
        town.uses(n, "a", HOUR).await;
    }
    town.seal_at("2026-11-27T03:31:00Z").await;
    town.reconcile_at("2026-11-27T03:40:00Z").await;
    town.seal_at("2026-11-28T07:31:00Z").await;
    let report = prove_at(&town, "2026-11-28T07:40:00Z").await;
    assert_eq!(report.days_proved, 2 * BUYERS as u64);
    assert_eq!(report.balanced, Some(true));
    town
}

async fn prove_at(town: &Town, time: &str) -> Report {
    town.world.set_time(at(time));
    let report = town.world.reconcile_task(Task::Prove(None)).await.unwrap();
    assert!(report.finished, "{report:?}");
    report
}

/// Counts the reconciler's reads from now on.
fn count_reads(town: &Town) -> Arc<AtomicU64> {
    let reads = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&reads);
    town.world.wire.follow(Box::new(move |call| {
        let is_ours = call.function == "reconciler" && call.is_read();
        counted.fetch_add(u64::from(is_ours), Ordering::Relaxed);
        Fate::Answered
    }));
    reads
}

#[test]
fn a_day_is_proved_once() {
    on_a_thread(|| Executor::default().finish(prove_once()));
}

async fn prove_once() {
    let town = proved_town().await;
    // The turn of every shard is over, so nothing is proved.
    let reads = count_reads(&town);
    let report = prove_at(&town, "2026-11-28T07:50:00Z").await;
    assert_eq!((report.days_proved, report.balanced), (0, None));
    // The next turn of every shard reads the profile and the kept sums of each subscription.
    reads.store(0, Ordering::Relaxed);
    let report = prove_at(&town, "2026-11-28T20:50:00Z").await;
    assert_eq!((report.days_proved, report.balanced), (0, Some(true)));
    // The watermark is read once. Each shard needs two reads of its place, one page of each of the
    // two lists, and perhaps one read of the product.
    let at_most = 1 + 8 * 4 + 3 * BUYERS as u64;
    let reads = reads.load(Ordering::Relaxed);
    assert!(reads <= at_most, "{reads} reads");
    // A change that was written before a proof can have begun leaves no note.
    let (first, now) = ("2026-11-26T00".parse().unwrap(), town.world.now.get());
    for (_, subscription) in &town.buyers {
        let last = HOUR.parse().unwrap();
        let days = town
            .world
            .ledger
            .proved_days(subscription, first, last, now);
        assert!(days.await.unwrap().changes.is_empty());
    }
}

/// Writes late usage of the 27th and flags its hour, so that the sealer carries it.
async fn carry(town: &Town, n: usize) {
    town.uses(n, "late", HOUR).await;
    let (late, now) = (town.buyer(n), town.world.now.get());
    let flagged = town
        .world
        .ledger
        .flag_late(late, HOUR.parse().unwrap(), now);
    flagged.await.unwrap();
    town.world.seal().await.unwrap();
    assert_eq!(town.record(n, HOUR).await.movements, 1);
}

#[test]
fn a_change_after_the_proof_makes_that_day_be_proved_again() {
    on_a_thread(|| Executor::default().finish(change_after_proof()));
}

async fn change_after_proof() {
    let town = proved_town().await;
    town.world.set_time(at("2026-11-28T10:00:00Z"));
    carry(&town, 1).await;
    let report = prove_at(&town, "2026-11-28T20:50:00Z").await;
    assert_eq!((report.days_proved, report.balanced), (1, Some(true)));
    // The carried usage arrived on the 28th, and the proof of the 28th finds it there.
    town.seal_at("2026-11-29T09:31:00Z").await;
    let report = prove_at(&town, "2026-11-29T09:40:00Z").await;
    assert_eq!(report.days_proved, BUYERS as u64);
    assert_eq!(report.balanced, Some(true));
    // The carried row is removed, and the stream delivers the removal.
    let record = town.record(1, HOUR).await;
    let movements = town.world.ledger.movements_of(&record).await.unwrap();
    let MovementKind::Carried { target, .. } = movements[0].kind else {
        panic!("{movements:?}");
    };
    let carry = CarryId {
        origin: record.slot.hour,
        hash: origin_hash(town.buyer(1), &record.slot.dimension),
        movement: 1,
        entry: 0,
    };
    let partition = format!("{}@{target}", town.buyer(1));
    town.world
        .delete_row(&partition, &format!("gb#{carry}"))
        .await;
    town.world.set_time(at("2026-11-29T10:00:00Z"));
    let flagged = town
        .world
        .ledger
        .flag_late(town.buyer(1), target, town.world.now.get());
    flagged.await.unwrap();
    for time in ["2026-11-29T22:50:00Z", "2026-11-30T11:50:00Z"] {
        let report = prove_at(&town, time).await;
        assert_eq!((report.slots_unbalanced, report.balanced), (1, Some(false)));
    }
}

#[test]
fn a_proof_that_began_right_after_a_change_does_not_count() {
    on_a_thread(|| Executor::default().finish(prove_right_after()));
}

async fn prove_right_after() {
    let town = proved_town().await;
    // The submitter's invocation may have begun before the proof, and write after it.
    town.world.set_time(at("2026-11-28T20:45:00Z"));
    carry(&town, 1).await;
    for (time, days) in [
        ("2026-11-28T20:50:00Z", 1),
        ("2026-11-29T09:50:00Z", 1),
        ("2026-11-29T22:50:00Z", 0),
    ] {
        assert_eq!(prove_at(&town, time).await.days_proved, days, "{time}");
    }
}

#[test]
fn a_row_that_no_stream_reported_is_found_at_the_end_of_the_month() {
    on_a_thread(|| Executor::default().finish(find_at_month_end()));
}

async fn find_at_month_end() {
    let town = proved_town().await;
    let recounted = town.world.reconcile_task(Task::Recount(None)).await;
    assert_eq!(recounted.unwrap().hours_flagged, 0);
    // The row is thirty hours late.
    town.world.set_time(at("2026-11-28T09:00:00Z"));
    town.uses(1, "unreported", HOUR).await;
    town.world.forget_usage_stream().await;
    for time in ["2026-11-28T20:50:00Z", "2026-11-29T09:40:00Z"] {
        town.seal_at(time).await;
        assert_eq!(prove_at(&town, time).await.hours_flagged, 0);
    }
    for time in ["2026-11-30T12:31:00Z", "2026-12-01T03:31:00Z"] {
        town.seal_at(time).await;
    }
    let report = town.world.reconcile_task(Task::Recount(None)).await;
    let report = report.unwrap();
    assert!(report.finished, "{report:?}");
    assert_eq!(report.hours_flagged, 1, "{report:?}");
    assert_eq!(report.month_recounted_from.as_deref(), Some("2026-11-01"));
    town.seal_at("2026-12-01T03:40:00Z").await;
    let record = town.record(1, HOUR).await;
    assert_eq!(record.movements, 1, "it is carried into the catch hour");
    // Another run in the same hour recounts nothing.
    let again = town.world.reconcile_task(Task::Recount(None)).await;
    assert_eq!(again.unwrap().hours_recounted, 0);
}

#[test]
fn a_record_that_somebody_else_changed_or_removed_is_reported_at_the_end_of_the_month() {
    on_a_thread(|| Executor::default().finish(alter_records()));
}

async fn alter_records() {
    let town = Town::of(BUYERS + 1).await;
    for n in 0..=BUYERS {
        town.uses(n, "a", HOUR).await;
    }
    town.seal_at("2026-11-27T03:31:00Z").await;
    town.world.sweep().await.unwrap();
    town.reconcile_at("2026-11-27T03:40:00Z").await;
    town.seal_at("2026-11-28T07:31:00Z").await;
    prove_at(&town, "2026-11-28T07:40:00Z").await;
    let recounted = town.world.reconcile_task(Task::Recount(None)).await;
    assert_eq!(recounted.unwrap().hours_flagged, 0);
    let (table, ledger) = (
        &town.world.ledger.tables().metering_records,
        &town.world.ledger,
    );
    let name = |n: usize| town.buyer(n).to_string();
    let sort = format!("r#{HOUR}#gb");
    // Somebody changes one record and removes another one.
    let key = (&*name(0), &*sort);
    town.world
        .set_attribute(table, key, "state", "dry-run")
        .await;
    clients::dynamodb(&town.world.wire)
        .delete_item()
        .table_name(table)
        .key("subscription", AttributeValue::S(name(1)))
        .key("item", AttributeValue::S(sort.clone()))
        .send()
        .await
        .unwrap();
    // The stack itself changes two more records. The books depend only on the change of the second
    // one.
    let more = Transmissions {
        doubtful: 0,
        answered: 1,
    };
    let written = ledger
        .add_transmissions(&town.slot(2, HOUR), more, None)
        .await;
    assert_eq!(written.unwrap(), Written::Done);
    town.world.set_time(at("2026-11-28T10:00:00Z"));
    carry(&town, 3).await;
    for time in ["2026-11-30T12:31:00Z", "2026-12-01T03:31:00Z"] {
        town.seal_at(time).await;
    }
    let report = town.world.reconcile_task(Task::Recount(None)).await;
    let report = report.unwrap();
    let found = (report.days_altered, report.balanced);
    assert_eq!(found, (2, Some(false)), "{report:?}");
    // A run that starts again from the beginning, because its place was not kept, finds the change
    // again.
    for shard in 0..ledger::SHARDS {
        let walk = format!("recount-month#{shard}");
        let mut place = ledger.place_of::<String>(&walk).await.unwrap();
        let moved = ledger.move_place(&mut place, None).await;
        assert_eq!(moved.unwrap(), Written::Done);
    }
    // The hour of the removed record was flagged, and the flag left a note of a change.
    let again = town.world.reconcile_task(Task::Recount(None)).await;
    let again = again.unwrap();
    assert_eq!((again.days_altered, again.balanced), (1, Some(false)));
}

#[test]
fn a_sum_over_subscriptions_that_overflows_is_out_of_balance() {
    on_a_thread(|| Executor::default().finish(overflow_sum()));
}

async fn overflow_sum() {
    // Two subscriptions at least are in the same shard.
    let town = Town::of(usize::from(ledger::SHARDS) + 1).await;
    town.seal_at("2026-11-28T07:31:00Z").await;
    prove_at(&town, "2026-11-28T07:40:00Z").await;
    let mut shards: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for (_, subscription) in &town.buyers {
        let shard = shards.entry(ledger::shard_of(subscription)).or_default();
        shard.push(subscription.to_string());
    }
    let both = shards.into_values().find(|shard| shard.len() > 1).unwrap();
    // Each sum can be read, and twice as much cannot be represented.
    let books = format!(
        r#"{{"ingested":"1{:0>32}","records":{{}},"rows":1,"rows_set_aside":0}}"#,
        ""
    );
    let table = town.world.ledger.tables().metering_records.clone();
    for name in &both[..2] {
        let key = (&**name, "d#2026-11-27");
        town.world.set_attribute(&table, key, "books", &books).await;
    }
    let report = prove_at(&town, "2026-11-28T20:50:00Z").await;
    assert_eq!((report.days_proved, report.slots_unbalanced), (0, 0));
    assert_eq!((report.sums_overflowed, report.balanced), (1, Some(false)));
}

#[test]
fn damaged_sums_are_named_and_their_day_is_proved_again() {
    on_a_thread(|| Executor::default().finish(damage_sums()));
}

async fn damage_sums() {
    let town = proved_town().await;
    let name = town.buyer(2).to_string();
    let table = town.world.ledger.tables().metering_records.clone();
    town.world
        .set_attribute(&table, (&name, "d#2026-11-27"), "books", "lost")
        .await;
    let report = prove_at(&town, "2026-11-28T20:50:00Z").await;
    assert_eq!((report.days_proved, report.balanced), (1, Some(true)));
    assert_eq!(report.damaged, [format!("{name} / d#2026-11-27")]);
    let report = prove_at(&town, "2026-11-29T09:50:00Z").await;
    assert_eq!((report.days_proved, report.damaged_items), (0, 0));
}

#[test]
fn a_damaged_note_of_a_change_is_replaced_or_makes_its_day_be_proved_each_time() {
    let text = |value: &str| Some(AttributeValue::S(value.to_owned()));
    let damages = [
        ("changed_at", text("soon"), false),
        // The next change replaces these.
        ("changed_at", None, true),
        ("version", text("one"), true),
        ("version", None, true),
    ];
    on_a_thread(|| {
        for (attribute, value, is_replaced) in damages {
            Executor::default().finish(damage_note(attribute, value, is_replaced));
        }
    });
}

async fn damage_note(attribute: &'static str, value: Option<AttributeValue>, is_replaced: bool) {
    let town = proved_town().await;
    town.world.set_time(at("2026-11-28T10:00:00Z"));
    carry(&town, 1).await;
    let (name, note) = (town.buyer(1).to_string(), "d#2026-11-27#changed");
    let table = town.world.ledger.tables().metering_records.clone();
    town.world
        .change_attribute(&table, (&name, note), attribute, value)
        .await;
    // The day changes once more.
    let now = at("2026-11-28T12:00:00Z");
    town.world.set_time(now);
    town.uses(1, "later", HOUR).await;
    let hour = HOUR.parse().unwrap();
    let flagged = town.world.ledger.flag_late(town.buyer(1), hour, now);
    flagged.await.unwrap();
    town.world.seal().await.unwrap();
    assert_eq!(town.record(1, HOUR).await.movements, 2, "{attribute}");

    let named = match is_replaced {
        true => Vec::new(),
        false => vec![format!("{name} / {note}")],
    };
    let report = prove_at(&town, "2026-11-28T20:50:00Z").await;
    assert_eq!((report.days_proved, report.balanced), (1, Some(true)));
    assert_eq!(report.damaged, named, "{attribute}");
    // A note that cannot be read may be of any time.
    let report = prove_at(&town, "2026-11-29T09:50:00Z").await;
    let again = u64::from(!is_replaced);
    assert_eq!((report.days_proved, report.balanced), (again, Some(true)));
    assert_eq!(report.damaged, named, "{attribute}");
}

#[test]
fn the_sums_of_proved_days_are_those_of_the_full_books() {
    on_a_thread(|| Executor::default().finish(compare_sums()));
}

async fn compare_sums() {
    let town = proved_town().await;
    town.world.set_time(at("2026-11-28T10:00:00Z"));
    carry(&town, 0).await;
    town.uses(2, "b", "2026-11-28T11").await;
    town.seal_at("2026-11-29T07:31:00Z").await;
    prove_at(&town, "2026-11-29T07:40:00Z").await;
    // The 28th was sealed so late that its first proof may have missed a change.
    prove_at(&town, "2026-11-29T20:50:00Z").await;
    let ledger = &town.world.ledger;
    let hour = |text: &str| text.parse::<UsageHour>().unwrap();
    let (first, last) = (hour("2026-11-26T00"), hour("2026-11-28T23"));
    let mut sum = Books::default();
    let known = ["gb".parse().unwrap()].into();
    let known = digest_of_known(Some(&known));
    for (_, subscription) in &town.buyers {
        let now = town.world.now.get();
        let days = ledger.proved_days(subscription, first, last, now).await;
        let days = days.unwrap();
        assert_eq!(days.sums.len(), 3);
        for day in days.sums.keys() {
            let kept = days.kept_sums(*day, &known, now).expect("they count");
            sum.merge(&kept.books).unwrap();
        }
    }
    let full = ledger::books::of_all(ledger, first, last, |_| {}).await;
    assert_eq!(sum, full.unwrap());
    assert_eq!(sum.carried_in.to_string(), "1");
}

#[test]
fn the_days_of_a_subscription_that_ended_are_proved_too() {
    on_a_thread(|| Executor::default().finish(prove_ended()));
}

async fn prove_ended() {
    let (town, proved) = town_that_one_has_left().await;
    let report = prove_at(&town, "2026-11-28T07:40:00Z").await;
    assert_eq!(proved + report.days_proved, 2 * BUYERS as u64);
}

/// A town whose first buyer has left, and the number of days that were proved until then.
async fn town_that_one_has_left() -> (Town, u64) {
    let town = Town::of(BUYERS).await;
    for n in 0..BUYERS {
        town.uses(n, "a", HOUR).await;
    }
    town.seal_at("2026-11-27T03:31:00Z").await;
    let agreement = &town.buyers[0].0.agreement_id;
    town.world.emulator.cancel_agreement(agreement).unwrap();
    town.world.set_time(at("2026-11-27T04:40:00Z"));
    town.world.deliver_lifecycle().await;
    for time in ["05:35:00", "06:31:00", "07:31:00"] {
        town.seal_at(&format!("2026-11-27T{time}Z")).await;
    }
    let first = town.reconcile_at("2026-11-27T07:40:00Z").await;
    assert_eq!(first.subscriptions_closed, 1, "{first:?}");
    town.seal_at("2026-11-28T07:31:00Z").await;
    (town, first.days_proved)
}

#[test]
fn a_damaged_entry_among_the_ended_subscriptions_keeps_no_other_from_being_proved() {
    on_a_thread(|| Executor::default().finish(prove_beside_damaged_entries()));
}

async fn prove_beside_damaged_entries() {
    let (town, proved) = town_that_one_has_left().await;
    let left = town.buyer(0);
    let partition = format!("ended#{}", ledger::shard_of(left));
    let table = &town.world.ledger.tables().metering_records;
    let text = |value: &str| Some(AttributeValue::S(value.to_owned()));
    let change = async |sort: &str, attribute: &str, value| {
        let key = (partition.as_str(), sort);
        town.world
            .change_attribute(table, key, attribute, value)
            .await;
    };
    // These entries name no subscription. One comes before the entry of the buyer, one after it.
    for sort in ["2026-11#0", "2026-11#nobody"] {
        change(sort, "version", text("one")).await;
    }
    // Nothing depends on these attributes.
    let entry = format!("2026-11#{left}");
    change(&entry, "version", None).await;
    change(&entry, "expires_at", text("never")).await;
    let report = prove_at(&town, "2026-11-28T07:40:00Z").await;
    assert_eq!(proved + report.days_proved, 2 * BUYERS as u64);
    let names = ["0", "nobody"].map(|name| format!("{partition} / 2026-11#{name}"));
    assert_eq!(report.damaged, names);
}

#[test]
fn a_day_whose_records_may_be_gone_is_not_proved() {
    on_a_thread(|| {
        Executor::default().finish(async {
            let town = proved_town().await;
            let last: UsageHour = "2026-11-27T23".parse().unwrap();
            let retention = town.world.ledger.retention();
            // Nothing is sealed for years, so the month of the watermark is the same.
            let times = [
                (at("2026-11-28T20:50:00Z"), Some(true)),
                (retention.ends(last), None),
            ];
            for (time, balanced) in times {
                town.world.set_time(time);
                let report = town.world.reconcile_task(Task::Prove(None)).await;
                assert_eq!(report.unwrap().balanced, balanced, "{time}");
            }
        });
    });
}
