//! The contact data that a buyer typed on the sign-up page. It is in an item of its own, so that no
//! log or report reads it.

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use marketplace::Subscription;

use crate::Ledger;
use crate::error::{LedgerError, Malformed, Written};
use crate::item::{Item, Reader, number, put_opt, text};
use crate::lifecycle::TRIES_MAX;

const ITEM: &str = "contact";

/// The attributes of an item of the first form, which had a fixed list of fields. They became the
/// fields with the same ids.
const ATTRIBUTES_OF_THE_FIRST_FORM: [&str; 3] = ["name", "email", "company"];

/// The contact data of one subscription. The item exists only if a buyer has completed the sign-up
/// page.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Contact {
    /// The values that were typed, by the id of the field.
    pub fields: BTreeMap<String, String>,
    /// The time at which the sign-up page was completed for the first time. `None` if that was
    /// before the time was stored.
    pub completed_at: Option<Timestamp>,
    /// The version of the item. Every write raises it.
    pub version: u64,
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contact { .. }")
    }
}

impl Contact {
    /// Contact data without any field, which is not stored yet.
    fn new() -> Self {
        Self {
            version: 1,
            ..Self::default()
        }
    }

    /// The contact data after the sign-up page was completed at `now`. A value that was typed
    /// replaces the earlier value of its field. A field that was left empty keeps its earlier value.
    fn completed(mut self, typed: &BTreeMap<String, String>, now: Timestamp) -> Self {
        for (id, value) in typed.iter().filter(|(_, value)| !value.is_empty()) {
            self.fields.insert(id.clone(), value.clone());
        }
        self.completed_at = self.completed_at.or(Some(now));
        self
    }

    pub(crate) fn to_item(&self, subscription: &Subscription) -> Item {
        let fields = self.fields.iter();
        let fields = fields.map(|(id, value)| (id.clone(), text(value)));
        let mut item = Item::from([
            ("subscription".to_owned(), text(subscription)),
            ("item".to_owned(), text(ITEM)),
            ("version".to_owned(), number(self.version)),
            ("fields".to_owned(), AttributeValue::M(fields.collect())),
        ]);
        put_opt(&mut item, "completed_at", self.completed_at);
        item
    }

    /// No error repeats a value, because a value is contact data.
    pub(crate) fn from_item(item: &Item) -> Result<Self, Malformed> {
        let read = Reader::new(item);
        let mut fields = BTreeMap::new();
        for id in ATTRIBUTES_OF_THE_FIRST_FORM {
            if let Some(value) = read.text_opt(id)? {
                fields.insert(id.to_owned(), value.to_owned());
            }
        }
        match item.get("fields") {
            None | Some(AttributeValue::Null(_)) => {}
            Some(AttributeValue::M(stored)) => {
                for (id, value) in stored {
                    let value = value.as_s().map_err(|_| {
                        read.malformed("fields", "has a value that is not a string")
                    })?;
                    fields.insert(id.clone(), value.clone());
                }
            }
            Some(_) => return Err(read.malformed("fields", "is not a map")),
        }
        Ok(Self {
            fields,
            completed_at: read.parsed_opt("completed_at")?,
            version: read.version()?,
        })
    }
}

impl Ledger {
    /// The contact data of a subscription, strongly consistent; `None` if no buyer has completed the
    /// sign-up page.
    pub async fn contact(
        &self,
        subscription: &Subscription,
    ) -> Result<Option<Contact>, LedgerError> {
        let item = self
            .get(&self.tables.subscriptions, &subscription.to_string(), ITEM)
            .await?;
        Ok(item.as_ref().map(Contact::from_item).transpose()?)
    }

    /// Stores that the sign-up page was completed, and adds the values that were typed to the
    /// contact data. A field that was left empty keeps its earlier value. Completing the page twice
    /// with the same values changes nothing.
    pub async fn complete_contact(
        &self,
        subscription: &Subscription,
        typed: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let table = &self.tables.subscriptions;
        for _ in 0..TRIES_MAX {
            let stored = self.get(table, &subscription.to_string(), ITEM).await?;
            let written = match &stored {
                None => {
                    let new = Contact::new().completed(typed, now);
                    self.put_new(table, new.to_item(subscription)).await?
                }
                Some(stored) => {
                    let new = Contact::from_item(stored)?.completed(typed, now);
                    self.change(table, stored, &new.to_item(subscription))
                        .await?
                }
            };
            if written == Written::Done {
                return Ok(());
            }
        }
        Err(self.contended(subscription))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::change_between;

    fn subscription() -> Subscription {
        "account|code|111122223333".parse().unwrap()
    }

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn typed(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
        let fields = fields.iter();
        fields
            .map(|(id, value)| ((*id).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// An item as it was written before the fields were data.
    fn of_the_first_form() -> Item {
        Item::from([
            ("subscription".to_owned(), text(subscription())),
            ("item".to_owned(), text("contact")),
            ("version".to_owned(), number(1)),
            ("name".to_owned(), text("Jane Doe")),
            ("email".to_owned(), text("jane@example.com")),
        ])
    }

    #[test]
    fn contact_data_of_the_first_form_is_read() {
        let contact = Contact::from_item(&of_the_first_form()).unwrap();
        let expected = typed(&[("name", "Jane Doe"), ("email", "jane@example.com")]);
        assert_eq!(contact.fields, expected);
        assert_eq!((contact.completed_at, contact.version), (None, 1));
    }

    #[test]
    fn contact_data_of_the_first_form_takes_the_present_form_when_it_is_written() {
        let old = of_the_first_form();
        let now = at("2026-11-21T04:40:00Z");
        let more = typed(&[("company", "Example Corp."), ("email", "")]);
        let new = Contact::from_item(&old).unwrap().completed(&more, now);
        let item = new.to_item(&subscription());
        assert!(!item.contains_key("name") && !item.contains_key("email"));
        assert!(change_between(&old, &item).is_some());
        let read = Contact::from_item(&item).unwrap();
        let expected = typed(&[
            ("company", "Example Corp."),
            ("email", "jane@example.com"),
            ("name", "Jane Doe"),
        ]);
        assert_eq!((read.fields, read.completed_at), (expected, Some(now)));
    }

    #[test]
    fn an_empty_field_keeps_its_earlier_value_and_the_first_completion_stays() {
        let first = at("2026-11-21T04:40:00Z");
        let values = typed(&[("name", "Jane"), ("email", "jane@gmail.com")]);
        let contact = Contact::new().completed(&values, first);
        let later = typed(&[("name", "Jane Doe"), ("email", "")]);
        let contact = contact.completed(&later, at("2026-11-22T04:40:00Z"));
        let expected = typed(&[("name", "Jane Doe"), ("email", "jane@gmail.com")]);
        assert_eq!(contact.fields, expected);
        assert_eq!(contact.completed_at, Some(first));
        // The same values once more leave nothing to write.
        let item = contact.to_item(&subscription());
        let again = contact.completed(&later, at("2026-11-23T04:40:00Z"));
        assert!(change_between(&item, &again.to_item(&subscription())).is_none());
    }

    #[test]
    fn no_error_and_no_debug_text_repeats_contact_data() {
        let mut item = of_the_first_form();
        item.insert("name".to_owned(), number("12345"));
        let error = Contact::from_item(&item).unwrap_err().to_string();
        assert!(
            error.contains("name") && !error.contains("12345"),
            "{error}"
        );
        let contact = Contact::from_item(&of_the_first_form()).unwrap();
        assert!(!format!("{contact:?}").contains("Jane"));
    }
}
