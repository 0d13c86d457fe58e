//! Requests in the form that API Gateway sends, with real tables.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use intake::App;
use intake::limits::{BODY_BYTES_MAX, EVENTS_MAX};
use jiff::Timestamp;
use lambda_http::tower::ServiceExt;
use ledger::product::Product;
use ledger::profile::Profile;
use ledger::{Ledger, TableNames, tables};
use local::dynamodb::EmbeddedDynamoDb;
use marketplace::Subscription;
use marketplace::lifecycle::Sign;
use runtime::Clock;
use serde_json::{Value, json};

const NOW: &str = "2026-11-21T04:40:00Z";
const BUYER: &str = "account|examplecode3|111122223333";
const LICENSE: &str =
    "arn:aws:license-manager::294406891311:license:l-0123456789abcdef0123456789abcdef";
const LEGACY: &str = "legacy|examplecode2|CUSTEXAMPLE2";

struct World {
    _database: EmbeddedDynamoDb,
    client: Client,
    names: TableNames,
    app: App,
}

impl World {
    /// The stack for the samples in `events/`: three subscriptions of three products. Two of the
    /// products are configured.
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let database = EmbeddedDynamoDb::start(listener, None, Arc::new(now)).unwrap();
        let names = TableNames::of_stack("metering");
        for definition in tables::definitions(&names) {
            database.create_table(definition).unwrap();
        }
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "tests"))
            .endpoint_url(database.endpoint())
            .build();
        let client = Client::from_conf(config);
        let ledger = Ledger::new(client.clone(), names.clone());
        let clock = Clock::InProcess(Arc::new(now));
        let world = Self {
            _database: database,
            client,
            names,
            app: App {
                ledger,
                clock,
                request_time: Duration::from_secs(600),
            },
        };
        for subscription in [LICENSE, LEGACY, BUYER] {
            world.register(subscription, &[Sign::Activated]).await;
        }
        world.configure("examplecode1", &["gb", "requests"]).await;
        world.configure("examplecode2", &["gb", "seats"]).await;
        world
    }

    async fn register(&self, subscription: &str, signs: &[Sign]) {
        let subscription: Subscription = subscription.parse().unwrap();
        let product = subscription.product().cloned();
        let product = product.unwrap_or_else(|| "examplecode1".parse().unwrap());
        let mut profile = Profile::new(subscription, product, now());
        for sign in signs {
            profile.lifecycle.observe(*sign, now());
            if *sign == Sign::Deprovisioned {
                profile.lifecycle.closed_at = Some(now());
            }
        }
        self.app.ledger.create_profile(&profile).await.unwrap();
    }

    async fn configure(&self, code: &str, dimensions: &[&str]) {
        let product = Product {
            code: code.parse().unwrap(),
            identity: "license".parse().unwrap(),
            dimensions: dimensions
                .iter()
                .map(|name| name.parse().unwrap())
                .collect(),
            version: 1,
        };
        self.app.ledger.write_product(None, &product).await.unwrap();
    }

    async fn rows(&self, subscription: &str, hour: &str) -> usize {
        let (subscription, hour) = (subscription.parse().unwrap(), hour.parse().unwrap());
        let page = self.app.ledger.row_page(&subscription, hour, None).await;
        page.unwrap().items.len()
    }

    async fn request(&self, request: Request<Body>) -> (StatusCode, Value) {
        let router = intake::function(Arc::new(self.app.clone()));
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/json");
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 10_000_000).await;
        let body = body.unwrap();
        let value = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).unwrap()
        };
        (status, value)
    }

    async fn post(&self, body: impl Into<Body>) -> (StatusCode, Value) {
        let request = Request::post("/usage").header("content-type", "application/json");
        self.request(request.body(body.into()).unwrap()).await
    }

    async fn send(&self, events: &[Value]) -> (StatusCode, Value) {
        self.post(json!({ "events": events }).to_string()).await
    }

    /// Sends a sample of `events/` through the Lambda HTTP adapter.
    async fn sample(&self, name: &str) -> (StatusCode, Value) {
        let path = format!("{}/../../events/{name}", env!("CARGO_MANIFEST_DIR"));
        let payload = std::fs::read_to_string(path).unwrap();
        let request = lambda_http::request::from_str(&payload).unwrap();
        self.request(request.map(|body| Body::from(body.to_vec())))
            .await
    }
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn event(id: &str) -> Value {
    json!({"id": id, "subscription": BUYER, "dimension": "gb", "quantity": "1.5",
        "time": "2026-11-21T04:10:00Z"})
}

fn with(id: &str, member: &str, value: &str) -> Value {
    let mut event = event(id);
    event[member] = json!(value);
    event
}

/// The code of each result, or its status if it has no code.
fn results(answer: &Value) -> Vec<&str> {
    let results = answer["results"].as_array().unwrap().iter();
    results
        .map(|result| {
            let status = result["status"].as_str().unwrap();
            result["code"].as_str().unwrap_or(status)
        })
        .collect()
}

