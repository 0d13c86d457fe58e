//! CloudTrail's trail in S3: the events of `LookupEvents` in gzipped files. There is a file for
//! each five minutes in which an event was delivered.
//!
//! Delay, disorder, repetition and loss are the same as in the event history: a file contains the
//! events that the history began to show in its five minutes. A repeated event is also in the next
//! file.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::lookup_events::{LOGGED, REPEATED, SOURCE, draw, shown_from};
use super::{Arrival, cloudtrail_event};
use crate::ids::{self, Kind};
use crate::world::{CallEntry, World};

/// The length of the period of one file, in seconds.
const FILE_S: i64 = 300;
const DAY_S: i64 = 24 * 3_600;
/// The number of the question to [`draw`] that decides the order of the events in a file.
const ORDER: u64 = 5;

/// A file that a trail has delivered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TrailFile {
    region: String,
    /// When it was made, in seconds since the epoch.
    made: i64,
}

impl TrailFile {
    /// The file's key in the bucket.
    pub(crate) fn key(&self, world: &World) -> String {
        let account = &world.settings.seller_account_id;
        let prefix = match world.settings.trail_prefix.as_str() {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        let region = &self.region;
        let time = Offset::UTC.to_datetime(self.made_at());
        let (year, month, day) = (time.year(), time.month(), time.day());
        let (hour, minute) = (time.hour(), time.minute());
        let unique = ids::trail_file(world.seed, region, self.made.unsigned_abs());
        format!(
            "{prefix}AWSLogs/{account}/CloudTrail/{region}/{year:04}/{month:02}/{day:02}/\
             {account}_CloudTrail_{region}_{year:04}{month:02}{day:02}T{hour:02}{minute:02}Z_{unique}.json.gz"
        )
    }

    /// Whether the key contains the file's minute. A key without it is not this file's key.
    pub(crate) fn may_be(&self, key: &str) -> bool {
        let minute = self.made_at().strftime("_%Y%m%dT%H%MZ_").to_string();
        key.contains(&minute)
    }

    /// When the file was made.
    pub(crate) fn made_at(&self) -> Timestamp {
        Timestamp::from_second(self.made).unwrap_or_default()
    }

    /// The gzipped content of the file: an event of another service and the events of these calls.
    pub(crate) fn content(&self, world: &World, calls: &Calls<'_>) -> std::io::Result<Vec<u8>> {
        let mut calls = calls.clone();
        if world.settings.cloudtrail_spread_s > 0 {
            calls.sort_by_key(|entry| draw(world, ORDER, entry.number));
        }
        // AWS's files contain events of other services, too.
        let mut records = vec![other_event(world, self)];
        let event = |entry: &&CallEntry| cloudtrail_event::whole(world, entry, SOURCE);
        records.extend(calls.iter().map(event));
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(json!({"Records": records}).to_string().as_bytes())?;
        gzip.finish()
    }
}

/// The calls of one file.
pub(crate) type Calls<'w> = Vec<&'w CallEntry>;

/// All files in the bucket, each with its calls. There are none if the time for which files are
/// kept contains no midnight.
pub(crate) fn files<'w>(world: &'w World, arrival: Arrival<'_>) -> BTreeMap<TrailFile, Calls<'w>> {
    let now = arrival.now.as_second();
    let Some(first) = first_made(world, arrival.now) else {
        return BTreeMap::new();
    };
    let of = |region: &str, made: i64| TrailFile {
        region: region.to_owned(),
        made,
    };
    let mut files = BTreeMap::from([(of(arrival.region, first), Calls::new())]);
    for entry in logged(world) {
        for made in files_of(world, entry).into_iter().flatten() {
            if (first..=now).contains(&made) {
                files
                    .entry(of(&entry.region, made))
                    .or_default()
                    .push(entry);
            }
        }
    }
    files
}

fn logged(world: &World) -> impl Iterator<Item = &CallEntry> {
    let calls = world.calls.iter();
    calls.filter(|entry| entry.operation == LOGGED && entry.reached_aws())
}

/// The time of the oldest file in the bucket, in epoch seconds: the first midnight within the time
/// for which files are kept. `None` if that time contains no midnight.
fn first_made(world: &World, now: Timestamp) -> Option<i64> {
    let days = i64::from(world.settings.trail_kept_days);
    let kept = now
        .saturating_sub(SignedDuration::from_hours(24 * days))
        .unwrap_or(Timestamp::MIN);
    let midnight = (kept.as_second().div_euclid(DAY_S) + 1) * DAY_S;
    (midnight <= now.as_second()).then_some(midnight)
}

/// The times of the one or two files that contain an event, in epoch seconds. Both are `None` if
/// the event is never shown.
fn files_of(world: &World, entry: &CallEntry) -> [Option<i64>; 2] {
    let shown = shown_from(world, entry);
    // The file is finished at the end of the five minutes in which the history began to show the
    // event.
    let made = shown.map(|shown| (shown.div_euclid(FILE_S) + 1) * FILE_S);
    let percent = u64::from(world.settings.cloudtrail_repeat_percent);
    let is_repeated = draw(world, REPEATED, entry.number) % 100 < percent;
    [made, made.filter(|_| is_repeated).map(|made| made + FILE_S)]
}

fn other_event(world: &World, file: &TrailFile) -> Value {
    let account = &world.settings.seller_account_id;
    let number = file.made.unsigned_abs();
    json!({
        "eventVersion": "1.11",
        "userIdentity": {"type": "AWSService", "invokedBy": "logs.amazonaws.com"},
        "eventTime": file.made_at().to_string(),
        "eventSource": "logs.amazonaws.com",
        "eventName": "CreateLogStream",
        "awsRegion": file.region,
        "requestParameters": {"logGroupName": "example", "logStreamName": number.to_string()},
        "responseElements": Value::Null,
        "eventID": ids::uuid(world.seed, Kind::TrailFile, number),
        "readOnly": false,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": account,
        "eventCategory": "Management",
    })
}
