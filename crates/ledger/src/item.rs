//! Reads and writes the attributes of items.

use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use marketplace::lifecycle::{Lifecycle, Sign};

use crate::Ledger;
use crate::error::{LedgerError, Malformed, Written};
use crate::item_update::ItemUpdate;

/// An item in the form of the SDK: attribute values by name.
pub type Item = HashMap<String, AttributeValue>;

/// Makes a string attribute of a value.
pub fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

/// Makes a number attribute of a value whose text is a decimal number.
pub fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Reads the attributes of one item. Every error names the item.
#[derive(Clone, Copy)]
pub struct Reader<'i> {
    item: &'i Item,
}

impl<'i> Reader<'i> {
    /// Makes a reader of this item.
    pub fn new(item: &'i Item) -> Self {
        Self { item }
    }

    /// The error for a damaged attribute. `rule` is the end of a sentence that begins with the
    /// attribute's name.
    pub fn malformed(&self, attribute: &str, rule: impl ToString) -> Malformed {
        let key = |name: &str| self.item.get(name).and_then(|v| v.as_s().ok()).cloned();
        let partition = key("subscription").or_else(|| key("subscription_hour"));
        let sort = key("item").or_else(|| key("dimension_event"));
        Malformed {
            item: format!(
                "{} / {}",
                partition.unwrap_or_default(),
                sort.unwrap_or_default()
            ),
            attribute: attribute.to_owned(),
            rule: rule.to_string(),
        }
    }

    /// Reads a string attribute; `None` if it is absent or null.
    pub fn text_opt(&self, attribute: &str) -> Result<Option<&'i str>, Malformed> {
        match self.item.get(attribute) {
            None | Some(AttributeValue::Null(_)) => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(_) => Err(self.malformed(attribute, "is not a string")),
        }
    }

    /// Reads a string attribute that must exist.
    pub fn text(&self, attribute: &str) -> Result<&'i str, Malformed> {
        self.text_opt(attribute)?
            .ok_or_else(|| self.malformed(attribute, "is missing"))
    }

    /// Parses a string attribute; `None` if it is absent or null.
    pub fn parsed_opt<T>(&self, attribute: &str) -> Result<Option<T>, Malformed>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        self.text_opt(attribute)?
            .map(|text| {
                text.parse()
                    .map_err(|e| self.malformed(attribute, format!("is wrong: {e}")))
            })
            .transpose()
    }

    /// Parses a string attribute that must exist.
    pub fn parsed<T>(&self, attribute: &str) -> Result<T, Malformed>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        self.parsed_opt(attribute)?
            .ok_or_else(|| self.malformed(attribute, "is missing"))
    }

    /// Reads the digits of a number attribute; `None` if it is absent.
    pub fn number_text_opt(&self, attribute: &str) -> Result<Option<&'i str>, Malformed> {
        match self.item.get(attribute) {
            None => Ok(None),
            Some(AttributeValue::N(digits)) => Ok(Some(digits)),
            Some(_) => Err(self.malformed(attribute, "is not a number")),
        }
    }

    /// Reads a whole number; `None` if it is absent.
    pub fn number_opt<T: FromStr>(&self, attribute: &str) -> Result<Option<T>, Malformed> {
        self.number_text_opt(attribute)?
            .map(|digits| {
                digits.parse().map_err(|_| {
                    self.malformed(
                        attribute,
                        format!("is {digits}, not a whole number in range"),
                    )
                })
            })
            .transpose()
    }

    /// Reads a whole number that must exist.
    pub fn number<T: FromStr>(&self, attribute: &str) -> Result<T, Malformed> {
        self.number_opt(attribute)?
            .ok_or_else(|| self.malformed(attribute, "is missing"))
    }

    /// Reads a time that is stored as seconds since the epoch; `None` if it is absent.
    pub fn second_opt(&self, attribute: &str) -> Result<Option<Timestamp>, Malformed> {
        self.number_opt::<i64>(attribute)?
            .map(|second| {
                Timestamp::from_second(second)
                    .map_err(|_| self.malformed(attribute, "is not a second since the epoch"))
            })
            .transpose()
    }

    /// Reads a time that is stored as seconds since the epoch and must exist.
    pub fn second(&self, attribute: &str) -> Result<Timestamp, Malformed> {
        self.second_opt(attribute)?
            .ok_or_else(|| self.malformed(attribute, "is missing"))
    }

    /// Reads the item's version.
    pub fn version(&self) -> Result<u64, Malformed> {
        self.number("version")
    }

    /// Reads a lifecycle, which several kinds of item have. An item that was written before all
    /// signs were kept has only the earliest or latest sign of each kind.
    pub fn lifecycle(&self) -> Result<Lifecycle, Malformed> {
        let mut life = Lifecycle::default();
        match self.text_opt("signs")? {
            Some(signs) => {
                for entry in signs.split_terminator(", ") {
                    let (sign, at) = read_sign(entry).ok_or_else(|| {
                        self.malformed("signs", format!("{entry:?} is not a sign and its time"))
                    })?;
                    life.observe(sign, at);
                }
            }
            None => {
                for (attribute, sign) in [
                    ("activated_at", Sign::Activated),
                    ("last_activated_at", Sign::Activated),
                    ("end_announced_at", Sign::EndAnnounced),
                    ("deprovisioned_at", Sign::Deprovisioned),
                ] {
                    if let Some(at) = self.parsed_opt(attribute)? {
                        life.observe(sign, at);
                    }
                }
            }
        }
        life.closed_at = self.parsed_opt("closed_at")?;
        Ok(life)
    }
}

