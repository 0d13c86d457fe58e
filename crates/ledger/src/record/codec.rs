//! Writes a record as an item, and reads it. Its allocations are in the same item or in separate
//! items.

use marketplace::record::{Allocation, MeteringRecord, Outcome, State, Transmissions};
use marketplace::retention::Retention;
use marketplace::slot::Slot;
use marketplace::tags::Tags;
use marketplace::text::hex;
use marketplace::{Dimension, TagSet, UsageHour};
use sha2::{Digest, Sha256};

use super::change::LifeSpan;
use crate::error::Malformed;
use crate::item::{Item, Reader, number, text};
use crate::shard_of;
use crate::tables::TTL_ATTRIBUTE;

/// The most bytes of allocations in the record's own item. More allocations go into separate items,
/// so that each later write of the record is small.
const ALLOCATION_BYTES_INLINE_MAX: usize = 8_192;
/// The most bytes of allocations in a separate item, well below DynamoDB's limit of 400 KB.
const ALLOCATION_BYTES_PART_MAX: usize = 300_000;

/// The sort key of a record: `r#<hour>#<dimension>`.
pub fn sort_key(hour: UsageHour, dimension: &Dimension) -> String {
    format!("r#{hour}#{dimension}")
}

/// Reads a record's sort key, `r#<hour>#<dimension>`; `None` if the key is of another form.
pub fn read_sort_key(key: &str) -> Option<(UsageHour, Dimension)> {
    let (hour, dimension) = key.strip_prefix("r#")?.split_once('#')?;
    Some((hour.parse().ok()?, dimension.parse().ok()?))
}

/// The partition of the work index for records that may be sent.
pub fn send_partition(shard: u8) -> String {
    format!("send#{shard}")
}

/// The partition of the work index for records that may be sent only in their subscription's final
/// hour.
pub fn urgent_partition(shard: u8) -> String {
    format!("urgent#{shard}")
}

/// The partition of the work index for records that the audit examines.
pub(crate) fn audit_partition(shard: u8) -> String {
    format!("audit#{shard}")
}

/// The partition of the work index that a record is in while it may be sent.
pub(super) fn waiting_partition(record: &MeteringRecord) -> String {
    let shard = shard_of(&record.slot.subscription);
    match record.final_at {
        Some(_) => urgent_partition(shard),
        None => send_partition(shard),
    }
}

/// The items of a record: its own item, and the items of its allocations.
pub(crate) struct RecordItem {
    pub item: Item,
    pub parts: Vec<Item>,
}

pub(crate) fn to_item(record: &MeteringRecord, retention: Retention) -> RecordItem {
    let slot = &record.slot;
    let mut item = Item::from([
        ("subscription".to_owned(), text(&slot.subscription)),
        (
            "item".to_owned(),
            text(sort_key(slot.hour, &slot.dimension)),
        ),
        ("version".to_owned(), number(record.version)),
        ("state".to_owned(), text(record.state)),
        ("product_code".to_owned(), text(&record.product)),
        ("quantity".to_owned(), number(record.quantity)),
        ("stamp".to_owned(), number(record.stamp.as_second())),
        ("deadline".to_owned(), number(record.deadline.as_second())),
        ("sealed_at".to_owned(), number(record.sealed_at.as_second())),
    ]);
    if let Some(account) = &record.account {
        item.insert("account_id".to_owned(), text(account));
    }
    if record.movements > 0 {
        item.insert("movements".to_owned(), number(record.movements));
    }
    if record.open_holds > 0 {
        item.insert("open_holds".to_owned(), number(record.open_holds));
    }
    let expires_at = LifeSpan::of(record, retention).attribute();
    if let Some(expires_at) = &expires_at {
        item.insert(TTL_ATTRIBUTE.to_owned(), expires_at.clone());
    }
    if let Some(at) = record.final_at {
        item.insert("final_at".to_owned(), number(at.as_second()));
    }
    if record.sent.answered > 0 {
        item.insert("answered".to_owned(), number(record.sent.answered));
    }
    if record.sent.doubtful > 0 {
        item.insert("doubtful".to_owned(), number(record.sent.doubtful));
    }
    if record.attempts > 0 {
        item.insert("attempts".to_owned(), number(record.attempts));
    }
    if let Some(due) = record.due {
        item.insert("due".to_owned(), number(due.as_second()));
        let partition = match record.state {
            State::Disputed | State::Unconfirmed => audit_partition(shard_of(&slot.subscription)),
            _ => waiting_partition(record),
        };
        item.insert("work".to_owned(), text(partition));
    }
    if let Some(outcome) = &record.outcome {
        item.insert("outcome".to_owned(), text(&outcome.code));
        item.insert("outcome_at".to_owned(), text(outcome.at));
        if let Some(id) = &outcome.metering_record_id {
            item.insert("metering_record_id".to_owned(), text(id));
        }
        if let Some(quantity) = outcome.quantity_at_aws {
            item.insert("quantity_at_aws".to_owned(), number(quantity));
        }
    }
    let mut parts = Vec::new();
    if !record.allocations.is_empty() {
        let written = write_allocations(&record.allocations);
        if written.len() <= ALLOCATION_BYTES_INLINE_MAX {
            item.insert("allocations".to_owned(), text(written));
        } else {
            parts = allocation_parts(slot, &written);
            for part in &mut parts {
                part.extend(expires_at.clone().map(|at| (TTL_ATTRIBUTE.to_owned(), at)));
            }
            item.insert("allocation_parts".to_owned(), number(parts.len()));
            item.insert("allocation_digest".to_owned(), text(digest_of(&written)));
        }
    }
    RecordItem { item, parts }
}

