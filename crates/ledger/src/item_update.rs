//! An update of one item under a condition, as DynamoDB's expressions.
//!
//! The attribute `due` is `#due` in expressions, and its new value is `:due`.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};

use crate::Ledger;
use crate::error::LedgerError;
use crate::item::{number, text};

/// The changes of an update, and the names and values of its expressions.
#[derive(Debug, Clone, Default)]
pub(crate) struct ItemUpdate {
    set: Vec<String>,
    remove: Vec<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl ItemUpdate {
    /// An update that changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an attribute.
    pub fn set(self, attribute: &str, value: AttributeValue) -> Self {
        self.set_as(attribute, attribute, value)
    }

    /// Sets an attribute that expressions name `alias`. An alias has only letters, digits and `_`.
    pub fn set_as(mut self, alias: &str, attribute: &str, value: AttributeValue) -> Self {
        self.set.push(format!("#{alias} = :{alias}"));
        self.value(alias, value).name_as(alias, attribute)
    }

    /// Adds `more` to a number. An absent number counts as zero.
    pub fn add(mut self, attribute: &str, more: u32) -> Self {
        self.set.push(format!(
            "#{attribute} = if_not_exists(#{attribute}, :zero) + :{attribute}"
        ));
        self.value("zero", number(0))
            .value(attribute, number(more))
            .name(attribute)
    }

    /// Adds one to the version. An item without a version gets version 1.
    pub fn raise_version(self) -> Self {
        self.add("version", 1)
    }

    /// Sets the version to one, in an item whose writes do not depend on its version. A version can
    /// be raised only if it is a number, so a damaged version would make every such write fail.
    pub fn fixed_version(self) -> Self {
        self.set("version", number(1))
    }

    /// Removes an attribute.
    pub fn remove(self, attribute: &str) -> Self {
        self.remove_as(attribute, attribute)
    }

    /// Removes an attribute that expressions name `alias`.
    pub fn remove_as(mut self, alias: &str, attribute: &str) -> Self {
        self.remove.push(format!("#{alias}"));
        self.name_as(alias, attribute)
    }

    /// Defines `#<attribute>`, for a condition.
    pub fn name(self, attribute: &str) -> Self {
        self.name_as(attribute, attribute)
    }

    fn name_as(mut self, alias: &str, attribute: &str) -> Self {
        self.names.insert(format!("#{alias}"), attribute.to_owned());
        self
    }

    /// Defines `:<name>`, for a condition.
    pub fn value(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(format!(":{name}"), value);
        self
    }

    /// Whether the update changes no attribute.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    fn expression(&self) -> String {
        let clause = |keyword: &str, changes: &[String]| match changes {
            [] => None,
            _ => Some(format!("{keyword} {}", changes.join(", "))),
        };
        let clauses = [clause("SET", &self.set), clause("REMOVE", &self.remove)];
        let clauses: Vec<String> = clauses.into_iter().flatten().collect();
        clauses.join(" ")
    }

    /// DynamoDB refuses an empty map.
    fn values(self) -> Option<HashMap<String, AttributeValue>> {
        Some(self.values).filter(|values| !values.is_empty())
    }

    /// The request that makes the update, without a condition.
    pub fn request(
        self,
        ledger: &Ledger,
        table: &str,
        key: (&str, &str),
    ) -> UpdateItemFluentBuilder {
        ledger
            .client
            .update_item()
            .table_name(table)
            .key("subscription", text(key.0))
            .key("item", text(key.1))
            .update_expression(self.expression())
            .set_expression_attribute_names(Some(self.names.clone()))
            .set_expression_attribute_values(self.values())
    }

    /// The part of a transaction that makes the update under a condition.
    pub fn in_transaction(
        self,
        table: &str,
        key: (&str, &str),
        condition: &str,
    ) -> Result<TransactWriteItem, LedgerError> {
        let update = Update::builder()
            .table_name(table)
            .key("subscription", text(key.0))
            .key("item", text(key.1))
            .update_expression(self.expression())
            .condition_expression(condition)
            .set_expression_attribute_names(Some(self.names.clone()))
            .set_expression_attribute_values(self.values())
            .build()
            .map_err(|e| LedgerError::not_built("TransactWriteItems", table, &e))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_names_each_attribute_and_value_once() {
        let update = ItemUpdate::new()
            .set("due", number(7))
            .add("tries", 1)
            .remove("send")
            .name("open_holds");
        assert_eq!(
            update.expression(),
            "SET #due = :due, #tries = if_not_exists(#tries, :zero) + :tries REMOVE #send"
        );
        assert_eq!((update.names.len(), update.values.len()), (4, 3));
    }

    #[test]
    fn an_update_that_only_removes_has_no_values() {
        let update = ItemUpdate::new().remove("since");
        assert_eq!(update.expression(), "REMOVE #since");
        assert_eq!(update.values(), None);
    }
}
