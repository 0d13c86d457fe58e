//! The behaviours AWS does not document, each a switch.
//!
//! A stack that is right under every setting needs no luck in production.

use serde::{Deserialize, Serialize};

/// What happens to a record that repeats one already accepted, quantity and all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdenticalResubmission {
    /// The status is `Success` (the API model's text).
    #[default]
    Success,
    /// The status is `DuplicateRecord` (another of AWS's texts).
    DuplicateRecord,
}

/// The `MeteringRecordId` of an identical record answered with `Success`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdenticalRecordId {
    /// The first record's id comes back.
    #[default]
    Same,
    /// A new id is given; the slot keeps its first.
    New,
}

/// `"CustomerIdentifier": ""` beside a `CustomerAWSAccountId`, as the Rust SDK sends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyCustomerIdentifier {
    /// Taken as absent.
    #[default]
    Tolerated,
    /// `InvalidCustomerIdentifierException` for the whole request.
    Refused,
}

/// What of a request has been recorded when one of its records makes it fail as a whole. A refused
/// timestamp is no question: "the entire batch is not processed".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BeforeException {
    /// Nothing, as after a refused timestamp.
    #[default]
    NothingRecorded,
    /// The records that stood before the culprit.
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

/// Timestamps before the start of the software usage, or after its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StampOutsideAgreement {
    /// `InvalidLicenseException` for a record with a `LicenseArn` ("usage is within the license
    /// activation period"), `TimestampOutOfBoundsException` for one without.
    #[default]
    Refused,
    /// Metered like any other.
    Accepted,
}

/// How far a slot reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotScope {
    /// The same record in two Regions is billed twice.
    #[default]
    Region,
    /// One slot for all Regions.
    Global,
}

/// A customer AWS Marketplace does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InvalidCustomer {
    /// The record's status is `CustomerNotSubscribed`.
    #[default]
    CustomerNotSubscribed,
    /// `InvalidCustomerIdentifierException` for the whole request.
    Exception,
}

/// The event from which the final hour counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinalHourFrom {
    /// `Purchase Agreement Ended` (older text).
    Ended,
    /// `License Deprovisioned` (newer text).
    #[default]
    Deprovisioned,
}

/// The license when its agreement is renewed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LicenseOnRenewal {
    /// The new agreement goes on with the same license.
    #[default]
    Survives,
    /// A new license begins, the old one is deprovisioned.
    Replaced,
}

/// How CloudTrail prints the timestamps inside an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloudTrailTimestamps {
    /// `Apr 19, 2018 4:32:50 PM`, as AWS's example has it.
    #[default]
    Printed,
    /// `2018-04-19T16:32:50Z`.
    Iso8601,
}

/// Where the limit of five tags applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FiveTags {
    /// To each allocation.
    #[default]
    PerAllocation,
    /// To the tag keys of all of a record's allocations together.
    PerRecord,
}

/// What of the timestamp tells slots apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotGranularity {
    /// The hour.
    #[default]
    Hour,
    /// The exact second.
    ExactTimestamp,
}

/// All switches; the default of each is the likelier reading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Readings {
    /// M24: the status of an identical resubmission.
    pub identical_resubmission: IdenticalResubmission,
    /// M24: the `MeteringRecordId` of an identical resubmission.
    pub identical_record_id: IdenticalRecordId,
    /// M11: an empty `CustomerIdentifier`.
    pub empty_customer_identifier: EmptyCustomerIdentifier,
    /// M20: what is recorded before a request-level exception.
    pub before_exception: BeforeException,
    /// M27: a quantity of zero.
    pub zero_quantity: ZeroQuantity,
    /// M7: timestamps before the activation or after the end.
    pub stamp_outside_agreement: StampOutsideAgreement,
    /// M25: slots per Region or global.
    pub slot_scope: SlotScope,
    /// M22: an unknown customer.
    pub invalid_customer: InvalidCustomer,
    /// M45: where the final hour starts.
    pub final_hour_from: FinalHourFrom,
    /// M44: the license on renewal.
    pub license_on_renewal: LicenseOnRenewal,
    /// M56: CloudTrail's timestamps.
    pub cloudtrail_timestamps: CloudTrailTimestamps,
    /// M14: the scope of the limit of five tags.
    pub five_tags: FiveTags,
    /// M23: slots by hour or by exact timestamp.
    pub slot_granularity: SlotGranularity,
}