/// The sort keys of the items that hold a record's allocations; none if they are in the record's
/// own item.
pub(crate) fn part_keys(record: &MeteringRecord) -> Vec<String> {
    let written = write_allocations(&record.allocations);
    if written.len() <= ALLOCATION_BYTES_INLINE_MAX {
        return Vec::new();
    }
    let (slot, digest) = (&record.slot, digest_of(&written));
    (0..written.len().div_ceil(ALLOCATION_BYTES_PART_MAX))
        .map(|part| part_key(slot.hour, &slot.dimension, &digest, part))
        .collect()
}

/// Allocations as a compact JSON text: `[["1.5",{"team":"a"}],...]`.
fn write_allocations(allocations: &[Allocation]) -> String {
    let pairs: Vec<(String, Tags)> = allocations
        .iter()
        .map(|a| (a.quantity.to_string(), Tags::from(&a.tags)))
        .collect();
    serde_json::to_string(&pairs).unwrap_or_default()
}

pub(super) fn read_allocations(written: &str) -> Result<Vec<Allocation>, String> {
    let pairs: Vec<(String, Tags)> = serde_json::from_str(written).map_err(|e| e.to_string())?;
    pairs
        .into_iter()
        .map(|(quantity, tags)| {
            Ok(Allocation {
                quantity: quantity.parse().map_err(|e| format!("{e}"))?,
                tags: TagSet::try_from(tags).map_err(|e| e.to_string())?,
            })
        })
        .collect()
}

/// The digest of a record's allocations in the keys of the items that hold them.
pub(super) fn digest_of(written: &str) -> String {
    hex(&Sha256::digest(written)[..8])
}

pub(super) fn part_key(
    hour: UsageHour,
    dimension: &Dimension,
    digest: &str,
    part: usize,
) -> String {
    format!("a#{hour}#{dimension}#{digest}.{part}")
}

fn allocation_parts(slot: &Slot, written: &str) -> Vec<Item> {
    let digest = digest_of(written);
    let mut parts = Vec::new();
    let mut rest = written;
    while !rest.is_empty() {
        // Tags are ASCII by rule, so any byte is a character boundary.
        let (part, remaining) = rest.split_at(rest.len().min(ALLOCATION_BYTES_PART_MAX));
        parts.push(Item::from([
            ("subscription".to_owned(), text(&slot.subscription)),
            (
                "item".to_owned(),
                text(part_key(slot.hour, &slot.dimension, &digest, parts.len())),
            ),
            ("version".to_owned(), number(1)),
            ("allocations".to_owned(), text(part)),
        ]));
        rest = remaining;
    }
    parts
}

