//! The cookie that names the license that a browser registers, for an hour.
//!
//! AWS requires a signature on the value that identifies a buyer until the registration is
//! complete. The value contains the subscription, and never the token. It is
//! `<payload in base64url>.<signature>`, and the payload is JSON.
//!
//! The fulfillment form comes from another site, so its answer sets the cookie and no earlier
//! cookie is needed. The browser sends it with the pages that follow, because `SameSite=Lax` allows
//! that. The prefix `__Host-` keeps other hosts from setting it. The name contains a part of the
//! key's id, so that two stacks behind one host do not overwrite each other's cookies.
//!
//! Fact: M36 (docs/marketplace-rules.md).

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use marketplace::Subscription;
use marketplace::hour::shift;
use serde::Deserialize;
use serde_json::json;

use crate::signing::{Purpose, SessionKey};

/// The time that a buyer has for the sign-up page.
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// The number of digits of the key's id that are a part of the cookie's name.
const NAME_DIGITS: usize = 8;

/// The license that a browser registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// The subscription of the license.
    pub subscription: Subscription,
    /// The second since the epoch from which the session is not accepted any more.
    expires: i64,
    /// Whether the browser said that the purchase is a free trial. AWS does not confirm that.
    pub free_trial: bool,
}

/// The payload as JSON.
#[derive(Deserialize)]
struct Payload {
    subscription: String,
    expires: i64,
    free_trial: bool,
}

/// The reason why a request has no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSession {
    /// The browser sent no cookie.
    #[error("the browser sent no cookie of this page")]
    Absent,
    /// The value was not signed with this key, or was changed later.
    #[error("the cookie was not signed by this page")]
    Forged,
    /// The value is older than an hour.
    #[error("the cookie is more than an hour old")]
    Expired,
}

impl Session {
    /// Begins a session at `now`.
    pub fn begin(subscription: Subscription, free_trial: bool, now: Timestamp) -> Self {
        Self {
            subscription,
            expires: shift(now, LIFETIME).as_second(),
            free_trial,
        }
    }

    /// The second since the epoch at which the session began.
    pub fn began(&self) -> i64 {
        self.expires.saturating_sub(LIFETIME.as_secs())
    }

    /// The value of the cookie.
    fn to_value(&self, key: &SessionKey) -> String {
        let payload = json!({
            "subscription": self.subscription.to_string(),
            "expires": self.expires,
            "free_trial": self.free_trial,
        });
        let payload = URL_SAFE_NO_PAD.encode(payload.to_string());
        let signature = key.sign(Purpose::Cookie, &payload);
        format!("{payload}.{signature}")
    }

    /// Reads the value of a cookie. The signature is compared before the payload is read.
    fn of_value(key: &SessionKey, value: &str, now: Timestamp) -> Result<Self, NoSession> {
        let (payload, signature) = value.split_once('.').ok_or(NoSession::Forged)?;
        if !key.verify(Purpose::Cookie, payload, signature) {
            return Err(NoSession::Forged);
        }
        let payload = URL_SAFE_NO_PAD
            .decode(payload)
            .map_err(|_| NoSession::Forged)?;
        let payload: Payload = serde_json::from_slice(&payload).map_err(|_| NoSession::Forged)?;
        if now.as_second() >= payload.expires {
            return Err(NoSession::Expired);
        }
        Ok(Self {
            subscription: payload
                .subscription
                .parse()
                .map_err(|_| NoSession::Forged)?,
            expires: payload.expires,
            free_trial: payload.free_trial,
        })
    }

    /// The header `Set-Cookie` with this session.
    pub fn set_cookie(&self, key: &SessionKey) -> HeaderValue {
        header(key, &self.to_value(key), LIFETIME.as_secs())
    }
}

/// The header `Set-Cookie` that removes the cookie.
pub(crate) fn removal(key: &SessionKey) -> HeaderValue {
    header(key, "", 0)
}

fn header(key: &SessionKey, value: &str, max_age_s: i64) -> HeaderValue {
    let name = name(key);
    let attributes = "Path=/; Secure; HttpOnly; SameSite=Lax";
    HeaderValue::try_from(format!("{name}={value}; {attributes}; Max-Age={max_age_s}"))
        .expect("base64url and hexadecimal digits are valid in a header")
}

/// The name of the cookie.
fn name(key: &SessionKey) -> String {
    let id: String = key.id().chars().take(NAME_DIGITS).collect();
    format!("__Host-registration-{id}")
}

/// The session of one request, with the value of its cookie.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The session that the cookie names.
    pub session: Session,
    value: String,
}

impl Arrival {
    /// Reads the session of a request.
    pub fn read(key: &SessionKey, headers: &HeaderMap, now: Timestamp) -> Result<Self, NoSession> {
        let value = value_of(headers, &name(key)).ok_or(NoSession::Absent)?;
        Ok(Self {
            session: Session::of_value(key, value, now)?,
            value: value.to_owned(),
        })
    }

