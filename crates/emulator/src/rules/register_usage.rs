//! `RegisterUsage`: a container registers at its start.
//!
//! Facts: M31, M35 (docs/marketplace-rules.md).

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::Arrival;
use crate::model::RegisterUsageRequest;
use crate::settings::Platform;
use crate::world::World;

/// Why a container is not registered.
#[derive(Clone, Debug, Error, PartialEq)]
pub(crate) enum RegisterUsageError {
    #[error("The product code '{code}' is not one of the seller's products")]
    UnknownProduct { code: String },
    #[error("RegisterUsage was called in {region}, but the container runs in {runs_in}")]
    OtherRegion { region: String, runs_in: String },
    #[error("The public key version {version} does not exist; the newest is {newest}")]
    KeyVersion { version: i64, newest: usize },
    #[error("Only Amazon ECS, Amazon EKS and AWS Fargate are supported, not {platform:?}")]
    Platform { platform: Platform },
    #[error("The account has no subscription to product '{code}'")]
    NotEntitled { code: String },
}

impl RegisterUsageError {
    /// The name of the exception in the API model.
    pub(crate) fn code(&self) -> &'static str {
        use RegisterUsageError as E;
        match self {
            E::UnknownProduct { .. } => "InvalidProductCodeException",
            E::OtherRegion { .. } => "InvalidRegionException",
            E::KeyVersion { .. } => "InvalidPublicKeyVersionException",
            E::Platform { .. } => "PlatformNotSupportedException",
            E::NotEntitled { .. } => "CustomerNotEntitledException",
        }
    }
}

/// The claims to be signed, and the version of the key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Registration {
    /// The version of the key, from 1.
    pub(crate) key_version: usize,
    /// The claims of the token.
    pub(crate) claims: Value,
    /// When this version of the key expired. `None` if it is the newest version.
    pub(crate) rotated: Option<Timestamp>,
}

/// Registers a container. A registered container may register again even after its account has
/// unsubscribed.
pub(crate) fn register_usage(
    world: &mut World,
    request: &RegisterUsageRequest,
    arrival: Arrival<'_>,
) -> Result<Registration, RegisterUsageError> {
    let code = || request.product_code.clone();
    let product = *world
        .product_by_code
        .get(&request.product_code)
        .ok_or_else(|| RegisterUsageError::UnknownProduct { code: code() })?;
    if let Some(runs_in) = &world.settings.software_region
        && runs_in != arrival.region
    {
        return Err(RegisterUsageError::OtherRegion {
            region: arrival.region.to_owned(),
            runs_in: runs_in.clone(),
        });
    }
    let platform = world.settings.platform;
    if !matches!(platform, Platform::Ecs | Platform::Eks | Platform::Fargate) {
        return Err(RegisterUsageError::Platform { platform });
    }
    let newest = world.newest_key_version();
    let key_version = usize::try_from(request.public_key_version)
        .ok()
        .filter(|version| (1..=newest).contains(version))
        .ok_or(RegisterUsageError::KeyVersion {
            version: request.public_key_version,
            newest,
        })?;
    let instance = world.instances.number(arrival.access_key_id);
    let not_entitled = || RegisterUsageError::NotEntitled { code: code() };
    let customer = world
        .buyer(product, arrival.access_key_id, arrival.now)
        .ok_or_else(not_entitled)?;
    if !world.is_entitled(customer, arrival.now)
        && !world.instances.is_registered(customer, instance)
    {
        return Err(not_entitled());
    }
    world.instances.register(customer, instance);
    let rotated = world.key_rotations.get(key_version - 1).copied();
    Ok(Registration {
        key_version,
        claims: claims(request, rotated, arrival.now),
        rotated,
    })
}

fn claims(request: &RegisterUsageRequest, rotated: Option<Timestamp>, now: Timestamp) -> Value {
    let mut claims = Map::new();
    claims.insert("ProductCode".to_owned(), json!(request.product_code));
    claims.insert(
        "PublicKeyVersion".to_owned(),
        json!(request.public_key_version),
    );
    if let Some(nonce) = &request.nonce {
        claims.insert("Nonce".to_owned(), json!(nonce));
    }
    claims.insert(
        "PublicKeyRotationTimestamp".to_owned(),
        json!(rotated.map(Timestamp::as_second)),
    );
    claims.insert("iat".to_owned(), json!(now.as_second()));
    Value::Object(claims)
}

impl World {
    /// The newest version of the public key, from 1.
    pub(crate) fn newest_key_version(&self) -> usize {
        self.key_rotations.len() + 1
    }
}