#[tokio::test]
async fn a_sample_of_usage_is_stored_once_even_if_it_is_sent_twice() {
    let world = World::new().await;
    let (status, answer) = world.sample("intake-usage.json").await;
    assert_eq!(
        (status, results(&answer)),
        (StatusCode::OK, vec!["stored"; 5])
    );
    let counts = ["stored", "repeated", "rejected"].map(|name| answer[name].as_u64());
    assert_eq!(counts, [Some(5), Some(0), Some(0)]);
    assert_eq!(answer.get("failed"), None);
    assert_eq!(world.rows(LICENSE, "2026-11-21T03").await, 2);

    let (status, answer) = world.sample("intake-usage.json").await;
    assert_eq!(
        (status, results(&answer)),
        (StatusCode::OK, vec!["repeated"; 5])
    );
    assert_eq!(world.rows(LICENSE, "2026-11-21T03").await, 2);
}

#[tokio::test]
async fn a_rejected_event_does_not_affect_the_others() {
    let world = World::new().await;
    let (status, answer) = world.sample("intake-rejected.json").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        results(&answer),
        [
            "stored",
            "invalid-quantity",
            "invalid-quantity",
            "invalid-quantity",
            "invalid-quantity",
            "unknown-subscription",
            "unknown-dimension",
            "invalid-time",
            "time-in-future",
            "time-too-old",
            "invalid-tags",
            "reserved-id",
            "unknown-member",
            "repeated",
            "conflict",
        ]
    );
    assert_eq!(answer["results"][1]["id"], "bad-negative");
    for result in answer["results"].as_array().unwrap() {
        let rejected = result["status"] == "rejected";
        let message = result["message"].as_str().unwrap_or_default();
        assert_eq!(message.contains(": "), rejected, "{result}");
    }
    assert_eq!(world.rows(LICENSE, "2026-11-21T04").await, 1);
}

#[tokio::test]
async fn a_message_names_the_value_the_rule_and_the_next_step() {
    let world = World::new().await;
    let mut odd = event("e-1");
    odd["subscription"] = json!(LICENSE);
    odd["dimension"] = json!("GB");
    let (_, answer) = world.send(&[odd]).await;
    assert_eq!(
        answer["results"][0]["message"],
        "product examplecode1 has no dimension \"GB\": it has gb, requests; correct the name (case matters), or add the dimension to the product's configuration"
    );
}

#[tokio::test]
async fn a_repeated_id_with_other_content_changes_nothing() {
    let world = World::new().await;
    world.send(&[event("e-1")]).await;
    let same = with("e-1", "quantity", "1.500");
    let other = with("e-1", "quantity", "2");
    let moved = with("e-1", "time", "2026-11-21T04:10:01Z");
    let elsewhere = with("e-1", "dimension", "requests");
    let (status, answer) = world.send(&[same, other, moved, elsewhere]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        results(&answer),
        ["repeated", "conflict", "conflict", "stored"]
    );
    assert_eq!(world.rows(BUYER, "2026-11-21T04").await, 2);
}

#[tokio::test]
async fn the_first_of_several_events_with_one_id_is_stored() {
    let world = World::new().await;
    let mut events: Vec<Value> = (0..200).map(|n| event(&format!("e-{n}"))).collect();
    let others: Vec<Value> = (0..200)
        .map(|n| with(&format!("e-{n}"), "quantity", "7"))
        .collect();
    events.extend(others);
    let (_, answer) = world.send(&events).await;
    let results = results(&answer);
    assert_eq!(results[..200], vec!["stored"; 200]);
    assert_eq!(results[200..], vec!["conflict"; 200]);
}

#[tokio::test]
async fn usage_waits_for_a_pending_subscription_and_not_for_an_ended_one() {
    let world = World::new().await;
    let (pending, ended) = ("account|examplecode3|1", "account|examplecode3|2");
    world.register(pending, &[]).await;
    world
        .register(ended, &[Sign::Activated, Sign::Deprovisioned])
        .await;
    let events = [
        with("e-1", "subscription", pending),
        with("e-2", "subscription", ended),
    ];
    let (_, answer) = world.send(&events).await;
    assert_eq!(results(&answer), ["stored", "subscription-ended"]);
}

#[tokio::test]
async fn a_product_without_configuration_accepts_every_dimension() {
    let world = World::new().await;
    let (_, answer) = world.send(&[with("e-1", "dimension", "anything")]).await;
    assert_eq!(results(&answer), ["stored"]);
}

