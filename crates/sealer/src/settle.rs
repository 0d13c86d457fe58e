//! One hour of one subscription: sealed, or recounted.

use std::collections::BTreeSet;

use ledger::profile::Profile;
use ledger::{LedgerError, Written};
use marketplace::carry::{destination, release};
use marketplace::fold::{DimensionFold, Fold};
use marketplace::lifecycle::Status;
use marketplace::planted::{Bug, is_planted};
use marketplace::record::{RecordKey, Terms, heartbeat, seal};
use marketplace::recount::{Difference, Movement, MovementKind, difference};
use marketplace::retention::rows_may_be_gone;
use marketplace::spans::Standing;
use marketplace::usage::UsageEvent;
use marketplace::{Dimension, MeteringRecord, TagSet, UsageHour};

use crate::Run;

/// How often one hour is read again because somebody else wrote meanwhile, or because one movement
/// could not take everything, before it is left to its flag.
const PASSES_MAX: u32 = 4;

/// What settling an hour did.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub sealed: u64,
    pub recounts: u64,
    pub movements: u64,
    /// Of the movements, those that hold usage for a person.
    pub held: u64,
    pub over_metered: u64,
    pub rows_set_aside: u64,
    pub left_flagged: bool,
}

/// Seals an hour as the round does: the rows are read, and each slot with usage gets its record. A
/// slot that has one already, from a flag or an earlier run, is recounted instead.
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
    let product = run.catalogue.product(&profile.product).await?;
    let known = product.as_ref().map(|p| &p.dimensions);
    let ledger = &run.app.ledger;
    let fold = ledger.fold_hour(&profile.subscription, hour, known).await?;
    let mut recount = false;
    for (dimension, rows) in fold.dimensions() {
        let outcome = freeze(run, profile, &terms, hour, dimension, rows).await?;
        settled.sealed += u64::from(outcome == Frozen::Created || outcome == Frozen::CreatedInPart);
        recount |= matches!(outcome, Frozen::Taken | Frozen::CreatedInPart);
    }
    settled.sealed += beat(run, profile, &terms, hour, known, &fold).await?;
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

