//! A person's decisions about waiting usage, against `metering local --sample`.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Local, Ran, http, metering};
use marketplace::carry_id::origin_hash;
use serde_json::{Value, json};

const LICENSE: &str =
    "arn:aws:license-manager::294406891311:license:l-0123456789abcdef0123456789abcdef";
const CUSTOMER: &str = "legacy|examplecode2|CUSTEXAMPLE2";
/// The time limit for an effect that takes the stack a few seconds.
const PATIENCE: Duration = Duration::from_secs(180);

struct Sample {
    local: Local,
    dynamodb: String,
}

impl Sample {
    fn start() -> Self {
        let local = Local::start(&["--sample"]);
        let dynamodb = format!("http://{}", local.dynamodb);
        Self { local, dynamodb }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_in(&[], arguments)
    }

    fn run_in(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Ran {
        let mut all = arguments.to_vec();
        all.extend(["--dynamodb-endpoint", &self.dynamodb]);
        // `--local` would name this clock, but it works only on the default ports.
        let clock = format!("http://{}/_emulator/clock", self.local.aws);
        let mut environment = environment.to_vec();
        environment.push(("METERING_CLOCK", &clock));
        common::metering_in(&environment, &all, "")
    }

    fn clock(&self, body: &Value) {
        self.local.control("PUT", "clock", &body.to_string());
    }

    fn report(&self, dimension: &str, id: &str, quantity: &str, time: &str) {
        self.report_of(CUSTOMER, dimension, id, quantity, time);
    }

    fn report_of(&self, subscription: &str, dimension: &str, id: &str, quantity: &str, time: &str) {
        let event = json!({"id": id, "subscription": subscription, "dimension": dimension, "quantity": quantity, "time": time});
        let body = json!({"events": [event]}).to_string();
        let (status, answer) = http(self.local.http, "POST", "/usage", &body);
        assert_eq!(status, 200, "{answer}");
        assert!(answer.contains("\"stored\":1"), "{answer}");
    }

    fn waiting(&self, month: &str) -> Vec<Value> {
        let listed = self
            .run(&["late", "list", "--month", month, "--json"])
            .json();
        listed.as_array().unwrap().clone()
    }

    fn is_accepted(&self, subscription: &str, hour: &str, dimension: &str) -> Option<()> {
        let show = ["records", "show", "--subscription", subscription];
        let of = ["--hour", hour, "--dimension", dimension, "--json"];
        let ran = self.run(&[&show[..], &of].concat());
        let record: Value = serde_json::from_str(&ran.out).ok()?;
        (record["record"]["state"] == "accepted").then_some(())
    }

    fn billed(&self, hour: &str, dimension: &str) -> Option<String> {
        let metered = self.local.control("GET", "metered", "");
        let slot = metered.as_array()?.iter().find(|slot| {
            slot["product_code"] == "examplecode2"
                && slot["hour"] == hour
                && slot["dimension"] == dimension
        })?;
        Some(slot["quantity"].as_str()?.to_owned())
    }

    fn sum(&self, month: &str) -> Value {
        self.run(&["books", "--month", month, "--json"]).json()["sum"].clone()
    }

    /// Deletes a usage row, as a producer could do.
    fn delete_row(&self, subscription: &str, hour: &str, row: &str) {
        let key = json!({
            "subscription_hour": {"S": format!("{subscription}@{hour}")},
            "dimension_event": {"S": row},
        });
        self.call_dynamodb(
            "DeleteItem",
            &json!({"TableName": "metering-UsageEvents", "Key": key}),
        );
    }

    /// Writes a usage row with PutItem, which accepts usage of any age.
    fn put_row(&self, time: &str, row: &str, quantity: &str) {
        let item = json!({
            "subscription_hour": {"S": format!("{CUSTOMER}@{}", &time[..13])},
            "dimension_event": {"S": row},
            "quantity": {"N": quantity},
            "time": {"S": time},
        });
        self.call_dynamodb(
            "PutItem",
            &json!({"TableName": "metering-UsageEvents", "Item": item}),
        );
    }

    fn call_dynamodb(&self, operation: &str, body: &Value) {
        let body = body.to_string();
        let address = self.local.dynamodb;
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "POST / HTTP/1.1\r\nhost: {address}\r\nx-amz-target: DynamoDB_20120810.{operation}\r\ncontent-type: application/x-amz-json-1.0\r\nauthorization: AWS4-HMAC-SHA256 Credential=local/20261121/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0\r\nx-amz-date: 20261121T000000Z\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn usage_of_a_renamed_dimension_is_carried_into_the_new_one() {
    let sample = Sample::start();
    let put = [
        "products",
        "put",
        "--code",
        "examplecode2",
        "--identity",
        "customer",
    ];
    let dimensions = [
        "--dimension",
        "seats",
        "--dimension",
        "gb",
        "--dimension",
        "chairs",
    ];
    sample.run(&[&put[..], &dimensions].concat()).ok();
    // AWS Marketplace does not know chairs.
    sample.report("chairs", "x", "2.5", "2026-11-21T04:10:00Z");
    sample.clock(&json!({"advance": "70m"}));
    let refused = eventually("the refusal", || {
        sample
            .waiting("2026-11")
            .into_iter()
            .find(|w| w["why"] == "refused")
    });
    let slot = refused["slot"].as_str().unwrap();
    assert_eq!(slot, format!("{CUSTOMER}@2026-11-21T04#chairs"));
    assert_eq!(refused["quantity"], "2.5");
    assert_eq!(refused["last_answer"], "InvalidUsageDimensionException");

    let carry = ["late", "carry", slot, "--reason", "chairs are seats now"];
    let same = sample.run(&carry);
    assert!(same.err.contains("--into"), "{}", same.err);
    for (wrong, words) in [
        ("stools", "no dimension stools"),
        ("chairs", "own dimension"),
    ] {
        let ran = sample.run(&[&carry[..], &["--into", wrong]].concat());
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains(words), "{}", ran.err);
    }
    let table = sample.run(&[&carry[..], &["--into", "gb"]].concat()).ok();
    assert!(table.contains("2026-11-21T05 gb"), "{table}");
    assert!(sample.waiting("2026-11").is_empty());
    let twice = sample.run(&[&carry[..], &["--into", "gb"]].concat());
    assert_eq!(twice.code, 1, "{}", twice.err);

    sample.clock(&json!({"advance": "2h"}));
    let billed = eventually("the bill", || sample.billed("2026-11-21T05:00:00Z", "gb"));
    assert_eq!(billed, "2.5");
    assert_eq!(sample.billed("2026-11-21T04:00:00Z", "chairs"), None);
    let show = ["records", "show", "--subscription", CUSTOMER];
    let of = ["--hour", "2026-11-21T04", "--dimension", "chairs", "--json"];
    let record = sample.run(&[&show[..], &of].concat()).json();
    assert_eq!(record["record"]["state"], "moved");
    assert_eq!(record["movements"][0]["target_dimension"], "gb");
    assert_eq!(record["movements"][0]["reason"], "chairs are seats now");
    let books = sample.run(&["books", "--month", "2026-11", "--json"]);
    assert_eq!(books.json()["balanced"], true);
}

#[test]
fn usage_that_arrives_after_its_month_is_held_until_it_is_written_off() {
    let sample = Sample::start();
    sample.put_row("2026-10-31T10:10:00Z", "seats#late", "3");
    sample.clock(&json!({"advance": "20m"}));
    let held = eventually("the hold", || {
        sample
            .waiting("2026-10")
            .into_iter()
            .find(|w| w["why"] == "held" && w["quantity"] == "3")
    });
    let slot = held["slot"].as_str().unwrap();
    assert_eq!(held["hour"], "2026-10-31T10");
    let carried = sample.run(&["late", "carry", slot, "--reason", "please"]);
    assert_eq!(carried.code, 1);
    assert!(
        carried.err.contains("no later hour of 2026-10 is open"),
        "{}",
        carried.err
    );
    let write_off = ["late", "write-off", slot, "--reason"];
    let empty = sample.run(&[&write_off[..], &["  "]].concat());
    assert_eq!(empty.code, 2, "{}", empty.err);
    let lost = |sum: &Value| sum["lost"].as_str().unwrap().to_owned();
    let before = sample.sum("2026-10");
    assert_eq!(
        (lost(&before), before["held"] != json!("0")),
        ("0".into(), true)
    );
    sample
        .run(&[&write_off[..], &["agreed with the buyer"]].concat())
        .ok();
    let after = sample
        .run(&["books", "--month", "2026-10", "--json"])
        .json();
    assert_eq!(
        (lost(&after["sum"]), &after["balanced"]),
        ("3".into(), &json!(true))
    );
    assert!(!sample.waiting("2026-10").iter().any(|w| w["slot"] == slot));
    let twice = sample.run(&[&write_off[..], &["again"]].concat());
    assert!(
        twice.err.contains("nothing of it is held, refused"),
        "{}",
        twice.err
    );
}

#[test]
fn over_metered_usage_is_planned_claimed_and_counted_again() {
    let sample = Sample::start();
    sample.report("gb", "mistake", "5", "2026-11-21T04:10:00Z");
    sample.clock(&json!({"advance": "70m"}));
    eventually("the bill", || sample.billed("2026-11-21T04:00:00Z", "gb"));
    let plan = || {
        sample
            .run(&["adjust", "plan", "--month", "2026-11", "--json"])
            .json()
    };
    assert_eq!(plan(), json!([]));
    sample.delete_row(CUSTOMER, "2026-11-21T04", "gb#mistake");
    let planned = plan();
    assert_eq!(planned[0]["agreement_id"], "agmt-EXAMPLE2");
    assert_eq!(planned[0]["quantities"], json!({"gb": "5"}));
    let entry = &planned[0]["entry"];
    assert_eq!(entry["adjustmentReasonCode"], "INCORRECT_METERING");
    assert_eq!(entry["adjustmentAmount"], Value::Null);
    assert_eq!(entry["clientToken"], plan()[0]["entry"]["clientToken"]);

    let slot = format!("{CUSTOMER}@2026-11-21T04#gb");
    let record = |quantity: &str| {
        let reason = ["--reason", "adjustment request bar-1"];
        sample.run(&[&["adjust", "record", &slot, quantity][..], &reason].concat())
    };
    let too_much = record("5.000001");
    assert_eq!(too_much.code, 1);
    assert!(too_much.err.contains("5 too much"), "{}", too_much.err);
    record("5").ok();
    assert_eq!(plan(), json!([]));
    let sum = sample.sum("2026-11");
    assert_eq!(sum["refunded"], "5");

    // The row comes back. Now it is late usage and is billed with an open hour.
    sample.report("gb", "mistake", "5", "2026-11-21T04:10:00Z");
    sample.clock(&json!({"advance": "2h"}));
    let billed = eventually("the second bill", || {
        sample.billed("2026-11-21T05:00:00Z", "gb")
    });
    assert_eq!(billed, "5");

    // The row disappears once more. The new claim must not look like a repeat of the first claim.
    sample.delete_row(CUSTOMER, "2026-11-21T04", "gb#mistake");
    let again = plan();
    assert_eq!(again[0]["quantities"], json!({"gb": "5"}));
    assert_eq!(again[0]["slots"][0]["refunded"], "5");
    let token = |planned: &Value| planned[0]["entry"]["clientToken"].clone();
    assert_ne!(token(&again), token(&planned));
    assert_eq!(token(&again), token(&plan()));
}

#[test]
fn over_metered_usage_from_before_a_renewal_is_claimed_under_the_old_agreement() {
    let sample = Sample::start();
    let renewed = sample
        .local
        .control("POST", "agreements/agmt-EXAMPLE1/renew", "{}");
    // One hour began before the renewal, and one after it.
    let new = renewed["agreement_id"].as_str().unwrap().to_owned();
    assert_eq!(renewed["license_arn"], LICENSE);
    sample.clock(&json!({"now": "2026-11-21T05:50:00Z"}));
    for (hour, id, quantity) in [("04", "before", "5"), ("05", "after", "7")] {
        let time = format!("2026-11-21T{hour}:10:00Z");
        sample.report_of(LICENSE, "gb", id, quantity, &time);
    }
    sample.clock(&json!({"now": "2026-11-21T06:50:00Z"}));
    let hours = ["2026-11-21T04", "2026-11-21T05"];
    for hour in hours {
        eventually("the bill", || sample.is_accepted(LICENSE, hour, "gb"));
    }
    let plan = || {
        sample
            .run(&["adjust", "plan", "--month", "2026-11", "--json"])
            .json()
    };
    assert_eq!(plan(), json!([]));
    sample.delete_row(LICENSE, hours[0], "gb#before");
    sample.delete_row(LICENSE, hours[1], "gb#after");
    let planned = plan();
    let claims: Vec<(&Value, &Value)> = planned
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| (&claim["entry"]["agreementId"], &claim["slots"][0]["slot"]))
        .collect();
    let slot = |hour: &str| json!(format!("{LICENSE}@{hour}#gb"));
    let (first, second) = (slot(hours[0]), slot(hours[1]));
    assert_eq!(claims.len(), 2, "{planned}");
    assert!(
        claims.contains(&(&json!("agmt-EXAMPLE1"), &first)),
        "{planned}"
    );
    assert!(claims.contains(&(&json!(new), &second)), "{planned}");
    let known = planned[0]["known_agreements"].as_array().unwrap();
    assert!(known.contains(&json!("agmt-EXAMPLE1")) && known.contains(&json!(new)));

