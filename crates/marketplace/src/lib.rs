//! The money rules of AWS Marketplace metering, as pure functions.
//!
//! Nothing in this crate does I/O or reads a clock. Every quantity is an exact number of
//! micro-units (1e-6 of the dimension's unit) in an integer.
//!
//! # Layout
//! * [`limits`]: every limit that AWS sets, with its source
//! * [`ids`], [`subscription`]: validated identifiers, and the three ways in which AWS names a
//!   buyer
//! * [`quantity`], [`tags`]: exact quantities, and the tags that split them into usage allocations
//! * [`hour`], [`window`], [`schedule`]: usage hours, deadlines, and when an hour is sealed
//! * [`usage`], [`fold`]: one row of usage, and an hour of rows folded into quantities
//! * [`record`], [`recount`], [`carry`]: a frozen metering record, late usage, and where it goes
//! * [`carry_id`]: the event ids of carried usage
//! * [`decision`], [`slot`]: decisions of a person about waiting usage, and the text form of a slot
//! * [`batch`], [`answer`], [`error_table`]: the records of one request, and the meaning of an
//!   answer
//! * [`retention`]: how long closed records are kept
//! * [`lane`]: groups of records that AWS Marketplace refuses again and again
//! * [`lifecycle`], [`agreements`]: agreement and license events folded into a status, in any order
//! * [`spans`]: the times in which a subscription is in force, and the position of an hour among
//!   them
//! * [`audit`]: what CloudTrail's Event history proves about records
//! * [`books`]: the equation that proves that no unit was lost or billed twice

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod agreements;
pub mod answer;
pub mod audit;
pub mod batch;
pub mod books;
pub mod carry;
pub mod carry_id;
pub mod decision;
pub mod error_table;
pub mod fold;
pub mod hour;
pub mod ids;
pub mod lane;
pub mod lifecycle;
pub mod limits;
pub mod quantity;
pub mod record;
pub mod recount;
pub mod retention;
pub mod schedule;
pub mod slot;
pub mod spans;
pub mod subscription;
pub mod tags;
pub mod text;
pub mod usage;
pub mod window;

pub use hour::{Month, UsageHour};
pub use ids::{
    AccountId, AgreementId, CustomerIdentifier, Dimension, EventId, LicenseArn, ProductCode,
};
pub use quantity::{Quantity, Total};
pub use record::{MeteringRecord, State};
pub use slot::Slot;
pub use subscription::{IdentityKind, Subscription};
pub use tags::{TagSet, Tags};
