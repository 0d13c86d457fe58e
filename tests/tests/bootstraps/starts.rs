//! A function with a missing or wrong setting stops at its start, and its message names the
//! setting.

use std::collections::BTreeMap;

use end_to_end::bootstrap::{binary, environment};
use end_to_end::runtime_api::run_to_its_end;
use end_to_end::template::{FUNCTIONS, Template};

/// The environment of a function that starts.
fn settings(function: &str) -> BTreeMap<String, String> {
    let nowhere = "http://127.0.0.1:9";
    environment(&Template::read(), function, nowhere, nowhere)
}

/// Checks that the function does not start if `variable` is `value`, and that its message says so.
#[track_caller]
fn check(function: &str, variable: &str, value: &str) {
    let mut settings = settings(function);
    let declared = settings.insert(variable.to_owned(), value.to_owned());
    assert!(declared.is_some(), "{function} has no {variable}");
    let (status, printed) = run_to_its_end(&binary(function), function, &settings);
    assert_eq!(
        status.code(),
        Some(1),
        "{function} with {variable}={value:?}: {printed}"
    );
    assert!(
        printed.contains(variable),
        "{function} with {variable}={value:?} says: {printed}"
    );
}

#[test]
fn a_missing_setting_stops_every_function() {
    for (function, _) in FUNCTIONS {
        for variable in [
            "SUBSCRIPTIONS_TABLE",
            "USAGE_EVENTS_TABLE",
            "METERING_RECORDS_TABLE",
        ] {
            check(function, variable, "");
        }
    }
    check("Registration", "SUPPORT_CONTACT", "");
    check("Registration", "SESSION_KEY", " ");
}

#[test]
fn a_wrong_setting_stops_the_function_that_reads_it() {
    for (function, variable, value) in [
        ("Registration", "SUPPORT_CONTACT", "nobody"),
        ("Registration", "SIGN_UP_URL", "http://app.example.com"),
        ("Registration", "PRODUCT_CODES", "a|b"),
        ("Registration", "MARKETPLACE_ENDPOINT", "localhost"),
        ("Agreements", "PRODUCT_CODES", "a|b"),
        ("Intake", "DYNAMODB_ENDPOINT", "localhost"),
        ("LateUsage", "METERING_CLOCK", "noon"),
        ("Sealer", "SETTLE_MINUTES", "soon"),
        ("Sealer", "WINDOW_HOURS", "1"),
        ("Sealer", "LATE_POLICY", "drop"),
        ("Sealer", "DRY_RUN", "maybe"),
        ("Submitter", "SUBMIT_AT_ONCE", "17"),
        ("Submitter", "SUBMIT_PER_SECOND", "1001"),
        ("Reconciler", "WINDOW_HOURS", "1000"),
        ("Reconciler", "CLOUDTRAIL_ENDPOINT", "localhost"),
        ("Reconciler", "AUDIT_BUCKET", "example/trail"),
        ("Registration", "MARKETPLACE_ROLE_EXTERNAL_ID", "no-role"),
        ("Submitter", "MARKETPLACE_ROLE_ARN", "listing"),
        (
            "Reconciler",
            "MARKETPLACE_ROLE_ARN",
            "arn:aws:iam::1:role/r",
        ),
    ] {
        check(function, variable, value);
    }
}

#[test]
fn a_window_must_leave_time_to_send() {
    for function in ["Sealer", "Reconciler"] {
        let mut settings = settings(function);
        settings.insert("SETTLE_MINUTES".to_owned(), "240".to_owned());
        settings.insert("WINDOW_HOURS".to_owned(), "5".to_owned());
        let (status, printed) = run_to_its_end(&binary(function), function, &settings);
        assert_eq!(status.code(), Some(1), "{printed}");
        assert!(printed.contains("the function did not start"), "{printed}");
        assert!(printed.contains("at least 6 hours"), "{printed}");
    }
}

/// The message must not suggest that a setting is wrong.
#[test]
fn a_function_whose_runtime_api_is_gone_says_so() {
    for (function, _) in FUNCTIONS {
        let (status, printed) = run_to_its_end(&binary(function), function, &settings(function));
        assert_eq!(status.code(), Some(1), "{function}: {printed}");
        assert!(
            printed.contains("the Lambda Runtime API no longer answers"),
            "{function}: {printed}"
        );
        assert!(!printed.contains("did not start"), "{function}: {printed}");
    }
}

#[test]
fn a_session_key_that_is_too_short_is_refused_without_being_shown() {
    let mut settings = settings("Registration");
    settings.insert("SESSION_KEY".to_owned(), "tooshortsecret".to_owned());
    let (status, printed) = run_to_its_end(&binary("Registration"), "Registration", &settings);
    assert_eq!(status.code(), Some(1));
    assert!(
        printed.contains("SESSION_KEY") && printed.contains("32"),
        "{printed}"
    );
    assert!(!printed.contains("tooshortsecret"), "{printed}");
}

#[test]
fn a_clock_of_our_own_needs_tables_of_our_own() {
    let mut settings = settings("Sealer");
    settings.insert("DYNAMODB_ENDPOINT".to_owned(), String::new());
    let (status, printed) = run_to_its_end(&binary("Sealer"), "Sealer", &settings);
    assert_eq!(status.code(), Some(1));
    assert!(printed.contains("METERING_CLOCK"), "{printed}");
}