    // The facts about the old agreement are deleted, as if it had been bought before the stack
    // existed.
    let license_key = format!("license|agmt-EXAMPLE1|{LICENSE}");
    let license_item = format!("joint#{license_key}");
    for item in [
        ("agreement|agmt-EXAMPLE1", "facts"),
        (LICENSE, "joint#agreement|agmt-EXAMPLE1"),
        (license_key.as_str(), "facts"),
        (LICENSE, license_item.as_str()),
    ] {
        let key = json!({"subscription": {"S": item.0}, "item": {"S": item.1}});
        sample.call_dynamodb(
            "DeleteItem",
            &json!({"TableName": "metering-Subscriptions", "Key": key}),
        );
    }
    let planned = plan();
    let unknown = planned
        .as_array()
        .unwrap()
        .iter()
        .find(|claim| claim["slots"][0]["slot"] == first)
        .unwrap();
    assert_eq!(unknown["entry"]["agreementId"], Value::Null);
    let missing = unknown["to_be_filled_in"].as_array().unwrap();
    assert!(missing.contains(&json!("agreementId")), "{unknown}");
    let table = sample.run(&["adjust", "plan", "--month", "2026-11"]).ok();
    assert!(
        table.contains(&format!("not known; the stack knows {new}")),
        "{table}"
    );
}

