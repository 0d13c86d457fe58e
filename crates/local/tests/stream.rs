//! Writes over the wire, read back from the stream as Lambda would deliver them.

mod common;

use aws_sdk_dynamodb::types::AttributeValue;
use common::{Function, TABLE, World, done, names, table};
use jiff::{SignedDuration, Timestamp};
use local::dynamodb::{CreateTableError, EmbeddedDynamoDb, IteratorPosition, StartError};
use local::pump::{EventSource, EventSourceOptions, Filter, WINDOW_MAX};
use serde_json::{Value, json};

#[tokio::test]
async fn a_put_arrives_as_the_event_that_lambda_would_deliver() {
    let world = World::streamed("KEYS_ONLY");
    world.put("gb#1").await;
    let function = Function::default();
    let mut source = EventSource::new(world.options()).unwrap();
    let outcome = function.poll(&mut source, &world, done).await;
    assert_eq!(
        (outcome.read, outcome.delivered, outcome.next_due),
        (1, 1, None)
    );

    let event = function.events.lock().unwrap()[0].clone();
    let record = &event["Records"][0];
    let sequence_number = record["dynamodb"]["SequenceNumber"].as_str().unwrap();
    assert!((21..=40).contains(&sequence_number.len()));
    assert_eq!(
        *record,
        json!({
            "eventID": record["eventID"],
            "eventName": "INSERT",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "eventSourceARN": world.options().stream_arn,
            "dynamodb": {
                "ApproximateCreationDateTime": world.clock.now().as_second(),
                "Keys": {"subscription_hour": {"S": "lic@2026-11-21T02"}, "dimension_event": {"S": "gb#1"}},
                "SequenceNumber": sequence_number,
                "SizeBytes": record["dynamodb"]["SizeBytes"],
                "StreamViewType": "KEYS_ONLY"
            }
        })
    );

    let outcome = function.poll(&mut source, &world, done).await;
    assert_eq!(
        outcome.invocations, 0,
        "a record taken is not delivered again"
    );
}

#[tokio::test]
async fn a_new_image_stream_shows_the_item_and_ttl_shows_its_author() {
    let world = World::streamed("NEW_IMAGE");
    world.database.enable_ttl(TABLE, "expires_at").unwrap();
    world.database.enable_ttl(TABLE, "expires_at").unwrap();
    let expiry = world.clock.now().as_second() + 60;
    world
        .put_with("gb#1", "expires_at", AttributeValue::N(expiry.to_string()))
        .await;
    assert_eq!(
        world.database.sweep_ttl().unwrap(),
        0,
        "not before its time"
    );
    world.clock.advance(SignedDuration::from_secs(61));
    assert_eq!(world.database.sweep_ttl().unwrap(), 1);

    let function = Function::default();
    let mut source = EventSource::new(world.options()).unwrap();
    function.poll(&mut source, &world, done).await;
    let event = function.events.lock().unwrap()[0].clone();
    assert_eq!(
        event["Records"][0]["dynamodb"]["NewImage"]["expires_at"]["N"],
        expiry.to_string()
    );
    assert_eq!(event["Records"][1]["eventName"], "REMOVE");
    assert_eq!(
        event["Records"][1]["userIdentity"],
        json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"})
    );
}

#[tokio::test]
async fn a_put_that_changes_nothing_is_not_delivered_if_the_stream_has_both_images() {
    let world = World::streamed("NEW_AND_OLD_IMAGES");
    world.put("gb#1").await;
    world.put("gb#1").await;
    world
        .put_with("gb#1", "quantity", AttributeValue::N("2".to_owned()))
        .await;
    let function = Function::default();
    let mut source = EventSource::new(world.options()).unwrap();
    let outcome = function.poll(&mut source, &world, done).await;
    assert_eq!(
        (outcome.read, outcome.filtered, outcome.delivered),
        (3, 1, 2)
    );
}

