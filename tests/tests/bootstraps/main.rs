//! Each function runs as the process that Lambda starts, and is invoked with its samples from
//! `events/` through the Runtime API. It runs in the world that the samples refer to, with the
//! settings of the template and of `events/env.json`. It may make no call that its role does not
//! allow.

mod agreements;
mod intake;
mod listing_account;
mod metering;
mod registration;
mod starts;

use end_to_end::template::{FUNCTIONS, workspace};
use end_to_end::world::World;
use serde_json::Value;

const LICENSE: &str =
    "arn:aws:license-manager::294406891311:license:l-0123456789abcdef0123456789abcdef";
const LEGACY: &str = "legacy|examplecode2|CUSTEXAMPLE2";
const ACCOUNT: &str = "account|examplecode3|111122223333";

/// The result of invoking a function with one sample.
struct Fed {
    world: World,
    answer: Value,
    /// The items that are new or changed, by table.
    written: Vec<(String, Value)>,
}

/// Invokes a function with one sample in a new world.
async fn feed(function: &'static str, name: &str) -> Fed {
    feed_in(World::start().await, function, name).await
}

async fn feed_in(world: World, function: &'static str, name: &str) -> Fed {
    let before = world.tables().await;
    let answer = world.function(function).await.answer(name).await;
    let mut written = Vec::new();
    for (table, items) in world.tables().await {
        let new = items
            .into_iter()
            .filter(|item| !before[&table].contains(item));
        written.extend(new.map(|item| (table.clone(), item)));
    }
    Fed {
        world,
        answer,
        written,
    }
}

impl Fed {
    fn page(&self) -> &str {
        self.answer["body"].as_str().expect("a page")
    }

    async fn profile(&self, subscription: &str) -> Value {
        self.world
            .item("Subscriptions", subscription, "profile")
            .await
    }

    async fn record(&self, subscription: &str, hour: &str, dimension: &str) -> Value {
        self.world
            .item(
                "MeteringRecords",
                subscription,
                &format!("r#{hour}#{dimension}"),
            )
            .await
    }

    /// The written items of a table whose sort key starts with `prefix`.
    fn written(&self, table: &str, prefix: &str) -> Vec<&Value> {
        let sort = if table == "UsageEvents" {
            "dimension_event"
        } else {
            "item"
        };
        self.written
            .iter()
            .filter(|(t, item)| {
                t == table
                    && item[sort]
                        .as_str()
                        .is_some_and(|key| key.starts_with(prefix))
            })
            .map(|(_, item)| item)
            .collect()
    }
}

/// Checks that `item` has every member of `expected` with the same value.
#[track_caller]
fn has(item: &Value, expected: Value) {
    for (name, value) in expected.as_object().expect("members") {
        assert_eq!(item[name], *value, "{name} of {item}");
    }
}

#[test]
fn every_sample_is_of_a_function_and_is_fed_to_it() {
    let tests = [
        include_str!("agreements.rs"),
        include_str!("intake.rs"),
        include_str!("metering.rs"),
        include_str!("registration.rs"),
    ]
    .concat();
    let folder = std::fs::read_dir(workspace().join("events")).unwrap();
    let names: Vec<String> = folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(".json")?.to_owned()))
        .filter(|name| name != "env")
        .collect();
    for name in &names {
        assert!(
            tests.contains(&format!("\"{name}\"")),
            "events/{name}.json is fed to no function"
        );
    }
    for (_, binary) in FUNCTIONS {
        assert!(
            names
                .iter()
                .any(|name| name.starts_with(&format!("{binary}-"))),
            "{binary} has no sample"
        );
    }
}
