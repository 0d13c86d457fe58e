//! Itemises rows that are not metered: sort key `x#<hour>#<digest of the row's sort key>`.
//!
//! Rows that belong to no known subscription are spread over sixteen partitions, `unattributed#0`
//! to `unattributed#15`. A producer with a wrong key can write thousands of such rows a second, and
//! one partition takes about 1,000 writes a second. One call writes 25 of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};

use jiff::Timestamp;
use marketplace::Subscription;
use marketplace::UsageHour;
use marketplace::fold::SetAside;
use marketplace::retention::Retention;
use marketplace::text::hex;
use marketplace::usage::SetAsideReason;
use sha2::{Digest, Sha256};

use crate::Ledger;
use crate::error::{LedgerError, Malformed};
use crate::item::{Item, Reader, number, text};
use crate::tables::TTL_ATTRIBUTE;

/// A row that is not metered, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemisedRow {
    /// The row's partition key.
    pub partition: String,
    /// The row's sort key.
    pub dimension_event: String,
    /// The code of the reason; see [`SetAsideReason::code`].
    pub code: String,
    /// The reason in words.
    pub reason: String,
    /// The time at which the row was itemised, in RFC 3339.
    pub at: String,
}

/// The most items in one call of BatchWriteItem. Source: BatchWriteItem API reference.
pub const BATCH_WRITE_MAX: usize = 25;
/// The number of partitions for rows whose partition key names no known subscription. It must not
/// become smaller, because readers look only into these partitions.
const UNATTRIBUTED_PARTITIONS: u8 = 16;
/// The most repetitions for items that BatchWriteItem leaves unprocessed. Our own choice: the
/// pauses take 26 seconds together, and after them Lambda delivers the rows again.
const BATCH_WRITE_ROUNDS_MAX: u32 = 10;
/// Milliseconds of the first pause before unprocessed items are written again. Each later pause is
/// twice as long.
const PAUSE_MILLIS_FIRST: u64 = 25;

/// A row of usage that belongs to no known subscription.
#[derive(Debug, Clone, Copy)]
pub struct UnattributedRow<'r> {
    /// The row's partition key.
    pub partition: &'r str,
    /// The row's sort key.
    pub dimension_event: &'r str,
    /// The reason why the row is not metered.
    pub reason: &'r SetAsideReason,
}

/// The result of [`Ledger::itemise_unattributed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Itemised {
    /// All rows are itemised, except those that DynamoDB refused.
    All {
        /// The number of rows that DynamoDB refused because of their content. The log names them.
        refused: u64,
    },
    /// The time ran out before all rows were written.
    OutOfTime,
}

/// A place in the list of unattributed rows.
#[derive(Debug, Clone)]
struct UnattributedPlace {
    partition: u8,
    start: Option<Item>,
}

/// One page of the list of unattributed rows.
#[derive(Debug, Clone, Default)]
struct UnattributedPage {
    /// The rows of the page. It is empty if all items of the page are damaged.
    rows: Vec<ItemisedRow>,
    /// The start of the next page; `None` on the last page.
    next: Option<UnattributedPlace>,
}

fn digest_of(content: &str) -> [u8; 32] {
    Sha256::digest(content).into()
}

fn sort_key(hour: &str, digest: &[u8; 32]) -> String {
    let (start, _) = digest.split_at(16);
    format!("x#{hour}#{}", hex(start))
}

fn unattributed_partition(number: u8) -> String {
    format!("unattributed#{number}")
}

impl Ledger {
    /// Itemises the rows of an hour that were set aside, unless they are itemised already.
    pub async fn itemise(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
        rows: &[SetAside],
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        if rows.is_empty() {
            return Ok(());
        }
        let table = &self.tables.metering_records;
        let partition = subscription.to_string();
        let stored = self
            .query_all(table, &partition, &format!("x#{hour}#"))
            .await?;
        let known: BTreeSet<&str> = stored
            .iter()
            .filter_map(|item| item.get("item")?.as_s().ok())
            .map(String::as_str)
            .collect();
        let row_partition = crate::usage_event::partition_key(subscription, hour);
        for row in rows {
            let sort = sort_key(&hour.to_string(), &digest_of(&row.dimension_event));
            if !known.contains(sort.as_str()) {
                let item = to_item(
                    &partition,
                    sort,
                    &row_partition,
                    &row.dimension_event,
                    &row.reason,
                    (now, self.retention),
                );
                self.put_any(table, item).await?;
            }
        }
        Ok(())
    }

