//! Tickets: a registration as a signed value that the seller's own software can check.
//!
//! A ticket is a JSON Web Token (RFC 7519) that is signed with Ed25519 (RFC 8037). It is valid for
//! five minutes, is made for one audience, and carries the identifiers that AWS returned. It never
//! carries the registration token. The seller's software checks the signature with the public key
//! in `/.well-known/jwks.json`, or exchanges the ticket for its content, which is possible only
//! once (`exchange`).

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ledger::profile::Profile;
use marketplace::hour::shift;
use marketplace::text::hex;
use marketplace::{LicenseArn, Subscription};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The time for which a ticket is valid.
pub const LIFETIME: SignedDuration = SignedDuration::from_mins(5);

/// The name of the signature algorithm in a ticket's header (RFC 8037).
const ALGORITHM: &str = "EdDSA";

/// The number of random bytes in the id of a ticket or a request. Nobody can guess 128 bits.
const ID_BYTES: usize = 16;

/// The names of all claims of a ticket. `docs/registration.md` explains each of them.
pub const CLAIMS: [&str; 13] = [
    "iss",
    "aud",
    "iat",
    "exp",
    "jti",
    "subscription",
    "productCode",
    "customerAWSAccountId",
    "licenseArn",
    "customerIdentifier",
    "agreementId",
    "status",
    "freeTrial",
];

/// The claims of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The name of the stack.
    pub iss: String,
    /// The origin of the URL to which the ticket is sent.
    pub aud: String,
    /// The second since the epoch at which the ticket was made.
    pub iat: i64,
    /// The second since the epoch from which the ticket is not accepted any more.
    pub exp: i64,
    /// The random id of the ticket.
    pub jti: String,
    /// The buyer and the subscription.
    #[serde(flatten)]
    pub buyer: Buyer,
}

/// The buyer and the subscription in a ticket. The identifiers are those that AWS returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Buyer {
    /// The key of the subscription, with which usage is reported.
    pub subscription: String,
    /// The code of the product.
    pub product_code: String,
    /// The buyer's AWS account, if AWS named it.
    #[serde(
        rename = "customerAWSAccountId",
        skip_serializing_if = "Option::is_none"
    )]
    pub account: Option<String>,
    /// The license, if AWS named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license_arn: Option<String>,
    /// The buyer's legacy identifier, if AWS named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_identifier: Option<String>,
    /// The agreement, if AWS named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement_id: Option<String>,
    /// The status of the subscription: `pending`, `active`, `ending` or `ended`.
    pub status: String,
    /// Whether the browser said that the purchase is a free trial. AWS does not confirm that.
    pub free_trial: bool,
}

impl Buyer {
    /// The buyer of a profile. `license` is the license that AWS has just returned. If it is `None`,
    /// the subscription may name it.
    pub fn of(profile: &Profile, license: Option<&LicenseArn>, free_trial: bool) -> Self {
        let own = match &profile.subscription {
            Subscription::License(license) => Some(license),
            Subscription::Customer(..) | Subscription::Account(..) => None,
        };
        Self {
            subscription: profile.subscription.to_string(),
            product_code: profile.product.to_string(),
            account: profile.account.as_ref().map(ToString::to_string),
            license_arn: license.or(own).map(ToString::to_string),
            customer_identifier: profile.customer.as_ref().map(ToString::to_string),
            agreement_id: profile.agreement.as_ref().map(ToString::to_string),
            status: profile.status().to_string(),
            free_trial,
        }
    }
}

impl Claims {
    /// The claims of a new ticket. Fails only if the system has no random numbers.
    pub fn new(
        issuer: &str,
        audience: &str,
        buyer: Buyer,
        now: Timestamp,
    ) -> Result<Self, Unspecified> {
        Ok(Self {
            iss: issuer.to_owned(),
            aud: audience.to_owned(),
            iat: now.as_second(),
            exp: shift(now, LIFETIME).as_second(),
            jti: random_id()?,
            buyer,
        })
    }

