//! Invoices: the prices of a month's slots.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Scope, Slot, World};
use crate::amount::Amount;
use crate::ids::{self, Kind};
use crate::month::Month;
use crate::quantity::Quantity;

/// The invoice of a buyer for one agreement and one month.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invoice {
    /// The id of the invoice.
    pub invoice_id: String,
    /// The id of the agreement.
    pub agreement_id: String,
    /// The code of the product.
    pub product_code: String,
    /// The buyer's AWS account id.
    pub account_id: String,
    /// The month, such as `2026-11`.
    pub month: String,
    /// When the invoice is issued, which is when the month's metering closes.
    pub issued: Timestamp,
    /// Whether the invoice is issued. Until then its amount can grow.
    pub is_issued: bool,
    /// The currency, always `USD`.
    pub currency: String,
    /// The sum of the lines, as a decimal number.
    pub amount: String,
    /// The sum of its billing adjustments, as a decimal number.
    pub adjusted: String,
    /// One line for each dimension with usage.
    pub lines: Vec<InvoiceLine>,
}

/// The usage of one dimension on an invoice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InvoiceLine {
    /// The name of the dimension.
    pub dimension: String,
    /// The month's quantity, as a decimal number.
    pub quantity: String,
    /// The price of the quantity, as a decimal number.
    pub amount: String,
}

/// A billing adjustment that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Adjustment {
    pub(crate) id: String,
    pub(crate) agreement_id: String,
    pub(crate) invoice_id: String,
    pub(crate) amount: Amount,
    pub(crate) reason: String,
    pub(crate) client_token: String,
    pub(crate) created: Timestamp,
}

/// An invoice with exact amounts.
pub(crate) struct Bill {
    pub(crate) invoice_id: String,
    pub(crate) agreement: usize,
    pub(crate) month: Month,
    pub(crate) issued: Timestamp,
    pub(crate) amount: Amount,
    pub(crate) adjusted: Amount,
    quantities: BTreeMap<u32, Quantity>,
    free: bool,
}

impl World {
    /// The invoices of a month, or of all months, by agreement.
    pub(crate) fn invoices(&self, month: Option<Month>, now: Timestamp) -> Vec<Invoice> {
        self.bills()
            .into_iter()
            .filter(|bill| month.is_none_or(|month| bill.month == month))
            .filter_map(|bill| self.print(&bill, now))
            .collect()
    }

    /// The invoices of all slots, by month and agreement.
    pub(crate) fn bills(&self) -> Vec<Bill> {
        let mut granted: HashMap<usize, Vec<usize>> = HashMap::new();
        for (number, agreement) in self.agreements.iter().enumerate() {
            granted.entry(agreement.license).or_default().push(number);
        }
        let mut sums: BTreeMap<(Month, usize), BTreeMap<u32, Quantity>> = BTreeMap::new();
        for slot in self.slots.iter() {
            let stamp = Timestamp::from_second(slot.sent_stamp_s).unwrap_or(slot.accepted);
            if let Some(agreement) = self.agreement_of(&granted, slot, stamp) {
                let quantities = sums.entry((Month::of(stamp), agreement)).or_default();
                let sum = quantities.entry(slot.key.dimension).or_default();
                *sum = sum.checked_add(slot.quantity).unwrap_or(*sum);
            }
        }
        sums.into_iter()
            .filter_map(|((month, agreement), quantities)| self.total(month, agreement, quantities))
            .collect()
    }

    fn total(
        &self,
        month: Month,
        agreement: usize,
        quantities: BTreeMap<u32, Quantity>,
    ) -> Option<Bill> {
        let free = self.agreements.get(agreement)?.free_trial;
        let number = (agreement as u64) << 32
            | u64::from(month.year.unsigned_abs()) << 8
            | u64::from(month.month.unsigned_abs());
        let invoice_id = ids::uuid(self.seed, Kind::Invoice, number);
        let amount = quantities
            .values()
            .fold(Amount::default(), |sum, q| sum.plus(self.price(*q, free)));
        let adjusted = self
            .adjustments
            .iter()
            .filter(|adjustment| adjustment.invoice_id == invoice_id)
            .fold(Amount::default(), |sum, a| sum.plus(a.amount));
        Some(Bill {
            invoice_id,
            agreement,
            month,
            issued: month.closes()?,
            amount,
            adjusted,
            quantities,
            free,
        })
    }

    fn price(&self, quantity: Quantity, free: bool) -> Amount {
        match free {
            true => Amount::default(),
            false => Amount::price(quantity, self.settings.unit_price_micros),
        }
    }

    /// The agreement under which a slot is billed: the license's last agreement that had started by
    /// the slot's timestamp, or else the license's first agreement.
    fn agreement_of(
        &self,
        granted: &HashMap<usize, Vec<usize>>,
        slot: &Slot,
        stamp: Timestamp,
    ) -> Option<usize> {
        let by_then = |start: Timestamp| start.as_second() <= stamp.as_second();
        let license = match slot.key.scope {
            Scope::License(license) => usize::try_from(license).ok()?,
            Scope::Customer(customer) | Scope::Instance(customer, _) => {
                let customer = self.customers.get(usize::try_from(customer).ok()?)?;
                let started = |license: &&usize| {
                    let license = self.licenses.get(**license);
                    license.is_some_and(|license| by_then(license.start))
                };
                let license = customer.licenses.iter().rev().find(started);
                *license.or(customer.licenses.first())?
            }
        };
        let agreements = granted.get(&license)?;
        let started = |number: &&usize| {
            let agreement = self.agreements.get(**number);
            agreement.is_some_and(|agreement| by_then(agreement.start))
        };
        let agreement = agreements.iter().rev().find(started);
        agreement.or(agreements.first()).copied()
    }

    fn print(&self, bill: &Bill, now: Timestamp) -> Option<Invoice> {
        let parts = self.parts(bill.agreement)?;
        let dimensions = &parts.product.listing.dimensions;
        let lines = bill.quantities.iter().filter_map(|(number, quantity)| {
            Some(InvoiceLine {
                dimension: dimensions.get(usize::try_from(*number).ok()?)?.clone(),
                quantity: quantity.to_string(),
                amount: self.price(*quantity, bill.free).to_string(),
            })
        });
        Some(Invoice {
            invoice_id: bill.invoice_id.clone(),
            agreement_id: parts.agreement.agreement_id.clone(),
            product_code: parts.product.listing.code.clone(),
            account_id: parts.customer.account_id.clone(),
            month: bill.month.to_string(),
            issued: bill.issued,
            is_issued: now >= bill.issued,
            currency: "USD".to_owned(),
            amount: bill.amount.to_string(),
            adjusted: bill.adjusted.to_string(),
            lines: lines.collect(),
        })
    }
}
