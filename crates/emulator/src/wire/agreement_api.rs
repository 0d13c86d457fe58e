//! The operations of the Agreement API that a seller uses to compare and correct bills.

use serde_json::Value;

use super::handle::Work;
use crate::model::{self, InvoiceLineItemsRequest, SearchAgreementsRequest, ShapeError};
use crate::rules;

pub(super) fn search(members: Value) -> Result<Work, ShapeError> {
    let request = model::read(members, SearchAgreementsRequest::read)?;
    Ok(Box::new(move |core, _| {
        let page = rules::agreements::search(&core.world, &request)?;
        Ok(page)
    }))
}

pub(super) fn describe(members: Value) -> Result<Work, ShapeError> {
    let agreement_id = model::read(members, model::read_agreement_id)?;
    Ok(Box::new(move |core, _| {
        let described = rules::agreements::describe(&core.world, &agreement_id)?;
        Ok(described)
    }))
}

pub(super) fn invoice_line_items(members: Value) -> Result<Work, ShapeError> {
    let request = model::read(members, InvoiceLineItemsRequest::read)?;
    Ok(Box::new(move |core, arrival| {
        let page = rules::agreements::invoice_line_items(&core.world, &request, arrival.now)?;
        Ok(page)
    }))
}

pub(super) fn billing_adjustments(members: Value) -> Result<Work, ShapeError> {
    let entries = model::read(members, model::read_adjustments)?;
    Ok(Box::new(move |core, arrival| {
        let taken = rules::billing_adjustments::billing_adjustments(
            &mut core.world,
            &entries,
            arrival.now,
        )?;
        Ok(taken)
    }))
}
