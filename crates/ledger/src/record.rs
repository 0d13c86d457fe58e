//! Metering records: sort key `r#<hour>#<dimension>`.
//!
//! `send` is there only from the freezing write to the first write after it: the submitter's stream
//! filter matches it, and so never sees what the submitter itself wrote. `work` and `due` put a
//! record into the work index while there is something to do about it: in the partitions `send#<n>`
//! while it may be sent, in `audit#<n>` while the audit is to look at it.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::config::AsyncSleep;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Put, TransactWriteItem};
use jiff::Timestamp;
use marketplace::audit::due;
use marketplace::outcome::{Next, Verdict};
use marketplace::planted::{Bug, is_planted};
use marketplace::record::{Allocation, MeteringRecord, Outcome, RecordKey, State};
use marketplace::tags::Tags;
use marketplace::{Dimension, Subscription, TagSet, UsageHour};
use sha2::{Digest, Sha256};

use crate::audit::audit_partition;
use crate::error::{LedgerError, Malformed, Written};
use crate::item::{Item, Reader, number, text};
use crate::{Ledger, shard_of};

/// Bytes of allocations kept in the record's own item; more go into items of their own, so that
/// every outcome written to the record stays a small write.
const ALLOCATION_BYTES_INLINE_MAX: usize = 8_192;
/// Bytes of allocations in one item of their own, well below DynamoDB's 400 KB.
const ALLOCATION_BYTES_PART_MAX: usize = 300_000;
/// Keys in one BatchGetItem. Source: BatchGetItem API reference.
const BATCH_GET_MAX: usize = 100;
/// How often BatchGetItem's unprocessed keys are asked for again.
const BATCH_GET_ROUNDS_MAX: u32 = 8;

/// The sort key of a record.
pub fn sort_key(hour: UsageHour, dimension: &Dimension) -> String {
    format!("r#{hour}#{dimension}")
}

/// Reads `r#<hour>#<dimension>`.
pub fn read_sort_key(key: &str) -> Option<(UsageHour, Dimension)> {
    let (hour, dimension) = key.strip_prefix("r#")?.split_once('#')?;
    Some((hour.parse().ok()?, dimension.parse().ok()?))
}

/// Partition of the work index for records that may be sent.
pub fn send_partition(shard: u8) -> String {
    format!("send#{shard}")
}

/// What a record's item holds besides the record itself.
pub(crate) struct RecordItem {
    pub item: Item,
    pub parts: Vec<Item>,
}

