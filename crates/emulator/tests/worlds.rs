//! Worlds are saved, loaded and set up, lifecycle messages are delivered, and the program runs.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::post;
use common::{LEGACY, LICENSED, Running, at, by_customer, by_license, running, with};
use emulator::{Emulator, Fault, FaultKind, Faults, NewAgreement, Options, Target};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[tokio::test]
async fn a_loaded_world_continues_where_it_was_saved() {
    let running = running().await;
    let licensed = running.buys(LICENSED);
    let legacy = running.buys(LEGACY);
    let allocated = with(
        &by_license(&licensed),
        "UsageAllocations",
        json!([{"AllocatedUsageQuantity": 1, "Tags": [{"Key": "a", "Value": "b"}]}]),
    );
    running.meter(std::slice::from_ref(&allocated)).await;
    running.meter_product(LEGACY, &[by_customer(&legacy)]).await;
    let decimal = with(&by_license(&licensed), "Quantity", Value::Null);
    let decimal = with(
        &with(&decimal, "QuantityAsDecimal", "0.5"),
        "Dimension",
        "gb",
    );
    running.meter(&[decimal]).await;
    running.emulator.set_faults(Faults {
        seed: 5,
        faults: vec![Fault::next("MeterUsage", FaultKind::Throttling, 3)],
    });
    running
        .emulator
        .cancel_agreement(&legacy.agreement_id)
        .expect("a cancellation");
    let saved = running.emulator.save().expect("a world");

    let other = Emulator::new(Options::default());
    other.load(&saved).expect("the world");
    assert_eq!(other.now(), running.emulator.now());
    assert_eq!(other.metered(), running.emulator.metered());
    assert_eq!(other.calls(), running.emulator.calls());
    assert_eq!(other.faults(), running.emulator.faults());
    assert_eq!(other.save().expect("a world"), saved);
    let other = serve(other).await;
    let again = other.meter(&[allocated]).await;
    assert_eq!(again.statuses(), ["Success"]);
    assert_eq!(
        other.emulator.metered().len(),
        3,
        "the slots are still taken"
    );
    other
        .emulator
        .set_clock(Some(at("2026-11-21T13:00:00Z")), None);
    running
        .emulator
        .set_clock(Some(at("2026-11-21T13:00:00Z")), None);
    assert_eq!(
        other.emulator.take_lifecycle(),
        running.emulator.take_lifecycle()
    );
    assert_eq!(
        other.emulator.add_agreement(NewAgreement::of(LICENSED)),
        running.emulator.add_agreement(NewAgreement::of(LICENSED)),
        "the same identifiers come next"
    );
}

async fn serve(emulator: Emulator) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = emulator.clone();
    tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
    Running { emulator, address }
}

#[tokio::test]
async fn a_world_is_saved_and_loaded_over_http() {
    let running = running().await;
    let buyer = running.buys(LICENSED);
    running.meter(&[by_license(&buyer)]).await;
    let saved = running.control("GET", "world", &Value::Null).await.json();
    running.control("POST", "reset", &Value::Null).await;
    assert_eq!(running.emulator.metered(), []);
    assert_eq!(running.control("PUT", "world", &saved).await.status, 204);
    assert_eq!(running.emulator.metered().len(), 1);
    let broken = with(&saved, "world", json!({"seed": 1}));
    let refused = running.control("PUT", "world", &broken).await;
    assert_eq!(refused.status, 400);
    assert_eq!(running.emulator.metered().len(), 1, "nothing changed");
}

