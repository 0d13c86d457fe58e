//! Switches for the behavior that AWS does not document.
//!
//! A stack must be correct under every setting, because AWS's real behavior is not known.

use serde::{Deserialize, Serialize};

/// The status of a record that repeats an accepted record with the same quantity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdenticalResubmission {
    /// The status is `Success` (according to the API model).
    #[default]
    Success,
    /// The status is `DuplicateRecord` (according to another of AWS's texts).
    DuplicateRecord,
}

/// The `MeteringRecordId` of an identical record that is answered with `Success`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdenticalRecordId {
    /// The first record's id is returned.
    #[default]
    Same,
    /// A new id is returned, and the slot keeps its first id.
    New,
}

/// How `"CustomerIdentifier": ""` together with a `CustomerAWSAccountId` is handled. The Rust SDK
/// sends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyCustomerIdentifier {
    /// The member counts as absent.
    #[default]
    Tolerated,
    /// The whole request fails with `InvalidCustomerIdentifierException`.
    Refused,
}

/// Whether records are recorded if a later record makes the whole request fail. AWS documents this
/// only for a refused timestamp: "the entire batch is not processed".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BeforeException {
    /// No record is recorded, as after a refused timestamp.
    #[default]
    NothingRecorded,
    /// The records before the failing record are recorded.
    EarlierRecorded,
}

/// Whether a record of quantity 0 takes its slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZeroQuantity {
    /// A later record with usage for the slot is a `DuplicateRecord`.
    #[default]
    SpendsSlot,
    /// The slot stays free for usage.
    LeavesSlotFree,
}

/// How timestamps before the start of the software usage, or after its end, are handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StampOutsideAgreement {
    /// The whole request fails: with `InvalidLicenseException` if the record has a `LicenseArn`
    /// ("usage is within the license activation period"), otherwise with
    /// `TimestampOutOfBoundsException`.
    #[default]
    Refused,
    /// The record is metered like any other.
    Accepted,
}

/// Whether slots of different Regions are separate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotScope {
    /// The same record in two Regions is billed twice.
    #[default]
    Region,
    /// There is one slot for all Regions.
    Global,
}

/// How an unknown customer is handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InvalidCustomer {
    /// The status of the record is `CustomerNotSubscribed`.
    #[default]
    CustomerNotSubscribed,
    /// The whole request fails with `InvalidCustomerIdentifierException`.
    Exception,
}

/// The event at which the final hour starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinalHourFrom {
    /// `Purchase Agreement Ended` (according to the older text).
    Ended,
    /// `License Deprovisioned` (according to the newer text).
    #[default]
    Deprovisioned,
}

/// The effect of a renewal on the agreement's license.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LicenseOnRenewal {
    /// The new agreement has the same license.
    #[default]
    Survives,
    /// A new license starts, and the old one is deprovisioned.
    Replaced,
}

/// Whether a renewal sends `Purchase Agreement Ended` for the old agreement. AWS says so only in the
/// documents for buyers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndedOnRenewal {
    /// The event is sent (according to the documents for buyers).
    #[default]
    Sent,
    /// The event is never sent for an agreement that was renewed.
    NotSent,
}

/// How CloudTrail prints the timestamps inside an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloudTrailTimestamps {
    /// `Apr 19, 2018 4:32:50 PM`, as in AWS's example.
    #[default]
    Printed,
    /// ISO 8601, such as `2018-04-19T16:32:50Z`.
    Iso8601,
}

/// The scope of the limit of five tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FiveTags {
    /// Each allocation has at most five tags.
    #[default]
    PerAllocation,
    /// All allocations of a record together have at most five tag keys.
    PerRecord,
}

/// The part of the timestamp that separates slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotGranularity {
    /// Records of one hour share a slot.
    #[default]
    Hour,
    /// Each second is a slot of its own.
    ExactTimestamp,
}

/// All switches. The default of each is the more likely behavior.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Readings {
    /// M24: the status of an identical resubmission.
    pub identical_resubmission: IdenticalResubmission,
    /// M24: the `MeteringRecordId` of an identical resubmission.
    pub identical_record_id: IdenticalRecordId,
    /// M11: how an empty `CustomerIdentifier` is handled.
    pub empty_customer_identifier: EmptyCustomerIdentifier,
    /// M20: whether the records before the one that makes the whole request fail are recorded.
    pub before_exception: BeforeException,
    /// M27: whether a quantity of zero takes the slot.
    pub zero_quantity: ZeroQuantity,
    /// M7: how timestamps before the activation or after the end are handled.
    pub stamp_outside_agreement: StampOutsideAgreement,
    /// M25: whether slots are per Region or global.
    pub slot_scope: SlotScope,
    /// M22: how an unknown customer is handled.
    pub invalid_customer: InvalidCustomer,
    /// M45: the event at which the final hour starts.
    pub final_hour_from: FinalHourFrom,
    /// M44: the effect of a renewal on the license.
    pub license_on_renewal: LicenseOnRenewal,
    /// M43: whether a renewal sends `Purchase Agreement Ended` for the old agreement.
    pub ended_on_renewal: EndedOnRenewal,
    /// M56: how CloudTrail prints timestamps.
    pub cloudtrail_timestamps: CloudTrailTimestamps,
    /// M14: the scope of the limit of five tags.
    pub five_tags: FiveTags,
    /// M23: whether slots are by hour or by exact timestamp.
    pub slot_granularity: SlotGranularity,
}
