//! A product's configuration: the identity kind by which records name its buyers, and its
//! dimensions.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use marketplace::{Dimension, IdentityKind, ProductCode};

use crate::Ledger;
use crate::error::{LedgerError, Malformed, Written};
use crate::item::{Item, Reader, number, text};

const ITEM: &str = "configuration";
/// The beginning of the partition keys. The settings of the registration pages are a configuration
/// too, under another key.
const PREFIX: &str = "product|";

/// The configuration of one product, which the seller has set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// The product code, not the product id (`prod-...`).
    pub code: ProductCode,
    /// The kind of identity by which the product's records name the buyer. Change it only between
    /// two hours, because AWS Marketplace would bill an hour once for each kind.
    pub identity: IdentityKind,
    /// The API names of its dimensions. Rows of other dimensions are set aside.
    pub dimensions: BTreeSet<Dimension>,
    /// The version of the item. Every write raises it.
    pub version: u64,
}

impl Product {
    pub(crate) fn to_item(&self) -> Item {
        let dimensions = self.dimensions.iter().map(text).collect();
        Item::from([
            (
                "subscription".to_owned(),
                text(format!("{PREFIX}{}", self.code)),
            ),
            ("item".to_owned(), text(ITEM)),
            ("version".to_owned(), number(self.version)),
            ("identity".to_owned(), text(self.identity)),
            ("dimensions".to_owned(), AttributeValue::L(dimensions)),
        ])
    }

    pub(crate) fn from_item(item: &Item) -> Result<Self, Malformed> {
        let read = Reader::new(item);
        let code = read.text("subscription")?.trim_start_matches(PREFIX);
        let mut dimensions = BTreeSet::new();
        let stored = item.get("dimensions").and_then(|v| v.as_l().ok());
        for dimension in stored.ok_or_else(|| read.malformed("dimensions", "is not a list"))? {
            let name = dimension
                .as_s()
                .map_err(|_| read.malformed("dimensions", "is not a list of strings"))?;
            dimensions.insert(name.parse().map_err(|e| read.malformed("dimensions", e))?);
        }
        Ok(Self {
            code: code
                .parse()
                .map_err(|e| read.malformed("subscription", e))?,
            identity: read.parsed("identity")?,
            dimensions,
            version: read.version()?,
        })
    }
}

impl Ledger {
    /// A product's configuration; `None` if it has none.
    pub async fn product(&self, code: &ProductCode) -> Result<Option<Product>, LedgerError> {
        let item = self
            .get(&self.tables.subscriptions, &format!("{PREFIX}{code}"), ITEM)
            .await?;
        Ok(item.as_ref().map(Product::from_item).transpose()?)
    }

    /// Creates a configuration if `old` is `None`. Otherwise writes the differences from `old`, if
    /// the configuration was not changed since `old` was read.
    pub async fn write_product(
        &self,
        old: Option<&Product>,
        new: &Product,
    ) -> Result<Written, LedgerError> {
        let table = &self.tables.subscriptions;
        match old {
            None => self.put_new(table, new.to_item()).await,
            Some(old) => self.change(table, &old.to_item(), &new.to_item()).await,
        }
    }

    /// All configured products, in the order of their codes.
    pub async fn products(&self) -> Result<Vec<Product>, LedgerError> {
        let table = &self.tables.subscriptions;
        let mut products = Vec::new();
        let mut start = None;
        loop {
            let answer = self
                .client
                .scan()
                .table_name(table)
                .filter_expression("#item = :item AND begins_with(#partition, :product)")
                .expression_attribute_names("#item", "item")
                .expression_attribute_names("#partition", "subscription")
                .expression_attribute_values(":item", text(ITEM))
                .expression_attribute_values(":product", text(PREFIX))
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|e| LedgerError::unavailable("Scan", table, e))?;
            for item in answer.items() {
                products.push(Product::from_item(item)?);
            }
            start = answer.last_evaluated_key;
            if start.is_none() {
                products.sort_by(|a, b| a.code.cmp(&b.code));
                return Ok(products);
            }
        }
    }
}
