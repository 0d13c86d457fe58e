//! The contact details that the buyer types after the registration. Every field is optional, and no
//! field is logged.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use ledger::profile::Contact;

use crate::app::App;
use crate::page::{self, Page};
use crate::register::{failed, unreadable};
use crate::session::InvalidSession;
use crate::typed::{CONTACT_CHARS_MAX, Typed};

/// Handles `POST /register/contact`: stores the contact details.
pub(crate) async fn save(
    State(app): State<Arc<App>>,
    form: Result<Form<Typed>, FormRejection>,
) -> Page {
    let typed = match form {
        Ok(Form(typed)) => typed,
        Err(rejection) => return unreadable(&app, &rejection),
    };
    let now = match app.clock.now().await {
        Ok(now) => now,
        Err(error) => {
            tracing::error!(%error, "the contact details were not stored");
            return page::try_again_soon(&app.seller);
        }
    };
    let subscription = match app.session.verify(&typed.subscription, now) {
        Ok(subscription) => subscription,
        Err(error @ (InvalidSession::Forged | InvalidSession::Expired)) => {
            tracing::info!(%error, "a contact form was refused");
            return page::set_up_again(&app.seller);
        }
    };
    let contact = match contact_of(&typed) {
        Ok(contact) => contact,
        Err(problem) => {
            let form = page::Form {
                action: "contact",
                session: &app.session.sign(&subscription, now),
                typed: &typed,
                problem: Some(problem.to_string()),
            };
            return page::correct_contact(&app.seller, &form);
        }
    };
    // An empty form does not delete earlier contact details.
    if contact != Contact::default() {
        let stored = app.ledger.contact(&subscription).await;
        let merged = stored.map(|stored| merged(contact, stored.unwrap_or_default()));
        let written = match merged {
            Ok(contact) => app.ledger.put_contact(&subscription, &contact).await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            return failed(&app, &error);
        }
        tracing::info!(%subscription, "contact details stored");
    }
    page::thanks(&app.seller)
}

/// The error for a field that cannot be stored. The message is shown on the buyer's page only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum InvalidContact {
    #[error("{0} is too long: at most 254 characters.")]
    TooLong(&'static str),
    #[error("{0} has a line break or another control character.")]
    Control(&'static str),
    #[error("The e-mail address needs a name, an @ and a domain, without spaces.")]
    Email,
}

fn contact_of(typed: &Typed) -> Result<Contact, InvalidContact> {
    let email = field("The e-mail address", &typed.email)?;
    if let Some(email) = &email {
        let parts = email.rsplit_once('@');
        let sound = parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
        if !sound || email.contains(char::is_whitespace) {
            return Err(InvalidContact::Email);
        }
    }
    Ok(Contact {
        name: field("Your name", &typed.name)?,
        company: field("The company", &typed.company)?,
        email,
    })
}

fn field(what: &'static str, typed: &Option<String>) -> Result<Option<String>, InvalidContact> {
    let text = typed.as_deref().map(str::trim).unwrap_or_default();
    if text.chars().count() > CONTACT_CHARS_MAX {
        return Err(InvalidContact::TooLong(what));
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidContact::Control(what));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// Combines two contacts. A field that was typed now replaces the earlier one.
fn merged(now: Contact, earlier: Contact) -> Contact {
    Contact {
        name: now.name.or(earlier.name),
        email: now.email.or(earlier.email),
        company: now.company.or(earlier.company),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(email: &str, valid: bool) {
        let typed = Typed {
            email: Some(email.to_owned()),
            ..Typed::default()
        };
        assert_eq!(contact_of(&typed).is_ok(), valid, "{email:?}");
    }

    #[test]
    fn any_plausible_address_and_an_empty_field_are_accepted() {
        check("", true);
        check("  ", true);
        check("someone@gmail.com", true);
        check(" someone@example.com ", true);
        check("jürgen@bücher.example", true);
        check("someone", false);
        check("@example.com", false);
        check("someone@", false);
        check("some one@example.com", false);
        check("a\n@example.com", false);
        check(&format!("{}@example.com", "x".repeat(250)), false);
    }
}