#[test]
fn the_hour_that_takes_a_carry_follows_the_settle_time_of_the_stack() {
    let sample = Sample::start();
    let dimensions = [
        "--dimension",
        "seats",
        "--dimension",
        "gb",
        "--dimension",
        "chairs",
    ];
    let put = [
        "products",
        "put",
        "--code",
        "examplecode2",
        "--identity",
        "customer",
    ];
    sample.run(&[&put[..], &dimensions].concat()).ok();
    // AWS Marketplace does not know chairs.
    sample.report("chairs", "x", "2.5", "2026-11-21T04:10:00Z");
    sample.clock(&json!({"now": "2026-11-21T06:20:00Z"}));
    let refused = eventually("the refusal", || {
        let mut waiting = sample.waiting("2026-11").into_iter();
        waiting.find(|w| w["why"] == "refused")
    });
    let slot = refused["slot"].as_str().unwrap();
    let carry = ["late", "carry", slot, "--into", "gb", "--reason", "renamed"];
    let wrong = sample.run_in(&[("SETTLE_MINUTES", "soon")], &carry);
    assert_eq!(wrong.code, 2, "{}", wrong.err);
    assert!(wrong.err.contains("SETTLE_MINUTES"), "{}", wrong.err);
    // Hour 05 was due at 06:10, if hours settle for ten minutes. By default it is open until 06:30.
    let table = sample.run_in(&[("SETTLE_MINUTES", "10")], &carry).ok();
    assert!(table.contains("2026-11-21T06 gb"), "{table}");
}

