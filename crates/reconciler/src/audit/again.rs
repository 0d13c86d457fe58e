//! Compares records with the history again after they were concluded to be unbilled.
//!
//! The conclusion was drawn from missing events, but an event can appear hours late. A late success
//! is a fact. The record then becomes Accepted, and the books show the usage that was carried
//! meanwhile as over-metered.
//!
//! # What a crash does
//! Each record has its own write, which depends on the version that was read. The record stays due
//! until it is written.

use cloudtrail::AuditError;
use jiff::Timestamp;
use ledger::Written;
use marketplace::audit::inquiry::Finding;
use marketplace::audit::{Inquiry, conflict_text, second_look};
use marketplace::{MeteringRecord, State};
use runtime::Budget;

use super::judge::read_into;
use super::written_count;
use crate::{App, Report};

/// Compares `records`, which were concluded to be unbilled and are due. Returns `false` if the time
/// ran out.
pub(super) async fn look(
    app: &App,
    records: &[MeteringRecord],
    now: Timestamp,
    budget: Budget,
    report: &mut Report,
) -> Result<bool, AuditError> {
    if records.is_empty() {
        return Ok(true);
    }
    let mut inquiry = Inquiry::about(records, now);
    if !read_into(app, &mut inquiry, now, budget).await? {
        tracing::warn!(
            records = records.len(),
            "the history could not be read to its end in time; concluded records are compared later"
        );
        return Ok(false);
    }
    for record in records {
        match inquiry.finding(&record.slot, now) {
            Finding::Billed {
                at,
                metering_record_id,
            } => {
                let written = app
                    .ledger
                    .write_success_found(record, metering_record_id, at, now);
                let is_written = written_count(written.await?);
                report.audit.unexpected += is_written;
                if is_written == 0 {
                    continue;
                }
                tracing::error!(slot = %record.slot, quantity = %record.quantity, "AWS Marketplace bills a record that was concluded to be unbilled; its usage that was carried is over-metered: see metering adjust plan");
            }
            Finding::Conflict {
                quantity,
                metering_record_id,
                ..
            } => {
                let id = metering_record_id.as_deref();
                let written = app.ledger.write_conflict(record, quantity, id, now).await?;
                report.audit.conflicts += written_count(written);
                if written == Written::Conflict {
                    continue;
                }
                tracing::error!(slot = %record.slot, "{}", conflict_text(record, quantity));
            }
            Finding::BilledByInference | Finding::NotBilled | Finding::Unknown(_) => {
                let next = second_look(concluded_at(app, record, now).await?, now);
                app.ledger.postpone_audit(record, next, None).await?;
            }
        }
    }
    Ok(true)
}

/// Returns when a record was concluded to be unbilled, by the audit or by the person who moved it.
async fn concluded_at(
    app: &App,
    record: &MeteringRecord,
    now: Timestamp,
) -> Result<Timestamp, AuditError> {
    if record.state == State::Moved {
        let movements = app.ledger.movements_of(record).await?;
        let last = movements.iter().map(|movement| movement.at).max();
        return Ok(last.unwrap_or(now));
    }
    Ok(record.outcome.as_ref().map_or(now, |outcome| outcome.at))
}
