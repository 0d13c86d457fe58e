//! The title, the status and the text of each page.

use axum::http::StatusCode;
use maud::{Markup, html};

use super::sign_up;
use super::words::{Said, Words};
use super::{Content, MalformedForm};
use crate::texts::{PRODUCT, TextKey};

/// What is different on each page.
pub(super) struct Body {
    pub status: StatusCode,
    pub title: Said,
    /// Whether the page shows problems with a form.
    pub has_problems: bool,
    pub markup: Markup,
}

/// The part of a page that its content decides.
pub(super) fn body_of(words: &Words<'_>, content: &Content<'_>) -> Body {
    use TextKey::*;
    let plain = |status, title, texts: &[TextKey]| plain(words, status, title, texts);
    match content {
        Content::Welcome => plain(StatusCode::OK, WelcomeTitle, &[WelcomeText, PageWayBack]),
        Content::NotFound => plain(StatusCode::NOT_FOUND, NotFoundTitle, &[PageWayBack]),
        Content::MethodNotAllowed => plain(
            StatusCode::METHOD_NOT_ALLOWED,
            MethodNotAllowedTitle,
            &[PageWayBack],
        ),
        Content::TooLarge => plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            TooLargeTitle,
            &[TooLargeText],
        ),
        Content::WrongContentType => plain(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            WrongContentTypeTitle,
            &[WrongContentTypeText, PageWayBack],
        ),
        Content::Malformed { problem } => {
            let problem = match problem {
                MalformedForm::NoToken => MalformedNoToken,
                MalformedForm::InvalidToken => MalformedInvalidToken,
                MalformedForm::Unreadable => MalformedUnreadable,
            };
            let texts = [problem, PageWayBack];
            plain(StatusCode::BAD_REQUEST, MalformedTitle, &texts)
        }
        Content::SetUpAgain => plain(
            StatusCode::BAD_REQUEST,
            SetUpAgainTitle,
            &[SetUpAgainText, PageWayBack],
        ),
        Content::NoCookie => plain(
            StatusCode::BAD_REQUEST,
            NoCookieTitle,
            &[NoCookieText, PageWayBack],
        ),
        Content::WrongForm => plain(
            StatusCode::BAD_REQUEST,
            WrongFormTitle,
            &[WrongFormText, PageWayBack],
        ),
        Content::TryAgainSoon => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            TryAgainTitle,
            &[TryAgainText, TryAgainWhatToDo],
        ),
        Content::ContactSupport => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            ContactSupportTitle,
            &[ContactSupportText],
        ),
        Content::OtherProduct { product } => {
            let text = words.say_with(OtherProductText, &[(PRODUCT, *product)]);
            Body {
                status: StatusCode::UNPROCESSABLE_ENTITY,
                title: words.say(OtherProductTitle),
                has_problems: false,
                markup: html! { p { (text) } },
            }
        }
        Content::SignUp(sign_up) => sign_up::body_of(words, sign_up),
        Content::Thanks => {
            let turnaround = words.say_turnaround(ThanksTurnaround);
            Body {
                status: StatusCode::OK,
                title: words.say(ThanksTitle),
                has_problems: false,
                markup: html! {
                    (words.paragraph(ThanksText))
                    @if let Some(turnaround) = turnaround { p { (turnaround) } }
                },
            }
        }
    }
}

fn plain(words: &Words<'_>, status: StatusCode, title: TextKey, texts: &[TextKey]) -> Body {
    Body {
        status,
        title: words.say(title),
        has_problems: false,
        markup: html! { @for text in texts { (words.paragraph(*text)) } },
    }
}
