//! Seals or recounts one hour of one subscription.

use std::collections::BTreeSet;

use ledger::profile::Profile;
use ledger::{LedgerError, Written};
use marketplace::carry::{destination, release};
use marketplace::fold::{DimensionFold, Fold};
use marketplace::lifecycle::Status;
use marketplace::record::{Terms, heartbeat, seal};
use marketplace::recount::{Difference, Movement, MovementKind, difference};
use marketplace::retention::rows_may_be_gone;
use marketplace::slot::Slot;
use marketplace::spans::Standing;
use marketplace::{Dimension, MeteringRecord, UsageHour};

use crate::Run;

/// The largest number of times that a run reads one hour. An hour is read again if a record changed
/// meanwhile, or if one movement could not hold everything. After the last time the hour is flagged
/// for a later run.
const READINGS_MAX: u32 = 4;

/// The result of sealing or recounting an hour.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub sealed: u64,
    pub recounts: u64,
    pub movements: u64,
    /// The movements in `movements` that hold usage until a person decides.
    pub held: u64,
    pub over_metered: u64,
    pub rows_set_aside: u64,
    pub left_flagged: bool,
}

/// Seals an hour: reads its rows and creates a record for each slot with usage. If a slot has a
/// record already, from a flag or an earlier run, the hour is recounted.
pub(crate) async fn seal_hour(
    run: &Run<'_>,
    profile: &Profile,
    hour: UsageHour,
) -> Result<Settled, LedgerError> {
    let mut settled = Settled::default();
    let Some(terms) = profile.terms() else {
        return Ok(settled);
    };
    if terms.spans.standing(hour, run.now) == Standing::Undecided {
        return recount_hour(run, profile, hour).await;
    }
    let product = run.product_cache.product(&profile.product).await?;
    let known = product.as_ref().map(|p| &p.dimensions);
    let ledger = &run.app.ledger;
    let fold = ledger.fold_hour(&profile.subscription, hour, known).await?;
    let mut recount = false;
    for (dimension, rows) in fold.dimensions() {
        let outcome = freeze(run, profile, &terms, hour, dimension, rows).await?;
        settled.sealed +=
            u64::from(outcome == FreezeResult::Created || outcome == FreezeResult::CreatedInPart);
        recount |= matches!(outcome, FreezeResult::Taken | FreezeResult::CreatedInPart);
    }
    settled.sealed += create_heartbeats(run, profile, &terms, hour, known, &fold).await?;
    settled.rows_set_aside = fold.rows_set_aside_count();
    ledger
        .itemise(&profile.subscription, hour, fold.rows_set_aside(), run.now)
        .await?;
    if recount {
        let again = recount_hour(run, profile, hour).await?;
        settled.recounts += again.recounts;
        settled.sealed += again.sealed;
        settled.movements += again.movements;
        settled.held += again.held;
        settled.over_metered += again.over_metered;
        settled.left_flagged |= again.left_flagged;
    }
    Ok(settled)
}

