//! The parts of AWS that the submitter calls: the tables with their records, and the quota of AWS
//! Marketplace.

use std::collections::BTreeMap;

use ledger::{SHARDS, shard_of};
use marketplace::Subscription;
use serde_json::{Value, json};
use tokio::time::Instant;

/// BatchMeterUsage requests per second of an account in a Region.
pub const QUOTA_PER_SECOND: u32 = 10;
/// The time 2026-11-21T03:30:00Z in seconds.
pub const SEALED_AT: i64 = 1_795_231_800;

pub fn subscription(n: usize) -> Subscription {
    format!("legacy|examplecode|cust{n:07}")
        .parse()
        .expect("a subscription")
}

fn number_of(text: &str) -> usize {
    let digits = &text[text.len() - 7..];
    digits.parse().expect("a record of this example")
}

/// The sort key of every record.
pub const SORT: &str = "r#2026-11-21T02#gb";

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

/// A replacement for the parts of AWS that the submitter calls.
pub struct Aws {
    /// Whether each record was accepted.
    accepted: Vec<bool>,
    /// Whether the outcome of each record was written.
    pub written: Vec<bool>,
    /// Records by shard, in the order of the work index.
    shards: Vec<Vec<usize>>,
    /// The time at which the first record of each shard was accepted.
    pub turns: BTreeMap<u8, Instant>,
    pub started: Instant,
    /// The content of the quota's token bucket, in thousandths of a request, and when it was
    /// updated.
    bucket: (u64, Instant),
    pub calls: u64,
    pub throttled: u64,
    pub last_accepted: Instant,
    /// The holder of the turn to send, and the second at which the turn ends.
    turn: Option<(String, i64)>,
}

impl Aws {
    pub fn new(records: usize) -> Self {
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

    pub fn query(&self, body: &Value) -> Value {
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

    pub fn batch_get(&self, body: &Value) -> Value {
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
    pub fn take_turn(&mut self, values: &Value) -> (u16, Value) {
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

    pub fn turn_item(&self) -> Value {
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

    pub fn update(&mut self, body: &Value) -> Value {
        let n = number_of(body["Key"]["subscription"]["S"].as_str().expect("a key"));
        let state = body["ExpressionAttributeValues"][":state"]["S"].as_str();
        if state == Some("accepted") {
            assert!(self.accepted[n], "written down, but never accepted");
            self.written[n] = true;
        }
        json!({})
    }

    pub fn meter(&mut self, body: &Value) -> (u16, Value) {
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