#[tokio::test]
async fn an_event_that_dynamodb_does_not_store_fails_and_the_others_keep_their_verdicts() {
    let world = World::new().await;
    // A damaged profile. Nothing is known about its subscription until a person corrects it.
    world
        .client
        .put_item()
        .table_name(&world.names.subscriptions)
        .item("subscription", AttributeValue::S("account|c|9".to_owned()))
        .item("item", AttributeValue::S("profile".to_owned()))
        .send()
        .await
        .unwrap();
    let damaged = with("e-2", "subscription", "account|c|9");
    let (status, answer) = world
        .send(&[event("e-1"), damaged, with("e-3", "quantity", "x")])
        .await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        results(&answer),
        ["stored", "unavailable", "invalid-quantity"]
    );
    assert_eq!(answer["results"][1]["status"], "failed");
    assert_eq!(answer["failed"], 1);
}

#[tokio::test]
async fn without_its_table_no_event_is_reported_as_stored() {
    let mut world = World::new().await;
    let mut names = world.names.clone();
    names.usage_events = "no-such-table".to_owned();
    world.app.ledger = Ledger::new(world.client.clone(), names);
    let (status, answer) = world.send(&[event("e-1"), event("e-1"), json!(1)]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        results(&answer),
        ["unavailable", "unavailable", "not-an-event"]
    );
}

#[tokio::test]
async fn an_event_that_is_not_stored_within_the_requests_time_fails() {
    let mut world = World::new().await;
    world.app.request_time = Duration::ZERO;
    let (status, answer) = world.send(&[event("e-1"), json!(1)]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(results(&answer), ["unavailable", "not-an-event"]);
    assert_eq!(world.rows(BUYER, "2026-11-21T04").await, 0);
}

#[tokio::test]
async fn a_full_request_of_the_longest_events_is_accepted() {
    let world = World::new().await;
    let tags: serde_json::Map<String, Value> = (0..5)
        .map(|n| (format!("{n}{}", "k".repeat(99)), json!("v".repeat(256))))
        .collect();
    let events: Vec<Value> = (0..EVENTS_MAX)
        .map(|n| {
            json!({"id": format!("{n:0>122}"), "subscription": BUYER, "dimension": "𝄞".repeat(225),
                "quantity": "9999999999.999999", "time": "2026-11-21T04:10:00.123456789+00:00", "tags": tags})
        })
        .collect();
    let (status, answer) = world.send(&events).await;
    assert_eq!(
        (status, answer["stored"].as_u64()),
        (StatusCode::OK, Some(1_000))
    );
}

#[tokio::test]
async fn a_request_without_a_list_of_events_is_refused_with_a_reason() {
    let world = World::new().await;
    let too_many = json!({ "events": vec![event("e"); EVENTS_MAX + 1] }).to_string();
    for (body, code, part) in [
        (String::new(), "unreadable-body", "EOF"),
        ("{".to_owned(), "unreadable-body", "EOF"),
        ("[]".to_owned(), "unreadable-body", "events"),
        ("{}".to_owned(), "unreadable-body", "missing field `events`"),
        (
            r#"{"event":[]}"#.to_owned(),
            "unreadable-body",
            "unknown field `event`",
        ),
        (
            r#"{"events":{}}"#.to_owned(),
            "unreadable-body",
            "expected a sequence",
        ),
        (r#"{"events":[]}"#.to_owned(), "no-events", "1 to 1000"),
        (too_many, "too-many-events", "1001"),
    ] {
        let (status, answer) = world.post(body).await;
        assert_eq!(
            (status, &answer["code"]),
            (StatusCode::BAD_REQUEST, &json!(code))
        );
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(world.rows(BUYER, "2026-11-21T04").await, 0);
}

#[tokio::test]
async fn other_requests_are_answered_in_json_too() {
    let world = World::new().await;
    let usage = |method: &str| Request::builder().method(method).uri("/usage");
    let gzip = usage("POST")
        .header("content-type", "application/json")
        .header("content-encoding", "gzip");
    let long = " ".repeat(BODY_BYTES_MAX + 1);
    for (request, status, code) in [
        (usage("GET"), 405, "method-not-allowed"),
        (usage("DELETE"), 405, "method-not-allowed"),
        (Request::get("/"), 404, "not-found"),
        (Request::post("/usage/more"), 404, "not-found"),
        (usage("POST"), 415, "unsupported-content-type"),
        (
            usage("POST").header("content-type", "text/plain"),
            415,
            "unsupported-content-type",
        ),
        (gzip, 415, "unsupported-content-encoding"),
    ] {
        let (answered, body) = world.request(request.body(Body::from("{}")).unwrap()).await;
        assert_eq!((answered.as_u16(), &body["code"]), (status, &json!(code)));
    }
    let (status, answer) = world.post(long).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer["code"], "body-too-long");
}

#[tokio::test]
async fn a_missing_table_name_stops_the_function_at_its_start() {
    let env = runtime::Env::of([
        ("SUBSCRIPTIONS_TABLE", "s"),
        ("METERING_RECORDS_TABLE", "m"),
    ]);
    let error = App::start(&env).await.unwrap_err().to_string();
    assert!(error.contains("USAGE_EVENTS_TABLE"), "{error}");
}
