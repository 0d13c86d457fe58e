//! `metering demo`: a small day, calm and harsh.

mod common;

use common::metering;
use serde_json::{Value, json};

fn day(more: &[&str]) -> Value {
    let mut arguments = vec![
        "demo",
        "--json",
        "--subscriptions",
        "4",
        "--hours",
        "3",
        "--events",
        "60",
    ];
    arguments.extend(more);
    let ran = metering(&arguments);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("events sent"), "{}", ran.err);
    assert_eq!(ran.out.lines().count(), 1, "{}", ran.out);
    ran.json()
}

#[test]
fn the_same_usage_is_billed_on_a_calm_and_on_a_harsh_day() {
    let calm = day(&[]);
    let mut members: Vec<&String> = calm.as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(
        members,
        [
            "api_calls",
            "balanced",
            "billed_by_marketplace",
            "events",
            "quantity",
            "records",
            "subscriptions",
            "write_units"
        ]
    );
    assert_eq!(
        (&calm["subscriptions"], &calm["balanced"]),
        (&json!(4), &json!(true))
    );
    assert_eq!(calm["quantity"]["accepted"], calm["billed_by_marketplace"]);
    assert_eq!(calm["quantity"]["pending"], "0");
    let harsh = day(&["--faults", "harsh"]);
    assert_eq!(harsh["balanced"], true);
    assert_eq!(harsh["quantity"]["accepted"], calm["quantity"]["accepted"]);
}

#[test]
fn for_people_the_day_ends_with_its_books() {
    let ran = metering(&[
        "demo",
        "--subscriptions",
        "2",
        "--hours",
        "2",
        "--events",
        "20",
    ]);
    let out = ran.ok();
    for words in [
        "ingested",
        "accepted",
        "BatchMeterUsage calls",
        "to the last micro-unit",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
}