    /// Itemises up to [`BATCH_WRITE_MAX`] rows whose partition key names no known subscription.
    /// Items that DynamoDB leaves unprocessed are written again, after growing pauses, while
    /// `may_go_on` returns `true`. The key of an item is made of the row's key, so writing it again
    /// changes nothing.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Unavailable`]: some of the rows may not be itemised. Repeat the call with all
    /// of them.
    pub async fn itemise_unattributed(
        &self,
        rows: &[UnattributedRow<'_>],
        now: Timestamp,
        may_go_on: impl Fn() -> bool,
    ) -> Result<Itemised, LedgerError> {
        // BatchWriteItem refuses a request that names one item twice, and a delivery can report the
        // same row twice.
        let mut items = BTreeMap::new();
        for row in rows {
            let digest = digest_of(&format!("{}\n{}", row.partition, row.dimension_event));
            let number = digest.last().copied().unwrap_or_default() % UNATTRIBUTED_PARTITIONS;
            let sort = sort_key("unattributed", &digest);
            let item = to_item(
                &unattributed_partition(number),
                sort.clone(),
                row.partition,
                row.dimension_event,
                row.reason,
                (now, self.retention),
            );
            items.insert(sort, item);
        }
        let mut refused = 0;
        let mut left: Vec<Item> = items.into_values().collect();
        for round in 0..=BATCH_WRITE_ROUNDS_MAX {
            if left.is_empty() {
                return Ok(Itemised::All { refused });
            }
            if round > 0 {
                let pause = PAUSE_MILLIS_FIRST << (round - 1);
                self.sleep(Duration::from_millis(pause)).await;
            }
            if !may_go_on() {
                return Ok(Itemised::OutOfTime);
            }
            left = match self.put_batch(left.clone()).await {
                Ok(left) => left,
                // DynamoDB refuses the whole request because of one bad item.
                Err(error) if is_about_an_item(&error) => {
                    refused += self.put_each(left).await?;
                    Vec::new()
                }
                Err(error) => return Err(error),
            };
        }
        let table = &self.tables.metering_records;
        Err(LedgerError::Unavailable {
            operation: "BatchWriteItem",
            table: table.clone(),
            code: "unprocessed items".to_owned(),
            message: format!(
                "{} items were left unprocessed {BATCH_WRITE_ROUNDS_MAX} times",
                left.len()
            ),
        })
    }

    /// Puts up to 25 items with one call, and returns those that DynamoDB left unprocessed.
    async fn put_batch(&self, items: Vec<Item>) -> Result<Vec<Item>, LedgerError> {
        let table = &self.tables.metering_records;
        let mut puts = Vec::with_capacity(items.len());
        for item in items {
            let put = PutRequest::builder().set_item(Some(item)).build();
            let put = put.map_err(|e| LedgerError::not_built("BatchWriteItem", table, &e))?;
            puts.push(WriteRequest::builder().put_request(put).build());
        }
        let answer = self
            .client
            .batch_write_item()
            .request_items(table, puts)
            .send()
            .await
            .map_err(|e| LedgerError::unavailable("BatchWriteItem", table, e))?;
        let left = answer.unprocessed_items.unwrap_or_default();
        Ok(left
            .into_values()
            .flatten()
            .filter_map(|write| write.put_request)
            .map(|put| put.item)
            .collect())
    }

    /// Puts items one by one, and returns how many DynamoDB refused because of their content. The
    /// row of a refused item is not delivered again, because DynamoDB would refuse it again, and it
    /// would block all rows after it.
    async fn put_each(&self, items: Vec<Item>) -> Result<u64, LedgerError> {
        let mut refused = 0;
        for item in items {
            let row = Reader::new(&item).malformed("row_key", "is refused by DynamoDB");
            match self.put_any(&self.tables.metering_records, item).await {
                Ok(()) => {}
                Err(error) if is_about_an_item(&error) => {
                    tracing::error!(item = row.item, %error, "a row of no known subscription could not be itemised; it stays in UsageEvents");
                    refused += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(refused)
    }

    /// The itemised rows of one hour.
    pub async fn itemised(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
    ) -> Result<Vec<ItemisedRow>, LedgerError> {
        self.itemised_under(&subscription.to_string(), &format!("x#{hour}#"))
            .await
    }

    /// A page of the itemised rows that belong to no known subscription, strongly consistent, in no
    /// particular order. If `from` is `None`, it is the first page. A damaged item is reported and
    /// left out.
    async fn unattributed_page(
        &self,
        from: Option<UnattributedPlace>,
    ) -> Result<UnattributedPage, LedgerError> {
        let table = &self.tables.metering_records;
        let UnattributedPlace { partition, start } = from.unwrap_or(UnattributedPlace {
            partition: 0,
            start: None,
        });
        let answer = self
            .client
            .query()
            .table_name(table)
            .key_condition_expression("#p = :p AND begins_with(#s, :s)")
            .expression_attribute_names("#p", "subscription")
            .expression_attribute_names("#s", "item")
            .expression_attribute_values(":p", text(unattributed_partition(partition)))
            .expression_attribute_values(":s", text("x#"))
            .consistent_read(true)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|e| LedgerError::unavailable("Query", table, e))?;
        let mut page = UnattributedPage::default();
        for item in answer.items() {
            match from_item(item) {
                Ok(row) => page.rows.push(row),
                Err(damaged) => self.report_damaged(&damaged),
            }
        }
        let start = answer.last_evaluated_key;
        let partition = match start {
            Some(_) => partition,
            None => partition.saturating_add(1),
        };
        page.next =
            (partition < UNATTRIBUTED_PARTITIONS).then_some(UnattributedPlace { partition, start });
        Ok(page)
    }

    /// Up to `most` of the itemised rows that belong to no known subscription, and whether there
    /// are more.
    pub async fn itemised_unattributed(
        &self,
        most: usize,
    ) -> Result<(Vec<ItemisedRow>, bool), LedgerError> {
        let mut rows = Vec::new();
        let mut from = None;
        loop {
            let page = self.unattributed_page(from).await?;
            rows.extend(page.rows);
            from = page.next;
            if rows.len() > most {
                rows.truncate(most);
                return Ok((rows, true));
            }
            if from.is_none() {
                return Ok((rows, false));
            }
        }
    }

    async fn itemised_under(
        &self,
        partition: &str,
        prefix: &str,
    ) -> Result<Vec<ItemisedRow>, LedgerError> {
        let items = self
            .query_all(&self.tables.metering_records, partition, prefix)
            .await?;
        Ok(items.iter().map(from_item).collect::<Result<_, _>>()?)
    }
}

/// Returns whether DynamoDB refused a request because of the content of one of its items.
fn is_about_an_item(error: &LedgerError) -> bool {
    matches!(error, LedgerError::Unavailable { code, .. }
        if code == "ValidationException" || code == "ItemCollectionSizeLimitExceededException")
}

fn from_item(item: &Item) -> Result<ItemisedRow, Malformed> {
    let read = Reader::new(item);
    Ok(ItemisedRow {
        partition: read.text("row_partition")?.to_owned(),
        dimension_event: read.text("row_key")?.to_owned(),
        code: read.text("code")?.to_owned(),
        reason: read.text("reason")?.to_owned(),
        at: read.text("at")?.to_owned(),
    })
}

fn to_item(
    partition: &str,
    sort: String,
    row_partition: &str,
    row_key: &str,
    reason: &SetAsideReason,
    (now, retention): (Timestamp, Retention),
) -> Item {
    Item::from([
        ("subscription".to_owned(), text(partition)),
        ("item".to_owned(), text(sort)),
        ("version".to_owned(), number(1)),
        ("row_partition".to_owned(), text(row_partition)),
        ("row_key".to_owned(), text(row_key)),
        ("code".to_owned(), text(reason.code())),
        ("reason".to_owned(), text(reason)),
        ("at".to_owned(), text(now)),
        // No decision depends on this item. The row itself stays in UsageEvents for as long as its
        // producer wants.
        (
            TTL_ATTRIBUTE.to_owned(),
            number(retention.after(now).as_second()),
        ),
    ])
}
