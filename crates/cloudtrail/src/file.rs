//! Reads one file of a trail: gzipped JSON, `{"Records": [<event>, ...]}`.
//!
//! The file is decompressed and read event by event, and only its calls of BatchMeterUsage are
//! kept. Most events of a file are about other services.

use std::borrow::Cow;
use std::fmt;
use std::io::{BufReader, Read};

use flate2::read::MultiGzDecoder;
use marketplace::audit::{Event, Period};
use marketplace::limits::TRAIL_FILE_BYTES_MAX;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The `eventName` of the events that are kept.
const NAME: &str = "BatchMeterUsage";
/// The number of bytes that are decompressed at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Reads the events of a file that lie in `period` or may lie in it. `possible` is the period from
/// which the file can have events. It is the time of an event without a readable time.
pub(super) fn read(gzipped: &[u8], period: Period, possible: Period) -> Result<Vec<Event>, String> {
    read_at_most(gzipped, period, possible, TRAIL_FILE_BYTES_MAX)
}

fn read_at_most(
    gzipped: &[u8],
    period: Period,
    possible: Period,
    bytes_max: u64,
) -> Result<Vec<Event>, String> {
    let limited = Limited {
        inner: MultiGzDecoder::new(gzipped),
        left: bytes_max,
        max: bytes_max,
    };
    let mut events = Events {
        period,
        possible,
        kept: Vec::new(),
    };
    let mut json =
        serde_json::Deserializer::from_reader(BufReader::with_capacity(CHUNK_BYTES, limited));
    FileOf(&mut events)
        .deserialize(&mut json)
        .map_err(|error| error.to_string())?;
    // The file is read to its end, because gzip has its checksum there.
    json.end().map_err(|error| error.to_string())?;
    Ok(events.kept)
}

/// A reader that fails after `max` bytes, because a small file can decompress to any size.
struct Limited<R> {
    inner: R,
    left: u64,
    max: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let bytes = u64::try_from(read).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            let max = self.max;
            std::io::Error::other(format!(
                "it has more than {max} bytes when it is decompressed"
            ))
        })?;
        Ok(read)
    }
}

/// The events of a file that are kept.
struct Events {
    period: Period,
    possible: Period,
    kept: Vec<Event>,
}

/// The part of an event that says which operation it is about.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow, default)]
    event_name: Option<Cow<'a, str>>,
}

impl Events {
    /// Keeps an event if it is or may be a call in the period.
    fn add(&mut self, text: &RawValue) {
        let text = text.get();
        let is_another = serde_json::from_str::<Head<'_>>(text)
            .is_ok_and(|head| head.event_name.is_some_and(|name| name != NAME));
        if is_another {
            return;
        }
        let event = match Event::read(text, None) {
            Event::Unreadable { at, problem } => Event::Unreadable {
                at: at.or(Some(self.possible)),
                problem,
            },
            event => event,
        };
        let is_in_period = match &event {
            Event::Call(call) => self.period.contains(call.at),
            Event::Unreadable { at, .. } => at.is_none_or(|at| self.period.overlaps(at)),
            // An event of another service has no time that could be compared, and is not needed.
            Event::Foreign(_) => false,
        };
        if is_in_period {
            self.kept.push(event);
        }
    }
}

/// Reads the JSON object of a file.
struct FileOf<'a>(&'a mut Events);
/// Reads the list of events in that object.
struct ListOf<'a>(&'a mut Events);

impl<'de> DeserializeSeed<'de> for FileOf<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FileOf<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the member Records")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut has_records = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == "Records" {
                has_records = true;
                map.next_value_seed(ListOf(&mut *self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        match has_records {
            true => Ok(()),
            false => Err(serde::de::Error::missing_field("Records")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for ListOf<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ListOf<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(text) = list.next_element::<Box<RawValue>>()? {
            self.0.add(&text);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
