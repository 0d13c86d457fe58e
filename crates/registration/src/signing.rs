//! The key that signs everything that this function gives out and accepts again: cookies, forms and
//! tickets.
//!
//! There is one secret. The purpose is a part of each signed text, so that a value that was signed
//! for one purpose is not accepted for another.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use marketplace::text::hex;

use crate::ticket::TicketKey;

/// The smallest length of a secret, in bytes: the length of the HMAC's output.
const SECRET_BYTES_MIN: usize = 32;

/// The number of hexadecimal digits of a key's id. Two keys of one seller have different ids with
/// practical certainty.
const ID_DIGITS: usize = 16;

/// What a signature is for. The number in the text changes if the signed format changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The value of a cookie.
    Cookie,
    /// The hidden field of a form, for the value of a cookie.
    Form,
    /// The seed of the key that signs tickets.
    TicketKey,
    /// The id of the key.
    KeyId,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Cookie => "registration-cookie-1",
            Self::Form => "registration-form-1",
            Self::TicketKey => "registration-ticket-key-1",
            Self::KeyId => "registration-key-id-1",
        }
    }
}

/// The secret of the registration pages, and the keys that are derived from it. Clones share them.
#[derive(Clone)]
pub struct SessionKey(Arc<Keys>);

struct Keys {
    hmac: hmac::Key,
    id: String,
    tickets: TicketKey,
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

/// The error for a secret with fewer than 32 bytes. It contains the number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has {0} bytes, but needs at least 32 random bytes")]
pub struct ShortKey(pub usize);

impl SessionKey {
    /// Derives the keys from a secret text of at least 32 bytes.
    pub fn new(secret: &str) -> Result<Self, ShortKey> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(ShortKey(secret.len()));
        }
        let hmac = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let id = hex(signature_of(&hmac, Purpose::KeyId, "").as_ref());
        let id: String = id.chars().take(ID_DIGITS).collect();
        let seed = signature_of(&hmac, Purpose::TicketKey, "");
        let tickets = TicketKey::of_seed(seed.as_ref(), &id);
        Ok(Self(Arc::new(Keys { hmac, id, tickets })))
    }

    /// The id of the key: 16 hexadecimal digits. It is no secret.
    pub(crate) fn id(&self) -> &str {
        &self.0.id
    }

    /// The key that signs tickets.
    pub(crate) fn tickets(&self) -> &TicketKey {
        &self.0.tickets
    }

    /// Signs a text for a purpose. The signature has 64 hexadecimal digits.
    pub(crate) fn sign(&self, purpose: Purpose, text: &str) -> String {
        hex(signature_of(&self.0.hmac, purpose, text).as_ref())
    }

    /// Whether `signature` is the signature of a text for a purpose. It is compared in constant
    /// time.
    pub(crate) fn verify(&self, purpose: Purpose, text: &str, signature: &str) -> bool {
        let Some(signature) = from_hex(signature) else {
            return false;
        };
        hmac::verify(&self.0.hmac, &signed(purpose, text), &signature).is_ok()
    }
}

fn signature_of(key: &hmac::Key, purpose: Purpose, text: &str) -> hmac::Tag {
    hmac::sign(key, &signed(purpose, text))
}

fn signed(purpose: Purpose, text: &str) -> Vec<u8> {
    format!("{}\n{text}", purpose.as_str()).into_bytes()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let digits = std::str::from_utf8(pair).ok()?;
            let hex = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            hex.then(|| u8::from_str_radix(digits, 16).ok())?
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_signature_counts_for_its_own_text_purpose_and_key_only() {
        let key = SessionKey::new(SECRET).unwrap();
        let other = SessionKey::new(&SECRET.replace('0', "f")).unwrap();
        let signature = key.sign(Purpose::Cookie, "text");
        assert!(key.verify(Purpose::Cookie, "text", &signature));
        assert!(!key.verify(Purpose::Cookie, "texts", &signature));
        assert!(!key.verify(Purpose::Form, "text", &signature));
        assert!(!other.verify(Purpose::Cookie, "text", &signature));
        for signature in ["", "0", "zz", "äö", &signature[..62]] {
            assert!(
                !key.verify(Purpose::Cookie, "text", signature),
                "{signature}"
            );
        }
        assert_ne!(key.id(), other.id());
        assert_eq!(key.id().len(), ID_DIGITS);
    }

    #[test]
    fn a_short_secret_is_refused_and_no_secret_is_shown() {
        assert_eq!(SessionKey::new("short").unwrap_err(), ShortKey(5));
        let shown = format!("{:?}", SessionKey::new(SECRET).unwrap());
        assert!(!shown.contains(SECRET), "{shown}");
    }
}
