//! AWS Marketplace on localhost. Any AWS SDK and the AWS CLI can call its metering API, which
//! applies the rules that cost sellers money. A control interface sets up and shows its world.
//!
//! # Layout
//!
//! * `world`: the state, without I/O and without a clock of its own
//! * `rules`: how each operation answers and what it changes
//! * `model`: checks requests against the API model, before any rule
//! * `wire`: AWS JSON 1.1 and Smithy RPC v2 CBOR over HTTP
//! * `control`: the interface under `/_emulator`
//! * `console`: the same functions for people, in a browser
//! * `faults`, `readings`, `settings`: injected faults, switches for behavior that AWS does not
//!   document, and numbers that change
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
mod keys;
pub mod limits;
mod model;
mod moment;
mod month;
mod quantity;
mod rates;
mod readings;
mod refusal;
mod replace;
mod rules;
mod serve;
mod settings;
mod target;
mod wire;
mod world;

pub use emulator::{Emulator, Options};
pub use faults::{Fault, FaultError, FaultKind, Faults, When};
pub use file::FileError;
pub use keys::{KeyError, PublicKey};
pub use model::Tag;
pub use quantity::Quantity;
pub use readings::{
    BeforeException, CloudTrailTimestamps, EmptyCustomerIdentifier, EndedOnRenewal, FinalHourFrom,
    FiveTags, IdenticalRecordId, IdenticalResubmission, InvalidCustomer, LicenseOnRenewal,
    Readings, SlotGranularity, SlotScope, StampOutsideAgreement, ZeroQuantity,
};
pub use refusal::{ChosenError, Refusal};
pub use replace::replace_file;
pub use settings::{Platform, Settings};
pub use target::{Delivery, Target, TargetError};
pub use wire::ConnectionDropped;
pub use world::{
    Agreement, AgreementView, Call, CallError, CallRecord, Entitlement, Identity, Invoice,
    InvoiceLine, LifecycleMessage, Metered, MeteredAllocation, NewAgreement, NewProduct, Pricing,
};