/// Writes a lifecycle: all signs, and separately the times that people look for most often.
pub fn put_lifecycle(item: &mut Item, life: &Lifecycle) {
    let signs: Vec<String> = life
        .signs()
        .map(|(sign, at)| format!("{} {at}", sign.as_str()))
        .collect();
    if !signs.is_empty() {
        item.insert("signs".to_owned(), text(signs.join(", ")));
    }
    put_opt(item, "activated_at", life.activated_at());
    put_opt(item, "last_activated_at", life.last_activated_at());
    put_opt(item, "end_announced_at", life.end_announced_at());
    put_opt(item, "deprovisioned_at", life.deprovisioned_at());
    put_opt(item, "closed_at", life.closed_at);
}

fn read_sign(entry: &str) -> Option<(Sign, Timestamp)> {
    let (sign, at) = entry.split_once(' ')?;
    Some((sign.parse().ok()?, at.parse().ok()?))
}

/// Writes a string attribute if there is a value.
pub fn put_opt(item: &mut Item, attribute: &str, value: Option<impl ToString>) {
    if let Some(value) = value {
        item.insert(attribute.to_owned(), text(value));
    }
}

impl Ledger {
    /// Puts an item that must not exist yet. A conflict means that it exists.
    pub(crate) async fn put_new(&self, table: &str, item: Item) -> Result<Written, LedgerError> {
        let key = if item.contains_key("subscription_hour") {
            "subscription_hour"
        } else {
            "subscription"
        };
        let request = self
            .client
            .put_item()
            .table_name(table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", key);
        self.write_if("PutItem", table, || request.clone().send())
            .await
    }

    /// Puts an item, and replaces an existing item.
    pub(crate) async fn put_any(&self, table: &str, item: Item) -> Result<(), LedgerError> {
        let request = self
            .client
            .put_item()
            .table_name(table)
            .set_item(Some(item));
        self.write_always("PutItem", table, || request.clone().send())
            .await
    }

    /// Reads one item, strongly consistent.
    pub(crate) async fn get(
        &self,
        table: &str,
        partition: &str,
        sort: &str,
    ) -> Result<Option<Item>, LedgerError> {
        self.client
            .get_item()
            .table_name(table)
            .key("subscription", text(partition))
            .key("item", text(sort))
            .consistent_read(true)
            .send()
            .await
            .map(|answer| answer.item)
            .map_err(|e| LedgerError::unavailable("GetItem", table, e))
    }

    /// Changes `old` into `new`, if the item was not changed since `old` was read. Only the
    /// attributes that differ are written, and the version rises by one.
    pub(crate) async fn change(
        &self,
        table: &str,
        old: &Item,
        new: &Item,
    ) -> Result<Written, LedgerError> {
        let Some(update) = change_between(old, new) else {
            return Ok(Written::Done);
        };
        let key = |attribute: &str| {
            let value = old.get(attribute).and_then(|value| value.as_s().ok());
            value.map_or("", String::as_str)
        };
        let request = update
            .request(self, table, (key("subscription"), key("item")))
            .condition_expression("#version = :read");
        self.write("UpdateItem", table, || request.clone().send())
            .await
    }
}

/// The difference between two versions of one item; `None` if only the versions differ. `:read` is
/// the old version.
pub(crate) fn change_between(old: &Item, new: &Item) -> Option<ItemUpdate> {
    let attributes: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut update = ItemUpdate::new();
    for (n, attribute) in attributes.into_iter().enumerate() {
        if attribute == "version" || old.get(attribute) == new.get(attribute) {
            continue;
        }
        let alias = format!("a{n}");
        update = match new.get(attribute) {
            Some(value) => update.set_as(&alias, attribute, value.clone()),
            None => update.remove_as(&alias, attribute),
        };
    }
    if update.is_empty() {
        return None;
    }
    let read = old.get("version").cloned().unwrap_or_else(|| number(0));
    Some(update.raise_version().value("read", read))
}
