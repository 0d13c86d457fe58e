//! The reasons why a buyer gets another page than the one that was asked for, and how each of them
//! is shown.

use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use ledger::LedgerError;
use marketplace::ProductCode;
use metering_api::InvalidToken;

use crate::cookie::NoSession;
use crate::page::{Content, MalformedForm};

/// The reason why a registration does not go on.
pub(crate) enum Refusal {
    /// The fulfillment form has no token.
    NoToken,
    /// The fulfillment form's token cannot be a token.
    InvalidToken,
    /// The fields of a form cannot be read.
    Unreadable,
    /// The body of the request is too large.
    TooLarge,
    /// The body of the request is no form.
    WrongContentType,
    /// The token or the cookie is not valid any more.
    SetUpAgain,
    /// The browser sent no cookie.
    NoCookie,
    /// The form belongs to another registration, or comes from another site.
    WrongForm,
    /// There is no such page.
    NotFound,
    /// AWS Marketplace or DynamoDB is unavailable.
    TryAgainSoon,
    /// Only the seller can solve the problem.
    ContactSupport,
    /// This stack does not serve the product.
    OtherProduct(ProductCode),
}

impl Refusal {
    /// The refusal of a body that is not a valid form. The rejection's own text may repeat the token
    /// or contact data, so it is not used.
    pub fn of_form(rejection: &FormRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::WrongContentType,
            _ => Self::Unreadable,
        }
    }

    /// The refusal after a failure of the tables, which is logged.
    pub fn of_ledger(error: &LedgerError) -> Self {
        tracing::error!(%error, "the registration failed");
        match error {
            LedgerError::Unavailable { .. } | LedgerError::Contended { .. } => Self::TryAgainSoon,
            LedgerError::Malformed(_) | LedgerError::Overflow(_) => Self::ContactSupport,
        }
    }

    /// Whether the reason is not the buyer's.
    pub fn is_a_failure(&self) -> bool {
        matches!(self, Self::TryAgainSoon | Self::ContactSupport)
    }

    /// The page that says so.
    pub fn content(&self) -> Content<'_> {
        let malformed = |problem| Content::Malformed { problem };
        match self {
            Self::NoToken => malformed(MalformedForm::NoToken),
            Self::InvalidToken => malformed(MalformedForm::InvalidToken),
            Self::Unreadable => malformed(MalformedForm::Unreadable),
            Self::TooLarge => Content::TooLarge,
            Self::WrongContentType => Content::WrongContentType,
            Self::SetUpAgain => Content::SetUpAgain,
            Self::NoCookie => Content::NoCookie,
            Self::WrongForm => Content::WrongForm,
            Self::NotFound => Content::NotFound,
            Self::TryAgainSoon => Content::TryAgainSoon,
            Self::ContactSupport => Content::ContactSupport,
            Self::OtherProduct(product) => Content::OtherProduct {
                product: product.as_str(),
            },
        }
    }
}

impl From<NoSession> for Refusal {
    fn from(error: NoSession) -> Self {
        tracing::info!(%error, "a request without a registration was refused");
        match error {
            NoSession::Absent => Self::NoCookie,
            NoSession::Forged | NoSession::Expired => Self::SetUpAgain,
        }
    }
}

impl From<&InvalidToken> for Refusal {
    fn from(error: &InvalidToken) -> Self {
        match error {
            InvalidToken::Empty => Self::NoToken,
            InvalidToken::TooLong(_) | InvalidToken::Character(_) => Self::InvalidToken,
        }
    }
}