    /// The value of the hidden field `form`. It connects a form with the cookie for which the page
    /// was made.
    pub fn form_token(&self, key: &SessionKey) -> String {
        key.sign(Purpose::Form, &self.value)
    }

    /// Whether a form with this hidden field belongs to the cookie.
    pub fn is_form_of(&self, key: &SessionKey, form_token: &str) -> bool {
        key.verify(Purpose::Form, &self.value, form_token)
    }
}

/// The value of a cookie; `None` if the request has no cookie with this name.
fn value_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let headers = headers.get_all(COOKIE).iter();
    let mut pairs = headers
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'));
    pairs.find_map(|pair| {
        let (found, value) = pair.trim().split_once('=')?;
        (found == name && !value.is_empty()).then_some(value)
    })
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

    fn session(subscription: &str) -> Session {
        Session::begin(subscription.parse().unwrap(), true, now())
    }

    /// The request headers of a browser that has received this `Set-Cookie`.
    fn returned(set_cookie: &HeaderValue) -> HeaderMap {
        let pair = set_cookie.to_str().unwrap().split(';').next().unwrap();
        let cookies = format!("theme=dark; {pair}; other=1");
        HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(cookies).unwrap())])
    }

    #[test]
    fn a_cookie_names_one_license_for_an_hour() {
        for subscription in [
            "legacy|code.1|cust. with | everything",
            "account|code1|111122223333",
        ] {
            let session = session(subscription);
            let headers = returned(&session.set_cookie(&key()));
            let read = |minutes| {
                let time = shift(now(), SignedDuration::from_mins(minutes));
                Arrival::read(&key(), &headers, time).map(|arrival| arrival.session)
            };
            assert_eq!(read(59), Ok(session.clone()));
            assert_eq!(read(60), Err(NoSession::Expired));
            assert_eq!(session.began(), now().as_second());
        }
    }

    #[test]
    fn a_cookie_is_for_this_host_alone_and_no_script_reads_it() {
        let set_cookie = session("account|code1|111122223333").set_cookie(&key());
        let text = set_cookie.to_str().unwrap();
        let signing = key();
        let digits = &signing.id()[..8];
        assert!(
            text.starts_with(&format!("__Host-registration-{digits}=")),
            "{text}"
        );
        assert!(
            text.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=3600"),
            "{text}"
        );
        let removed = removal(&key());
        assert!(removed.to_str().unwrap().ends_with("; Max-Age=0"));
        let empty = Arrival::read(&key(), &returned(&removed), now());
        assert_eq!(empty.unwrap_err(), NoSession::Absent);
    }

    #[test]
    fn a_cookie_of_another_key_is_not_seen_and_a_copied_one_is_forged() {
        let other = SessionKey::new(&SECRET.replace('0', "f")).unwrap();
        let session = session("account|code1|111122223333");
        let headers = returned(&session.set_cookie(&other));
        let read = Arrival::read(&key(), &headers, now());
        assert_eq!(read.unwrap_err(), NoSession::Absent);
        let value = session.to_value(&other);
        let read = Session::of_value(&key(), &value, now());
        assert_eq!(read, Err(NoSession::Forged));
    }

    #[test]
    fn a_form_belongs_to_the_cookie_that_its_page_was_made_for() {
        let arrival = |subscription: &str| {
            let headers = returned(&session(subscription).set_cookie(&key()));
            Arrival::read(&key(), &headers, now()).unwrap()
        };
        let first = arrival("account|code1|111122223333");
        let second = arrival("account|code2|111122223333");
        let token = first.form_token(&key());
        assert!(first.is_form_of(&key(), &token));
        assert!(!second.is_form_of(&key(), &token));
        assert!(!first.is_form_of(&key(), ""));
        // The signature of the cookie is not the signature of the form.
        let signature = first.value.split_once('.').unwrap().1;
        assert!(!first.is_form_of(&key(), signature));
    }

    proptest! {
        #[test]
        fn no_changed_value_is_accepted(at in 0_usize..300, byte in 0x21_u8..0x7f, garbage in ".{0,80}") {
            let value = session("account|code1|111122223333").to_value(&key());
            let mut changed = value.clone().into_bytes();
            let at = at % changed.len();
            changed[at] = byte;
            let changed = String::from_utf8(changed).unwrap();
            // The same signature in upper-case hexadecimal digits is accepted.
            let (payload, signature) = changed.split_once('.').unwrap_or((&changed, ""));
            let same = format!("{payload}.{}", signature.to_ascii_lowercase());
            if same != value {
                let read = Session::of_value(&key(), &changed, now());
                prop_assert_eq!(read, Err(NoSession::Forged));
            }
            let read = Session::of_value(&key(), &garbage, now());
            prop_assert_eq!(read, Err(NoSession::Forged));
        }
    }
}
