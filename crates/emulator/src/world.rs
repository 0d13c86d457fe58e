//! The emulated AWS Marketplace: products, agreements, licenses, slots, calls, messages.
//!
//! This is pure state, without I/O and without a clock. Every caller that changes it passes the
//! time.

mod calls;
mod chosen;
mod hours;
mod instances;
mod invoices;
mod licenses;
mod lifecycle;
mod products;
mod renewal;
mod slots;
mod snapshot;
mod views;

use std::collections::HashMap;

use jiff::Timestamp;

pub use calls::{Call, CallError, CallRecord};
pub use invoices::{Invoice, InvoiceLine};
pub use licenses::{Agreement, Entitlement, NewAgreement};
pub use lifecycle::LifecycleMessage;
pub use products::{Identity, NewProduct, Pricing};
pub use slots::{Metered, MeteredAllocation};
pub use views::AgreementView;

pub(crate) use calls::{CallEntry, CallFilter, CallLog, CallVerdict, RecordOutcome, RecordStatus};
pub(crate) use hours::{HOURS, Hour, Line, LineFilter};
pub(crate) use instances::{Instances, TokenUse};
pub(crate) use invoices::{Adjustment, Bill};
pub(crate) use licenses::{AgreementState, Customer, License, Parts, Token};
pub(crate) use lifecycle::Messages;
pub(crate) use products::Product;
pub(crate) use slots::{Scope, Slot, SlotKey, Slots, hour_start};
pub(crate) use snapshot::Snapshot;

use crate::ids;
use crate::readings::Readings;
use crate::settings::Settings;

/// The complete state of the emulated AWS Marketplace.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) settings: Settings,
    pub(crate) readings: Readings,
    pub(crate) products: Vec<Product>,
    pub(crate) product_by_code: HashMap<String, usize>,
    pub(crate) customers: Vec<Customer>,
    pub(crate) customer_by_account: HashMap<(usize, String), usize>,
    pub(crate) customer_by_identifier: HashMap<(usize, String), usize>,
    pub(crate) licenses: Vec<License>,
    pub(crate) license_by_arn: HashMap<String, usize>,
    pub(crate) agreements: Vec<AgreementState>,
    pub(crate) agreement_by_id: HashMap<String, usize>,
    pub(crate) tokens: HashMap<String, Token>,
    pub(crate) slots: Slots,
    pub(crate) calls: CallLog,
    pub(crate) messages: Messages,
    pub(crate) instances: Instances,
    /// When each version of the public key expired. The newest version is not in the list.
    pub(crate) key_rotations: Vec<Timestamp>,
    pub(crate) adjustments: Vec<Adjustment>,
    pub(crate) metering_records: u64,
    accounts: u64,
    tokens_made: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        World {
            seed,
            settings: Settings::default(),
            readings: Readings::default(),
            products: Vec::new(),
            product_by_code: HashMap::new(),
            customers: Vec::new(),
            customer_by_account: HashMap::new(),
            customer_by_identifier: HashMap::new(),
            licenses: Vec::new(),
            license_by_arn: HashMap::new(),
            agreements: Vec::new(),
            agreement_by_id: HashMap::new(),
            tokens: HashMap::new(),
            slots: Slots::default(),
            calls: CallLog::default(),
            messages: Messages::default(),
            instances: Instances::default(),
            key_rotations: Vec::new(),
            adjustments: Vec::new(),
            metering_records: 0,
            accounts: 0,
            tokens_made: 0,
        }
    }

    /// Counts a new metering record and returns its number.
    pub(crate) fn next_metering_record(&mut self) -> u64 {
        self.metering_records += 1;
        self.metering_records
    }

    /// The id of a metering record, in the form that AWS uses.
    pub(crate) fn metering_record_id(&self, number: u64) -> String {
        ids::uuid(self.seed, ids::Kind::MeteringRecord, number)
    }
}
