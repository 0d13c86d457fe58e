//! Every page, and its headers. The pages are plain HTML without JavaScript, and load no other
//! files.

use std::fmt;
use std::str::FromStr;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use marketplace::lifecycle::Status;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::typed::{CONTACT_CHARS_MAX, Typed};

/// The only style sheet of the pages. The policy allows it by its digest.
const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:3rem auto;padding:0 1rem;color:#16191f;background:#fff}h1{font-size:1.5rem;line-height:1.25}label{display:block;margin-top:1rem}input{font:inherit;width:100%;box-sizing:border-box;padding:.4rem;border:1px solid #687078;border-radius:.2rem}button{font:inherit;margin-top:1.5rem;padding:.5rem 1.25rem}footer{margin-top:3rem;border-top:1px solid #d5dbdb;padding-top:1rem}";

/// The content security policy: no resources, no scripts, no framing, and forms only to the same
/// origin.
const POLICY: &str = "default-src 'none'; style-src 'sha256-xN0ghNDeOE15jTUhpRWUoFFz0Z92qnw59gQsuTZUTn8='; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The seconds after which a buyer may try again if AWS or DynamoDB is unavailable.
const RETRY_AFTER_S: &str = "60";

/// The seller that the pages name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seller {
    /// The company name that buyers know.
    pub name: String,
    /// The contact where buyers find help.
    pub support: Support,
}

/// A support contact, which AWS Marketplace requires on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// The e-mail address to which buyers write.
    Email(String),
    /// The URL of a web page where buyers find help.
    Url(String),
}

/// The error for a support contact that is neither an e-mail address nor a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be an e-mail address, or a URL that begins with https:// or http://")]
pub struct InvalidSupport;

impl FromStr for Support {
    type Err = InvalidSupport;

    fn from_str(text: &str) -> Result<Self, InvalidSupport> {
        let odd = text.chars().any(|c| c.is_whitespace() || c.is_control());
        let is_url = ["https://", "http://"]
            .iter()
            .any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
        match (odd, is_url, text.split_once('@')) {
            (false, true, _) => Ok(Self::Url(text.to_owned())),
            (false, false, Some((user, host)))
                if !user.is_empty() && !host.is_empty() && !text.contains("://") =>
            {
                Ok(Self::Email(text.to_owned()))
            }
            _ => Err(InvalidSupport),
        }
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(text) | Self::Url(text) => f.write_str(text),
        }
    }
}

/// One page: its HTTP status and its HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    status: StatusCode,
    html: String,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let fixed = |value: &'static str| HeaderValue::from_static(value);
        let mut response = (self.status, self.html).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, fixed("text/html; charset=utf-8"));
        headers.insert(header::CONTENT_SECURITY_POLICY, fixed(POLICY));
        headers.insert(header::REFERRER_POLICY, fixed("no-referrer"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
        headers.insert(header::CACHE_CONTROL, fixed("no-store"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, fixed(RETRY_AFTER_S));
        }
        response
    }
}

fn page(seller: &Seller, status: StatusCode, title: &str, body: Markup) -> Page {
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – " (seller.name) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (title) }
                    (body)
                }
                footer {
                    p {
                        "Need help? Contact " (seller.name) ": "
                        @match &seller.support {
                            Support::Email(address) => a href={ "mailto:" (address) } { (address) },
                            Support::Url(url) => a href=(url) { (url) },
                        }
                    }
                }
            }
        }
    };
    Page {
        status,
        html: html.into_string(),
    }
}

fn plain(seller: &Seller, status: StatusCode, title: &str, text: &str) -> Page {
    page(seller, status, title, html! { p { (text) } })
}

const SET_UP_AGAIN: &str = "In the AWS console, open AWS Marketplace, Manage subscriptions, choose your subscription and press \"Set up your account\". That brings you back to this page. You do not have to subscribe again.";

/// The page for a visitor without a token, for example from a bookmark or after a reload.
pub(crate) fn welcome(seller: &Seller) -> Page {
    page(
        seller,
        StatusCode::OK,
        "Set up your AWS Marketplace subscription",
        html! {
            p { "This page finishes the registration of a subscription bought on AWS Marketplace." }
            p { (SET_UP_AGAIN) }
        },
    )
}

/// The page for a form without a valid token. `problem` must not contain the token.
pub(crate) fn malformed(seller: &Seller, problem: &str) -> Page {
    page(
        seller,
        StatusCode::BAD_REQUEST,
        "The registration could not be read",
        html! {
            p { "Your browser did not send a registration from AWS Marketplace: " (problem) "." }
            p { (SET_UP_AGAIN) }
        },
    )
}

/// The page for a token or a contact form that is not valid any more.
pub(crate) fn set_up_again(seller: &Seller) -> Page {
    page(
        seller,
        StatusCode::BAD_REQUEST,
        "Please start once more from AWS",
        html! {
            p { "This registration is not valid, or is no longer valid. Your subscription itself is not affected." }
            p { (SET_UP_AGAIN) }
        },
    )
}