#[test]
fn usage_in_doubt_is_shown_and_decided_only_with_i_checked() {
    let sample = Sample::start();
    let failing = json!({"faults": [
        {"operation": "BatchMeterUsage", "kind": "internal-error", "rate": 1.0},
    ]});
    sample.local.control("PUT", "faults", &failing.to_string());
    for (dimension, quantity) in [("gb", "5"), ("seats", "3")] {
        sample.report(dimension, "x", quantity, "2026-11-21T04:10:00Z");
    }
    sample.clock(&json!({"advance": "70m"}));
    let unconfirmed = || {
        let is_ours = |w: &Value| {
            let slot = w["slot"].as_str().unwrap_or_default();
            w["why"] == "unconfirmed" && slot.starts_with(&format!("{CUSTOMER}@2026-11-21T04"))
        };
        let waiting = sample.waiting("2026-11");
        let in_doubt = waiting.iter().filter(|w| is_ours(w));
        in_doubt.count()
    };
    let slot = |dimension: &str| format!("{CUSTOMER}@2026-11-21T04#{dimension}");
    let shown = |dimension: &str| {
        let ran = sample.run(&["late", "show", &slot(dimension), "--json"]);
        serde_json::from_str::<Value>(&ran.out).ok()
    };
    for dimension in ["gb", "seats"] {
        eventually("an attempt", || {
            let attempts = shown(dimension)?["record"]["attempts"].as_u64()?;
            (attempts > 0).then_some(())
        });
    }
    sample.clock(&json!({"advance": "24h"}));
    eventually("the deadline", || (unconfirmed() == 2).then_some(()));
    sample.clock(&json!({"advance": "2h"}));
    let doubt = eventually("the audit", || {
        let doubt = shown("gb")?["doubt"].as_str()?.to_owned();
        doubt.contains("may have recorded it").then_some(doubt)
    });
    let text = sample.run(&["late", "show", &slot("gb")]).ok();
    for part in [&doubt, "DeadlinePassed", "to be checked"] {
        assert!(text.contains(part), "{text}");
    }

    for verb in ["carry", "write-off"] {
        let ran = sample.run(&["late", verb, &slot("gb"), "--reason", "nothing there"]);
        assert_eq!(ran.code, 2, "{}", ran.err);
        for part in [
            doubt.as_str(),
            "--i-checked",
            "unconfirmed",
            "2026-11-21T03:55",
        ] {
            assert!(ran.err.contains(part), "{}", ran.err);
        }
    }
    assert_eq!(unconfirmed(), 2);
    let checked = ["--reason", "nothing there", "--i-checked"];
    let decide = |verb: &str, dimension: &str| {
        sample.run(&[&["late", verb, &slot(dimension)][..], &checked].concat())
    };
    let carried = decide("carry", "gb").ok();
    assert!(carried.contains("carried"), "{carried}");
    decide("write-off", "seats").ok();
    assert_eq!(unconfirmed(), 0);
    assert_eq!(decide("carry", "gb").code, 1);
    sample.local.control("PUT", "faults", "{}");
    sample.clock(&json!({"advance": "3h"}));
    let show = ["records", "show", "--subscription", CUSTOMER];
    let of = ["--hour", "2026-11-21T04", "--dimension", "gb", "--json"];
    let record = sample.run(&[&show[..], &of].concat()).json();
    assert_eq!(record["record"]["state"], "moved");
    let target = record["movements"][0]["target_hour"].as_str().unwrap();
    let billed = eventually("the bill", || {
        sample.billed(&format!("{target}:00:00Z"), "gb")
    });
    assert_eq!(billed, "5");
    assert_eq!(sample.billed("2026-11-21T04:00:00Z", "gb"), None);
    let books = sample
        .run(&["books", "--month", "2026-11", "--json"])
        .json();
    assert_eq!(
        (&books["balanced"], &books["sum"]["lost"]),
        (&json!(true), &json!("3"))
    );
}

