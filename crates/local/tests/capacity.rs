//! The capacity units of single requests, counted at the SDK's client.

mod common;

use aws_sdk_dynamodb::types::{AttributeValue, Put, PutRequest, TransactWriteItem, WriteRequest};
use common::{TABLE, World, table};
use local::capacity::TableCapacity;
use serde_json::json;

const INDEXED: &str = "stack-MeteringRecords";

fn world() -> World {
    let world = World::streamed("KEYS_ONLY");
    let mut indexed = table(INDEXED, None);
    let definitions = indexed["AttributeDefinitions"].as_array_mut().unwrap();
    definitions.push(json!({"AttributeName": "work_shard", "AttributeType": "S"}));
    indexed["GlobalSecondaryIndexes"] = json!([{
        "IndexName": "work",
        "KeySchema": [{"AttributeName": "work_shard", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "KEYS_ONLY"}
    }]);
    world.database.create_table(indexed).unwrap();
    world
}

fn item(id: &str) -> [(String, AttributeValue); 3] {
    [
        (
            "subscription_hour".to_owned(),
            AttributeValue::S("lic@2026-11-21T02".to_owned()),
        ),
        (
            "dimension_event".to_owned(),
            AttributeValue::S(id.to_owned()),
        ),
        ("work_shard".to_owned(), AttributeValue::S("w#3".to_owned())),
    ]
}

fn of(world: &World, table: &str) -> TableCapacity {
    world.capacity.snapshot().remove(table).unwrap_or_default()
}

#[tokio::test]
async fn a_small_put_is_one_unit() {
    let world = world();
    world.put("gb#1").await;
    assert_eq!(of(&world, TABLE).write_milli_units, 1_000);
    assert_eq!(of(&world, TABLE).read_milli_units, 0);
    assert_eq!(world.capacity.calls()["PutItem"], 1);
    world
        .put_with("gb#2", "text", AttributeValue::S("x".repeat(1_024)))
        .await;
    assert_eq!(
        of(&world, TABLE).write_milli_units,
        3_000,
        "beyond 1 KB it is two"
    );
}

#[tokio::test]
async fn an_index_costs_its_own_unit() {
    let world = world();
    let put = world
        .client
        .put_item()
        .table_name(INDEXED)
        .set_item(Some(item("gb#1").into()));
    put.send().await.unwrap();
    let capacity = of(&world, INDEXED);
    assert_eq!(capacity.write_milli_units, 2_000);
    assert_eq!(capacity.index_write_milli_units["work"], 1_000);
}

#[tokio::test]
async fn a_transaction_costs_twice() {
    let world = world();
    let put = Put::builder()
        .table_name(TABLE)
        .set_item(Some(item("gb#1").into()))
        .build()
        .unwrap();
    let action = TransactWriteItem::builder().put(put).build();
    world
        .client
        .transact_write_items()
        .transact_items(action)
        .send()
        .await
        .unwrap();
    assert_eq!(of(&world, TABLE).write_milli_units, 2_000);
}

#[tokio::test]
async fn a_batch_is_counted_for_each_of_its_tables() {
    let world = world();
    let write = |id: &str| {
        let put = PutRequest::builder()
            .set_item(Some(item(id).into()))
            .build()
            .unwrap();
        WriteRequest::builder().put_request(put).build()
    };
    let batch = world.client.batch_write_item();
    let batch = batch.request_items(TABLE, vec![write("gb#1"), write("gb#2")]);
    batch
        .request_items(INDEXED, vec![write("gb#1")])
        .send()
        .await
        .unwrap();
    assert_eq!(of(&world, TABLE).write_milli_units, 2_000);
    assert_eq!(of(&world, INDEXED).write_milli_units, 2_000);
}

#[tokio::test]
async fn reads_count_in_halves_when_they_need_not_be_consistent() {
    let world = world();
    world.put("gb#1").await;
    for consistent in [false, true] {
        let get = world
            .client
            .get_item()
            .table_name(TABLE)
            .consistent_read(consistent);
        let [hour, event, _] = item("gb#1");
        get.key(hour.0, hour.1)
            .key(event.0, event.1)
            .send()
            .await
            .unwrap();
    }
    assert_eq!(of(&world, TABLE).read_milli_units, 1_500);
}

#[tokio::test]
async fn a_write_whose_condition_fails_costs_units() {
    let world = world();
    let put = || {
        let put = world
            .client
            .put_item()
            .table_name(TABLE)
            .set_item(Some(item("gb#1").into()));
        put.condition_expression("attribute_not_exists(dimension_event)")
    };
    put().send().await.unwrap();
    let error = put().send().await.unwrap_err().into_service_error();
    assert!(error.is_conditional_check_failed_exception(), "{error}");
    let capacity = of(&world, TABLE);
    assert_eq!(
        (
            capacity.write_milli_units,
            capacity.failed_write_milli_units
        ),
        (2_000, 1_000)
    );
    assert_eq!(world.capacity.calls()["PutItem"], 2);
}

#[tokio::test]
async fn each_write_of_a_cancelled_transaction_costs_twice() {
    let world = world();
    world.put("gb#1").await;
    world.capacity.reset();
    let put = |id: &str| {
        let put = Put::builder()
            .table_name(TABLE)
            .set_item(Some(item(id).into()));
        let put = put.condition_expression("attribute_not_exists(dimension_event)");
        TransactWriteItem::builder()
            .put(put.build().unwrap())
            .build()
    };
    let transaction = world.client.transact_write_items();
    let cancelled = transaction
        .transact_items(put("gb#1"))
        .transact_items(put("gb#2"))
        .send()
        .await;
    assert!(
        cancelled
            .unwrap_err()
            .into_service_error()
            .is_transaction_canceled_exception()
    );
    assert_eq!(of(&world, TABLE).failed_write_milli_units, 4_000);
}

#[tokio::test]
async fn a_callers_own_request_for_capacity_is_still_answered() {
    let world = world();
    let put = world
        .client
        .put_item()
        .table_name(TABLE)
        .set_item(Some(item("gb#1").into()));
    let put = put.return_consumed_capacity(aws_sdk_dynamodb::types::ReturnConsumedCapacity::Total);
    assert!(put.send().await.unwrap().consumed_capacity().is_some());
    assert_eq!(of(&world, TABLE).write_milli_units, 1_000);
}
