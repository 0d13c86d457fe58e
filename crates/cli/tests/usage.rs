//! The command line for people: help, wrong usage, exit codes.

mod common;

use common::{Ran, metering};

#[test]
fn every_command_explains_itself_with_an_example() {
    let all = metering(&["--help"]);
    assert_eq!(all.code, 0);
    for command in [
        "demo",
        "local",
        "books",
        "records",
        "subscriptions",
        "products",
        "pages",
        "resolve-customer",
        "batch-meter-usage",
        "meter-usage",
        "register-usage",
    ] {
        assert!(all.out.contains(command), "{}", all.out);
    }
    for command in [
        "demo",
        "local",
        "books",
        "records list",
        "records show",
        "subscriptions list",
        "products list",
        "products put",
        "pages show",
        "pages apply",
        "pages reset",
        "resolve-customer",
        "batch-meter-usage",
        "meter-usage",
        "register-usage",
    ] {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.push("--help");
        let help = metering(&arguments);
        assert_eq!(help.code, 0, "{command}");
        assert!(help.out.contains("Example"), "{command}: {}", help.out);
        assert!(
            help.out.contains(&format!("metering {command}")),
            "{command}"
        );
    }
}

#[test]
fn wrong_usage_ends_with_2_and_names_value_and_rule() {
    let license = "arn:aws:license-manager::1:license:l-1";
    let cases: &[(&[&str], &str)] = &[
        (&[], "Usage"),
        (&["demo", "--hours", "1"], "2 to 600"),
        (&["demo", "--hours", "many"], "many"),
        (&["demo", "--faults", "mild"], "mild"),
        (&["local", "--speed", "-1"], "-1"),
        (&["local", "--speed", "fast"], "0 to 100000"),
        (&["local", "--http", "8080"], "8080"),
        (
            &["local", "--sign-up-url", "http://example.com"],
            "https://",
        ),
        (&["pages", "apply"], "FILE"),
        (&["pages", "reset", "--local"], "--yes"),
        (&["local", "--sample", "--data-dir", "x"], "--data-dir"),
        (&["books", "--month", "2026-13"], "YYYY-MM"),
        (&["books", "--json", "--csv"], "cannot be used with"),
        (&["books", "--dynamodb-endpoint", "127.0.0.1:8000"], "URL"),
        (
            &[
                "books",
                "--local",
                "--dynamodb-endpoint",
                "http://127.0.0.1:8000",
            ],
            "cannot be used with",
        ),
        (&["records", "list", "--subscription", "buyer1"], "legacy|"),
        (
            &[
                "records",
                "list",
                "--subscription",
                license,
                "--state",
                "lost",
            ],
            "conflict",
        ),
        (
            &[
                "records",
                "show",
                "--subscription",
                license,
                "--hour",
                "2026-11-21T24",
                "--dimension",
                "gb",
            ],
            "2026-11-21T24",
        ),
        (
            &[
                "products",
                "put",
                "--code",
                "a|b",
                "--identity",
                "license",
                "--dimension",
                "gb",
            ],
            "a|b",
        ),
        (
            &[
                "products",
                "put",
                "--code",
                "a",
                "--identity",
                "person",
                "--dimension",
                "gb",
            ],
            "license, customer or account",
        ),
        (
            &["products", "put", "--code", "a", "--identity", "license"],
            "--dimension",
        ),
        (
            &[
                "meter-usage",
                "--product-code",
                "a",
                "--dimension",
                "gb",
                "--quantity",
                "1.1234567",
                "--timestamp",
                "0",
            ],
            "6 decimals",
        ),
        (
            &[
                "meter-usage",
                "--product-code",
                "a",
                "--dimension",
                "gb",
                "--quantity",
                "1",
                "--timestamp",
                "noon",
            ],
            "noon",
        ),
        (
            &[
                "register-usage",
                "--product-code",
                "a",
                "--public-key-version",
                "0",
                "--nonce",
                "n",
            ],
            "public key version 0",
        ),
        // A token on the command line would stay in the shell's history.
        (
            &["resolve-customer", "--registration-token", "secret"],
            "--token-file",
        ),
    ];
    for (arguments, complaint) in cases {
        let Ran { code, out, err } = metering(arguments);
        assert_eq!(code, 2, "{arguments:?}: {err}");
        assert!(err.contains(complaint), "{arguments:?}: {err}");
        assert_eq!(out, "", "{arguments:?}");
    }
}

#[test]
fn a_failure_ends_with_1_and_says_why() {
    // Nothing listens on port 1.
    let nowhere = "http://127.0.0.1:1";
    let cases: &[(&[&str], &str)] = &[
        (
            &["resolve-customer", "--token-file", "no-such-file"],
            "no-such-file cannot be read",
        ),
        (
            &["batch-meter-usage", "--file", "no-such-file"],
            "no-such-file cannot be read",
        ),
        (
            &["books", "--dynamodb-endpoint", nowhere],
            "is `metering local` running",
        ),
        (
            &[
                "subscriptions",
                "list",
                "--stack",
                "other",
                "--dynamodb-endpoint",
                nowhere,
            ],
            "other-Subscriptions",
        ),
    ];
    for (arguments, complaint) in cases {
        let Ran { code, out, err } = metering(arguments);
        assert_eq!(code, 1, "{arguments:?}: {err}");
        assert!(err.contains(complaint), "{arguments:?}: {err}");
        assert_eq!(out, "", "{arguments:?}");
    }
    let ran = common::metering_with(
        &[
            "resolve-customer",
            "--token-file",
            "-",
            "--endpoint",
            nowhere,
        ],
        "two words\n",
    );
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("a space"), "{}", ran.err);
    assert!(!ran.err.contains("two"), "{}", ran.err);
    let ran = common::metering_with(&["batch-meter-usage", "--file", "-"], "{]");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("is not JSON"), "{}", ran.err);
}