pub(crate) fn to_item(record: &MeteringRecord) -> RecordItem {
    let key = &record.key;
    let mut item = Item::from([
        ("subscription".to_owned(), text(&key.subscription)),
        ("item".to_owned(), text(sort_key(key.hour, &key.dimension))),
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
    if record.attempts > 0 {
        item.insert("attempts".to_owned(), number(record.attempts));
    }
    if let Some(due) = record.due {
        item.insert("due".to_owned(), number(due.as_second()));
        let shard = shard_of(&key.subscription);
        let partition = match record.state {
            State::Disputed | State::Unconfirmed => audit_partition(shard),
            _ => send_partition(shard),
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
            parts = allocation_parts(key, &written);
            item.insert("allocation_parts".to_owned(), number(parts.len()));
            item.insert("allocation_digest".to_owned(), text(digest(&written)));
        }
    }
    RecordItem { item, parts }
}

/// Allocations as a compact JSON text: `[["1.5",{"team":"a"}],...]`.
fn write_allocations(allocations: &[Allocation]) -> String {
    let pairs: Vec<(String, Tags)> = allocations
        .iter()
        .map(|a| (a.quantity.to_string(), Tags::from(&a.tags)))
        .collect();
    serde_json::to_string(&pairs).unwrap_or_default()
}

fn read_allocations(written: &str) -> Result<Vec<Allocation>, String> {
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

fn digest(written: &str) -> String {
    Sha256::digest(written)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn part_key(hour: UsageHour, dimension: &Dimension, digest: &str, part: usize) -> String {
    format!("a#{hour}#{dimension}#{digest}.{part}")
}

fn allocation_parts(key: &RecordKey, written: &str) -> Vec<Item> {
    let digest = digest(written);
    let mut parts = Vec::new();
    let mut rest = written;
    while !rest.is_empty() {
        // Tags are ASCII by rule, so any byte is a character boundary.
        let (part, behind) = rest.split_at(rest.len().min(ALLOCATION_BYTES_PART_MAX));
        parts.push(Item::from([
            ("subscription".to_owned(), text(&key.subscription)),
            (
                "item".to_owned(),
                text(part_key(key.hour, &key.dimension, &digest, parts.len())),
            ),
            ("version".to_owned(), number(1)),
            ("allocations".to_owned(), text(part)),
        ]));
        rest = behind;
    }
    parts
}

/// Reads a record whose allocations stand in its own item; `Err(parts)` when they do not.
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
        key: RecordKey {
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
        attempts: read.number_opt("attempts")?.unwrap_or_default(),
        due: read.second_opt("due")?,
        outcome,
    };
    Ok((record, parts))
}

/// What is due in the work index: a record's key.
#[derive(Debug, Clone)]
pub struct DuePage {
    /// Keys of records whose time has come, earliest first.
    pub keys: Vec<RecordKey>,
    /// Where the next page begins.
    pub next: Option<Item>,
}

impl Ledger {
    /// Creates a record, unless its slot has one. A new record that is to be sent carries `send`.
    pub async fn create_record(&self, record: &MeteringRecord) -> Result<Written, LedgerError> {
        let RecordItem { mut item, parts } = to_item(record);
        if record.state == State::Sealed {
            item.insert("send".to_owned(), text("yes"));
        }
        let table = &self.tables.metering_records;
        if is_planted(Bug::RecordOverwritten) {
            self.put_any(table, item).await?;
            return Ok(Written::Done);
        }
        if parts.is_empty() {
            return self.put_new(table, item).await;
        }
        let mut writes = vec![put_if_absent(table, item)];
        for part in parts {
            // A part is named by its content, so one that is left from a crash is this one.
            writes.push(put_over(table, part));
        }
        self.transact(table, writes).await
    }

    /// Reads records, strongly consistent. Those that do not exist are left out, and so is, with an
    /// error in the log, one that is damaged: it must not hold up those beside it.
    pub async fn records(&self, keys: &[RecordKey]) -> Result<Vec<MeteringRecord>, LedgerError> {
        let mut records = Vec::new();
        for chunk in keys.chunks(BATCH_GET_MAX) {
            let keys = chunk
                .iter()
                .map(|key| {
                    Item::from([
                        ("subscription".to_owned(), text(&key.subscription)),
                        ("item".to_owned(), text(sort_key(key.hour, &key.dimension))),
                    ])
                })
                .collect();
            for item in self.batch_get(keys).await? {
                let read = match from_item(&item) {
                    Ok(read) => self.complete(read).await,
                    Err(damaged) => Err(damaged.into()),
                };
                match read {
                    Ok(record) => records.push(record),
                    Err(LedgerError::Malformed(damaged)) => {
                        tracing::error!(%damaged, "a damaged record is left out");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        records.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(records)
    }

    /// The records of one hour of a subscription, strongly consistent.
    pub async fn records_of_hour(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
    ) -> Result<Vec<MeteringRecord>, LedgerError> {
        self.records_with_prefix(subscription, &format!("r#{hour}#"))
            .await
    }

    /// All records of a subscription of which the sort key begins with `prefix`, which begins with
    /// `r#`: `r#2026-11` for a month.
    pub async fn records_with_prefix(
        &self,
        subscription: &Subscription,
        prefix: &str,
    ) -> Result<Vec<MeteringRecord>, LedgerError> {
        let table = &self.tables.metering_records;
        let mut records = Vec::new();
        for item in self
            .query_all(table, &subscription.to_string(), prefix)
            .await?
        {
            records.push(self.complete(from_item(&item)?).await?);
        }
        Ok(records)
    }

    /// Writes what a verdict made of a record. A success is a fact and is written whatever the
    /// version; anything else only if nobody has written since the record was read.
    pub async fn write_outcome(
        &self,
        record: &MeteringRecord,
        verdict: &Verdict,
        next: &Next,
        now: Timestamp,
    ) -> Result<Written, LedgerError> {
        let is_success = next.state == State::Accepted;
        let mut set = vec![
            "#state = :state",
            "#outcome = :outcome",
            "#outcome_at = :outcome_at",
            "#version = #version + :one",
        ];
        let mut remove = vec!["#send"];
        let mut names = HashMap::from(
            [
                ("#state", "state"),
                ("#outcome", "outcome"),
                ("#outcome_at", "outcome_at"),
                ("#version", "version"),
                ("#send", "send"),
                ("#due", "due"),
                ("#work", "work"),
            ]
            .map(|(short, name)| (short.to_owned(), name.to_owned())),
        );
        let mut values = HashMap::from([
            (":state".to_owned(), text(next.state)),
            (":outcome".to_owned(), text(verdict.code())),
            (":outcome_at".to_owned(), text(now)),
            (":one".to_owned(), number(1)),
        ]);
        if let Verdict::Accepted {
            metering_record_id: Some(id),
        } = verdict
        {
            set.push("#id = :id");
            names.insert("#id".to_owned(), "metering_record_id".to_owned());
            values.insert(":id".to_owned(), text(id));
        }
        match next.retry_after {
            Some(after) => {
                set.extend(["#due = :due", "#work = :work", "#attempts = :attempts"]);
                names.insert("#attempts".to_owned(), "attempts".to_owned());
                let due = marketplace::hour::shift(now, after);
                values.insert(":due".to_owned(), number(due.as_second()));
                let shard = shard_of(&record.key.subscription);
                values.insert(":work".to_owned(), text(send_partition(shard)));
                values.insert(
                    ":attempts".to_owned(),
                    number(record.attempts.saturating_add(1)),
                );
            }
            None => match due(next.state, record.deadline, now) {
                Some(due) => {
                    set.extend(["#due = :due", "#work = :work"]);
                    values.insert(":due".to_owned(), number(due.as_second()));
                    let shard = shard_of(&record.key.subscription);
                    values.insert(":work".to_owned(), text(audit_partition(shard)));
                }
                None => remove.extend(["#due", "#work"]),
            },
        }
        let condition = if is_success {
            "attribute_exists(#version)"
        } else {
            values.insert(":read".to_owned(), number(record.version));
            "#version = :read"
        };
        let expression = format!("SET {} REMOVE {}", set.join(", "), remove.join(", "));
        self.update_record(&record.key, expression, condition, names, values)
            .await
    }

    /// Changes a record's state without an answer of AWS Marketplace, if nobody has written since it
    /// was read; it leaves the work index, unless the audit is to look at it in its new state.
    pub async fn write_state(
        &self,
        record: &MeteringRecord,
        state: State,
        code: &str,
        now: Timestamp,
    ) -> Result<Written, LedgerError> {
        let names = [
            ("#state", "state"),
            ("#outcome", "outcome"),
            ("#outcome_at", "outcome_at"),
            ("#version", "version"),
            ("#send", "send"),
            ("#due", "due"),
            ("#work", "work"),
        ];
        let mut values = HashMap::from([
            (":state".to_owned(), text(state)),
            (":outcome".to_owned(), text(code)),
            (":outcome_at".to_owned(), text(now)),
            (":one".to_owned(), number(1)),
            (":read".to_owned(), number(record.version)),
        ]);
        let rest = match due(state, record.deadline, now) {
            Some(due) => {
                let shard = shard_of(&record.key.subscription);
                values.insert(":due".to_owned(), number(due.as_second()));
                values.insert(":work".to_owned(), text(audit_partition(shard)));
                ", #due = :due, #work = :work REMOVE #send"
            }
            None => " REMOVE #send, #due, #work",
        };
        self.update_record(
            &record.key,
            format!("SET #state = :state, #outcome = :outcome, #outcome_at = :outcome_at, #version = #version + :one{rest}"),
            "#version = :read",
            names.map(|(short, name)| (short.to_owned(), name.to_owned())).into(),
            values,
        )
        .await
    }

    /// One page of the records of a shard that are due at `now`, earliest first. The index lags
    /// behind: read the records themselves before deciding anything.
    pub async fn due_records(
        &self,
        shard: u8,
        now: Timestamp,
        start: Option<Item>,
    ) -> Result<DuePage, LedgerError> {
        self.due_in(&send_partition(shard), now, start).await
    }

    /// One page of a partition of the work index that holds records.
    pub(crate) async fn due_in(
        &self,
        partition: &str,
        now: Timestamp,
        start: Option<Item>,
    ) -> Result<DuePage, LedgerError> {
        let table = &self.tables.metering_records;
        let answer = self
            .query_work(partition, now, start)
            .await
            .map_err(|e| LedgerError::unavailable("Query", table, e))?;
        let mut keys = Vec::new();
        for item in answer.items() {
            let read = Reader::new(item);
            let sort = read.text("item")?;
            let (hour, dimension) = read_sort_key(sort)
                .ok_or_else(|| read.malformed("item", "is not r#<hour>#<dimension>"))?;
            keys.push(RecordKey {
                subscription: read.parsed("subscription")?,
                hour,
                dimension,
            });
        }
        Ok(DuePage {
            keys,
            next: answer.last_evaluated_key,
        })
    }

    pub(crate) async fn update_record(
        &self,
        key: &RecordKey,
        expression: String,
        condition: &str,
        names: HashMap<String, String>,
        values: HashMap<String, AttributeValue>,
    ) -> Result<Written, LedgerError> {
        let table = &self.tables.metering_records;
        let result = self
            .client
            .update_item()
            .table_name(table)
            .key("subscription", text(&key.subscription))
            .key("item", text(sort_key(key.hour, &key.dimension)))
            .update_expression(expression)
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .send()
            .await;
        match result {
            Ok(_) => Ok(Written::Done),
            Err(e)
                if e.as_service_error()
                    .is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Ok(Written::Conflict)
            }
            Err(e) => Err(LedgerError::unavailable("UpdateItem", table, e)),
        }
    }

    async fn complete(
        &self,
        (mut record, parts): (MeteringRecord, Option<(usize, String)>),
    ) -> Result<MeteringRecord, LedgerError> {
        let Some((count, digest)) = parts else {
            return Ok(record);
        };
        let table = &self.tables.metering_records;
        let subscription = record.key.subscription.to_string();
        let mut written = String::new();
        for part in 0..count {
            let key = part_key(record.key.hour, &record.key.dimension, &digest, part);
            let missing = || Malformed {
                item: format!("{subscription} / {key}"),
                attribute: "allocations".to_owned(),
                rule: "is missing, but its record counts on it".to_owned(),
            };
            let item = self
                .get(table, &subscription, &key)
                .await?
                .ok_or_else(missing)?;
            written.push_str(Reader::new(&item).text("allocations")?);
        }
        record.allocations = read_allocations(&written).map_err(|rule| Malformed {
            item: record.key.to_string(),
            attribute: "allocations".to_owned(),
            rule,
        })?;
        Ok(record)
    }

    async fn batch_get(&self, keys: Vec<Item>) -> Result<Vec<Item>, LedgerError> {
        let table = &self.tables.metering_records;
        let mut items = Vec::new();
        let mut wanted = keys;
        for round in 0..BATCH_GET_ROUNDS_MAX {
            if wanted.is_empty() {
                return Ok(items);
            }
            // As the client itself waits before it tries again.
            if round > 0
                && let Some(sleep) = self.client.config().sleep_impl()
            {
                sleep.sleep(Duration::from_millis(25 << round)).await;
            }
            let request = KeysAndAttributes::builder()
                .set_keys(Some(std::mem::take(&mut wanted)))
                .consistent_read(true)
                .build()
                .map_err(|e| LedgerError::Unavailable {
                    operation: "BatchGetItem",
                    table: table.clone(),
                    code: "request not built".to_owned(),
                    message: e.to_string(),
                })?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(table, request)
                .send()
                .await
                .map_err(|e| LedgerError::unavailable("BatchGetItem", table, e))?;
            for (_, found) in answer.responses.unwrap_or_default() {
                items.extend(found);
            }
            for (_, left) in answer.unprocessed_keys.unwrap_or_default() {
                wanted.extend(left.keys);
            }
        }
        if wanted.is_empty() {
            return Ok(items);
        }
        Err(LedgerError::Unavailable {
            operation: "BatchGetItem",
            table: table.clone(),
            code: "unprocessed keys".to_owned(),
            message: format!(
                "{} keys were left unprocessed {BATCH_GET_ROUNDS_MAX} times",
                wanted.len()
            ),
        })
    }

    /// Runs a transaction; a failed condition or another transaction on the same items is a conflict.
    pub(crate) async fn transact(
        &self,
        table: &str,
        writes: Vec<TransactWriteItem>,
    ) -> Result<Written, LedgerError> {
        let result = self
            .client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .send()
            .await;
        let error = match result {
            Ok(_) => return Ok(Written::Done),
            Err(error) => error,
        };
        if let Some(aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(e)) =
            error.as_service_error()
        {
            let codes: Vec<&str> = e.cancellation_reasons().iter().filter_map(|r| r.code()).collect();
            let ours = |code: &&str| matches!(*code, "None" | "ConditionalCheckFailed" | "TransactionConflict");
            if codes.iter().all(ours) && codes.iter().any(|code| *code != "None") {
                return Ok(Written::Conflict);
            }
        }
        Err(LedgerError::unavailable("TransactWriteItems", table, error))
    }
}

/// A put that fails when the item exists.
pub(crate) fn put_if_absent(table: &str, item: Item) -> TransactWriteItem {
    let key = if item.contains_key("subscription_hour") {
        "subscription_hour"
    } else {
        "subscription"
    };
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(item))
        .condition_expression("attribute_not_exists(#key)")
        .expression_attribute_names("#key", key)
        .build()
        .ok();
    TransactWriteItem::builder().set_put(put).build()
}

/// A put, whether or not the item exists.
pub(crate) fn put_over(table: &str, item: Item) -> TransactWriteItem {
    // Table name and item are the only required members, and both are given.
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(item))
        .build()
        .ok();
    TransactWriteItem::builder().set_put(put).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> MeteringRecord {
        let at: Timestamp = "2026-11-21T02:00:00Z".parse().unwrap();
        MeteringRecord {
            key: RecordKey {
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
            attempts: 1,
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
        let stored = to_item(&full);
        assert!(stored.parts.is_empty());
        assert_eq!(from_item(&stored.item).unwrap(), (full, None));
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
        let stored = to_item(&big);
        assert_eq!(stored.parts.len(), 2);
        let written: String = stored
            .parts
            .iter()
            .map(|p| p["allocations"].as_s().unwrap().as_str())
            .collect();
        assert_eq!(read_allocations(&written).unwrap(), big.allocations);
        assert_eq!(from_item(&stored.item).unwrap().1.unwrap().0, 2);
    }
}
