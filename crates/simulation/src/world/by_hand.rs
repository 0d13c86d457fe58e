//! Changes of the tables that no function makes: rows and items written or damaged by hand.

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use marketplace::slot::Slot;

use super::World;

/// Rows in one BatchWriteItem. Source: BatchWriteItem API reference.
const ROWS_AT_ONCE: usize = 25;

impl World {
    /// Writes a row without the checks of the ledger, so that it may be malformed.
    ///
    /// # Panics
    ///
    /// If DynamoDB refuses the row.
    pub async fn put_raw(&self, partition: &str, sort: &str, quantity: &str, time: &str) {
        self.client
            .put_item()
            .table_name(&self.ledger.tables().usage_events)
            .item("subscription_hour", AttributeValue::S(partition.to_owned()))
            .item("dimension_event", AttributeValue::S(sort.to_owned()))
            .item("quantity", AttributeValue::N(quantity.to_owned()))
            .item("time", AttributeValue::S(time.to_owned()))
            .send()
            .await
            .expect("a row");
    }

    /// Writes many rows of one partition without the checks of the ledger. Each has the quantity 1.
    ///
    /// # Panics
    ///
    /// If DynamoDB refuses the rows.
    pub async fn put_many(&self, partition: &str, sorts: &[String], time: &str) {
        let table = &self.ledger.tables().usage_events;
        for sorts in sorts.chunks(ROWS_AT_ONCE) {
            let text = |value: &str| AttributeValue::S(value.to_owned());
            let puts = sorts.iter().map(|sort| {
                let put = PutRequest::builder()
                    .item("subscription_hour", text(partition))
                    .item("dimension_event", text(sort))
                    .item("quantity", AttributeValue::N("1".to_owned()))
                    .item("time", text(time))
                    .build()
                    .expect("an item");
                WriteRequest::builder().put_request(put).build()
            });
            self.client
                .batch_write_item()
                .request_items(table, puts.collect())
                .send()
                .await
                .expect("rows");
        }
    }

    /// Sets one attribute of an item to a text, as somebody might do by hand. The attribute need
    /// not exist.
    ///
    /// # Panics
    ///
    /// If DynamoDB refuses the change.
    pub async fn set_attribute(
        &self,
        table: &str,
        key: (&str, &str),
        attribute: &str,
        value: &str,
    ) {
        let value = AttributeValue::S(value.to_owned());
        self.change_attribute(table, key, attribute, Some(value))
            .await;
    }

    /// Sets one attribute of an item to any value, or removes it, as somebody might do by hand. An
    /// item that does not exist is created.
    ///
    /// # Panics
    ///
    /// If DynamoDB refuses the change.
    pub async fn change_attribute(
        &self,
        table: &str,
        key: (&str, &str),
        attribute: &str,
        value: Option<AttributeValue>,
    ) {
        let request = self
            .client
            .update_item()
            .table_name(table)
            .key("subscription", AttributeValue::S(key.0.to_owned()))
            .key("item", AttributeValue::S(key.1.to_owned()))
            .expression_attribute_names("#attribute", attribute);
        let request = match value {
            Some(value) => request
                .update_expression("SET #attribute = :value")
                .expression_attribute_values(":value", value),
            None => request.update_expression("REMOVE #attribute"),
        };
        request.send().await.expect("an item");
    }

    /// Changes a record so that it cannot be read, as somebody might do by hand.
    ///
    /// # Panics
    ///
    /// If there is no such record.
    pub async fn damage(&self, slot: &Slot) {
        let sort = ledger::record::sort_key(slot.hour, &slot.dimension);
        self.client
            .update_item()
            .table_name(&self.ledger.tables().metering_records)
            .key(
                "subscription",
                AttributeValue::S(slot.subscription.to_string()),
            )
            .key("item", AttributeValue::S(sort))
            .update_expression("SET stamp = :nothing")
            .condition_expression("attribute_exists(stamp)")
            .expression_attribute_values(":nothing", AttributeValue::S("nothing".to_owned()))
            .send()
            .await
            .expect("a record");
    }

    /// Deletes a row, as DynamoDB does when its time to live is over.
    pub async fn delete_row(&self, partition: &str, sort: &str) {
        self.client
            .delete_item()
            .table_name(&self.ledger.tables().usage_events)
            .key("subscription_hour", AttributeValue::S(partition.to_owned()))
            .key("dimension_event", AttributeValue::S(sort.to_owned()))
            .send()
            .await
            .expect("a row removed");
    }
}
