//! Checks the signature of RegisterUsage's answer. The signature is a JSON Web Token that only AWS
//! Marketplace can create, so a container detects a forged answer.

use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use marketplace::ProductCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::batch_answer::timestamp;
use crate::text::shown;

/// The most bytes of a token or a public key. The limit is this project's; tokens and keys of AWS
/// Marketplace have about 1,000 bytes.
const BYTES_MAX: usize = 16_384;

/// The values of the request, which the answer must repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The product code of the request.
    pub product: ProductCode,
    /// The version of the public key in the request.
    pub public_key_version: u32,
    /// The nonce of the request; `None` if it had none.
    pub nonce: Option<String>,
}

/// The values that AWS Marketplace signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The product code that AWS Marketplace signed.
    pub product: ProductCode,
    /// The version of the public key that AWS Marketplace signed.
    pub public_key_version: u32,
    /// The nonce of the request; `None` if it had none.
    pub nonce: Option<String>,
    /// The time at which AWS Marketplace signed the token; `None` if the token does not have it.
    pub issued_at: Option<Timestamp>,
}

/// The reason why a signature of RegisterUsage is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignature {
    /// The public key is not a PEM block.
    #[error(
        "the public key is not a PEM block \"BEGIN PUBLIC KEY\": use the one AWS Marketplace gave for the product, unchanged"
    )]
    PublicKey,
    /// The token is not a JSON Web Token with the expected claims.
    #[error("the signature is not a JSON Web Token: {0}")]
    Malformed(&'static str),
    /// The token is signed with an algorithm other than PS256.
    #[error("the signature's algorithm is {0:?}: AWS Marketplace signs only with PS256")]
    Algorithm(String),
    /// The signature does not match the key: the token is forged or changed, or the key is wrong.
    #[error(
        "the signature does not match the public key: the answer is not from AWS Marketplace, or the key is not that of public key version {0}"
    )]
    Forged(u32),
    /// The signature is valid, but the token answers another request.
    #[error(
        "the signed {claim} is {signed:?}, but the request had {asked:?}: this is the answer to another call"
    )]
    Mismatch {
        /// The name of the claim.
        claim: &'static str,
        /// The value that AWS signed.
        signed: String,
        /// The value of the request.
        asked: String,
    },
}

/// Checks that AWS Marketplace created this token for this request, signed with PS256. Returns the
/// signed values.
///
/// `public_key_pem` is the key that AWS Marketplace gave for the product (`BEGIN PUBLIC KEY`, RSA
/// of 2,048 bits or more).
pub fn verify_register_usage(
    signature_jwt: &str,
    public_key_pem: &str,
    expected: &Expected,
) -> Result<Claims, InvalidSignature> {
    let key = public_key(public_key_pem)?;
    if signature_jwt.len() > BYTES_MAX {
        return Err(InvalidSignature::Malformed("it is longer than 16384 bytes"));
    }
    let token = signature_jwt.trim();
    let (signed, signature) = token
        .rsplit_once('.')
        .ok_or(InvalidSignature::Malformed("it does not have three parts"))?;
    let (header, payload) = signed
        .split_once('.')
        .ok_or(InvalidSignature::Malformed("it does not have three parts"))?;
    let header: Header = part(header, "its header is not JSON in base64url")?;
    // The token must not choose the algorithm. Otherwise a token can be forged with `none`, or with
    // HMAC and the public key as the secret.
    if header.alg != "PS256" {
        return Err(InvalidSignature::Algorithm(shown(&header.alg, 20)));
    }
    let signature = decode(signature, "its signature is not base64url")?;
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| InvalidSignature::Forged(expected.public_key_version))?;
    let payload: Payload = part(payload, "its payload lacks ProductCode or PublicKeyVersion")?;
    compare(&payload, expected)?;
    Ok(Claims {
        product: expected.product.clone(),
        public_key_version: expected.public_key_version,
        nonce: payload.nonce.filter(|nonce| !nonce.is_empty()),
        issued_at: payload.iat.as_ref().and_then(timestamp),
    })
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// The claims. AWS's documentation spells them both with and without a capital letter.
#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "ProductCode", alias = "productCode")]
    product_code: String,
    #[serde(rename = "PublicKeyVersion", alias = "publicKeyVersion")]
    public_key_version: u32,
    #[serde(rename = "Nonce", alias = "nonce")]
    nonce: Option<String>,
    iat: Option<Value>,
}

fn compare(signed: &Payload, expected: &Expected) -> Result<(), InvalidSignature> {
    let version = signed.public_key_version.to_string();
    let nonce = signed.nonce.as_deref().unwrap_or_default();
    for (claim, signed, asked) in [
        (
            "ProductCode",
            signed.product_code.as_str(),
            expected.product.as_str(),
        ),
        (
            "PublicKeyVersion",
            &version,
            &expected.public_key_version.to_string(),
        ),
        (
            "Nonce",
            nonce,
            expected.nonce.as_deref().unwrap_or_default(),
        ),
    ] {
        if signed != asked {
            return Err(InvalidSignature::Mismatch {
                claim,
                signed: shown(signed, 255),
                asked: asked.to_owned(),
            });
        }
    }
    Ok(())
}

fn decode(text: &str, what: &'static str) -> Result<Vec<u8>, InvalidSignature> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| InvalidSignature::Malformed(what))
}

fn part<T: DeserializeOwned>(text: &str, what: &'static str) -> Result<T, InvalidSignature> {
    serde_json::from_slice(&decode(text, what)?).map_err(|_| InvalidSignature::Malformed(what))
}

/// Returns the DER of the PEM block, a SubjectPublicKeyInfo.
fn public_key(pem: &str) -> Result<Vec<u8>, InvalidSignature> {
    if pem.len() > BYTES_MAX {
        return Err(InvalidSignature::PublicKey);
    }
    let body = pem
        .split_once("-----BEGIN PUBLIC KEY-----")
        .and_then(|(_, rest)| rest.split_once("-----END PUBLIC KEY-----"))
        .map(|(body, _)| body.split_whitespace().collect::<String>())
        .ok_or(InvalidSignature::PublicKey)?;
    let der = STANDARD
        .decode(body)
        .map_err(|_| InvalidSignature::PublicKey)?;
    if der.is_empty() {
        Err(InvalidSignature::PublicKey)
    } else {
        Ok(der)
    }
}