#[test]
fn reasons_and_slots_are_checked_and_an_empty_month_is_an_empty_list() {
    let sample = Sample::start();
    assert!(sample.waiting("2025-01").is_empty());
    let long = "x".repeat(501);
    let slot = format!("{CUSTOMER}@2026-11-21T02#seats");
    for (slot, reason) in [(slot.as_str(), long.as_str()), ("seats", "why")] {
        for verb in ["carry", "write-off"] {
            let ran = sample.run(&["late", verb, slot, "--reason", reason]);
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
        }
    }
    let nothing = sample.run(&["late", "write-off", &slot, "--reason", "why"]);
    assert_eq!(nothing.code, 1);
    assert_eq!(metering(&["late", "write-off", &slot]).code, 2);
}

#[test]
fn a_row_that_came_before_its_subscription_is_explained_and_not_reported_as_lost() {
    let sample = Sample::start();
    sample.clock(&json!({"now": "2026-11-21T05:10:00Z"}));
    let nobody = "legacy|examplecode2|CUSTEXAMPLE9";
    for subscription in [CUSTOMER, nobody] {
        let item = json!({
            "subscription_hour": {"S": format!("{subscription}@2026-11-21T05")},
            "dimension_event": {"S": "seats#x"},
            "quantity": {"N": "1"},
            "time": {"S": "2026-11-21T05:05:00Z"},
        });
        sample.call_dynamodb(
            "PutItem",
            &json!({"TableName": "metering-UsageEvents", "Item": item}),
        );
    }
    let list = || {
        let listed = sample.run(&["records", "unattributed", "--json"]).json();
        listed.as_array().unwrap().clone()
    };
    let rows = eventually("the report", || {
        Some(list()).filter(|rows| !rows.is_empty())
    });
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["partition"], format!("{nobody}@2026-11-21T05"));
    assert_eq!(rows[0]["known_since"], Value::Null);
    let bought = json!({"product_code": "examplecode2", "customer_identifier": "CUSTEXAMPLE9"});
    let bought = sample
        .local
        .control("POST", "agreements", &bought.to_string());
    assert_eq!(bought["customer_identifier"], "CUSTEXAMPLE9");
    sample.clock(&json!({"advance": "5m"}));
    let known = eventually("the subscription", || {
        let known = list()[0]["known_since"].clone();
        known.is_string().then_some(known)
    });
    let table = sample.run(&["records", "unattributed"]).ok();
    assert!(table.contains(known.as_str().unwrap()), "{table}");
}

