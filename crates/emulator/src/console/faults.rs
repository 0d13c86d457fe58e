//! The page of injected faults: those in force, and a form to add some.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use serde_json::json;

use super::fields::{Fields, object, read};
use super::page::{self, Place, Refused, done, refusal, typed};
use crate::control::ControlError;
use crate::emulator::Emulator;
use crate::faults::{Fault, FaultKind, Faults, When};
use crate::wire::operation_names;

/// Every kind of fault, in plain words.
const KINDS: [(FaultKind, &str); 16] = [
    (FaultKind::Throttling, "throttled, nothing done"),
    (FaultKind::InternalError, "internal error, nothing done"),
    (FaultKind::DisabledApi, "API disabled in the Region"),
    (FaultKind::AccessDenied, "access denied"),
    (FaultKind::ExpiredCredentials, "expired credentials"),
    (FaultKind::ClockSkew, "the caller's clock is wrong"),
    (FaultKind::BadGateway, "502 from a proxy in between"),
    (FaultKind::UnknownError, "an error no model names"),
    (FaultKind::DropBefore, "connection dropped before the work"),
    (FaultKind::DropAfter, "connection dropped after the work"),
    (FaultKind::Delay, "the answer waits"),
    (FaultKind::Unprocessed, "records come back unprocessed"),
    (FaultKind::Reorder, "results in another order"),
    (FaultKind::MissingRecord, "records missing from the answer"),
    (FaultKind::MissingStatus, "results without a status"),
    (FaultKind::UnknownStatus, "results with an unknown status"),
];

pub(super) async fn show(State(emulator): State<Emulator>, asked: Fields) -> Response {
    view(&emulator, StatusCode::OK, &asked, None)
}

pub(super) async fn add(State(emulator): State<Emulator>, form: Fields) -> Response {
    let added = with_added(emulator.faults(), &form);
    settle(
        &emulator,
        added.and_then(|faults| Ok(emulator.check_and_set_faults(faults)?)),
        form,
    )
}

pub(super) async fn remove(State(emulator): State<Emulator>, form: Fields) -> Response {
    let removed = with_removed(emulator.faults(), &form);
    settle(
        &emulator,
        removed.and_then(|faults| Ok(emulator.check_and_set_faults(faults)?)),
        form,
    )
}

pub(super) async fn clear(State(emulator): State<Emulator>, form: Fields) -> Response {
    let none = Faults::default();
    let cleared = emulator.check_and_set_faults(none);
    settle(&emulator, cleared.map_err(ControlError::from), form)
}

fn settle(emulator: &Emulator, set: Result<(), ControlError>, form: Fields) -> Response {
    match set {
        Ok(()) => page::see("/faults", &[("done", "faults")]),
        Err(error) => {
            let refused = Refused::of(&error, form);
            view(emulator, error.status(), &Fields::default(), Some(&refused))
        }
    }
}

fn with_added(mut faults: Faults, form: &Fields) -> Result<Faults, ControlError> {
    if let Some(seed) = form.whole("seed")? {
        faults.seed = seed;
    }
    let fault: Fault = read(object([
        ("operation", form.get("operation").map(|text| json!(text))),
        ("kind", Some(json!(form.text("kind")))),
        ("rate", form.number("rate")?.map(|rate| json!(rate))),
        ("next", form.whole::<u32>("next")?.map(|next| json!(next))),
        (
            "records",
            form.whole::<u32>("records")?.map(|records| json!(records)),
        ),
        (
            "delay_ms",
            form.whole::<u64>("delay_ms")?.map(|delay| json!(delay)),
        ),
        ("containing", form.get("containing").map(|text| json!(text))),
    ]))?;
    faults.faults.push(fault);
    Ok(faults)
}

/// The rule at this place must still be the one next to the button.
fn with_removed(mut faults: Faults, form: &Fields) -> Result<Faults, ControlError> {
    let place = form.whole::<usize>("place")?;
    let found = place.filter(|place| {
        let fault = faults.faults.get(*place);
        fault.is_some_and(|fault| fault.kind.name() == form.text("kind"))
    });
    let Some(place) = found else {
        return Err(ControlError::Body {
            problem: "the faults have changed since this page was loaded; look at them again"
                .to_owned(),
        });
    };
    faults.faults.remove(place);
    Ok(faults)
}