#[tokio::test]
async fn records_that_the_filter_does_not_match_fill_no_batch() {
    let world = World::streamed("NEW_IMAGE");
    for number in 0..6 {
        let attribute = if number % 2 == 0 { "send" } else { "outcome" };
        world
            .put_with(
                &format!("gb#{number:03}"),
                attribute,
                AttributeValue::S("x".to_owned()),
            )
            .await;
    }
    let pattern = r#"{"eventName":["INSERT","MODIFY"],"dynamodb":{"NewImage":{"send":{"S":[{"exists":true}]}}}}"#;
    let mut options = world.options();
    options.filter = Some(Filter::new(&[pattern]).unwrap());
    options.batch_size_max = 2;
    let function = Function::default();
    let mut source = EventSource::new(options).unwrap();
    let outcome = function.poll(&mut source, &world, done).await;
    assert_eq!((outcome.read, outcome.filtered), (6, 3));
    assert_eq!(
        function.batches(),
        [
            vec!["gb#000".to_owned(), "gb#002".to_owned()],
            vec!["gb#004".to_owned()]
        ]
    );
}

#[tokio::test]
async fn a_batch_waits_for_its_window_unless_it_is_full() {
    let world = World::streamed("KEYS_ONLY");
    let mut options = world.options();
    options.window = SignedDuration::from_secs(30);
    options.batch_size_max = 3;
    let function = Function::default();
    let mut source = EventSource::new(options).unwrap();

    world.put("gb#000").await;
    let opened = world.clock.now();
    let outcome = function.poll(&mut source, &world, done).await;
    let closes = opened + SignedDuration::from_secs(30);
    assert_eq!((outcome.invocations, outcome.next_due), (0, Some(closes)));

    world.put("gb#001").await;
    world.clock.advance(SignedDuration::from_secs(29));
    assert_eq!(
        function.poll(&mut source, &world, done).await.invocations,
        0
    );
    assert_eq!(
        source.next_due(world.clock.now()),
        Some(closes),
        "the window counts from the first record"
    );
    world.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(
        function.poll(&mut source, &world, done).await.invocations,
        1
    );

    world.put_many(4).await;
    let outcome = function.poll(&mut source, &world, done).await;
    assert_eq!(
        outcome.invocations, 1,
        "three are a full batch, the fourth waits"
    );
    assert_eq!(function.batches(), [names(0..2), names(0..3)]);
    assert!(outcome.next_due.is_some());
}

#[tokio::test]
async fn a_full_payload_closes_a_batch_early() {
    let world = World::streamed("NEW_IMAGE");
    for number in 0..5 {
        let text = AttributeValue::S("x".repeat(1_000));
        world
            .put_with(&format!("gb#{number:03}"), "text", text)
            .await;
    }
    let mut options = world.options();
    options.window = WINDOW_MAX;
    options.payload_bytes_max = 4_000;
    let function = Function::default();
    let mut source = EventSource::new(options).unwrap();
    let outcome = function.poll(&mut source, &world, done).await;
    assert_eq!(function.batches(), [names(0..2), names(2..4)]);
    for event in function.events.lock().unwrap().iter() {
        assert!(event.to_string().len() <= 4_000);
    }
    assert_eq!(
        outcome.next_due,
        Some(world.clock.now() + WINDOW_MAX),
        "the last record waits for more records"
    );
}

#[tokio::test]
async fn a_stream_deletes_its_records_after_a_day() {
    let world = World::streamed("KEYS_ONLY");
    world.put("gb#000").await;
    world
        .clock
        .advance(SignedDuration::from_hours(24) + SignedDuration::from_secs(1));
    world.put("gb#001").await;
    let function = Function::default();
    let mut source = EventSource::new(world.options()).unwrap();
    let outcome = function.poll(&mut source, &world, done).await;
    assert_eq!((outcome.trimmed, outcome.delivered), (1, 1));
    assert_eq!(function.deliveries(), ["gb#001"]);
}

#[tokio::test]
async fn more_records_than_one_read_returns_arrive_once_and_in_order() {
    let world = World::streamed("KEYS_ONLY");
    world.put_many(2_100).await;
    let mut options = world.options();
    options.batch_size_max = 900;
    let function = Function::default();
    let mut source = EventSource::new(options).unwrap();
    function.poll(&mut source, &world, done).await;
    let sizes: Vec<usize> = function.batches().iter().map(Vec::len).collect();
    assert_eq!(sizes, [900, 900, 300]);
    let mut expected: Vec<String> = (0..2_100).map(|number| format!("gb#{number:03}")).collect();
    assert_eq!(function.deliveries(), expected);
    expected.dedup();
    assert_eq!(expected.len(), 2_100);
}