/// The page for a time in which AWS Marketplace or DynamoDB is unavailable.
pub(crate) fn try_again_soon(seller: &Seller) -> Page {
    page(
        seller,
        StatusCode::SERVICE_UNAVAILABLE,
        "Please try again in a minute",
        html! {
            p { "The registration could not be finished just now. Your subscription is not affected, and nothing has been lost." }
            p { "Reload this page in a minute, or press \"Set up your account\" in the AWS console again." }
        },
    )
}

/// The page for a problem that only the seller can solve.
pub(crate) fn contact_support(seller: &Seller) -> Page {
    plain(
        seller,
        StatusCode::INTERNAL_SERVER_ERROR,
        "The registration could not be finished",
        "We must first correct a problem on our side. Your subscription is not affected. Please contact support at the address below.",
    )
}

/// The page for a product that this stack does not serve.
pub(crate) fn other_product(seller: &Seller, product: &str) -> Page {
    page(
        seller,
        StatusCode::UNPROCESSABLE_ENTITY,
        "This product is registered elsewhere",
        html! {
            p { "Your subscription is to the product with the code " code { (product) } ", which is not set up on this page. Please contact support at the address below." }
        },
    )
}

pub(crate) fn not_found(seller: &Seller) -> Page {
    plain(
        seller,
        StatusCode::NOT_FOUND,
        "There is no such page",
        SET_UP_AGAIN,
    )
}

pub(crate) fn method_not_allowed(seller: &Seller) -> Page {
    plain(
        seller,
        StatusCode::METHOD_NOT_ALLOWED,
        "This address does not accept that method",
        SET_UP_AGAIN,
    )
}

pub(crate) fn too_large(seller: &Seller) -> Page {
    plain(
        seller,
        StatusCode::PAYLOAD_TOO_LARGE,
        "The form is too large",
        "A form may have at most 64 KB.",
    )
}

pub(crate) fn wrong_content_type(seller: &Seller) -> Page {
    plain(
        seller,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "The form has an unknown type",
        "This address accepts only application/x-www-form-urlencoded, which browsers send from AWS Marketplace.",
    )
}

/// The content of a contact form.
pub(crate) struct Form<'a> {
    /// The address that the form is posted to. It is relative to the page's address, so that any
    /// path prefix works.
    pub action: &'a str,
    /// The subscription, signed by the session key.
    pub session: &'a str,
    /// The values that were typed before.
    pub typed: &'a Typed,
    /// The problem with those values, in words for the buyer; `None` in a new form.
    pub problem: Option<String>,
}

/// The page after a successful registration, with the contact form.
pub(crate) fn registered(
    seller: &Seller,
    status: Status,
    free_trial: bool,
    form: &Form<'_>,
) -> Page {
    let status_text = match (status, free_trial) {
        (Status::Pending, _) => {
            "AWS confirms the purchase within a few minutes. You do not have to wait on this page."
        }
        (Status::Active, true) => "Your free trial is active.",
        (Status::Active, false) => "It is active.",
        (Status::Ending | Status::Ended, _) => "AWS reports that this subscription has ended.",
    };
    page(
        seller,
        StatusCode::OK,
        "Your subscription was found",
        html! {
            p { "Your AWS Marketplace subscription is registered with " (seller.name) ". " (status_text) }
            p { "If you like, leave contact details for us. Every field is optional." }
            (contact_form(form))
        },
    )
}

/// The contact form again, with the problem to correct.
pub(crate) fn correct_contact(seller: &Seller, form: &Form<'_>) -> Page {
    page(
        seller,
        StatusCode::BAD_REQUEST,
        "Please correct your details",
        contact_form(form),
    )
}

/// The last page, after the contact form.
pub(crate) fn thanks(seller: &Seller) -> Page {
    plain(
        seller,
        StatusCode::OK,
        "Thank you",
        "Your registration is complete. You can close this page.",
    )
}

fn contact_form(form: &Form<'_>) -> Markup {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    html! {
        @if let Some(problem) = &form.problem {
            p role="alert" { (problem) }
        }
        form method="post" action=(form.action) {
            input type="hidden" name="subscription" value=(form.session);
            label for="name" { "Your name (optional)" }
            input id="name" name="name" type="text" autocomplete="name" maxlength=(CONTACT_CHARS_MAX) value=(text(&form.typed.name));
            label for="company" { "Company (optional)" }
            input id="company" name="company" type="text" autocomplete="organization" maxlength=(CONTACT_CHARS_MAX) value=(text(&form.typed.company));
            label for="email" { "E-mail address (optional)" }
            input id="email" name="email" type="email" autocomplete="email" maxlength=(CONTACT_CHARS_MAX) value=(text(&form.typed.email));
            button type="submit" { "Finish" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;

    #[test]
    fn the_policy_names_the_style_by_its_digest() {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
        let digest = base64::engine::general_purpose::STANDARD.encode(digest);
        assert!(POLICY.contains(&format!("'sha256-{digest}'")), "{digest}");
    }

    #[test]
    fn a_support_contact_is_an_address_or_a_url() {
        for text in ["help@example.com", "https://example.com/help"] {
            assert_eq!(text.parse::<Support>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "example.com",
            "@example.com",
            "javascript:alert(1)",
            "https://",
            "a b@example.com",
            "ftp://a@b",
        ] {
            assert!(text.parse::<Support>().is_err(), "{text:?}");
        }
    }
}
