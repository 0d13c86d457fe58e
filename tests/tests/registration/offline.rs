//! Verifies tickets as the seller's software does, with the published keys alone.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The claims of a ticket for `audience`; `None` if it is not valid at `now`, in seconds since the
/// epoch. `keys` is the content of `/.well-known/jwks.json`.
pub fn claims_of(ticket: &str, keys: &Value, audience: &str, now: i64) -> Option<Value> {
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let json = |text: &str| serde_json::from_slice::<Value>(&bytes(text)?).ok();
    let (signed, signature) = ticket.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let (header, claims) = (json(header)?, json(claims)?);
    let mut keys = keys["keys"].as_array()?.iter();
    let key = keys.find(|key| key["kid"] == header["kid"] && header["alg"] == "EdDSA")?;
    let key = UnparsedPublicKey::new(&ED25519, bytes(key["x"].as_str()?)?);
    key.verify(signed.as_bytes(), &bytes(signature)?).ok()?;
    let is_valid = claims["aud"] == audience && now < claims["exp"].as_i64()?;
    is_valid.then_some(claims)
}