#[tokio::test]
async fn a_world_is_set_up_from_one_document() {
    let emulator = Emulator::new(Options::default());
    let setup = json!({
        "clock": {"now": common::NOON, "speed": 0},
        "settings": {"window_hours": 6},
        "readings": {"zero_quantity": "leaves-slot-free"},
        "products": [{"code": "p1", "dimensions": ["d"], "identity": "license"}],
        "agreements": [{"product_code": "p1", "account_id": "111122223333"}],
    });
    emulator.load(&setup.to_string()).expect("a setup");
    assert_eq!(emulator.now(), at(common::NOON));
    assert_eq!(emulator.settings().window_hours, 6);
    assert_eq!(emulator.take_lifecycle().len(), 2);
    for (bad, word) in [
        ("{", "neither"),
        (r#"{"colour": 1}"#, "colour"),
        (
            r#"{"products": [{"code": "", "dimensions": ["d"], "identity": "license"}]}"#,
            "refused",
        ),
        (r#"{"clock": {"now": "soon"}}"#, "soon"),
    ] {
        let error = emulator.load(bad).expect_err("a refusal").to_string();
        assert!(error.contains(word), "{word} is not in {error}");
    }
}

type Received = Arc<Mutex<Vec<(Option<String>, Value)>>>;

/// An HTTP endpoint that refuses the first request and then keeps the messages.
async fn endpoint() -> (String, Received) {
    let received: Received = Arc::default();
    let refused = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let take = move |State(received): State<Received>, headers: http::HeaderMap, body: String| {
        let refused = Arc::clone(&refused);
        async move {
            if !refused.swap(true, std::sync::atomic::Ordering::SeqCst) {
                return http::StatusCode::SERVICE_UNAVAILABLE;
            }
            let sns = headers.get("x-amz-sns-message-type");
            let sns = sns.map(|value| value.to_str().expect("text").to_owned());
            let body = serde_json::from_str(&body).expect("JSON");
            received.lock().expect("a lock").push((sns, body));
            http::StatusCode::NO_CONTENT
        }
    };
    let app = axum::Router::new()
        .route("/events", post(take))
        .with_state(Arc::clone(&received));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    (format!("http://{address}/events"), received)
}

async fn until(mut reached: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if reached() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it was not reached");
}

#[tokio::test]
async fn messages_are_delivered_to_a_url_and_tried_again_when_it_fails() {
    let running = running().await;
    let (url, received) = endpoint().await;
    let set = running.control("PUT", "target", &json!({"url": url})).await;
    assert_eq!(set.json()["url"], url.as_str());
    running
        .emulator
        .add_agreement(NewAgreement::of(LEGACY))
        .expect("a purchase");
    until(|| running.emulator.delivery().1.delivered == 3).await;
    let received = received.lock().expect("a lock").clone();
    assert_eq!(
        received[0].1["detail-type"],
        "Purchase Agreement Created - Proposer"
    );
    assert_eq!(
        received[1].1["detail-type"],
        "License Updated - Manufacturer"
    );
    assert_eq!(received[2].0.as_deref(), Some("Notification"));
    let message = received[2].1["Message"].as_str().expect("a message");
    assert!(message.contains("subscribe-success"));
    let state = running.control("GET", "target", &Value::Null).await.json();
    assert_eq!(
        state["last_failure"],
        "the target answered 503 Service Unavailable"
    );
    let bad = running
        .control("PUT", "target", &json!({"url": "ftp://x"}))
        .await;
    assert_eq!(bad.status, 400);
}

#[tokio::test]
async fn messages_are_written_to_a_file_line_by_line() {
    let running = running().await;
    let path = std::env::temp_dir().join(format!("emulator-lifecycle-{}", std::process::id()));
    running
        .emulator
        .set_target(Some(Target::File(path.clone())))
        .expect("a target");
    running
        .emulator
        .add_agreement(NewAgreement::of(LICENSED))
        .expect("a purchase");
    until(|| running.emulator.delivery().1.delivered == 2).await;
    let text = std::fs::read_to_string(&path).expect("a file");
    std::fs::remove_file(&path).expect("removed");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["detail-type"], "License Updated - Manufacturer");
}

#[tokio::test]
async fn by_settings_messages_come_out_of_order_and_twice_and_none_is_lost() {
    let running = running().await;
    let mut settings = running.emulator.settings();
    settings.lifecycle_disorder_s = 600;
    settings.lifecycle_repeat_percent = 50;
    running.emulator.set_settings(settings);
    for _ in 0..50 {
        running
            .emulator
            .add_agreement(NewAgreement::of(LICENSED))
            .expect("a purchase");
    }
    running
        .emulator
        .set_clock(Some(at("2026-11-21T12:10:00Z")), None);
    let messages = serde_json::to_value(running.emulator.take_lifecycle()).expect("JSON");
    let of = |event: &Value| {
        let event = &event["event-bridge"];
        let agreement = event["detail"]["agreement"]["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        (
            agreement,
            event["detail-type"].as_str().expect("a type").to_owned(),
        )
    };
    let events: Vec<_> = messages
        .as_array()
        .expect("events")
        .iter()
        .map(of)
        .collect();
    let distinct: std::collections::HashSet<_> = events.iter().collect();
    assert_eq!(distinct.len(), 100);
    assert!(
        (120..180).contains(&events.len()),
        "{} of 100",
        events.len()
    );
    let position = |kind: &str, agreement: &str| {
        events
            .iter()
            .position(|(a, t)| a == agreement && t.starts_with(kind))
    };
    let reversed = events
        .iter()
        .filter(|(a, t)| {
            t.starts_with("License") && position("License", a) < position("Purchase", a)
        })
        .count();
    assert!(
        reversed > 5,
        "{reversed} license events came before their agreement event"
    );
}

/// The running program. It is stopped when the test ends.
struct Program {
    child: Child,
    address: std::net::SocketAddr,
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill() {
            eprintln!("the program had ended: {error}");
        }
    }
}

