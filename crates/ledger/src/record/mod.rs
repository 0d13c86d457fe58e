//! Metering records: sort key `r#<hour>#<dimension>`.
//!
//! `send` is there only from the freezing write to the first write after it: the submitter's stream
//! filter matches it, and so never sees what the submitter itself wrote. `work` and `due` put a
//! record into the work index while there is something to do about it: in the partitions `send#<n>`
//! while it may be sent, in `urgent#<n>` instead while it has only its subscription's final hour for
//! that, in `audit#<n>` while the audit is to look at it.

mod codec;
mod hurry;
mod withdraw;

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use jiff::Timestamp;
use marketplace::audit::due;
use marketplace::outcome::{Next, Verdict};
use marketplace::planted::{Bug, is_planted};
use marketplace::record::{MeteringRecord, RecordKey, State};
use marketplace::{Subscription, UsageHour};

use crate::audit::audit_partition;
use crate::error::{LedgerError, Malformed, Written};
use crate::item::{Item, Reader, number, text};
use crate::transaction::{put_if_absent, put_over};
use crate::{Ledger, shard_of};

use codec::{RecordItem, part_key, read_allocations, waiting_partition};
pub(crate) use codec::{from_item, to_item};
pub use codec::{read_sort_key, send_partition, sort_key, urgent_partition};

/// Keys in one BatchGetItem. Source: BatchGetItem API reference.
const BATCH_GET_MAX: usize = 100;
/// How often BatchGetItem's unprocessed keys are asked for again.
const BATCH_GET_ROUNDS_MAX: u32 = 8;

/// What is due in the work index: a record's key.
#[derive(Debug, Clone)]
pub struct DuePage {
    /// Keys of records whose time has come, earliest first.
    pub keys: Vec<RecordKey>,
    /// Where the next page begins.
    pub next: Option<Item>,
}

/// Records that may still be sent.
#[derive(Debug, Clone, Default)]
pub struct Waiting {
    /// Without the allocations that are in items of their own.
    pub records: Vec<MeteringRecord>,
    /// How many records among them are damaged; the log names them.
    pub damaged: u64,
}

/// Whether a write of a record changes the books of its day, and if so, at which time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Changes {
    /// The books say the same afterwards: only when or how the record is sent changes.
    NoBooks,
    /// The books say something else, so the day is to be proved again.
    Books(Timestamp),
}

