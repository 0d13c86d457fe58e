//! Settings for the behaviours that AWS does not document.

use emulator::{
    BeforeException, CloudTrailTimestamps, EmptyCustomerIdentifier, EndedOnRenewal, FinalHourFrom,
    FiveTags, IdenticalRecordId, IdenticalResubmission, InvalidCustomer, LicenseOnRenewal,
    Readings, SlotGranularity, SlotScope, StampOutsideAgreement, ZeroQuantity,
};
use fastrand::Rng;

/// A random setting for each behaviour that AWS does not document.
pub(super) fn readings(random: &mut Rng) -> Readings {
    readings_by(|| random.bool())
}

/// The default setting for each behaviour, or the other one if `flip` returns `true`.
pub(super) fn readings_by(mut flip: impl FnMut() -> bool) -> Readings {
    let mut readings = Readings::default();
    if flip() {
        readings.identical_resubmission = IdenticalResubmission::DuplicateRecord;
    }
    if flip() {
        readings.identical_record_id = IdenticalRecordId::New;
    }
    if flip() {
        readings.empty_customer_identifier = EmptyCustomerIdentifier::Refused;
    }
    if flip() {
        readings.before_exception = BeforeException::EarlierRecorded;
    }
    if flip() {
        readings.zero_quantity = ZeroQuantity::LeavesSlotFree;
    }
    if flip() {
        readings.stamp_outside_agreement = StampOutsideAgreement::Accepted;
    }
    if flip() {
        readings.slot_scope = SlotScope::Global;
    }
    if flip() {
        readings.invalid_customer = InvalidCustomer::Exception;
    }
    if flip() {
        readings.final_hour_from = FinalHourFrom::Ended;
    }
    if flip() {
        readings.license_on_renewal = LicenseOnRenewal::Replaced;
    }
    if flip() {
        readings.cloudtrail_timestamps = CloudTrailTimestamps::Iso8601;
    }
    if flip() {
        readings.five_tags = FiveTags::PerRecord;
    }
    if flip() {
        readings.slot_granularity = SlotGranularity::ExactTimestamp;
    }
    if flip() {
        readings.ended_on_renewal = EndedOnRenewal::NotSent;
    }
    readings
}
