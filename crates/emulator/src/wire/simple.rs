//! The operations that need only their rules: the request is read, the rules decide, and the result
//! is the answer.

use serde_json::{Value, json};

use super::aws_error::AwsError;
use super::handle::Work;
use crate::model::{
    self, GetEntitlementsRequest, LookupEventsRequest, MeterUsageRequest, RegisterUsageRequest,
    ResolveCustomerRequest, ShapeError,
};
use crate::rules;

pub(super) fn meter_usage(members: Value) -> Result<Work, ShapeError> {
    let request = model::read(members, MeterUsageRequest::read)?;
    Ok(Box::new(move |core, arrival| {
        let record = rules::meter_usage::meter_usage(&mut core.world, &request, arrival)?;
        Ok(json!({"MeteringRecordId": core.world.metering_record_id(record)}))
    }))
}

pub(super) fn register_usage(members: Value) -> Result<Work, ShapeError> {
    let request = model::read(members, RegisterUsageRequest::read)?;
    Ok(Box::new(move |core, arrival| {
        let registration =
            rules::register_usage::register_usage(&mut core.world, &request, arrival)?;
        let signature = core
            .keys
            .sign(registration.key_version, &registration.claims)?;
        let mut answer = json!({"Signature": signature});
        if let Some(rotated) = registration.rotated {
            answer["PublicKeyRotationTimestamp"] = json!(rotated.as_second());
        }
        Ok(answer)
    }))
}

pub(super) fn resolve_customer(members: Value) -> Result<Work, ShapeError> {
    let request = model::read(members, ResolveCustomerRequest::read)?;
    Ok(Box::new(move |core, arrival| {
        let resolved =
            rules::resolve_customer::resolve_customer(&core.world, &request, arrival.now)?;
        serde_json::to_value(resolved).map_err(|error| AwsError::unwritable(&error))
    }))
}

pub(super) fn get_entitlements(members: Value) -> Result<Work, ShapeError> {
    let request = model::read(members, GetEntitlementsRequest::read)?;
    Ok(Box::new(move |core, arrival| {
        let page = rules::get_entitlements::get_entitlements(&core.world, &request, arrival.now)?;
        Ok(page)
    }))
}

pub(super) fn lookup_events(members: Value) -> Result<Work, ShapeError> {
    let request = model::read(members, LookupEventsRequest::read)?;
    Ok(Box::new(move |core, arrival| {
        let page = rules::lookup_events::lookup_events(&core.world, &request, arrival)?;
        Ok(page)
    }))
}
