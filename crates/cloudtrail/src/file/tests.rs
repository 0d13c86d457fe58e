use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;

fn period(from: &str, to: &str) -> Period {
    let at = |text: &str| -> Timestamp { format!("2026-11-21T{text}Z").parse().unwrap() };
    Period {
        from: at(from),
        to: at(to),
    }
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

fn event(name: &str, source: &str, time: Value) -> Value {
    json!({"eventID": format!("{name} {time}"), "eventName": name, "eventSource": source, "eventTime": time})
}

fn metered(time: &str) -> Value {
    let time = json!(format!("2026-11-21T{time}Z"));
    event(
        "BatchMeterUsage",
        "metering-marketplace.amazonaws.com",
        time,
    )
}

fn read_of(gzipped: &[u8]) -> Result<Vec<Event>, String> {
    read(
        gzipped,
        period("10:00:00", "10:59:59"),
        period("08:00:00", "11:05:00"),
    )
}

/// The times of the calls, and a description of every other event.
fn summaries(events: &[Event]) -> Vec<String> {
    let summary = |event: &Event| match event {
        Event::Call(call) => call.at.to_string()[11..19].to_owned(),
        other => format!("{other:?}"),
    };
    events.iter().map(summary).collect()
}

#[test]
fn calls_of_the_period_are_kept_and_nothing_else() {
    let records = json!({"Version": [1], "Records": [
        event("CreateLogStream", "logs.amazonaws.com", json!("2026-11-21T10:01:00Z")),
        event("BatchMeterUsage", "another.amazonaws.com", json!("2026-11-21T10:02:00Z")),
        metered("10:59:59"),
        metered("09:59:59"),
        metered("10:00:00"),
        metered("11:00:00"),
    ]});
    let events = read_of(&gzipped(&records.to_string())).unwrap();
    assert_eq!(summaries(&events), ["10:59:59", "10:00:00"]);
    let nothing = read_of(&gzipped("{\"Records\":[]}\n")).unwrap();
    assert_eq!(nothing, []);
}

#[test]
fn an_unreadable_event_may_have_any_time_from_which_the_file_can_have_events() {
    let timeless = event(
        "BatchMeterUsage",
        "metering-marketplace.amazonaws.com",
        json!("soon"),
    );
    let records = json!({"Records": [timeless, 7, metered("10:30:00")]});
    let events = read_of(&gzipped(&records.to_string())).unwrap();
    let possible = period("08:00:00", "11:05:00");
    let unreadable = events
        .iter()
        .filter(|event| matches!(event, Event::Unreadable { at: Some(at), .. } if *at == possible));
    assert_eq!((unreadable.count(), events.len()), (2, 3), "{events:?}");
    let later = period("12:00:00", "12:59:59");
    let events = read(&gzipped(&records.to_string()), later, possible).unwrap();
    assert_eq!(events, []);
}

#[test]
fn an_incomplete_file_is_an_error() {
    let whole = gzipped(&json!({"Records": [metered("10:30:00")]}).to_string());
    let mut flipped = whole.clone();
    let end = flipped.len() - 6;
    flipped[end] ^= 1;
    for (file, problem) in [
        (b"{\"Records\":[]}".to_vec(), "gzip"),
        (whole[..whole.len() / 2].to_vec(), ""),
        (whole[..whole.len() - 4].to_vec(), ""),
        (flipped, "corrupt"),
        (Vec::new(), ""),
        (gzipped("[]"), "Records"),
        (gzipped("{}"), "Records"),
        (gzipped("{\"Records\":{}}"), "a list of events"),
        (gzipped("{\"Records\":[]"), "EOF"),
        (gzipped("{\"Records\":[]}{}"), "trailing"),
    ] {
        let error = read_of(&file).expect_err("a file that cannot be read");
        assert!(error.contains(problem), "{error} lacks {problem:?}");
    }
}

#[test]
fn a_small_file_that_decompresses_to_any_size_is_not_read_to_its_end() {
    let records = json!({"Records": [metered("10:30:00")], "Padding": " ".repeat(500_000)});
    let file = gzipped(&records.to_string());
    assert!(file.len() < 5_000);
    let wanted = period("10:00:00", "10:59:59");
    let possible = period("08:00:00", "11:05:00");
    let error = read_at_most(&file, wanted, possible, 400_000).unwrap_err();
    assert!(error.contains("400000 bytes"), "{error}");
    read_at_most(&file, wanted, possible, 600_000).unwrap();
}
