//! Measures how long the submitter takes for a backlog, compared with the quota of AWS Marketplace.
//! The function is unchanged. The calls of its SDK clients end in this process, and time is
//! virtual.
//!
//! `cargo run --profile tool -p end-to-end --features virtual-time --example drain [-- RECORDS
//! [STREAM_SHARDS]]`
//!
//! The default is 900,000 records and no stream. With stream shards, each shard delivers its part
//! of the records to its own invocation, while the schedule fires as well. The exit code is 1 if
//! the submitter takes over 2 % longer than the quota requires, if a shard of the work index waits
//! longer than five minutes, or if 1 % of the calls were throttled.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig,
};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use jiff::Timestamp;
use ledger::{Ledger, SHARDS, TableNames, shard_of};
use marketplace::Subscription;
use metering_api::MeteringApi;
use runtime::{Budget, Clock, Env, INVOCATION_TIME};
use serde_json::{Value, json};
use tokio::time::Instant;

const RECORDS: usize = 900_000;
/// BatchMeterUsage requests per second of an account in a Region.
const QUOTA_PER_SECOND: u32 = 10;
const RECORDS_PER_REQUEST: usize = 25;
/// The time between two sweeps of the submitter.
const SCHEDULE: Duration = Duration::from_secs(300);
/// The time that DynamoDB takes to answer within one Region.
const DYNAMODB_ANSWERS_IN: Duration = Duration::from_millis(6);
const MARKETPLACE_ANSWERS_IN: Duration = Duration::from_millis(120);

/// A replacement for the parts of AWS that the submitter calls.
struct Aws {
    /// Whether each record was accepted.
    accepted: Vec<bool>,
    /// Whether the outcome of each record was written.
    written: Vec<bool>,
    /// Records by shard, in the order of the work index.
    shards: Vec<Vec<usize>>,
    /// The time at which the first record of each shard was accepted.
    turns: BTreeMap<u8, Instant>,
    started: Instant,
    /// The content of the quota's token bucket, in thousandths of a request, and when it was
    /// updated.
    bucket: (u64, Instant),
    calls: u64,
    throttled: u64,
    last_accepted: Instant,
    /// The holder of the turn to send, and the second at which the turn ends.
    turn: Option<(String, i64)>,
}

#[derive(Clone)]
struct InProcess(Arc<Mutex<Aws>>);

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InProcess")
    }
}

/// A time source for the SDK that uses the runtime's time.
#[derive(Debug)]
struct RuntimeTime(Instant);

impl TimeSource for RuntimeTime {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(SEALED_AT as u64) + self.0.elapsed()
    }
}

/// The time 2026-11-21T03:30:00Z in seconds.
const SEALED_AT: i64 = 1_795_231_800;

fn subscription(n: usize) -> Subscription {
    format!("legacy|examplecode|cust{n:07}")
        .parse()
        .expect("a subscription")
}

fn number_of(text: &str) -> usize {
    let digits = &text[text.len() - 7..];
    digits.parse().expect("a record of this example")
}

const SORT: &str = "r#2026-11-21T02#gb";

fn record(n: usize) -> Value {
    json!({
        "subscription": {"S": subscription(n).to_string()},
        "item": {"S": SORT},
        "version": {"N": "1"},
        "state": {"S": "sealed"},
        "product_code": {"S": "examplecode"},
        "quantity": {"N": "1.5"},
        "stamp": {"N": "1795226400"},
        "deadline": {"N": "1795312800"},
        "sealed_at": {"N": SEALED_AT.to_string()},
        "due": {"N": SEALED_AT.to_string()},
        "work": {"S": format!("send#{}", shard_of(&subscription(n)))},
    })
}

impl Aws {
    fn new(records: usize) -> Self {
        let mut shards = vec![Vec::new(); usize::from(SHARDS)];
        for n in 0..records {
            shards[usize::from(shard_of(&subscription(n)))].push(n);
        }
        let now = Instant::now();
        Self {
            accepted: vec![false; records],
            written: vec![false; records],
            shards,
            turns: BTreeMap::new(),
            started: now,
            bucket: (1_000 * u64::from(QUOTA_PER_SECOND), now),
            calls: 0,
            throttled: 0,
            last_accepted: now,
            turn: None,
        }
    }

