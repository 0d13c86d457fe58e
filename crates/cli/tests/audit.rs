//! `metering audit` against the sample stack.

mod common;

use common::{Local, Ran, metering, metering_in};

fn audit(local: &Local, arguments: &[&str]) -> Ran {
    let dynamodb = format!("http://{}", local.dynamodb);
    let aws = format!("http://{}", local.aws);
    let clock = format!("{aws}/_emulator/clock");
    let environment = [
        ("DYNAMODB_ENDPOINT", dynamodb.as_str()),
        ("CLOUDTRAIL_ENDPOINT", aws.as_str()),
        ("S3_ENDPOINT", aws.as_str()),
        ("AWS_REGION", "us-east-1"),
        ("METERING_CLOCK", clock.as_str()),
    ];
    let arguments = [&["audit"], arguments].concat();
    metering_in(&environment, &arguments, "")
}

#[test]
fn a_range_without_usage_is_an_empty_report_and_a_foreign_success_is_named() {
    let local = Local::start(&["--sample"]);
    let range = ["--from", "2026-11-20T00", "--to", "2026-11-21T00:00:00Z"];
    let empty = audit(&local, &range).ok();
    assert!(empty.contains("nothing differs"), "{empty}");

    let metered = common::metering_with(
        &[
            "batch-meter-usage",
            "--endpoint",
            &format!("http://{}", local.aws),
            "--file",
            "-",
        ],
        r#"{"ProductCode":"examplecode2","UsageRecords":[
            {"Timestamp":1795222800,"Dimension":"seats","CustomerIdentifier":"CUSTEXAMPLE2","Quantity":5}]}"#,
    );
    let answer = metered.ok();
    assert!(answer.contains("Success"), "{answer}");
    local.control("PUT", "clock", r#"{"now":"2026-11-21T05:10:00Z"}"#);
    let found = audit(
        &local,
        &["--from", "2026-11-21T00", "--to", "2026-11-21T03", "--json"],
    );
    assert_eq!(found.code, 1, "{}", found.err);
    let report = found.json();
    assert_eq!(report["unknown_in_ledger"], 1, "{report}");
    assert_eq!(report["differences"][0]["kind"], "unknown-in-ledger");
    assert_eq!(report["differences"][0]["quantity_at_aws"], "5");

    // The trail of the same emulator contains the same call.
    let range = ["--from", "2026-11-21T00", "--to", "2026-11-21T03", "--json"];
    let found = audit(&local, &[&range[..], &TRAIL].concat());
    assert_eq!(found.code, 1, "{}", found.err);
    assert_eq!(found.json()["differences"], report["differences"]);
    // The trail reaches back further than the Event history.
    let old = ["--from", "2026-06-01T00", "--to", "2026-06-02T00"];
    let empty = audit(&local, &[&old[..], &TRAIL].concat()).ok();
    assert!(empty.contains("nothing differs"), "{empty}");
}

/// The place of the emulator's trail.
const TRAIL: [&str; 4] = ["--bucket", "example-trail", "--account", "222222222222"];

#[test]
fn a_missing_trail_is_wrong_usage_or_a_failure_that_names_the_needed_setting() {
    let local = Local::start(&["--sample"]);
    let range = ["--from", "2026-11-20T00", "--to", "2026-11-21T00"];
    for (place, code, problem) in [
        (&["--bucket", "example-trail"][..], 2, "--account"),
        (&["--account", "222222222222"], 2, "--bucket"),
        (
            &["--bucket", "a/b", "--account", "222222222222"],
            2,
            "3 to 63",
        ),
        (
            &["--bucket", "example-trail", "--account", "2"],
            2,
            "12 digits",
        ),
        (
            &["--bucket", "another-bucket", "--account", "222222222222"],
            1,
            "s3:ListBucket",
        ),
    ] {
        let refused = audit(&local, &[&range[..], place].concat());
        assert_eq!(refused.code, code, "{place:?}: {}", refused.err);
        assert!(refused.err.contains(problem), "{}", refused.err);
    }
}

#[test]
fn a_range_that_cannot_be_compared_is_wrong_usage() {
    let local = Local::start(&["--sample"]);
    for (from, to, problem) in [
        ("2026-11-21T02", "2026-11-21T02", "no hour"),
        ("2026-01-01T00", "2026-11-21T02", "--bucket"),
        ("2026-11-21T02", "2031-01-01T00", "future"),
    ] {
        let refused = audit(&local, &["--from", from, "--to", to]);
        assert_eq!(refused.code, 2, "{}", refused.err);
        assert!(refused.err.contains(problem), "{}", refused.err);
    }
    let refused = metering(&["audit", "--from", "yesterday", "--to", "2026-11-21T02"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("2026-11-21T02"), "{}", refused.err);
}