#[tokio::test]
async fn a_poll_runs_in_a_task_of_its_own() {
    let world = World::streamed("KEYS_ONLY");
    world.put_many(3).await;
    let mut source = EventSource::new(world.options()).unwrap();
    let client = world.client.clone();
    let polled = tokio::spawn(async move {
        let now = world.clock.now();
        let invoke = |event: Value| {
            let client = client.clone();
            async move {
                let tables = client.list_tables().send().await;
                tables.map_err(|error| error.to_string())?;
                Ok(json!({"seen": event["Records"].as_array().map(Vec::len)}))
            }
        };
        source.poll(now, &world.database, invoke).await.unwrap()
    });
    assert_eq!(polled.await.unwrap().delivered, 3);
}

#[tokio::test]
async fn the_stream_can_be_read_without_a_pump() {
    let world = World::streamed("KEYS_ONLY");
    world.put_many(3).await;
    let arn = world.options().stream_arn;
    let shard = world.database.shards(TABLE).unwrap().remove(0);
    let from_start = world
        .database
        .shard_iterator(&arn, &shard, &IteratorPosition::TrimHorizon)
        .unwrap();
    let page = world.database.stream_records(&from_start, 2).unwrap();
    assert_eq!(page.records.len(), 2);
    let second = page.records[1]["dynamodb"]["SequenceNumber"]
        .as_str()
        .unwrap()
        .to_owned();
    let after = IteratorPosition::AfterSequenceNumber(second);
    let from_third = world.database.shard_iterator(&arn, &shard, &after).unwrap();
    assert_eq!(
        world
            .database
            .stream_records(&from_third, 10)
            .unwrap()
            .records
            .len(),
        1
    );
    assert_eq!(
        world
            .database
            .stream_records(&page.next_iterator, 10)
            .unwrap()
            .records
            .len(),
        1
    );
    let latest = world
        .database
        .shard_iterator(&arn, &shard, &IteratorPosition::Latest)
        .unwrap();
    assert!(
        world
            .database
            .stream_records(&latest, 10)
            .unwrap()
            .records
            .is_empty()
    );
}

#[tokio::test]
async fn a_table_is_created_once_and_refused_when_it_differs() {
    let world = World::streamed("KEYS_ONLY");
    let mut reordered = table(TABLE, Some("KEYS_ONLY"));
    reordered["AttributeDefinitions"]
        .as_array_mut()
        .unwrap()
        .reverse();
    world.database.create_table(reordered).unwrap();
    let other = world
        .database
        .create_table(table(TABLE, Some("NEW_IMAGE")))
        .unwrap_err();
    assert!(
        matches!(
            other,
            CreateTableError::Different {
                member: "StreamSpecification",
                ..
            }
        ),
        "{other}"
    );
    assert!(matches!(
        world
            .database
            .create_table(json!({"TableName": "stack-Empty"})),
        Err(CreateTableError::Request(_))
    ));
}

#[tokio::test]
async fn only_the_loopback_interface_is_served() {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let started = EmbeddedDynamoDb::start(listener, None, std::sync::Arc::new(Timestamp::now));
    assert!(matches!(started, Err(StartError::NotLoopback(_))));
}

#[test]
fn options_outside_lambdas_limits_are_refused() {
    let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/stack-UsageEvents/stream/1";
    let good = EventSourceOptions::new(TABLE, arn);
    assert!(EventSource::new(good.clone()).is_ok());
    let breaks: [fn(&mut EventSourceOptions); 6] = [
        |o| o.batch_size_max = 10_001,
        |o| o.batch_size_max = 0,
        |o| o.window = SignedDuration::from_secs(301),
        |o| o.payload_bytes_max = 6 * 1024 * 1024 + 1,
        |o| o.record_age_max = Some(SignedDuration::from_secs(59)),
        |o| o.table = "stack-MeteringRecords".to_owned(),
    ];
    for (number, change) in breaks.into_iter().enumerate() {
        let mut options = good.clone();
        change(&mut options);
        assert!(EventSource::new(options).is_err(), "change {number}");
    }
}
