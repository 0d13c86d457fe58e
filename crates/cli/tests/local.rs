//! `metering local`: it runs until it is stopped, follows its clock, and keeps its data in a
//! folder.

mod common;

use std::time::{Duration, Instant};

use common::{Local, http, metering};
use serde_json::{Value, json};

/// The time limit for an effect that takes the stack about a second.
const PATIENCE: Duration = Duration::from_secs(120);

/// Asks again and again until there is an answer.
fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Subscribes a new buyer and registers through the form.
fn buyer(local: &Local, product: &str) -> Value {
    let bought = json!({"product_code": product}).to_string();
    let agreement = local.control("POST", "agreements", &bought);
    let token = agreement["registration_token"].as_str().unwrap();
    let form = format!("x-amzn-marketplace-token={token}");
    let (status, page) = http(local.http, "POST", "/register", &form);
    assert_eq!(status, 303, "{page}");
    agreement
}

fn report(local: &Local, subscription: &str, id: &str, quantity: &str, time: &str) {
    let event = json!({"id": id, "subscription": subscription, "dimension": "gb", "quantity": quantity, "time": time});
    let body = json!({"events": [event]}).to_string();
    let (status, answer) = http(local.http, "POST", "/usage", &body);
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("\"stored\":1"), "{answer}");
}

#[test]
fn usage_over_http_is_billed_once_the_clock_has_passed_its_hour() {
    let local = Local::start(&[]);
    // The stack configures the products of both kinds of identity. Nothing is configured by hand.
    for (code, identity) in [("bylicense", "license"), ("bycustomer", "customer")] {
        let product = json!({"code": code, "dimensions": ["gb"], "identity": identity});
        local.control("POST", "products", &product.to_string());
    }
    let clock = |body: &Value| local.control("PUT", "clock", &body.to_string());
    clock(&json!({"now": "2026-11-10T09:10:00Z", "speed": 0}));
    let license = buyer(&local, "bylicense");
    let customer = buyer(&local, "bycustomer");
    let license = license["license_arn"].as_str().unwrap().to_owned();
    let customer = customer["customer_identifier"].as_str().unwrap();
    let customer = format!("legacy|bycustomer|{customer}");
    let time = "2026-11-10T09:10:00Z";
    report(&local, &license, "e-1", "1.5", time);
    report(&local, &customer, "e-1", "0.25", time);
    clock(&json!({"advance": "90m"}));
    let billed = eventually("the bill", || {
        let metered = local.control("GET", "metered", "");
        let metered = metered.as_array()?.clone();
        (metered.len() == 2).then_some(metered)
    });
    let mut billed: Vec<(&Value, &Value, &Value)> = billed
        .iter()
        .map(|slot| (&slot["product_code"], &slot["quantity"], &slot["hour"]))
        .collect();
    billed.sort_by_key(|(product, ..)| product.to_string());
    let hour = json!("2026-11-10T09:00:00Z");
    assert_eq!(
        billed,
        [
            (&json!("bycustomer"), &json!("0.25"), &hour),
            (&json!("bylicense"), &json!("1.5"), &hour)
        ]
    );
    assert_eq!(local.stop(), 0);
}

#[test]
fn tables_and_marketplace_survive_a_restart_in_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("kept");
    let folder = folder.to_str().unwrap();
    let local = Local::start(&["--data-dir", folder, "--speed", "0"]);
    let clock = json!({"now": "2026-11-10T09:10:00Z"}).to_string();
    local.control("PUT", "clock", &clock);
    let product = json!({"code": "kept", "dimensions": ["gb"], "identity": "license"});
    local.control("POST", "products", &product.to_string());
    let agreement = buyer(&local, "kept");
    let license = agreement["license_arn"].as_str().unwrap();
    report(&local, license, "e-1", "7", "2026-11-10T09:00:00Z");
    assert_eq!(local.stop(), 0);

    let local = Local::start(&["--data-dir", folder]);
    let clock = local.control("GET", "clock", "");
    assert_eq!(clock, json!({"now": "2026-11-10T09:10:00Z", "speed": 0.0}));
    let endpoint = format!("http://{}", local.dynamodb);
    let books = [
        "books",
        "--month",
        "2026-11",
        "--json",
        "--dynamodb-endpoint",
        &endpoint,
    ];
    assert_eq!(metering(&books).json()["sum"]["ingested"], "7");
    local.control("PUT", "clock", &json!({"advance": "90m"}).to_string());
    let billed = eventually("the bill", || {
        let metered = local.control("GET", "metered", "");
        metered[0]["quantity"].as_str().map(str::to_owned)
    });
    assert_eq!(billed, "7");
    assert_eq!(local.stop(), 0);
}

#[test]
fn an_address_in_use_is_named() {
    let local = Local::start(&["--speed", "0"]);
    let taken = local.aws.to_string();
    let any = "127.0.0.1:0";
    let ran = metering(&["local", "--http", any, "--aws", &taken, "--dynamodb", any]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains(&taken), "{}", ran.err);
}

#[test]
fn the_sample_world_sleeps_until_its_clock_moves() {
    let local = Local::start(&["--sample"]);
    // This is enough time for a step, if the stack took one.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(local.control("GET", "metered", ""), json!([]));
    local.control("PUT", "clock", &json!({"advance": "5h"}).to_string());
    // Everything is billed: hours 02 and 03, and the late row of hour 02 with the hour that ran
    // when the clock moved.
    let billed = eventually("the bill", || {
        let metered = local.control("GET", "metered", "");
        let metered = metered.as_array()?.clone();
        (metered.len() == 10).then_some(metered)
    });
    let late = billed
        .iter()
        .find(|slot| slot["hour"] == "2026-11-21T04:00:00Z")
        .unwrap();
    assert_eq!(late["quantity"], "0.75");
    assert_eq!(local.stop(), 0);
}