/// Reads a record. If its allocations are in separate items, the second value is the number of
/// those items and the digest in their keys, and the record's allocations are empty.
pub(crate) fn from_item(
    item: &Item,
) -> Result<(MeteringRecord, Option<(usize, String)>), Malformed> {
    let read = Reader::new(item);
    let sort = read.text("item")?;
    let (hour, dimension) =
        read_sort_key(sort).ok_or_else(|| read.malformed("item", "is not r#<hour>#<dimension>"))?;
    let allocations = match read.text_opt("allocations")? {
        Some(written) => read_allocations(written).map_err(|e| read.malformed("allocations", e))?,
        None => Vec::new(),
    };
    let parts = read
        .number_opt::<usize>("allocation_parts")?
        .map(|parts| Ok::<_, Malformed>((parts, read.text("allocation_digest")?.to_owned())))
        .transpose()?;
    let outcome = match read.text_opt("outcome")? {
        Some(code) => Some(Outcome {
            at: read.parsed("outcome_at")?,
            code: code.to_owned(),
            metering_record_id: read.text_opt("metering_record_id")?.map(str::to_owned),
            quantity_at_aws: read
                .number_text_opt("quantity_at_aws")?
                .map(|digits| {
                    marketplace::Quantity::from_number(digits)
                        .map_err(|e| read.malformed("quantity_at_aws", e))
                })
                .transpose()?,
        }),
        None => None,
    };
    let quantity = read
        .number_text_opt("quantity")?
        .ok_or_else(|| read.malformed("quantity", "is missing"))?;
    let record = MeteringRecord {
        slot: Slot {
            subscription: read.parsed("subscription")?,
            hour,
            dimension,
        },
        product: read.parsed("product_code")?,
        account: read.parsed_opt("account_id")?,
        quantity: marketplace::Quantity::from_number(quantity)
            .map_err(|e| read.malformed("quantity", e))?,
        allocations,
        stamp: read.second("stamp")?,
        deadline: read.second("deadline")?,
        sealed_at: read.second("sealed_at")?,
        state: read.parsed("state")?,
        version: read.version()?,
        movements: read.number_opt("movements")?.unwrap_or_default(),
        open_holds: read.number_opt("open_holds")?.unwrap_or_default(),
        final_at: read.second_opt("final_at")?,
        attempts: read.number_opt("attempts")?.unwrap_or_default(),
        sent: Transmissions {
            doubtful: read.number_opt("doubtful")?.unwrap_or_default(),
            answered: read.number_opt("answered")?.unwrap_or_default(),
        },
        due: read.second_opt("due")?,
        outcome,
    };
    Ok((record, parts))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn record() -> MeteringRecord {
        let at: Timestamp = "2026-11-21T02:00:00Z".parse().unwrap();
        MeteringRecord {
            slot: Slot {
                subscription: "arn:aws:license-manager::294406891311:license:l-1"
                    .parse()
                    .unwrap(),
                hour: UsageHour::of(at),
                dimension: "gb#x".parse().unwrap(),
            },
            product: "code".parse().unwrap(),
            account: Some("111122223333".parse().unwrap()),
            quantity: "1.5".parse().unwrap(),
            allocations: vec![Allocation {
                tags: TagSet::try_from(Tags::from([("team".to_owned(), "a \"b".to_owned())]))
                    .unwrap(),
                quantity: "1.5".parse().unwrap(),
            }],
            stamp: at,
            deadline: "2026-11-22T02:00:00Z".parse().unwrap(),
            sealed_at: at,
            state: State::Sealed,
            version: 3,
            movements: 2,
            open_holds: 1,
            final_at: Some(at),
            attempts: 1,
            sent: Transmissions {
                doubtful: 1,
                answered: 2,
            },
            due: Some(at),
            outcome: Some(Outcome {
                at,
                code: "Unprocessed".to_owned(),
                metering_record_id: None,
                quantity_at_aws: Some("2.5".parse().unwrap()),
            }),
        }
    }

    #[test]
    fn a_record_survives_its_item() {
        let full = record();
        let stored = to_item(&full, Retention::default());
        assert!(stored.parts.is_empty());
        assert_eq!(from_item(&stored.item).unwrap(), (full, None));
    }

    #[test]
    fn a_record_with_a_final_hour_waits_apart_from_the_others() {
        let shard = shard_of(&record().slot.subscription);
        let work = |final_at: Option<Timestamp>, state: State| {
            let record = MeteringRecord {
                final_at,
                state,
                ..record()
            };
            to_item(&record, Retention::default()).item["work"]
                .as_s()
                .unwrap()
                .clone()
        };
        let end = record().final_at;
        for state in [State::Sealed, State::Refused] {
            assert_eq!(work(end, state), format!("urgent#{shard}"));
            assert_eq!(work(None, state), format!("send#{shard}"));
        }
        assert_eq!(work(end, State::Disputed), format!("audit#{shard}"));
    }

    #[test]
    fn many_allocations_go_into_items_of_their_own() {
        let mut big = record();
        big.allocations = (0..2_500)
            .map(|n| Allocation {
                tags: TagSet::try_from(Tags::from([("team".to_owned(), format!("{n:0>200}"))]))
                    .unwrap(),
                quantity: "1".parse().unwrap(),
            })
            .collect();
        let stored = to_item(&big, Retention::default());
        assert_eq!(stored.parts.len(), 2);
        let keys: Vec<&String> = stored
            .parts
            .iter()
            .map(|p| p["item"].as_s().unwrap())
            .collect();
        assert_eq!(part_keys(&big).iter().collect::<Vec<_>>(), keys);
        let written: String = stored
            .parts
            .iter()
            .map(|p| p["allocations"].as_s().unwrap().as_str())
            .collect();
        assert_eq!(read_allocations(&written).unwrap(), big.allocations);
        assert_eq!(from_item(&stored.item).unwrap().1.unwrap().0, 2);
    }
}
