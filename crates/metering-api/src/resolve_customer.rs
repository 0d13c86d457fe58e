//! ResolveCustomer: exchanges the registration token from a buyer's browser for the buyer's
//! identity.
//!
//! Fact: M39 (docs/marketplace-rules.md).

use std::fmt;
use std::str::FromStr;

use marketplace::{AccountId, AgreementId, CustomerIdentifier, LicenseArn, ProductCode};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::call_error::{CallError, MESSAGE_CHARS_MAX, NO_CREDENTIALS, NOT_SENT};
use crate::exchange::Reply;
use crate::text::shown;

/// The most bytes of a registration token. The limit is this project's: AWS documents none, and
/// real tokens have a few hundred bytes.
pub const REGISTRATION_TOKEN_BYTES_MAX: usize = 8_192;

/// The `x-amzn-marketplace-token` of a form post. Anybody who has the token can act as the buyer.
/// So it is never printed, and it must not be put into a URL, a cookie, a log or a table.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistrationToken(String);

/// The rule that a registration token breaks. The message does not repeat the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// The text is empty.
    #[error(
        "the registration token is empty: open the page with \"Set up your account\" in the AWS console"
    )]
    Empty,
    /// The text has more than 8,192 bytes.
    #[error("the registration token has {0} bytes: at most 8192 are accepted")]
    TooLong(usize),
    /// The text has white space or control characters.
    #[error(
        "the registration token has a space or a control character at byte {0}: it was damaged in transit"
    )]
    Character(usize),
}

impl RegistrationToken {
    /// Accepts 1 to 8,192 bytes without white space and control characters (the API model's `\S+`).
    pub fn new(text: String) -> Result<Self, InvalidToken> {
        if text.is_empty() {
            return Err(InvalidToken::Empty);
        }
        if text.len() > REGISTRATION_TOKEN_BYTES_MAX {
            return Err(InvalidToken::TooLong(text.len()));
        }
        match text.find(|c: char| c.is_whitespace() || c.is_control()) {
            Some(at) => Err(InvalidToken::Character(at)),
            None => Ok(Self(text)),
        }
    }

    /// The body of the request. The token is written to no other place.
    pub(crate) fn request_body(&self) -> Vec<u8> {
        crate::usage_record::to_json(&Body {
            registration_token: &self.0,
        })
    }

    /// Removes the token from `error`, in case the service repeated it in the message. If the message
    /// was cut off within the token, the first part of the token is removed.
    pub(crate) fn erase_from(&self, mut error: CallError) -> CallError {
        const ERASED: &str = "<registration token>";
        let is_cut_off = error.message.chars().count() >= MESSAGE_CHARS_MAX;
        error.message = error.message.replace(&self.0, ERASED);
        if !is_cut_off {
            return error;
        }
        let mut starts = self.0.char_indices().rev().map(|(at, _)| &self.0[..at]);
        let start = starts.find(|start| !start.is_empty() && error.message.ends_with(start));
        if let Some(start) = start {
            let kept = error.message.len() - start.len();
            error.message.truncate(kept);
            error.message.push_str(ERASED);
        }
        error
    }
}

impl fmt::Debug for RegistrationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegistrationToken(..)")
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    registration_token: &'a str,
}

/// The buyer of a registration token. It proves the buyer's identity but not the purchase. Meter
/// only once the license is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedCustomer {
    /// The product that the buyer came from.
    pub product: ProductCode,
    /// The buyer's AWS account; `None` if the answer has none.
    pub account: Option<AccountId>,
    /// The license, which identifies the subscription for products of June 2026 and later; `None`
    /// for older products.
    pub license: Option<LicenseArn>,
    /// The customer identifier of legacy listings; `None` for newer listings, for which AWS sends
    /// it empty.
    pub customer: Option<CustomerIdentifier>,
    /// The agreement, which connects the buyer with lifecycle events; `None` if the answer names
    /// none.
    pub agreement: Option<AgreementId>,
}

/// The advice for the buyer after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuyerAdvice {
    /// Press "Set up your account" in the AWS console again. Subscribing again is not necessary.
    SetUpAgain,
    /// Try again in a minute.
    TryAgainSoon,
    /// Contact the seller's support, because only the seller can solve the problem.
    ContactSupport,
}

/// The error of a registration token that could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveCustomerError {
    /// AWS Marketplace does not know the token.
    #[error(
        "the registration token is not valid: press \"Set up your account\" in the AWS console again"
    )]
    InvalidToken,
    /// The token is too old to be resolved.
    #[error(
        "the registration token has expired: press \"Set up your account\" in the AWS console again"
    )]
    ExpiredToken,
    /// AWS throttled the call, so the buyer should try again.
    #[error(transparent)]
    Throttled(CallError),
    /// AWS, or the network path to it, fails temporarily.
    #[error(transparent)]
    Unavailable(CallError),
    /// AWS refused the seller's call, because of its permissions, credentials, account or Region.
    #[error(transparent)]
    Refused(CallError),
    /// The answer does not identify the buyer.
    #[error(transparent)]
    Incomplete(#[from] IncompleteAnswer),
}

