//! The keys with which `RegisterUsage` signs its answers. The algorithm is RSA-PSS with SHA-256,
//! which JWT calls PS256.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PSS_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

/// The error of a key that cannot be made or used.
#[derive(Debug, Error, PartialEq)]
pub enum KeyError {
    /// The cryptographic library refused the operation.
    #[error("the key of version {version} could not be made or used")]
    Crypto {
        /// The key's version, from 1.
        version: usize,
    },
}

/// The signing keys, one for each version. A key is made when it is first needed. Clones share the
/// keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct SigningKeys {
    keys: Arc<Mutex<Vec<Arc<RsaKeyPair>>>>,
}

/// A public key, with which a seller verifies the signatures of `RegisterUsage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// The `PublicKeyVersion` of the key.
    pub version: usize,
    /// The signature algorithm, always `PS256`.
    pub algorithm: String,
    /// The key as X.509 SubjectPublicKeyInfo in PEM.
    pub pem: String,
}

impl SigningKeys {
    fn key(&self, version: usize) -> Result<Arc<RsaKeyPair>, KeyError> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        while keys.len() < version {
            let key =
                RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Crypto { version })?;
            keys.push(Arc::new(key));
        }
        keys.get(version.saturating_sub(1))
            .cloned()
            .ok_or(KeyError::Crypto { version })
    }

    /// Signs a JSON Web Token with the claims.
    pub(crate) fn sign(&self, version: usize, claims: &Value) -> Result<String, KeyError> {
        let key = self.key(version)?;
        let header = json!({"alg": "PS256", "typ": "JWT"});
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(
            &RSA_PSS_SHA256,
            &SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )
        .map_err(|_| KeyError::Crypto { version })?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    pub(crate) fn public(&self, version: usize) -> Result<PublicKey, KeyError> {
        let key = self.key(version)?;
        let der = AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key())
            .map_err(|_| KeyError::Crypto { version })?;
        let text = STANDARD.encode(der.as_ref());
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = after;
        }
        pem.push_str("-----END PUBLIC KEY-----\n");
        Ok(PublicKey {
            version,
            algorithm: "PS256".to_owned(),
            pem,
        })
    }
}