    fn query(&self, body: &Value) -> Value {
        let values = &body["ExpressionAttributeValues"];
        let Some(work) = values[":work"]["S"].as_str() else {
            // No lane is remembered.
            return json!({"Items": [], "Count": 0});
        };
        if work.starts_with("urgent#") {
            return json!({"Items": [], "Count": 0});
        }
        let shard: usize = work["send#".len()..].parse().expect("a shard");
        let limit = usize::try_from(body["Limit"].as_u64().expect("a limit")).expect("a limit");
        let after = body["ExclusiveStartKey"]["subscription"]["S"]
            .as_str()
            .map(number_of);
        let begin = after.map_or(0, |after| {
            self.shards[shard].partition_point(|n| *n <= after)
        });
        let left = self.shards[shard][begin..].iter();
        let page: Vec<usize> = left
            .copied()
            .filter(|n| !self.written[*n])
            .take(limit)
            .collect();
        let key = |n: usize| {
            json!({
                "subscription": {"S": subscription(n).to_string()},
                "item": {"S": SORT},
                "work": {"S": work},
                "due": {"N": SEALED_AT.to_string()},
            })
        };
        let items: Vec<Value> = page.iter().map(|n| key(*n)).collect();
        let mut answer = json!({"Items": items, "Count": page.len()});
        if page.len() == limit {
            answer["LastEvaluatedKey"] = key(page[page.len() - 1]);
        }
        answer
    }

    fn batch_get(&self, body: &Value) -> Value {
        let tables = body["RequestItems"].as_object().expect("tables");
        let found: serde_json::Map<String, Value> = tables
            .iter()
            .map(|(table, asked)| {
                let keys = asked["Keys"].as_array().expect("keys");
                let name =
                    |key: &Value| number_of(key["subscription"]["S"].as_str().expect("a key"));
                let items = keys
                    .iter()
                    .map(name)
                    .filter(|n| !self.written[*n])
                    .map(record)
                    .collect();
                (table.clone(), Value::Array(items))
            })
            .collect();
        json!({"Responses": found, "UnprocessedKeys": {}})
    }

    /// Takes, keeps or ends the turn to send, if the condition of the request holds.
    fn take_turn(&mut self, values: &Value) -> (u16, Value) {
        let holder = values[":holder"]["S"]
            .as_str()
            .expect("a holder")
            .to_owned();
        let number = |name: &str| {
            values[name]["N"]
                .as_str()
                .and_then(|n| n.parse::<i64>().ok())
        };
        let may = match (&self.turn, number(":now")) {
            (None, now) => now.is_some(),
            (Some((_, until)), Some(now)) => *until <= now,
            (Some((other, _)), None) => *other == holder,
        };
        if !may {
            let code = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
            return (
                400,
                json!({"__type": code, "message": "The conditional request failed"}),
            );
        }
        self.turn = number(":until").map(|until| (holder, until));
        (200, json!({}))
    }

    fn turn_item(&self) -> Value {
        match &self.turn {
            Some((holder, until)) => json!({"Item": {
                "subscription": {"S": "stack"},
                "item": {"S": "sender"},
                "holder": {"S": holder},
                "until": {"N": until.to_string()},
            }}),
            None => json!({}),
        }
    }

    fn update(&mut self, body: &Value) -> Value {
        let n = number_of(body["Key"]["subscription"]["S"].as_str().expect("a key"));
        let state = body["ExpressionAttributeValues"][":state"]["S"].as_str();
        if state == Some("accepted") {
            assert!(self.accepted[n], "written down, but never accepted");
            self.written[n] = true;
        }
        json!({})
    }

