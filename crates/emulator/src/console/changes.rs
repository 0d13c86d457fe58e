//! Changes of an agreement. Each change has a button, and all buttons post to one address.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::fields::Fields;
use super::page::{self, Refused};
use super::purchases;
use crate::emulator::Emulator;
use crate::refusal::Refusal;
use crate::world::AgreementView;

/// A change of an agreement that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Cancel,
    Renew,
    Amend,
    Suspend,
    Resume,
}

/// Each change with its name in the form, the text of its button, and the name of the notice after
/// it.
const CHANGES: [(Change, &str, &str, &str); 5] = [
    (Change::Cancel, "cancel", "Cancel", "cancelled"),
    (Change::Renew, "renew", "Renew", "renewed"),
    (Change::Amend, "amend", "Amend", "amended"),
    (Change::Suspend, "suspend", "Suspend", "suspended"),
    (Change::Resume, "resume", "Resume", "resumed"),
];

pub(super) async fn change(State(emulator): State<Emulator>, form: Fields) -> Response {
    let account = form.text("account").to_owned();
    match apply(&emulator, &form) {
        Ok(done) => page::redirect("/purchases", &[("account", &account), ("done", done)]),
        Err(error) => {
            let refused = Refused::of(&error, form);
            purchases::view(&emulator, error.status(), &refused.fields, Some(&refused))
        }
    }
}

/// Makes the change that the form asks for. Returns the name of the notice about it.
fn apply(emulator: &Emulator, form: &Fields) -> Result<&'static str, Refusal> {
    let requested = form.text("change");
    let Some((change, _, _, done)) = CHANGES.iter().find(|(_, name, _, _)| *name == requested)
    else {
        let names = CHANGES.map(|(_, name, _, _)| name).join(", ");
        return Err(Refusal::Body {
            problem: format!("`change` is `{requested}`, but must be one of {names}"),
        });
    };
    let agreement_id = form.text("agreement_id");
    match change {
        Change::Cancel => emulator.cancel_agreement(agreement_id)?,
        Change::Renew => drop(emulator.renew_agreement(agreement_id)?),
        Change::Amend => emulator.amend_agreement(agreement_id)?,
        Change::Suspend => emulator.suspend_agreement(agreement_id)?,
        Change::Resume => emulator.resume_agreement(agreement_id)?,
    }
    Ok(done)
}

/// The button that makes a change of the agreement.
pub(super) fn button(agreement: &AgreementView, change: Change) -> Markup {
    let known = CHANGES.iter().find(|(known, ..)| *known == change);
    html! {
        @if let Some((_, name, word, _)) = known {
            form.inline method="post" action="/_emulator/console/change" {
                input type="hidden" name="agreement_id" value=(agreement.agreement_id);
                input type="hidden" name="account" value=(agreement.account_id);
                input type="hidden" name="change" value=(name);
                button.quiet { (word) span.apart { " " (agreement.agreement_id) } }
            }
        }
    }
}

/// An agreement's state in words.
pub(super) fn status(agreement: &AgreementView) -> Markup {
    let (class, word) = match (agreement.status.as_str(), agreement.suspended) {
        ("ACTIVE", true) => ("bad", "Active, but the account is suspended"),
        ("ACTIVE", false) => ("good", "Active"),
        ("RENEWED", _) => ("gone", "Renewed: another agreement replaced it"),
        _ => ("gone", "Cancelled"),
    };
    let usage = match (agreement.accepts_usage, agreement.ended) {
        (true, None) => "usage is accepted",
        (true, Some(_)) => "usage is still accepted",
        (false, _) => "usage is not accepted",
    };
    html! { span class={ "tag " (class) } { (word) } " – " (usage) }
}
