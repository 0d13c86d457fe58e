//! Every page, and its headers. The pages are plain HTML without JavaScript. They load no other
//! files, except the seller's logo.

mod content;
mod seller;
mod sign_up;
mod style;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use marketplace::lifecycle::Status;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::content::Body;
use self::words::Words;
use crate::language::Language;
use crate::page_settings::{Logo, PageSettings};
use crate::texts::TextKey;

pub use self::seller::{InvalidSupport, Seller, Support};

/// The content security policy if the one of the seller's design is no valid header.
const STRICTEST_POLICY: &str = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// The time for which a browser opens this host over HTTPS only, in the form of its header (RFC
/// 6797): a year.
pub(crate) const STRICT_TRANSPORT_SECURITY: &str = "max-age=31536000";

/// The seconds after which a buyer may try again if AWS or DynamoDB is unavailable.
const RETRY_AFTER_S: &str = "60";

/// The pages in the seller's design. The style and the policy are computed once. Clones share them.
#[derive(Debug, Clone)]
pub struct Pages(Arc<Design>);

#[derive(Debug)]
struct Design {
    seller: Seller,
    settings: PageSettings,
    style: String,
    policy: HeaderValue,
}

/// What a page says. It may contain contact data, so it has no debug text.
pub(crate) enum Content<'a> {
    /// For a visitor without a token, for example from a bookmark or after a reload.
    Welcome,
    /// For an address that does not exist.
    NotFound,
    /// For a method that the address does not have.
    MethodNotAllowed,
    /// For a request body that is too large.
    TooLarge,
    /// For a request body that is not a form.
    WrongContentType,
    /// For a fulfillment form that cannot be used.
    Malformed {
        /// What is wrong with it.
        problem: MalformedForm,
    },
    /// For a token or a session that is not valid any more.
    SetUpAgain,
    /// For a sign-up form without the cookie that names the license.
    NoCookie,
    /// For a sign-up form that was made for another license than the cookie's.
    WrongForm,
    /// For a time in which AWS Marketplace or DynamoDB is unavailable.
    TryAgainSoon,
    /// For a problem that only the seller can solve.
    ContactSupport,
    /// For a product that this stack does not serve.
    OtherProduct {
        /// The product code.
        product: &'a str,
    },
    /// The sign-up form.
    SignUp(SignUp<'a>),
    /// The last page, after the sign-up form.
    Thanks,
}

/// Why the fulfillment form was refused (never contains the token).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MalformedForm {
    /// The form has no token.
    NoToken,
    /// The token does not have the form of a token.
    InvalidToken,
    /// The fields of the form cannot be read.
    Unreadable,
}

/// The content of the sign-up page.
pub(crate) struct SignUp<'a> {
    /// Whether the buyer was here before.
    pub visit: Visit,
    /// The status of the subscription.
    pub status: Status,
    /// Whether the subscription is a free trial.
    pub free_trial: bool,
    /// The number of other subscriptions of the buyer's AWS account to the same product.
    pub same_product: usize,
    /// The number of other subscriptions of the buyer's AWS account to other products.
    pub other_products: usize,
    /// The value of the hidden field that binds the form to the cookie.
    pub form_token: &'a str,
    /// The values that were typed before, by the ids of their fields.
    pub typed: &'a BTreeMap<String, String>,
    /// The problems with these values. Empty for a new form.
    pub problems: &'a [Problem],
}

/// Whether a buyer was here before, for the same license.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visit {
    /// This is the first visit.
    New,
    /// The sign-up form was shown before, and not completed.
    Unfinished,
    /// The sign-up form was completed before.
    Finished,
}

/// A problem with a value that was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The id of the field.
    pub field: String,
    /// What is wrong with the value.
    pub kind: ProblemKind,
}

/// What is wrong with a value that was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProblemKind {
    /// The field is required, and it is empty.
    Missing,
    /// The value has too many characters.
    TooLong {
        /// The largest number of characters.
        max: usize,
    },
    /// The value has a control character.
    Control,
    /// The value is not an e-mail address.
    Email,
}

/// One page: its HTTP status, its HTML and what its headers depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    status: StatusCode,
    html: String,
    language: Language,
    policy: HeaderValue,
}

impl Pages {
    /// Makes the pages of a seller.
    pub fn new(seller: Seller, settings: PageSettings) -> Self {
        let style = style::sheet(&settings.colors());
        let policy = HeaderValue::from_str(&policy(&style, settings.logo()))
            .unwrap_or_else(|_| HeaderValue::from_static(STRICTEST_POLICY));
        Self(Arc::new(Design {
            seller,
            settings,
            style,
            policy,
        }))
    }

    /// The settings that the pages were made with.
    pub fn settings(&self) -> &PageSettings {
        &self.0.settings
    }

    /// The page in the language that the browser wants most.
    pub(crate) fn page(&self, accept_language: Option<&str>, content: Content<'_>) -> Page {
        let design = &*self.0;
        let language = design.settings.language_for(accept_language);
        let words = Words {
            settings: &design.settings,
            seller: &design.seller.name,
            language: &language,
        };
        let body = content::body_of(&words, &content);
        Page {
            status: body.status,
            html: design.html(&words, &body).into_string(),
            policy: design.policy.clone(),
            language,
        }
    }
}

impl Design {
    fn html(&self, words: &Words<'_>, body: &Body) -> Markup {
        html! {
            (DOCTYPE)
            html lang=(words.language.as_str()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="robots" content="noindex";
                    title {
                        @if body.has_problems { (words.say(TextKey::ProblemTitle).text) " – " }
                        (body.title.text) " – " (self.seller.name)
                    }
                    style { (PreEscaped(&self.style)) }
                }
                body {
                    div.card {
                        header { (self.brand()) }
                        main {
                            h1 { (body.title) }
                            (body.markup)
                        }
                        footer {
                            p { (words.say(TextKey::PageHelp)) " " (self.seller.support) }
                        }
                    }
                }
            }
        }
    }

    fn brand(&self) -> Markup {
        html! {
            @match self.settings.logo() {
                Some(logo) => { img src=(logo.url()) alt=(self.seller.name); }
                None => { p.seller { (self.seller.name) } }
            }
        }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let fixed = |value: &'static str| HeaderValue::from_static(value);
        let language = HeaderValue::from_str(self.language.as_str());
        let mut response = (self.status, self.html).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, fixed("text/html; charset=utf-8"));
        headers.insert(header::CONTENT_SECURITY_POLICY, self.policy);
        headers.insert(header::REFERRER_POLICY, fixed("no-referrer"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
        headers.insert(header::CACHE_CONTROL, fixed("no-store"));
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            fixed(STRICT_TRANSPORT_SECURITY),
        );
        headers.insert(header::VARY, fixed("accept-language"));
        if let Ok(language) = language {
            headers.insert(header::CONTENT_LANGUAGE, language);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, fixed(RETRY_AFTER_S));
        }
        response
    }
}

/// The content security policy: only this style and this logo, no scripts, no framing, and forms
/// only to the same origin.
fn policy(style: &str, logo: Option<&Logo>) -> String {
    let digest = digest::digest(&digest::SHA256, style.as_bytes());
    let digest = STANDARD.encode(digest);
    let images = match logo {
        Some(logo) => format!("img-src {}; ", logo.source()),
        None => String::new(),
    };
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; {images}form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests;
