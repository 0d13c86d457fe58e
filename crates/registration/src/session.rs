//! Signs the resolved subscription for a page, so that only this function can create the value.
//!
//! AWS requires a signature on the value that identifies a buyer until the registration is
//! complete. The value contains the subscription, not the token, and only the contact form uses it.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use jiff::{SignedDuration, Timestamp};
use marketplace::Subscription;
use marketplace::hour::shift;
use marketplace::text::hex;

/// The smallest length of a key, in bytes: the length of the HMAC's output.
const KEY_BYTES_MIN: usize = 32;

/// The time that a buyer has for the form.
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// The format and the purpose, as a part of the signed text. So a value that was signed for another
/// purpose is not accepted.
const FORM: &str = "registration-1";

/// The HMAC-SHA-256 key that signs sessions. Clones share it.
#[derive(Clone)]
pub struct SessionKey(Arc<hmac::Key>);

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

/// The error for a secret with fewer than 32 bytes. It contains the number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has {0} bytes, but needs at least 32 random bytes")]
pub struct ShortKey(pub usize);

/// The reason why a signed value is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSession {
    /// The value was not signed with this key, or was changed later.
    #[error("the form's subscription was not signed by this page")]
    Forged,
    /// The value is older than an hour.
    #[error("the form is more than an hour old")]
    Expired,
}

impl SessionKey {
    /// Creates a key from a secret text of at least 32 bytes.
    pub fn new(secret: &str) -> Result<Self, ShortKey> {
        if secret.len() < KEY_BYTES_MIN {
            return Err(ShortKey(secret.len()));
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        Ok(Self(Arc::new(key)))
    }

    /// Signs a subscription. The result is `<signature>.<second of expiry>.<subscription>`, and is
    /// valid for an hour.
    pub fn sign(&self, subscription: &Subscription, now: Timestamp) -> String {
        let expires = shift(now, LIFETIME).as_second();
        let signature = hmac::sign(&self.0, &signed(expires, &subscription.to_string()));
        format!("{}.{expires}.{subscription}", hex(signature.as_ref()))
    }

    /// Returns the subscription in a value of [`SessionKey::sign`]. The signature is compared in
    /// constant time, before the other parts are used.
    pub fn verify(&self, value: &str, now: Timestamp) -> Result<Subscription, InvalidSession> {
        let mut parts = value.splitn(3, '.');
        let (Some(signature), Some(expires), Some(subscription)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidSession::Forged);
        };
        let signature = from_hex(signature).ok_or(InvalidSession::Forged)?;
        let expires: i64 = expires.parse().map_err(|_| InvalidSession::Forged)?;
        hmac::verify(&self.0, &signed(expires, subscription), &signature)
            .map_err(|_| InvalidSession::Forged)?;
        if now.as_second() >= expires {
            return Err(InvalidSession::Expired);
        }
        subscription.parse().map_err(|_| InvalidSession::Forged)
    }
}

fn signed(expires: i64, subscription: &str) -> Vec<u8> {
    format!("{FORM}\n{expires}\n{subscription}").into_bytes()
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
    use proptest::prelude::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn key() -> SessionKey {
        SessionKey::new(SECRET).unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-21T04:40:00Z".parse().unwrap()
    }

    #[test]
    fn a_signed_subscription_is_valid_for_an_hour() {
        for text in [
            "legacy|code.1|cust. with | everything",
            "account|code1|111122223333",
        ] {
            let subscription: Subscription = text.parse().unwrap();
            let value = key().sign(&subscription, now());
            let at = |minutes| shift(now(), SignedDuration::from_mins(minutes));
            assert_eq!(key().verify(&value, at(59)), Ok(subscription));
            assert_eq!(key().verify(&value, at(60)), Err(InvalidSession::Expired));
        }
    }

    #[test]
    fn another_key_or_a_short_one_is_refused() {
        let subscription = "account|code1|111122223333".parse().unwrap();
        let other = SessionKey::new(&SECRET.replace('0', "f")).unwrap();
        let value = other.sign(&subscription, now());
        assert_eq!(key().verify(&value, now()), Err(InvalidSession::Forged));
        assert_eq!(SessionKey::new("short").unwrap_err(), ShortKey(5));
    }

    proptest! {
        #[test]
        fn no_changed_value_is_accepted(at in 0usize..200, byte in 0x20u8..0x7f, garbage in ".{0,80}") {
            let subscription: Subscription = "account|code1|111122223333".parse().unwrap();
            let value = key().sign(&subscription, now());
            let mut changed = value.clone().into_bytes();
            let at = at % changed.len();
            changed[at] = byte;
            let changed = String::from_utf8(changed).unwrap();
            // The same signature in upper-case hexadecimal digits is accepted.
            if !changed.eq_ignore_ascii_case(&value) {
                prop_assert_eq!(key().verify(&changed, now()), Err(InvalidSession::Forged));
            }
            prop_assert_eq!(key().verify(&garbage, now()), Err(InvalidSession::Forged));
        }
    }
}
