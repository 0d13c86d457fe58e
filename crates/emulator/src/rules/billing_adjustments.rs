//! `BatchCreateBillingAdjustmentRequest`: corrects over-billing in money. Metered usage itself
//! cannot be lowered.
//!
//! Facts: M28, M49 (docs/marketplace-rules.md).

use jiff::Timestamp;
use serde_json::{Value, json};
use thiserror::Error;

use crate::amount::Amount;
use crate::ids;
use crate::limits::ADJUSTMENTS_MAX;
use crate::model::AdjustmentEntry;
use crate::world::{Adjustment, World};

/// Why the whole request is refused.
#[derive(Clone, Debug, Error, PartialEq)]
pub(crate) enum BillingAdjustmentsError {
    #[error("No entry is given")]
    NoEntry,
    #[error("{count} entries are too many; send at most {ADJUSTMENTS_MAX} in one request")]
    TooMany { count: usize },
    #[error("The entries are for several agreements; send one request for each")]
    SeveralAgreements,
    #[error("The clientToken '{token}' occurs in two entries; give each its own")]
    RepeatedToken { token: String },
}

/// Why one entry is refused.
#[derive(Clone, Debug, Error, PartialEq)]
enum EntryError {
    #[error("The agreement '{0}' does not exist")]
    NoSuchAgreement(String),
    #[error("The agreement has no issued invoice '{0}'")]
    NoSuchInvoice(String),
    #[error("The invoice is in USD, not in {0}")]
    Currency(String),
    #[error("The amount '{0}' is not a positive number of at most 8 decimals")]
    Amount(String),
    #[error("The amount {asked} is more than the {left} that can still be adjusted")]
    TooMuch { asked: Amount, left: Amount },
    #[error("The clientToken was used before with other parameters")]
    Conflict,
}

impl EntryError {
    fn code(&self) -> &'static str {
        match self {
            EntryError::NoSuchAgreement(_) | EntryError::NoSuchInvoice(_) => {
                "RESOURCE_NOT_FOUND_EXCEPTION"
            }
            EntryError::Conflict => "CONFLICT_EXCEPTION",
            _ => "VALIDATION_EXCEPTION",
        }
    }
}

/// Accepts every valid entry. The other entries are returned with their errors.
pub(crate) fn billing_adjustments(
    world: &mut World,
    entries: &[AdjustmentEntry],
    now: Timestamp,
) -> Result<Value, BillingAdjustmentsError> {
    check(entries)?;
    let (mut items, mut errors) = (Vec::new(), Vec::new());
    for entry in entries {
        match accept(world, entry, now) {
            Ok(id) => items.push(json!({
                "billingAdjustmentRequestId": id,
                "clientToken": entry.client_token,
            })),
            Err(error) => errors.push(json!({
                "code": error.code(),
                "message": error.to_string(),
                "clientToken": entry.client_token,
            })),
        }
    }
    Ok(json!({"items": items, "errors": errors}))
}

fn check(entries: &[AdjustmentEntry]) -> Result<(), BillingAdjustmentsError> {
    let Some(first) = entries.first() else {
        return Err(BillingAdjustmentsError::NoEntry);
    };
    if entries.len() > ADJUSTMENTS_MAX {
        let count = entries.len();
        return Err(BillingAdjustmentsError::TooMany { count });
    }
    for (place, entry) in entries.iter().enumerate() {
        if entry.agreement_id != first.agreement_id {
            return Err(BillingAdjustmentsError::SeveralAgreements);
        }
        let mut before = entries.iter().take(place);
        if before.any(|other| other.client_token == entry.client_token) {
            return Err(BillingAdjustmentsError::RepeatedToken {
                token: entry.client_token.clone(),
            });
        }
    }
    Ok(())
}

fn accept(
    world: &mut World,
    entry: &AdjustmentEntry,
    now: Timestamp,
) -> Result<String, EntryError> {
    let amount = Amount::parse(&entry.amount)
        .filter(|amount| !amount.is_zero())
        .ok_or_else(|| EntryError::Amount(entry.amount.clone()))?;
    let known = world
        .adjustments
        .iter()
        .find(|known| known.client_token == entry.client_token);
    if let Some(known) = known {
        let same = known.agreement_id == entry.agreement_id
            && known.invoice_id == entry.invoice_id
            && known.amount == amount
            && known.reason == entry.reason;
        return match same {
            true => Ok(known.id.clone()),
            false => Err(EntryError::Conflict),
        };
    }
    let agreement = *world
        .agreement_by_id
        .get(&entry.agreement_id)
        .ok_or_else(|| EntryError::NoSuchAgreement(entry.agreement_id.clone()))?;
    let bill = world
        .bills()
        .into_iter()
        .find(|bill| {
            bill.agreement == agreement && bill.invoice_id == entry.invoice_id && bill.issued <= now
        })
        .ok_or_else(|| EntryError::NoSuchInvoice(entry.invoice_id.clone()))?;
    if entry.currency != "USD" {
        return Err(EntryError::Currency(entry.currency.clone()));
    }
    let left = bill.amount.minus(bill.adjusted);
    if amount > left {
        return Err(EntryError::TooMuch {
            asked: amount,
            left,
        });
    }
    let id = ids::adjustment(world.seed, world.adjustments.len() as u64);
    world.adjustments.push(Adjustment {
        id: id.clone(),
        agreement_id: entry.agreement_id.clone(),
        invoice_id: entry.invoice_id.clone(),
        amount,
        reason: entry.reason.clone(),
        client_token: entry.client_token.clone(),
        created: now,
    });
    Ok(id)
}
