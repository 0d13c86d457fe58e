//! AWS Marketplace on localhost: the metering API an AWS SDK or the AWS CLI can call, with the
//! rules that cost sellers money, and a world to set up and look into.
//!
//! # Layout
//!
//! * `world`: pure state, no I/O and no clock of its own
//! * `rules`: what each operation answers and changes
//! * `model`: requests checked by the API model, before any rule
//! * `wire`: AWS JSON 1.1 over HTTP
//! * `control`: the interface under `/_emulator`
//! * `console`: the same for people, in a browser
//! * `faults`, `readings`, `settings`: trouble on demand, undocumented behaviour, numbers
//!
//! The crate depends on no other crate of this workspace, so that it cannot share their
//! misunderstandings.

mod amount;
mod clock;
mod console;
mod control;
mod deliver;
mod emulator;
mod faults;
mod file;
mod fulfillment;
mod ids;
pub mod limits;
mod model;
mod moment;
mod quantity;
mod rates;
mod readings;
mod rules;
mod settings;
mod wire;
mod world;

pub use control::ControlError;
pub use deliver::{Delivery, Target, TargetError};
pub use emulator::{Emulator, Options};
pub use faults::{Fault, FaultError, FaultKind, Faults, When};
pub use file::FileError;
pub use model::Tag;
pub use quantity::Quantity;
pub use readings::{
    BeforeException, CloudTrailTimestamps, EmptyCustomerIdentifier, FinalHourFrom, FiveTags,
    IdenticalRecordId, IdenticalResubmission, InvalidCustomer, LicenseOnRenewal, Readings,
    SlotGranularity, SlotScope, StampOutsideAgreement, ZeroQuantity,
};
pub use settings::{Platform, Settings};
pub use wire::{ConnectionDropped, KeyError, PublicKey};
pub use world::{
    Agreement, AgreementView, Call, CallError, CallRecord, ChosenError, Entitlement, Identity,
    Invoice, InvoiceLine, LifecycleMessage, Metered, MeteredAllocation, NewAgreement, NewProduct,
    Pricing,
};