    fn meter(&mut self, body: &Value) -> (u16, Value) {
        self.calls += 1;
        let (left, at) = self.bucket;
        let now = Instant::now();
        let refill = now.duration_since(at).as_millis() * u128::from(QUOTA_PER_SECOND);
        let refill = u64::try_from(refill).unwrap_or(u64::MAX);
        let left = left
            .saturating_add(refill)
            .min(1_000 * u64::from(QUOTA_PER_SECOND));
        let Some(rest) = left.checked_sub(1_000) else {
            self.bucket = (left, now);
            self.throttled += 1;
            let refusal = json!({"__type": "ThrottlingException", "message": "Rate exceeded"});
            return (400, refusal);
        };
        self.bucket = (rest, now);
        let records = body["UsageRecords"].as_array().expect("records");
        let results: Vec<Value> = records
            .iter()
            .map(|record| {
                let n = number_of(record["CustomerIdentifier"].as_str().expect("a customer"));
                assert!(!self.accepted[n], "sent twice: {record}");
                self.accepted[n] = true;
                self.turns.entry(shard_of(&subscription(n))).or_insert(now);
                json!({"UsageRecord": record, "Status": "Success", "MeteringRecordId": n.to_string()})
            })
            .collect();
        self.last_accepted = now;
        (200, json!({"Results": results, "UnprocessedRecords": []}))
    }
}

impl InProcess {
    fn aws(&self) -> MutexGuard<'_, Aws> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, operation: &str, body: &Value) -> (u16, Value) {
        match operation {
            "BatchMeterUsage" => {
                let answer = self.aws().meter(body);
                tokio::time::sleep(MARKETPLACE_ANSWERS_IN).await;
                answer
            }
            _ => {
                tokio::time::sleep(DYNAMODB_ANSWERS_IN).await;
                let mut aws = self.aws();
                if body["Key"]["item"]["S"].as_str() == Some("sender") {
                    return match operation {
                        "UpdateItem" => aws.take_turn(&body["ExpressionAttributeValues"]),
                        _ => (200, aws.turn_item()),
                    };
                }
                let answer = match operation {
                    "Query" => aws.query(body),
                    "BatchGetItem" => aws.batch_get(body),
                    "UpdateItem" => aws.update(body),
                    // The audit does not wait for a witness.
                    "GetItem" => json!({}),
                    other => panic!("the submitter does not call {other}"),
                };
                (200, answer)
            }
        }
    }
}

impl HttpClient for InProcess {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let aws = self.clone();
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            let body = request.body().bytes().unwrap_or_default();
            let body: Value =
                serde_json::from_slice(body).map_err(|e| ConnectorError::user(e.into()))?;
            let (status, answer) = aws.answer(&operation, &body).await;
            let response = http::Response::builder()
                .status(status)
                .header("content-type", "application/x-amz-json-1.1")
                .body(SdkBody::from(answer.to_string()))
                .map_err(|e| ConnectorError::user(e.into()))?;
            HttpResponse::try_from(response).map_err(|e| ConnectorError::other(e.into(), None))
        })
    }
}

fn app(http: &InProcess, started: Instant) -> submitter::App {
    let credentials = || Credentials::new("example", "example", None, None, "example");
    let dynamodb = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials())
        .endpoint_url("http://dynamodb.example")
        .http_client(http.clone())
        .time_source(RuntimeTime(started))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build();
    let metering = aws_sdk_marketplacemetering::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials())
        .endpoint_url("http://metering.example")
        .http_client(http.clone())
        .time_source(RuntimeTime(started))
        // The function has the same retry configuration.
        .retry_config(RetryConfig::standard().with_max_attempts(1))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build();
    let clock = move || {
        let elapsed = i64::try_from(started.elapsed().as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_second(SEALED_AT + elapsed).unwrap_or(Timestamp::MAX)
    };
    let env = Env::of([
        ("SUBMIT_AT_ONCE", "4".to_owned()),
        ("SUBMIT_PER_SECOND", QUOTA_PER_SECOND.to_string()),
    ]);
    let ledger = Ledger::new(
        aws_sdk_dynamodb::Client::from_conf(dynamodb),
        TableNames::of_stack("metering"),
    );
    let metering = MeteringApi::new(aws_sdk_marketplacemetering::Client::from_conf(metering));
    let clock = Clock::InProcess(Arc::new(clock));
    submitter::App::new(&env, ledger, metering, clock).expect("settings")
}

/// The most records of one delivery, as in the template.
const DELIVERED_MAX: usize = 10_000;