fn view(
    emulator: &Emulator,
    status: StatusCode,
    asked: &Fields,
    refused: Option<&Refused>,
) -> Response {
    let faults = emulator.faults();
    let body = html! {
        (refusal(refused))
        (done(asked))
        @if faults.faults.is_empty() {
            p { "Nothing goes wrong on demand at present." }
        } @else {
            (in_force(&faults))
            form method="post" action="/_emulator/console/faults/clear" { button { "Clear all faults" } }
        }
        (form(&faults, refused))
    };
    page::page(emulator, status, Place::Faults, "Faults", &body)
}

fn words(kind: FaultKind) -> &'static str {
    let found = KINDS.iter().find(|(known, _)| *known == kind);
    found.map_or("", |(_, words)| words)
}

fn in_force(faults: &Faults) -> Markup {
    html! {
        div.scroll role="region" aria-label="Faults in force" tabindex="0" {
            table {
                caption { "In force, drawn from seed " (faults.seed) }
                thead {
                    tr { @for name in ["Fault", "Operation", "How often", "What else", "Remove"] { th scope="col" { (name) } } }
                }
                tbody { @for (place, fault) in faults.faults.iter().enumerate() { (row(place, fault)) } }
            }
        }
    }
}

fn row(place: usize, fault: &Fault) -> Markup {
    let name = fault.kind.name();
    html! {
        tr {
            th scope="row" { code { (name) } br; (words(fault.kind)) }
            td {
                @if fault.operation == "*" { "every operation" } @else { (fault.operation) }
                @if let Some(text) = &fault.containing { " with " code { (text) } " in its body" }
            }
            td {
                @match fault.when {
                    When::Next(0) => "spent: struck as often as it should",
                    When::Next(1) => "the next call",
                    When::Next(next) => { "the next " (next) " calls" },
                    When::Rate(rate) => { (rate) " of the calls" },
                }
            }
            td {
                @match fault.kind {
                    FaultKind::Delay => { (fault.delay_ms) " ms" },
                    FaultKind::Unprocessed | FaultKind::MissingRecord | FaultKind::MissingStatus | FaultKind::UnknownStatus => { (fault.records) " of the records" },
                    _ => "–",
                }
            }
            td {
                form.inline method="post" action="/_emulator/console/faults/remove" {
                    input type="hidden" name="place" value=(place);
                    input type="hidden" name="kind" value=(name);
                    button.quiet { "Remove" span.apart { " " (name) " of " (fault.operation) } }
                }
            }
        }
    }
}

fn form(faults: &Faults, refused: Option<&Refused>) -> Markup {
    let number = |name: &str, words: &str, rule: &str| {
        html! {
            label for=(name) { (words) }
            input id=(name) name=(name) value=(typed(refused, name)) inputmode="decimal" autocomplete="off" aria-describedby={ (name) "-rule" };
            p.hint id={ (name) "-rule" } { (rule) }
        }
    };
    html! {
        section aria-labelledby="add" {
            h2 id="add" { "Switch a fault on" }
            form method="post" action="/_emulator/console/faults" {
                label for="kind" { "What goes wrong" }
                select id="kind" name="kind" {
                    @for (kind, words) in KINDS {
                        @let name = kind.name();
                        option value=(name) selected[typed(refused, "kind") == name] { (name) ": " (words) }
                    }
                }
                label for="operation" { "In which operation" }
                select id="operation" name="operation" {
                    option value="*" { "every operation" }
                    @for name in operation_names() { option value=(name) selected[typed(refused, "operation") == name] { (name) } }
                }
                fieldset {
                    legend { "How often (one of the two)" }
                    (number("next", "In the next calls, this many", "A count such as 1."))
                    (number("rate", "In this share of the calls", "0 to 1, such as 0.2."))
                }
                (number("records", "Records struck", "For faults that strike records; blank for one."))
                (number("delay_ms", "Delay in milliseconds", "For delay alone: 1 to 600000, of real time."))
                label for="containing" { "Only calls with this text in their body" }
                input id="containing" name="containing" value=(typed(refused, "containing")) autocomplete="off" aria-describedby="containing-rule";
                p.hint id="containing-rule" { "Such as a customer's identifier; blank for any body." }
                label for="seed" { "Seed" }
                input id="seed" name="seed" value=(faults.seed) inputmode="numeric" autocomplete="off" aria-describedby="seed-rule";
                p.hint id="seed-rule" { "The same seed strikes the same calls. Draws begin anew whenever the faults are set." }
                button { "Switch it on" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_words_and_stands_once() {
        for (place, (kind, said)) in KINDS.iter().enumerate() {
            assert_eq!(words(*kind), *said, "{kind:?} stands twice");
            assert!(!said.is_empty(), "{place}");
        }
    }
}