#[test]
fn the_books_are_one_page_that_loads_nothing() {
    let sample = Sample::start();
    let page = sample.run(&["books", "--month", "2026-11", "--html"]).ok();
    assert!(page.starts_with("<!DOCTYPE html>"), "{page}");
    for words in [
        "The books of 2026-11",
        "They balance.",
        CUSTOMER,
        "2026-11-21T02: to be sealed or sent",
    ] {
        assert!(page.contains(words), "{words}");
    }
    for loaded in ["http://", "https://", "<script", "src=", "@import", "url("] {
        assert!(!page.contains(loaded), "{loaded}");
    }
    let old = ["books", "--month", "2025-02", "--html", "--all-is-kept"];
    let empty = sample.run(&old).ok();
    assert!(empty.contains("Nothing waits for a person"));
    assert!(empty.contains("2025-02-28") && !empty.contains("2025-02-29"));
    assert_eq!(sample.run(&["books", "--html", "--csv"]).code, 2);
}

#[test]
fn usage_whose_rows_may_be_gone_is_not_reported_as_metered_too_much() {
    let sample = Sample::start();
    let claim = format!("{LICENSE}@2025-02-03T02#gb");
    let reason = ["--reason", "a claim"];
    for command in [
        vec!["books", "--month", "2025-02"],
        vec!["adjust", "plan", "--month", "2025-02"],
        [&["adjust", "record", &claim, "1"][..], &reason].concat(),
    ] {
        let ran = sample.run(&command);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{command:?}");
        for words in ["100 days", "--all-is-kept"] {
            assert!(ran.err.contains(words), "{}", ran.err);
        }
    }
}

#[test]
fn an_imbalance_names_its_slots() {
    let sample = Sample::start();
    // The late row of hour 02 is carried into hour 04.
    sample.clock(&json!({"advance": "10m"}));
    let books = || sample.run(&["books", "--month", "2026-11", "--json"]);
    eventually("the carry", || {
        (books().json()["sum"]["carried_in"] == "0.75").then_some(())
    });
    assert_eq!(books().code, 0);
    let hash = origin_hash(&LICENSE.parse().unwrap(), &"gb".parse().unwrap());
    let row = format!("gb#carry:2026-11-21T02:{hash}:1.0");
    sample.delete_row(LICENSE, "2026-11-21T04", &row);
    let ran = books();
    assert_eq!(ran.code, 1);
    let slot = format!("{LICENSE}@2026-11-21T04#gb");
    assert!(
        ran.err
            .contains(&format!("{slot}: 0.75 was carried to this slot, 0 arrived")),
        "{}",
        ran.err
    );
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["balanced"], false);
    assert_eq!(
        json["unbalanced"],
        json!([{"slot": slot, "sent": "0.75", "arrived": "0"}])
    );
    let page = sample.run(&["books", "--month", "2026-11", "--html"]);
    assert_eq!(page.code, 1);
    assert!(page.out.contains("They do not balance."));
}