/// Sends all records, with the deliveries of the stream's shards and the sweeps of the schedule.
async fn drain(records: usize, stream_shards: usize) -> (Aws, BTreeMap<u64, u64>) {
    let http = InProcess(Arc::new(Mutex::new(Aws::new(records))));
    let started = http.aws().started;
    let deliveries = (0..stream_shards).map(|shard| {
        let numbers: Vec<usize> = (shard..records).step_by(stream_shards).collect();
        deliver(&http, started, numbers)
    });
    let deliveries = futures_util::future::join_all(deliveries);
    let (sweeps, ()) = tokio::join!(sweep(&http, started), async {
        deliveries.await;
    });
    let mut aws = http.aws();
    (std::mem::replace(&mut *aws, Aws::new(0)), sweeps)
}

/// Acts as Lambda for one shard of the stream: invokes the function with one batch after the other.
async fn deliver(http: &InProcess, started: Instant, numbers: Vec<usize>) {
    let app = app(http, started);
    for batch in numbers.chunks(DELIVERED_MAX) {
        let record = |n: &usize| {
            let key =
                json!({"subscription": {"S": subscription(*n).to_string()}, "item": {"S": SORT}});
            json!({"eventName": "INSERT", "dynamodb": {"Keys": key}})
        };
        let event = json!({"Records": batch.iter().map(record).collect::<Vec<_>>()});
        let trigger = serde_json::from_str(&event.to_string()).expect("a trigger");
        let answer = submitter::handle(&app, trigger, Budget::of(INVOCATION_TIME)).await;
        assert_eq!(answer.expect("every call is answered").tally.unreadable, 0);
    }
}

async fn sweep(http: &InProcess, started: Instant) -> BTreeMap<u64, u64> {
    let app = app(http, started);
    let mut sweeps = BTreeMap::new();
    loop {
        let begun = Instant::now();
        let trigger = serde_json::from_str("{}").expect("a trigger");
        let answer = submitter::handle(&app, trigger, Budget::of(INVOCATION_TIME)).await;
        let tally = answer.expect("every call is answered").tally;
        sweeps.insert(begun.duration_since(started).as_secs(), tally.accepted);
        if http.aws().written.iter().all(|written| *written) {
            return sweeps;
        }
        // The next sweep begins at its scheduled time, or at once if that has passed.
        tokio::time::sleep_until(begun + SCHEDULE).await;
    }
}

fn main() -> ExitCode {
    let number = |place: usize, default: usize| match std::env::args().nth(place) {
        None => Some(default),
        Some(text) => text.parse().ok(),
    };
    let (Some(records @ 1..10_000_000), Some(stream_shards @ 0..=1_000)) =
        (number(1, RECORDS), number(2, 0))
    else {
        eprintln!(
            "usage: drain [RECORDS [STREAM_SHARDS]], fewer than 10,000,000 and at most 1,000"
        );
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let (aws, sweeps) = runtime.block_on(drain(records, stream_shards));
    let requests = records.div_ceil(RECORDS_PER_REQUEST) as u64;
    let asked = Duration::from_millis(requests * 1_000 / u64::from(QUOTA_PER_SECOND));
    let took = aws.last_accepted.duration_since(aws.started);
    let per_mille = took.as_millis() * 1_000 / asked.as_millis().max(1);
    println!(
        "{records} records: {} requests, {} throttled; at least {requests} are needed",
        aws.calls, aws.throttled
    );
    for (second, accepted) in &sweeps {
        println!("  sweep at second {second:>5}: {accepted} accepted");
    }
    println!(
        "took {:.1} s; the quota requires {:.1} s: {per_mille} per mille of that",
        took.as_secs_f64(),
        asked.as_secs_f64()
    );
    let turns = aws.turns.values().map(|at| at.duration_since(aws.started));
    let last_turn = turns.max().unwrap_or_default();
    println!(
        "a record of each of {} shards was accepted by second {:.1}",
        aws.turns.len(),
        last_turn.as_secs_f64()
    );
    let many_throttled = aws.throttled * 100 >= aws.calls;
    ExitCode::from(u8::from(
        per_mille > 1_020 || last_turn > SCHEDULE || many_throttled,
    ))
}