/// Compares an hour's rows with what was counted of them: seals slots without a record, and moves
/// late usage where it can still be billed. `left_flagged` when it could not be brought to an end.
pub(crate) async fn recount_hour(
    run: &Run<'_>,
    profile: &Profile,
    hour: UsageHour,
) -> Result<Settled, LedgerError> {
    let mut settled = Settled::default();
    if run.app.ledger.retention().is_over(hour, run.now) {
        tracing::warn!(subscription = %profile.subscription, %hour, "the records of this hour are no longer kept, so it is not counted again");
        return Ok(settled);
    }
    let Some(terms) = profile.terms() else {
        settled.left_flagged = true;
        return Ok(settled);
    };
    let product = run.catalogue.product(&profile.product).await?;
    let known = product.as_ref().map(|p| &p.dimensions);
    let ledger = &run.app.ledger;
    for _ in 0..PASSES_MAX {
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
                if is_planted(Bug::CarriedWithoutRecord) {
                    carry_without_record(run, profile, hour, dimension, rows).await?;
                    settled.movements += 1;
                    continue;
                }
                let outcome = freeze(run, profile, &terms, hour, dimension, rows).await?;
                settled.sealed +=
                    u64::from(outcome == Frozen::Created || outcome == Frozen::CreatedInPart);
                again |= matches!(outcome, Frozen::Taken | Frozen::CreatedInPart);
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

/// Only for the planted bug of this name.
async fn carry_without_record(
    run: &Run<'_>,
    profile: &Profile,
    hour: UsageHour,
    dimension: &Dimension,
    rows: &DimensionFold,
) -> Result<(), LedgerError> {
    let (Ok(id), Some(quantity)) = (format!("of-{hour}").parse(), rows.total()?.to_quantity())
    else {
        return Ok(());
    };
    let event = UsageEvent {
        dimension: dimension.clone(),
        id,
        quantity,
        time: run.now,
        tags: TagSet::untagged(),
    };
    let put = run.app.ledger.put_event(&profile.subscription, &event);
    put.await.map(drop)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frozen {
    /// The rows come to nothing, so there is no record.
    Nothing,
    /// The record holds all of it.
    Created,
    /// The record does not bill all of it: the rest is late usage of this hour.
    CreatedInPart,
    /// The slot has a record already.
    Taken,
}

/// Freezes one slot. What the record will not bill is flagged **before** the record is created: a
/// crash in between leaves a flag whose recount seals the slot; the other order would leave a record
/// whose usage nobody looks at again before the next sweep.
async fn freeze(
    run: &Run<'_>,
    profile: &Profile,
    terms: &Terms,
    hour: UsageHour,
    dimension: &Dimension,
    rows: &DimensionFold,
) -> Result<Frozen, LedgerError> {
    let key = RecordKey {
        subscription: profile.subscription.clone(),
        hour,
        dimension: dimension.clone(),
    };
    let Some(sealing) = seal(key, rows, terms, run.app.policy, run.now)? else {
        return Ok(Frozen::Nothing);
    };
    let ledger = &run.app.ledger;
    if sealing.needs_recount {
        ledger
            .flag_late(&profile.subscription, hour, run.now)
            .await?;
    }
    Ok(match ledger.create_record(&sealing.record).await? {
        Written::Conflict => Frozen::Taken,
        Written::Done if sealing.needs_recount => Frozen::CreatedInPart,
        Written::Done => Frozen::Created,
    })
}

/// Meters zero for the product's dimensions that the hour's rows do not name, where heartbeats are
/// wanted. A slot that has a record keeps it.
async fn beat(
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
        let key = RecordKey {
            subscription: profile.subscription.clone(),
            hour,
            dimension: dimension.clone(),
        };
        if let Some(record) = heartbeat(key, terms, run.app.policy, run.now) {
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

/// Moves what nothing has counted yet, in one transaction that depends on the record being as read.
/// Where usage was held because no agreement was in force, and one was after all, that comes first.
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
        tracing::warn!(slot = %record.key, stamp = %record.stamp, "this record's stamp lies in no purchase any more; it is given up, and the audit decides whether its usage is carried");
        return Ok(match app.ledger.withdraw(record, run.now).await? {
            Written::Conflict => Moved::Conflict,
            Written::Done => Moved::Nothing,
        });
    }
    let to = destination(
        app.late,
        app.schedule,
        record.key.hour,
        run.watermark,
        &terms.spans,
        run.now,
    );
    if let Some(movement) = release(record, movements, to, run.now) {
        tracing::info!(slot = %record.key, of = movement.of, "the end was overruled; what was held for it is carried");
        return Ok(match app.ledger.move_quantity(record, &movement).await? {
            Written::Conflict => Moved::Conflict,
            Written::Done => Moved::InPart,
        });
    }
    let (entries, complete) = match difference(record, movements, rows)? {
        Difference::None => return Ok(Moved::Nothing),
        // Rows that expired are not usage that was metered too much.
        Difference::Over(_) if rows_may_be_gone(record.key.hour, run.now) => {
            return Ok(Moved::Nothing);
        }
        Difference::Over(total) => {
            tracing::warn!(slot = %record.key, %total, "more was metered than there are rows: claim a billing adjustment");
            return Ok(Moved::OverMetered);
        }
        Difference::Late { entries, complete } => (entries, complete),
    };
    let Some((kind, reason)) = to.movement() else {
        // A later run decides: the reconciler does not close the subscription before.
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
        tracing::warn!(slot = %record.key, reason = movement.reason, "late usage is held: metering late list shows it, and carry or write-off decides");
    }
    Ok(match complete {
        true => Moved::All,
        false => Moved::InPart,
    })
}