/// Compares an hour's rows with its records and movements. Seals slots without a record, and moves
/// late usage to an hour with which it can still be billed. Sets `left_flagged` if the hour could
/// not be settled.
pub(crate) async fn recount_hour(
    run: &Run<'_>,
    profile: &Profile,
    hour: UsageHour,
) -> Result<Settled, LedgerError> {
    let mut settled = Settled::default();
    if run.app.ledger.retention().is_over(hour, run.now) {
        tracing::warn!(subscription = %profile.subscription, %hour, "the records of this hour are no longer kept, so the hour is not recounted");
        return Ok(settled);
    }
    let Some(terms) = profile.terms() else {
        settled.left_flagged = true;
        return Ok(settled);
    };
    let product = run.product_cache.product(&profile.product).await?;
    let known = product.as_ref().map(|p| &p.dimensions);
    let ledger = &run.app.ledger;
    for _ in 0..READINGS_MAX {
        settled.recounts += 1;
        settled.over_metered = 0;
        let count = ledger
            .count_hour(&profile.subscription, hour, known)
            .await?;
        let mut again = false;
        for dimension in count.dimensions() {
            let rows = count.rows(dimension);
            let Some(record) = count.records.get(dimension) else {
                let Some(rows) = rows else { continue };
                let outcome = freeze(run, profile, &terms, hour, dimension, rows).await?;
                settled.sealed += u64::from(
                    outcome == FreezeResult::Created || outcome == FreezeResult::CreatedInPart,
                );
                again |= matches!(outcome, FreezeResult::Taken | FreezeResult::CreatedInPart);
                continue;
            };
            let movements = count.movements(dimension);
            match move_late(run, &terms, record, movements, rows, &mut settled).await? {
                Moved::Nothing => {}
                Moved::OverMetered => settled.over_metered += 1,
                Moved::All => settled.movements += 1,
                Moved::InPart => {
                    settled.movements += 1;
                    again = true;
                }
                Moved::Conflict => again = true,
            }
        }
        if !again {
            settled.rows_set_aside = count.fold.rows_set_aside_count();
            ledger
                .itemise(
                    &profile.subscription,
                    hour,
                    count.fold.rows_set_aside(),
                    run.now,
                )
                .await?;
            return Ok(settled);
        }
    }
    ledger
        .flag_late(&profile.subscription, hour, run.now)
        .await?;
    settled.left_flagged = true;
    Ok(settled)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FreezeResult {
    /// The rows add up to zero, so no record was created.
    Nothing,
    /// The new record bills all of the usage.
    Created,
    /// The new record does not bill all of the usage. The rest is late usage of this hour.
    CreatedInPart,
    /// The slot has a record already.
    Taken,
}

/// Freezes one slot. If the record will not bill all of the usage, the hour is flagged **before**
/// the record is created. After a crash in between, the recount of the flagged hour seals the slot.
/// With the other order, the rest of the usage would wait until the reconciler recounts the hour.
async fn freeze(
    run: &Run<'_>,
    profile: &Profile,
    terms: &Terms,
    hour: UsageHour,
    dimension: &Dimension,
    rows: &DimensionFold,
) -> Result<FreezeResult, LedgerError> {
    let slot = Slot {
        subscription: profile.subscription.clone(),
        hour,
        dimension: dimension.clone(),
    };
    let Some(sealing) = seal(slot, rows, terms, run.app.policy, run.now)? else {
        return Ok(FreezeResult::Nothing);
    };
    let ledger = &run.app.ledger;
    if sealing.needs_recount {
        ledger
            .flag_late(&profile.subscription, hour, run.now)
            .await?;
    }
    Ok(match ledger.create_record(&sealing.record).await? {
        Written::Conflict => FreezeResult::Taken,
        Written::Done if sealing.needs_recount => FreezeResult::CreatedInPart,
        Written::Done => FreezeResult::Created,
    })
}

/// Meters zero for each dimension of the product that the hour's rows do not name, if heartbeats
/// are enabled. A slot that has a record keeps it. Returns how many records were created.
async fn create_heartbeats(
    run: &Run<'_>,
    profile: &Profile,
    terms: &Terms,
    hour: UsageHour,
    known: Option<&BTreeSet<Dimension>>,
    fold: &Fold<'_>,
) -> Result<u64, LedgerError> {
    let mut sealed = 0;
    if profile.status() != Status::Active {
        return Ok(sealed);
    }
    for dimension in known.into_iter().flatten() {
        if fold.dimensions().contains_key(dimension) {
            continue;
        }
        let slot = Slot {
            subscription: profile.subscription.clone(),
            hour,
            dimension: dimension.clone(),
        };
        if let Some(record) = heartbeat(slot, terms, run.app.policy, run.now) {
            sealed += u64::from(run.app.ledger.create_record(&record).await? == Written::Done);
        }
    }
    Ok(sealed)
}

enum Moved {
    Nothing,
    OverMetered,
    All,
    InPart,
    Conflict,
}

/// Moves the usage that is not counted yet, in one transaction that fails if the record has
/// changed. Usage may have been held because no agreement was in force. If an agreement turns out
/// to have been in force, that usage is released first.
async fn move_late(
    run: &Run<'_>,
    terms: &Terms,
    record: &MeteringRecord,
    movements: &[Movement],
    rows: Option<&DimensionFold>,
    settled: &mut Settled,
) -> Result<Moved, LedgerError> {
    let app = run.app;
    if record.is_out_of_force(&terms.spans, run.now) {
        tracing::warn!(slot = %record.slot, stamp = %record.stamp, "this record's timestamp lies in no agreement any more; the record is given up, and the audit decides whether its usage is carried");
        return Ok(match app.ledger.withdraw(record, run.now).await? {
            Written::Conflict => Moved::Conflict,
            Written::Done => Moved::Nothing,
        });
    }
    let to = destination(
        app.late,
        app.schedule,
        record.slot.hour,
        run.watermark,
        &terms.spans,
        run.now,
    );
    if let Some(movement) = release(record, movements, to, run.now) {
        tracing::info!(slot = %record.slot, of = movement.of, "an agreement was in force after all; the usage that was held is carried");
        return Ok(match app.ledger.move_quantity(record, &movement).await? {
            Written::Conflict => Moved::Conflict,
            Written::Done => Moved::InPart,
        });
    }
    let (entries, complete) = match difference(record, movements, rows)? {
        Difference::None => return Ok(Moved::Nothing),
        // The difference is not over-metering if rows have expired.
        Difference::Over(_) if rows_may_be_gone(record.slot.hour, run.now) => {
            return Ok(Moved::Nothing);
        }
        Difference::Over(total) => {
            tracing::warn!(slot = %record.slot, %total, "more was metered than the rows add up to: claim a billing adjustment");
            return Ok(Moved::OverMetered);
        }
        Difference::Late { entries, complete } => (entries, complete),
    };
    let Some((kind, reason)) = to.movement() else {
        // A later run decides. The reconciler does not close the subscription before that.
        return Ok(Moved::Nothing);
    };
    let movement = Movement {
        number: record.movements.saturating_add(1),
        kind,
        entries,
        of: None,
        at: run.now,
        reason,
    };
    if app.ledger.move_quantity(record, &movement).await? == Written::Conflict {
        return Ok(Moved::Conflict);
    }
    if movement.kind == MovementKind::Held {
        settled.held += 1;
        tracing::warn!(slot = %record.slot, reason = movement.reason, "late usage is held: list it with metering late list, then carry it or write it off");
    }
    Ok(match complete {
        true => Moved::All,
        false => Moved::InPart,
    })
}