/// The member of the answer that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ResolveCustomer answered without a usable {member}: {why} (request {}). Next: give the request id to AWS Marketplace Seller Operations", .request_id.as_deref().unwrap_or("id unknown"))]
pub struct IncompleteAnswer {
    /// The name of the member.
    pub member: &'static str,
    /// A sentence that the member is missing, or the rule that it breaks.
    pub why: String,
    /// The request id that AWS support asks for; `None` if the answer had none.
    pub request_id: Option<String>,
}

impl ResolveCustomerError {
    /// The advice for the buyer.
    pub fn advice(&self) -> BuyerAdvice {
        match self {
            Self::InvalidToken | Self::ExpiredToken => BuyerAdvice::SetUpAgain,
            Self::Throttled(_) | Self::Unavailable(_) => BuyerAdvice::TryAgainSoon,
            Self::Refused(_) | Self::Incomplete(_) => BuyerAdvice::ContactSupport,
        }
    }
}

impl From<CallError> for ResolveCustomerError {
    fn from(error: CallError) -> Self {
        match error.code.as_str() {
            // The request contains only the token. So if the request is malformed, the token is.
            "InvalidTokenException" | "ValidationException" => Self::InvalidToken,
            "ExpiredTokenException" if !is_about_credentials(&error) => Self::ExpiredToken,
            "ThrottlingException" => Self::Throttled(error),
            NO_CREDENTIALS | NOT_SENT => Self::Refused(error),
            _ => match error.http_status {
                Some(408 | 429) => Self::Unavailable(error),
                Some(400..=499) => Self::Refused(error),
                _ => Self::Unavailable(error),
            },
        }
    }
}

/// Returns whether an ExpiredTokenException is about credentials. ResolveCustomer uses that name
/// for the registration token, and every AWS service uses it for temporary credentials, "the
/// security token included in the request". The buyer can only renew the registration token.
fn is_about_credentials(error: &CallError) -> bool {
    error
        .message
        .to_ascii_lowercase()
        .contains("security token")
}

impl ResolvedCustomer {
    pub(crate) fn read(reply: &Reply) -> Result<Self, IncompleteAnswer> {
        let incomplete = |member, why: &dyn fmt::Display| IncompleteAnswer {
            member,
            why: why.to_string(),
            request_id: reply.request_id.clone(),
        };
        let product = member(&reply.members, "ProductCode")
            .map_err(|e| incomplete("ProductCode", &e))?
            .ok_or_else(|| incomplete("ProductCode", &"it is missing"))?;
        let resolved = Self {
            product,
            account: member(&reply.members, "CustomerAWSAccountId")
                .map_err(|e| incomplete("CustomerAWSAccountId", &e))?,
            license: member(&reply.members, "LicenseArn")
                .map_err(|e| incomplete("LicenseArn", &e))?,
            customer: member(&reply.members, "CustomerIdentifier")
                .map_err(|e| incomplete("CustomerIdentifier", &e))?,
            agreement: agreement(reply),
        };
        if resolved.license.is_none() && resolved.account.is_none() && resolved.customer.is_none() {
            return Err(incomplete(
                "identity",
                &"LicenseArn, CustomerAWSAccountId and CustomerIdentifier are all missing",
            ));
        }
        Ok(resolved)
    }
}

/// Reads a member as an identifier; `None` if it is absent, null or empty.
fn member<T: FromStr<Err: fmt::Display>>(
    members: &Map<String, Value>,
    name: &str,
) -> Result<Option<T>, String> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|e| T::Err::to_string(&e)),
        Some(_) => Err("it is not a text".to_owned()),
    }
}

/// Reads `Metadata.AgreementId`. The purchase is valid without it, and the license's first
/// lifecycle event names it again. So an unreadable agreement id is ignored, and the buyer is
/// accepted.
fn agreement(reply: &Reply) -> Option<AgreementId> {
    let text = reply
        .members
        .get("Metadata")?
        .get("AgreementId")?
        .as_str()?;
    match text.parse() {
        Ok(agreement) => Some(agreement),
        Err(_) if text.is_empty() => None,
        Err(error) => {
            tracing::warn!(
                agreement = shown(text, 100),
                %error,
                "the agreement id in the answer of ResolveCustomer is not valid; it is ignored"
            );
            None
        }
    }
}
