//! Every state in which usage waits or is not billed raises its own alarm. Each test
//! creates such a state in the world of `events/` and runs the function as a process. It then
//! evaluates the alarms of `template.yaml` on what the function prints. An alarm that needs several
//! periods is evaluated on the values of several runs, each at its own time.

use std::collections::BTreeSet;
use std::time::Duration;

use emulator::{Fault, FaultKind, Faults};
use end_to_end::alarms::{Watch, raised, raised_if_it_goes_on};
use end_to_end::runtime_api::Answer;
use end_to_end::template::Template;
use end_to_end::world::{Function, STACK, World, sample};
use jiff::{SignedDuration, Timestamp};
use ledger::Written;
use ledger::profile::Profile;
use marketplace::lifecycle::Sign;
use marketplace::{Subscription, UsageHour};
use runtime::metrics::Unit;
use serde_json::{Value, json};

const LICENSE: &str =
    "arn:aws:license-manager::294406891311:license:l-0123456789abcdef0123456789abcdef";

/// Runs a function with a sample, and returns the alarms that go off.
async fn alarms(world: &World, function: &'static str, event: &str) -> BTreeSet<String> {
    let function = world.function(function).await;
    let answer = function.invoke(&sample(event)).await;
    assert!(matches!(answer, Answer::Response(_)), "{answer:?}");
    raised(&Template::read(), &function.printed())
}

/// Invokes a function at each of these minutes after `begin`, and returns its answers.
async fn invoke_at(
    world: &World,
    function: &Function,
    event: &Value,
    begin: Timestamp,
    minutes: impl IntoIterator<Item = i64>,
) -> Vec<Answer> {
    let mut answers = Vec::new();
    for minute in minutes {
        world.emulator.set_clock(Some(after(begin, minute)), None);
        answers.push(function.invoke(event).await);
    }
    answers
}

fn after(begin: Timestamp, minutes: i64) -> Timestamp {
    begin + SignedDuration::from_mins(minutes)
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
        let process = world.function(function).await;
        let answer = process.invoke(&sample(event)).await;
        assert!(matches!(answer, Answer::Response(_)), "{answer:?}");
        let raised = raised_if_it_goes_on(&Template::read(), &process.printed());
        assert!(raised.is_empty(), "{function} {event}: {raised:?}");
    }
}

