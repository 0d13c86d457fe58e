//! Queries that read the items of one partition, page by page.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::query::{QueryError, QueryOutput};
use jiff::Timestamp;

use crate::Ledger;
use crate::error::LedgerError;
use crate::item::{Item, number, text};
use crate::tables::WORK_INDEX;

/// The most items in one page of the work index.
const WORK_PAGE: i32 = 1_000;

/// The consistency of a read: which earlier writes it certainly sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// The read sees every write that was answered before the read began.
    Strong,
    /// The read may miss the writes of the last second. It takes half the read units, so it is for
    /// readers that read again, strongly consistent, before they conclude anything.
    Eventual,
}

impl Consistency {
    /// The value of `ConsistentRead` in a request.
    pub(crate) fn is_strong(self) -> bool {
        self == Self::Strong
    }
}

impl Ledger {
    /// All items of a partition whose sort key begins with `prefix`, strongly consistent, all
    /// pages.
    pub(crate) async fn query_all(
        &self,
        table: &str,
        partition: &str,
        prefix: &str,
    ) -> Result<Vec<Item>, LedgerError> {
        let condition = "#p = :p AND begins_with(#s, :s)";
        let values = [(":s", prefix)];
        self.query_pages(table, partition, (condition, &values), Consistency::Strong)
            .await
    }

    /// All items of a partition whose sort keys are from `first` to `last`, both included; strongly
    /// consistent, all pages.
    pub(crate) async fn query_between(
        &self,
        table: &str,
        partition: &str,
        bounds: (&str, &str),
    ) -> Result<Vec<Item>, LedgerError> {
        self.query_between_as(table, partition, bounds, Consistency::Strong)
            .await
    }

    /// Queries as [`Ledger::query_between`] does, with a chosen consistency.
    pub(crate) async fn query_between_as(
        &self,
        table: &str,
        partition: &str,
        (first, last): (&str, &str),
        consistency: Consistency,
    ) -> Result<Vec<Item>, LedgerError> {
        let condition = "#p = :p AND #s BETWEEN :first AND :last";
        let values = [(":first", first), (":last", last)];
        self.query_pages(table, partition, (condition, &values), consistency)
            .await
    }

    async fn query_pages(
        &self,
        table: &str,
        partition: &str,
        (condition, values): (&str, &[(&str, &str)]),
        consistency: Consistency,
    ) -> Result<Vec<Item>, LedgerError> {
        let mut request = self
            .client
            .query()
            .table_name(table)
            .key_condition_expression(condition)
            .expression_attribute_names("#p", "subscription")
            .expression_attribute_names("#s", "item")
            .expression_attribute_values(":p", text(partition))
            .consistent_read(consistency.is_strong());
        for (name, value) in values {
            request = request.expression_attribute_values(*name, text(value));
        }
        let mut items = Vec::new();
        let mut start: Option<Item> = None;
        loop {
            let answer = request
                .clone()
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|e| LedgerError::unavailable("Query", table, e))?;
            start = answer.last_evaluated_key;
            items.extend(answer.items.unwrap_or_default());
            if start.is_none() {
                return Ok(items);
            }
        }
    }

    /// One page of the items in a partition of the work index that are due at `now`, earliest
    /// first.
    pub(crate) async fn query_work(
        &self,
        partition: &str,
        now: Timestamp,
        start: Option<Item>,
    ) -> Result<QueryOutput, SdkError<QueryError>> {
        self.client
            .query()
            .table_name(&self.tables.metering_records)
            .index_name(WORK_INDEX)
            .key_condition_expression("#work = :work AND #due <= :now")
            .expression_attribute_names("#work", "work")
            .expression_attribute_names("#due", "due")
            .expression_attribute_values(":work", text(partition))
            .expression_attribute_values(":now", number(now.as_second()))
            .limit(WORK_PAGE)
            .set_exclusive_start_key(start)
            .send()
            .await
    }
}
