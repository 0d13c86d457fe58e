//! Every state in which usage waits or is not billed raises its own alarm. Each test
//! creates such a state in the world of `events/` and runs the function as a process. It then
//! compares what the function prints with the alarms of `template.yaml`.

use std::collections::BTreeSet;

use emulator::{Fault, FaultKind, Faults};
use end_to_end::alarms::raised;
use end_to_end::runtime_api::Answer;
use end_to_end::template::Template;
use end_to_end::world::{World, sample};
use jiff::SignedDuration;
use ledger::Written;
use ledger::profile::Profile;
use marketplace::{Subscription, UsageHour};
use serde_json::json;

const LICENSE: &str =
    "arn:aws:license-manager::294406891311:license:l-0123456789abcdef0123456789abcdef";

/// Runs a function with a sample, and returns the alarms that go off.
async fn alarms(world: &World, function: &'static str, event: &str) -> BTreeSet<String> {
    let function = world.function(function).await;
    let answer = function.invoke(&sample(event)).await;
    assert!(matches!(answer, Answer::Response(_)), "{answer:?}");
    raised(&Template::read(), &function.printed())
}

#[track_caller]
fn has(raised: &BTreeSet<String>, alarm: &str) {
    assert!(raised.contains(alarm), "{alarm} is not among {raised:?}");
}

#[tokio::test]
async fn a_calm_world_raises_no_alarm() {
    let world = World::start().await;
    for (function, event) in [
        ("LateUsage", "late-usage-insert"),
        ("Sealer", "sealer-schedule"),
        ("Submitter", "submitter-stream"),
        ("Submitter", "submitter-schedule"),
        ("Reconciler", "reconciler-recount"),
        ("Reconciler", "reconciler-schedule"),
        ("Agreements", "agreements-license-updated"),
    ] {
        let raised = alarms(&world, function, event).await;
        assert!(raised.is_empty(), "{function} {event}: {raised:?}");
    }
}

#[tokio::test]
async fn rows_that_are_set_aside() {
    let world = World::start().await;
    world
        .put(
            "UsageEvents",
            json!({
                "subscription_hour": format!("{LICENSE}@2026-11-21T03"),
                "dimension_event": "gb#negative",
                "quantity": "-1",
                "time": "2026-11-21T03:10:00Z",
            }),
        )
        .await;
    has(
        &alarms(&world, "Sealer", "sealer-schedule").await,
        "RowsSetAside",
    );
}

#[tokio::test]
async fn rows_of_unknown_subscriptions() {
    let world = World::start().await;
    has(
        &alarms(&world, "LateUsage", "late-usage-unreadable").await,
        "RowsUnattributed",
    );
}

#[tokio::test]
async fn more_metered_than_there_are_rows() {
    let world = World::start().await;
    let hour = format!("{LICENSE}@2026-11-21T02");
    for row in ["gb#sample-2", "gb#late-0001"] {
        world.forget("UsageEvents", &hour, row).await;
    }
    alarms(&world, "LateUsage", "late-usage-insert").await;
    has(
        &alarms(&world, "Sealer", "sealer-schedule").await,
        "OverMetered",
    );
}

#[tokio::test]
async fn late_usage_that_is_held() {
    let world = World::start().await;
    alarms(&world, "LateUsage", "late-usage-insert").await;
    let sealer = world
        .function_with("Sealer", &[("LATE_POLICY", "hold")])
        .await;
    let answer = sealer.invoke(&sample("sealer-schedule")).await;
    assert!(matches!(answer, Answer::Response(_)), "{answer:?}");
    has(&raised(&Template::read(), &sealer.printed()), "UsageHeld");
}

#[tokio::test]
async fn lifecycle_events_that_cannot_be_read() {
    let world = World::start().await;
    has(
        &alarms(&world, "Agreements", "agreements-malformed").await,
        "LifecycleMalformed",
    );
}

#[tokio::test]
async fn items_that_cannot_be_read() {
    let world = World::start().await;
    let damaged = "arn:aws:license-manager::294406891311:license:l-damaged";
    let profile =
        json!({"subscription": damaged, "item": "profile", "created_at": "yesterday", "live": "0"});
    world.put("Subscriptions", profile).await;
    has(
        &alarms(&world, "Reconciler", "reconciler-schedule").await,
        "DamagedItems",
    );
}

#[tokio::test]
async fn events_of_cloudtrail_that_are_cut_off() {
    let world = World::start().await;
    let now = world.emulator.now();
    let ago = |minutes| now - SignedDuration::from_mins(minutes);
    let created = world
        .ledger
        .create_audit_progress(ago(60), UsageHour::of(now));
    assert_eq!(created.await.expect("written"), Written::Done);
    // Somebody makes a request that is larger than CloudTrail's limit for an event.
    world.emulator.set_clock(Some(ago(40)), None);
    let share = |n: u32| {
        let tags = json!([{"Key": "team", "Value": format!("{n:0200}")}]);
        json!({"AllocatedUsageQuantity": 1, "Tags": tags})
    };
    let record = json!({
        "LicenseArn": LICENSE,
        "CustomerAWSAccountId": "111122223333",
        "Dimension": "gb",
        "Quantity": 500,
        "Timestamp": ago(60).as_second(),
        "UsageAllocations": (0..500).map(share).collect::<Vec<_>>(),
    });
    let request = json!({"UsageRecords": [record]});
    let api = world.metering_api().await;
    let answer = api.batch_meter_usage_raw(request).await;
    answer.expect("an answer");
    world.emulator.set_clock(Some(now), None);
    has(
        &alarms(&world, "Reconciler", "reconciler-schedule").await,
        "AuditUnclear",
    );
}

#[tokio::test]
async fn usage_of_a_subscription_that_is_not_active() {
    let world = World::start().await;
    let now = world.emulator.now();
    let subscription: Subscription = "account|examplecode3|000000000001"
        .parse()
        .expect("a subscription");
    let product = "examplecode3".parse().expect("a product code");
    // The subscription has been known for so long that its usage is proved.
    let since = now - SignedDuration::from_hours(48);
    let profile = Profile::new(subscription.clone(), product, since);
    let created = world.ledger.create_profile(&profile).await;
    created.expect("a profile");
    world
        .put(
            "UsageEvents",
            json!({
                "subscription_hour": format!("{subscription}@2026-11-19T18"),
                "dimension_event": "gb#early",
                "quantity": "1",
                "time": "2026-11-19T18:10:00Z",
            }),
        )
        .await;
    has(
        &alarms(&world, "Reconciler", "reconciler-schedule").await,
        "PendingWithUsage",
    );
}

#[tokio::test]
async fn registrations_that_fail() {
    let world = World::start().await;
    let calm = alarms(&world, "Registration", "registration-post").await;
    assert!(calm.is_empty(), "{calm:?}");
    let unknown = alarms(&world, "Registration", "registration-post-unknown-token").await;
    assert!(unknown.is_empty(), "a buyer's own mistake: {unknown:?}");
    world.emulator.set_faults(Faults {
        seed: 0,
        faults: vec![Fault::rate(
            "ResolveCustomer",
            FaultKind::InternalError,
            1.0,
        )],
    });
    has(
        &alarms(&world, "Registration", "registration-post").await,
        "RegistrationsFailed",
    );
}