    /// Whether the ticket is too old at `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now.as_second() >= self.exp
    }
}

/// A random id of 32 hexadecimal digits. Fails only if the system has no random numbers.
pub(crate) fn random_id() -> Result<String, Unspecified> {
    let mut bytes = [0_u8; ID_BYTES];
    rand::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

/// A value that is no ticket of this stack. The error does not repeat the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidTicket {
    /// The value does not have the form of a ticket.
    #[error("it is not three parts in base64url with a header and claims in JSON")]
    Form,
    /// The header names another algorithm or another key.
    #[error("its header does not name this stack's key: fetch the ticket from a new registration")]
    Key,
    /// The signature is not that of this stack's key.
    #[error("its signature does not fit its content")]
    Signature,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

/// The Ed25519 key that signs tickets.
pub(crate) struct TicketKey {
    pair: Ed25519KeyPair,
    id: String,
}

impl TicketKey {
    /// Makes the key of a secret seed.
    ///
    /// # Panics
    ///
    /// If the seed does not have 32 bytes.
    pub fn of_seed(seed: &[u8], id: &str) -> Self {
        Self {
            pair: Ed25519KeyPair::from_seed_unchecked(seed).expect("a seed of 32 bytes"),
            id: id.to_owned(),
        }
    }

    /// Signs claims. The result is a ticket.
    pub fn sign(&self, claims: &Claims) -> String {
        let header = json!({"alg": ALGORITHM, "kid": self.id, "typ": "JWT"});
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let claims = URL_SAFE_NO_PAD.encode(json!(claims).to_string());
        let signed = format!("{header}.{claims}");
        let signature = self.pair.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Returns the claims of a ticket whose signature is right. The caller checks audience and age.
    pub fn read(&self, ticket: &str) -> Result<Claims, InvalidTicket> {
        let (signed, signature) = ticket.rsplit_once('.').ok_or(InvalidTicket::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(InvalidTicket::Form)?;
        let header: Header = part(header)?;
        // The ticket must not choose the algorithm. Otherwise a ticket can be forged with `none`, or
        // with HMAC and the public key as the secret.
        if header.alg != ALGORITHM || header.kid != self.id {
            return Err(InvalidTicket::Key);
        }
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| InvalidTicket::Form)?;
        UnparsedPublicKey::new(&ED25519, self.pair.public_key().as_ref())
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| InvalidTicket::Signature)?;
        part(claims)
    }

    /// The public key as a JSON Web Key Set (RFC 7517).
    pub fn jwks(&self) -> Value {
        let public = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        json!({"keys": [{
            "kty": "OKP",
            "crv": "Ed25519",
            "alg": ALGORITHM,
            "use": "sig",
            "kid": self.id,
            "x": public,
        }]})
    }
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, InvalidTicket> {
    let json = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| InvalidTicket::Form)?;
    serde_json::from_slice(&json).map_err(|_| InvalidTicket::Form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LICENSE: &str = "arn:aws:license-manager::294406891311:license:l-0123";

    fn now() -> Timestamp {
        "2026-11-21T04:40:00Z".parse().unwrap()
    }

    fn key() -> TicketKey {
        TicketKey::of_seed(&[7; 32], "0123456789abcdef")
    }

    fn profile(subscription: &str) -> Profile {
        let subscription = subscription.parse().unwrap();
        let mut profile = Profile::new(subscription, "code1".parse().unwrap(), now());
        profile.account = Some("111122223333".parse().unwrap());
        profile.customer = Some("cust1".parse().unwrap());
        profile.agreement = Some("agmt-1".parse().unwrap());
        profile
    }

    fn claims() -> Claims {
        let buyer = Buyer::of(&profile(LICENSE), None, false);
        Claims::new("metering", "https://app.example.com", buyer, now()).unwrap()
    }

    #[test]
    fn a_ticket_has_exactly_the_documented_claims() {
        let claims = json!(claims());
        let mut names: Vec<&String> = claims.as_object().unwrap().keys().collect();
        let mut documented = CLAIMS;
        names.sort();
        documented.sort_unstable();
        assert_eq!(names, documented);
        assert_eq!(claims["customerAWSAccountId"], "111122223333");
        assert_eq!(claims["licenseArn"], LICENSE);
        assert_eq!(claims["agreementId"], "agmt-1");
        assert_eq!(
            (&claims["status"], &claims["freeTrial"]),
            (&json!("pending"), &json!(false))
        );
        let (issued, expires) = (claims["iat"].as_i64(), claims["exp"].as_i64());
        assert_eq!(issued.map(|second| second + 300), expires);
        assert_eq!(claims["jti"].as_str().unwrap().len(), 32);
    }

    #[test]
    fn a_claim_that_aws_did_not_name_is_absent() {
        let mut legacy = profile("legacy|code1|cust1");
        legacy.agreement = None;
        let json = json!(Buyer::of(&legacy, None, true));
        for name in ["licenseArn", "agreementId"] {
            assert!(json.get(name).is_none(), "{name}");
        }
        // The license that AWS returned with the token is named even if it is not the identity.
        let license = LICENSE.parse().unwrap();
        let json = json!(Buyer::of(&legacy, Some(&license), true));
        assert_eq!(json["licenseArn"], LICENSE);
    }

    #[test]
    fn a_ticket_is_read_by_its_own_key_until_it_expires() {
        let claims = claims();
        let ticket = key().sign(&claims);
        assert_eq!(key().read(&ticket), Ok(claims.clone()));
        let of_other_id = TicketKey::of_seed(&[7; 32], "fedcba9876543210");
        assert_eq!(of_other_id.read(&ticket), Err(InvalidTicket::Key));
        let other = TicketKey::of_seed(&[8; 32], "0123456789abcdef");
        assert_eq!(other.read(&ticket), Err(InvalidTicket::Signature));
        let after = |seconds| shift(now(), SignedDuration::from_secs(seconds));
        assert!(!claims.is_expired(after(299)) && claims.is_expired(after(300)));
    }

    #[test]
    fn a_ticket_cannot_choose_its_algorithm() {
        let ticket = key().sign(&claims());
        let (_, rest) = ticket.split_once('.').unwrap();
        for header in [
            json!({"alg": "none", "kid": "0123456789abcdef"}),
            json!({"alg": "HS256", "kid": "0123456789abcdef"}),
        ] {
            let header = URL_SAFE_NO_PAD.encode(header.to_string());
            let read = key().read(&format!("{header}.{rest}"));
            assert_eq!(read, Err(InvalidTicket::Key));
        }
        for text in ["", ".", "..", "a.b", "a.b.c", &format!("{ticket}.x")] {
            assert_eq!(key().read(text), Err(InvalidTicket::Form), "{text}");
        }
    }

    #[test]
    fn the_key_set_has_the_public_key_that_verifies_tickets() {
        let set = key().jwks();
        let public = URL_SAFE_NO_PAD.decode(set["keys"][0]["x"].as_str().unwrap());
        let ticket = key().sign(&claims());
        let (signed, signature) = ticket.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = UnparsedPublicKey::new(&ED25519, public.unwrap());
        assert!(public.verify(signed.as_bytes(), &signature).is_ok());
    }

    proptest! {
        #[test]
        fn no_changed_ticket_is_accepted(at in 0_usize..2_000, byte in 0x21_u8..0x7f, garbage in ".{0,80}") {
            let ticket = key().sign(&claims());
            let mut changed = ticket.clone().into_bytes();
            let at = at % changed.len();
            changed[at] = byte;
            let changed = String::from_utf8(changed).unwrap();
            if changed != ticket {
                prop_assert!(key().read(&changed).is_err());
            }
            prop_assert!(key().read(&garbage).is_err());
        }
    }
}
