//! A database with a file: the data that survives a restart, and the lock on the file.

mod common;

use std::net::TcpListener;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use common::{Function, SetClock, TABLE, World, done, names, table};
use jiff::SignedDuration;
use local::dynamodb::{EmbeddedDynamoDb, SnapshotError, StartError};
use local::pump::EventSource;

async fn rows(world: &World) -> usize {
    world
        .client
        .scan()
        .table_name(TABLE)
        .send()
        .await
        .unwrap()
        .items()
        .len()
}

#[tokio::test]
async fn rows_and_stream_survive_a_restart_on_the_same_clock() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stack.db");
    let clock = SetClock::new("2026-11-21T02:00:00Z");

    let world = World::with_file(Some(&path), clock.clone());
    world
        .database
        .create_table(table(TABLE, Some("KEYS_ONLY")))
        .unwrap();
    world.database.enable_ttl(TABLE, "expires_at").unwrap();
    world.put_many(2).await;
    let arn = world.options().stream_arn;
    world.database.shutdown().unwrap();

    clock.advance(SignedDuration::from_hours(1));
    let world = World::with_file(Some(&path), clock.clone());
    world
        .database
        .create_table(table(TABLE, Some("KEYS_ONLY")))
        .unwrap();
    assert_eq!(rows(&world).await, 2);
    assert_eq!(world.options().stream_arn, arn);
    let expiry = AttributeValue::N(clock.now().as_second().to_string());
    world.put_with("gb#002", "expires_at", expiry).await;
    let function = Function::default();
    let mut source = EventSource::new(world.options()).unwrap();
    function.poll(&mut source, &world, done).await;
    assert_eq!(function.deliveries(), names(0..3));

    clock.advance(SignedDuration::from_secs(1));
    assert_eq!(
        world.database.sweep_ttl().unwrap(),
        1,
        "the clock and the TTL setting are as before"
    );
}

#[tokio::test]
async fn a_checkpoint_is_what_a_crash_leaves() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stack.db");
    let clock = SetClock::new("2026-11-21T02:00:00Z");
    let world = World::with_file(Some(&path), clock.clone());
    world
        .database
        .create_table(table(TABLE, Some("KEYS_ONLY")))
        .unwrap();
    world.put("gb#000").await;
    world.database.checkpoint().unwrap();

    let copy = directory.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    let after_crash = World::with_file(Some(&copy), clock);
    assert_eq!(rows(&after_crash).await, 1);
}

#[tokio::test]
async fn a_restart_forgets_stream_records_older_than_a_day_and_no_rows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stack.db");
    let clock = SetClock::new("2026-11-21T02:00:00Z");
    let world = World::with_file(Some(&path), clock.clone());
    world
        .database
        .create_table(table(TABLE, Some("KEYS_ONLY")))
        .unwrap();
    world.put("gb#000").await;
    drop(world);
    clock.advance(SignedDuration::from_hours(25));
    let world = World::with_file(Some(&path), clock);
    assert_eq!(rows(&world).await, 1);
    let mut source = EventSource::new(world.options()).unwrap();
    assert_eq!(
        Function::default()
            .poll(&mut source, &world, done)
            .await
            .read,
        0
    );
}

#[tokio::test]
async fn one_process_has_the_file_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stack.db");
    let clock = SetClock::new("2026-11-21T02:00:00Z");
    let start = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let clock = clock.clone();
        EmbeddedDynamoDb::start(listener, Some(&path), Arc::new(move || clock.now()))
    };
    let first = start().unwrap();
    assert!(matches!(
        start(),
        Err(StartError::Snapshot(SnapshotError::InUse(_)))
    ));
    first.shutdown().unwrap();
    start().unwrap();
}

#[tokio::test]
async fn a_file_of_another_program_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    std::fs::write(&path, "not a database, but somebody's notes").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let clock = SetClock::new("2026-11-21T02:00:00Z");
    let started = EmbeddedDynamoDb::start(listener, Some(&path), Arc::new(move || clock.now()));
    assert!(matches!(started, Err(StartError::Snapshot(_))));
    drop(started);
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "not a database, but somebody's notes"
    );
}