impl Ledger {
    /// Creates a record, unless its slot has one. A new record that is to be sent carries `send`.
    pub async fn create_record(&self, record: &MeteringRecord) -> Result<Written, LedgerError> {
        let RecordItem { mut item, parts } = to_item(record);
        if record.state == State::Sealed {
            item.insert("send".to_owned(), text("yes"));
        }
        let table = &self.tables.metering_records;
        let key = &record.key;
        self.note_change(&key.subscription, key.hour, record.sealed_at)
            .await?;
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
                    Err(LedgerError::Malformed(damaged)) => self.note_damaged(&damaged),
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

    /// The records of the hours `first` through `last`, without the allocations that are in items of
    /// their own: for whoever only sums.
    pub(crate) async fn records_without_allocations(
        &self,
        subscription: &Subscription,
        first: UsageHour,
        last: UsageHour,
    ) -> Result<Vec<MeteringRecord>, LedgerError> {
        let table = &self.tables.metering_records;
        // `$` is the character after `#`, so the second key is behind every dimension of the hour.
        let bounds = (&*format!("r#{first}#"), &*format!("r#{last}$"));
        let items = self
            .query_between(table, &subscription.to_string(), bounds)
            .await?;
        let read = items.iter().map(|item| Ok(from_item(item)?.0));
        read.collect()
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
        if !record.sent.is_empty() && !is_success {
            set.extend(["#doubtful = :doubtful", "#answered = :answered"]);
            names.insert("#doubtful".to_owned(), "doubtful".to_owned());
            names.insert("#answered".to_owned(), "answered".to_owned());
            values.insert(":doubtful".to_owned(), number(record.sent.doubtful));
            values.insert(":answered".to_owned(), number(record.sent.answered));
        }
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
                let due = record.retry_at(now, after);
                values.insert(":due".to_owned(), number(due.as_second()));
                values.insert(":work".to_owned(), text(waiting_partition(record)));
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
        let changes = match is_success || next.state != record.state {
            true => Changes::Books(now),
            false => Changes::NoBooks,
        };
        let key = &record.key;
        let request = self
            .update_of_record(key, changes, expression, condition, names, values)
            .await?;
        let table = &self.tables.metering_records;
        if is_success {
            // The record stays open until this is written, whoever holds its item just now.
            return self
                .write_if("UpdateItem", table, || request.clone().send())
                .await;
        }
        self.write("UpdateItem", table, || request.clone().send())
            .await
    }

    /// Raises the numbers of a record's transmissions, whatever else was written meanwhile: the audit
    /// counts on them.
    pub async fn raise_transmissions(
        &self,
        record: &MeteringRecord,
    ) -> Result<Written, LedgerError> {
        let names = [
            ("#version", "version"),
            ("#doubtful", "doubtful"),
            ("#answered", "answered"),
        ];
        let values = HashMap::from([
            (":doubtful".to_owned(), number(record.sent.doubtful)),
            (":answered".to_owned(), number(record.sent.answered)),
            (":one".to_owned(), number(1)),
        ]);
        let request = self.update_of_record(
            &record.key,
            Changes::NoBooks,
            "SET #doubtful = :doubtful, #answered = :answered, #version = #version + :one".to_owned(),
            "attribute_exists(#version) AND (attribute_not_exists(#doubtful) OR #doubtful < :doubtful OR #answered < :answered)",
            names.map(|(short, name)| (short.to_owned(), name.to_owned())).into(),
            values,
        )
        .await?;
        let table = &self.tables.metering_records;
        // A failed condition means that as many are known already.
        self.write_if("UpdateItem", table, || request.clone().send())
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
            Changes::Books(now),
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
            match read_key(&Reader::new(item)) {
                Ok(key) => keys.push(key),
                Err(damaged) => self.note_damaged(&damaged),
            }
        }
        Ok(DuePage {
            keys,
            next: answer.last_evaluated_key,
        })
    }

    pub(crate) async fn update_record(
        &self,
        key: &RecordKey,
        changes: Changes,
        expression: String,
        condition: &str,
        names: HashMap<String, String>,
        values: HashMap<String, AttributeValue>,
    ) -> Result<Written, LedgerError> {
        let request = self
            .update_of_record(key, changes, expression, condition, names, values)
            .await?;
        let table = &self.tables.metering_records;
        self.write("UpdateItem", table, || request.clone().send())
            .await
    }

    /// Every change of a record that exists is made from this, or with a movement.
    async fn update_of_record(
        &self,
        key: &RecordKey,
        changes: Changes,
        expression: String,
        condition: &str,
        names: HashMap<String, String>,
        values: HashMap<String, AttributeValue>,
    ) -> Result<UpdateItemFluentBuilder, LedgerError> {
        if let Changes::Books(now) = changes {
            self.note_change(&key.subscription, key.hour, now).await?;
        }
        Ok(self
            .client
            .update_item()
            .table_name(&self.tables.metering_records)
            .key("subscription", text(&key.subscription))
            .key("item", text(sort_key(key.hour, &key.dimension)))
            .update_expression(expression)
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values)))
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
            if round > 0 {
                self.sleep(Duration::from_millis(25 << round)).await;
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
}

/// The key of a record in an index.
fn read_key(read: &Reader<'_>) -> Result<RecordKey, Malformed> {
    let (hour, dimension) = read_sort_key(read.text("item")?)
        .ok_or_else(|| read.malformed("item", "is not r#<hour>#<dimension>"))?;
    Ok(RecordKey {
        subscription: read.parsed("subscription")?,
        hour,
        dimension,
    })
}
