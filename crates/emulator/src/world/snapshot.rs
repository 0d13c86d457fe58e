//! The world in the form in which it is saved.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::calls::CallLog;
use super::instances::SavedInstances;
use super::lifecycle::SavedMessage;
use super::slots::Slots;
use super::{
    Adjustment, AgreementState, CallEntry, Customer, Identity, Instances, License, Messages,
    Product, Slot, Token, World,
};
use crate::readings::Readings;
use crate::settings::Settings;

/// The whole state of the world, without indexes that can be computed from it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Snapshot {
    seed: u64,
    settings: Settings,
    readings: Readings,
    products: Vec<Product>,
    customers: Vec<Customer>,
    licenses: Vec<License>,
    agreements: Vec<AgreementState>,
    tokens: BTreeMap<String, Token>,
    regions: Vec<String>,
    slots: Vec<Slot>,
    calls: Vec<CallEntry>,
    calls_made: u64,
    messages: Vec<SavedMessage>,
    messages_made: u64,
    instances: SavedInstances,
    key_rotations: Vec<Timestamp>,
    adjustments: Vec<Adjustment>,
    metering_records: u64,
    accounts: u64,
    tokens_made: u64,
}

impl World {
    pub(crate) fn save(&self) -> Snapshot {
        let tokens = self.tokens.iter();
        let (messages, messages_made) = self.messages.save();
        Snapshot {
            seed: self.seed,
            settings: self.settings.clone(),
            readings: self.readings.clone(),
            products: self.products.clone(),
            customers: self.customers.clone(),
            licenses: self.licenses.clone(),
            agreements: self.agreements.clone(),
            tokens: tokens.map(|(t, s)| (t.clone(), s.clone())).collect(),
            regions: self.slots.regions().to_vec(),
            slots: self.slots.iter().cloned().collect(),
            calls: self.calls.iter().cloned().collect(),
            calls_made: self.calls.made(),
            messages,
            messages_made,
            instances: self.instances.save(),
            key_rotations: self.key_rotations.clone(),
            adjustments: self.adjustments.clone(),
            metering_records: self.metering_records,
            accounts: self.accounts,
            tokens_made: self.tokens_made,
        }
    }

    pub(crate) fn load(snapshot: Snapshot) -> World {
        let indexes = Indexes::of(&snapshot);
        World {
            seed: snapshot.seed,
            settings: snapshot.settings,
            readings: snapshot.readings,
            products: snapshot.products,
            product_by_code: indexes.product_by_code,
            customers: snapshot.customers,
            customer_by_account: indexes.customer_by_account,
            customer_by_identifier: indexes.customer_by_identifier,
            licenses: snapshot.licenses,
            license_by_arn: indexes.license_by_arn,
            agreements: snapshot.agreements,
            agreement_by_id: indexes.agreement_by_id,
            tokens: snapshot.tokens.into_iter().collect(),
            slots: Slots::load(snapshot.regions, snapshot.slots),
            calls: CallLog::load(snapshot.calls, snapshot.calls_made),
            messages: Messages::load(snapshot.messages, snapshot.messages_made),
            instances: Instances::load(snapshot.instances),
            key_rotations: snapshot.key_rotations,
            adjustments: snapshot.adjustments,
            metering_records: snapshot.metering_records,
            accounts: snapshot.accounts,
            tokens_made: snapshot.tokens_made,
        }
    }
}

/// The indexes of the world, which find a thing's number by its name.
struct Indexes {
    product_by_code: HashMap<String, usize>,
    customer_by_account: HashMap<(usize, String), usize>,
    customer_by_identifier: HashMap<(usize, String), usize>,
    license_by_arn: HashMap<String, usize>,
    agreement_by_id: HashMap<String, usize>,
}

impl Indexes {
    fn of(snapshot: &Snapshot) -> Indexes {
        let customers = || snapshot.customers.iter().enumerate();
        let legacy = |customer: &&Customer| {
            let product = snapshot.products.get(customer.product);
            product.is_some_and(|p| p.listing.identity == Identity::Customer)
        };
        Indexes {
            product_by_code: numbered(&snapshot.products, |p| p.listing.code.clone()),
            customer_by_account: customers()
                .map(|(number, c)| ((c.product, c.account_id.clone()), number))
                .collect(),
            customer_by_identifier: customers()
                .filter(|(_, c)| legacy(c))
                .map(|(number, c)| ((c.product, c.identifier.clone()), number))
                .collect(),
            license_by_arn: numbered(&snapshot.licenses, |l| l.arn.clone()),
            agreement_by_id: numbered(&snapshot.agreements, |a| a.agreement_id.clone()),
        }
    }
}

fn numbered<T>(items: &[T], name: impl Fn(&T) -> String) -> HashMap<String, usize> {
    let items = items.iter().enumerate();
    items.map(|(number, item)| (name(item), number)).collect()
}