fn program(arguments: &[&str]) -> Program {
    let mut child = Command::new(env!("CARGO_BIN_EXE_emulator"))
        .args(["--listen", "127.0.0.1:0"])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("its output");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let address = line
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split(',').next())
        .and_then(|address| address.parse().ok())
        .unwrap_or_else(|| panic!("no address in {line:?}"));
    Program { child, address }
}

#[tokio::test]
async fn the_program_starts_from_a_file_and_saves_its_world_when_it_is_stopped() {
    let directory = std::env::temp_dir().join(format!("emulator-world-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let seed = directory.join("seed.json");
    let saved = directory.join("saved.json");
    let setup = json!({
        "clock": {"now": common::NOON, "speed": 0},
        "products": [{"code": "p1", "dimensions": ["d"], "identity": "license"}],
    });
    std::fs::write(&seed, setup.to_string()).expect("written");
    let text = |path: &std::path::Path| path.to_str().expect("text").to_owned();
    let mut running = program(&["--seed", &text(&seed), "--save", &text(&saved)]);
    let client = Running {
        emulator: Emulator::new(Options::default()),
        address: running.address,
    };
    let bought = client
        .control("POST", "agreements", &json!({"product_code": "p1"}))
        .await;
    assert_eq!(bought.status, 201);
    let stopped = Command::new("sh")
        .args(["-c", &format!("kill -TERM {}", running.child.id())])
        .status()
        .expect("kill");
    assert!(stopped.success());
    assert!(running.child.wait().expect("the end").success());
    let world = Emulator::new(Options::default());
    world
        .load(&std::fs::read_to_string(&saved).expect("the saved world"))
        .expect("a world");
    assert_eq!(world.take_lifecycle().len(), 2);
    std::fs::remove_dir_all(&directory).expect("removed");
}

#[test]
fn the_program_says_what_is_wrong_with_its_arguments() {
    for (arguments, word) in [
        (["--speed", "-1"], "0 (frozen) or more"),
        (["--now", "soon"], "soon"),
        (["--seed", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--lifecycle-url", "ftp://x"], "ftp://x"),
        (["--listen", "nowhere"], "nowhere"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_emulator"))
            .args(arguments)
            .output()
            .expect("the program");
        assert!(!output.status.success(), "{arguments:?}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(word), "{word} is not in {error}");
    }
}