#[test]
fn an_alarm_goes_off_once_enough_of_its_periods_breach() {
    let begin: Timestamp = "2026-11-21T04:40:00Z".parse().unwrap();
    let line = |function, metric, minute, value| {
        let at = after(begin, minute).as_millisecond();
        let line = runtime::metrics::line(STACK, function, at, &[(metric, Unit::Count, value)]);
        line.expect("a line").to_string()
    };
    let on = |alarm, printed: &[String]| {
        let watch = Watch::new(&Template::read(), printed, begin);
        watch.minutes_on(alarm, after(begin, 180))
    };
    let minutes = |range: std::ops::RangeInclusive<i64>| range.collect::<Vec<i64>>();

    // One period is enough for this alarm.
    let used = [line("submitter", "PercentOfTimeUsed", 30, 50)];
    assert_eq!(on("HalfOfWindowUsed", &used), minutes(31..=45));

    // This alarm needs eight quarters of an hour without a run that is finished.
    let runs = |finished: i64| -> Vec<String> {
        let minutes = (0..=180).step_by(5);
        let run = |at| line("sealer", "UnfinishedRuns", at, i64::from(at != finished));
        minutes.map(run).collect()
    };
    let never = 181;
    assert_eq!(on("SealerUnfinished", &runs(never)), minutes(120..=180));
    assert!(on("SealerUnfinished", &runs(90)).is_empty());

    // A single unfinished run raises no alarm, although it would if all runs were like it.
    let single = [line("sealer", "UnfinishedRuns", 0, 1)];
    let template = Template::read();
    assert!(raised(&template, &single).is_empty());
    has(
        &raised_if_it_goes_on(&template, &single),
        "SealerUnfinished",
    );
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

/// The alarm for hours whose late flag stays.
const LEFT_FLAGGED: &str = "HoursLeftFlagged";

/// Flags an hour of a subscription that does not exist.
async fn flag_hour_of_nobody(world: &World) -> Subscription {
    let nobody: Subscription = "account|examplecode3|000000000001"
        .parse()
        .expect("a subscription");
    let hour = "2026-11-21T01".parse().expect("an hour");
    let now = world.emulator.now();
    let flagged = world.ledger.flag_late(&nobody, hour, now).await;
    flagged.expect("a flag");
    nobody
}

/// The sealer tries the flag at once. Then it puts the flag off by 5, 10, 20, 40, 80, 160, 320 and
/// 360 minutes.
#[tokio::test]
async fn an_hour_that_stays_flagged_because_its_subscription_is_not_known() {
    let world = World::start().await;
    let begin = world.emulator.now();
    flag_hour_of_nobody(&world).await;
    let sealer = world.function("Sealer").await;
    // Later the flag is due so rarely that fewer runs are enough.
    let minutes = (0..180).step_by(5).chain((180..=780).step_by(15));
    let event = sample("sealer-schedule");
    let answers = invoke_at(&world, &sealer, &event, begin, minutes).await;
    let tries: Vec<Value> = answers.into_iter().map(Answer::response).collect();
    let tries = tries.iter().filter(|answer| answer["left_flagged"] == 1);
    assert_eq!(tries.count(), 8);
    // It goes off after two and a half hours, and stays on while six hours pass between two tries.
    let watch = Watch::new(&Template::read(), &sealer.printed(), begin);
    let on = watch.minutes_on(LEFT_FLAGGED, after(begin, 780));
    assert_eq!((on.first(), on.len()), (Some(&156), 780 - 155), "{on:?}");
}

#[tokio::test]
async fn an_hour_that_stays_flagged_because_its_profile_is_damaged() {
    let world = World::start().await;
    let begin = world.emulator.now();
    let damaged = "arn:aws:license-manager::294406891311:license:l-damaged";
    let profile =
        json!({"subscription": damaged, "item": "profile", "created_at": "yesterday", "live": "0"});
    world.put("Subscriptions", profile).await;
    let sealer = world.function("Sealer").await;
    let event = sample("sealer-schedule");
    let answers = invoke_at(&world, &sealer, &event, begin, (0..=200).step_by(5)).await;
    for answer in answers {
        assert!(matches!(answer, Answer::Response(_)), "{answer:?}");
    }
    // A flag of a damaged profile is tried after 75 and 135 minutes, and then every hour.
    let watch = Watch::new(&Template::read(), &sealer.printed(), begin);
    let on = watch.minutes_on(LEFT_FLAGGED, after(begin, 200));
    assert_eq!((on.first(), on.len()), (Some(&136), 200 - 135), "{on:?}");
}

/// This flag is not put off, so each run tries it.
#[tokio::test]
async fn an_hour_that_stays_flagged_because_its_record_is_damaged() {
    let world = World::start().await;
    let begin = world.emulator.now();
    let record = json!({"subscription": LICENSE, "item": "r#2026-11-21T02#gb"});
    world.put("MeteringRecords", record).await;
    let subscription: Subscription = LICENSE.parse().expect("a subscription");
    let hour = "2026-11-21T02".parse().expect("an hour");
    let flagged = world.ledger.flag_late(&subscription, hour, begin).await;
    flagged.expect("a flag");
    let sealer = world.function("Sealer").await;
    let event = sample("sealer-schedule");
    let answers = invoke_at(&world, &sealer, &event, begin, (0..=130).step_by(5)).await;
    for answer in answers {
        assert_eq!(answer.response()["left_flagged"], 1);
    }
    let watch = Watch::new(&Template::read(), &sealer.printed(), begin);
    let on = watch.minutes_on(LEFT_FLAGGED, after(begin, 130));
    assert_eq!(on, (121..=130).collect::<Vec<i64>>());
}

#[tokio::test]
async fn an_hour_that_is_recounted_at_one_of_its_first_retries_raises_no_alarm() {
    let world = World::start().await;
    let begin = world.emulator.now();
    let nobody = flag_hour_of_nobody(&world).await;
    let sealer = world.function("Sealer").await;
    let event = sample("sealer-schedule");
    let mut answers = invoke_at(&world, &sealer, &event, begin, (0..=40).step_by(5)).await;
    // The subscription becomes known, and it is active.
    let product = "examplecode3".parse().expect("a product code");
    let since = begin - SignedDuration::from_hours(48);
    let mut profile = Profile::new(nobody, product, since);
    profile.lifecycle.observe(Sign::Activated, since);
    let created = world.ledger.create_profile(&profile).await;
    assert_eq!(created.expect("a profile"), Written::Done);
    answers.extend(invoke_at(&world, &sealer, &event, begin, (45..=200).step_by(5)).await);
    let answers: Vec<Value> = answers.into_iter().map(Answer::response).collect();
    let sum = |member: &str| -> u64 {
        let numbers = answers.iter().map(|answer| answer[member].as_u64());
        numbers.map(|number| number.expect("a number")).sum()
    };
    // Four tries failed, and the fifth one succeeded.
    assert_eq!((sum("left_flagged"), sum("flags_cleared")), (4, 1));
    let watch = Watch::new(&Template::read(), &sealer.printed(), begin);
    let on = watch.minutes_on(LEFT_FLAGGED, after(begin, 200));
    assert!(on.is_empty(), "{on:?}");
}

/// The alarm for a sealer without a run that did not fail.
const SEALER_SILENT: &str = "SealerSilent";

#[tokio::test]
async fn a_sealer_that_fails_in_every_run() {
    let world = World::start().await;
    let begin = world.emulator.now();
    let sealer = world.function("Sealer").await;
    let event = sample("sealer-schedule");
    sealer.break_dynamodb(true);
    let failed = invoke_at(&world, &sealer, &event, begin, (0..=60).step_by(5)).await;
    for answer in failed {
        assert!(matches!(answer, Answer::Error(_)), "{answer:?}");
    }
    sealer.break_dynamodb(false);
    let done = invoke_at(&world, &sealer, &event, begin, (65..=90).step_by(5)).await;
    for answer in done {
        assert!(matches!(answer, Answer::Response(_)), "{answer:?}");
    }
    let watch = Watch::new(&Template::read(), &sealer.printed(), begin);
    let on = watch.minutes_on(SEALER_SILENT, after(begin, 90));
    assert_eq!(on, (30..=65).collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_sealer_that_does_not_run_any_more() {
    let world = World::start().await;
    let begin = world.emulator.now();
    let sealer = world.function("Sealer").await;
    let event = sample("sealer-schedule");
    let done = invoke_at(&world, &sealer, &event, begin, (0..=60).step_by(5)).await;
    for answer in done {
        assert!(matches!(answer, Answer::Response(_)), "{answer:?}");
    }
    // It does not go off while the sealer runs, and goes off half an hour after the last run.
    let watch = Watch::new(&Template::read(), &sealer.printed(), begin);
    let on = watch.minutes_on(SEALER_SILENT, after(begin, 120));
    assert_eq!(on, (91..=120).collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_reconciler_that_does_not_finish_in_three_hours() {
    let world = World::start().await;
    let begin = world.emulator.now();
    // The invocations have no time.
    let reconciler = world.function_within("Reconciler", Duration::ZERO).await;
    let task = json!({"task": "expire"});
    for (minute, is_raised) in [(0, false), (60, false), (120, true)] {
        let answers = invoke_at(&world, &reconciler, &task, begin, [minute]).await;
        for answer in answers {
            assert_eq!(answer.response()["finished"], false);
        }
        let watch = Watch::new(&Template::read(), &reconciler.printed(), begin);
        let raised = watch.raised(after(begin, minute + 1));
        let is_among = raised.contains("ReconcilerUnfinished");
        assert_eq!(is_among, is_raised, "{minute}: {raised:?}");
    }
}
