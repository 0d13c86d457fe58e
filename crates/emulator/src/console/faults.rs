//! The page of injected faults: the faults in force, and a form that adds a fault.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use serde_json::json;

use super::fields::{Fields, object, read};
use super::page::{self, Place, Refused, notice, refusal, typed};
use crate::emulator::Emulator;
use crate::faults::{Fault, FaultKind, Faults, When};
use crate::refusal::Refusal;
use crate::wire::operation_names;

/// Every kind of fault with its description.
const KINDS: [(FaultKind, &str); 16] = [
    (
        FaultKind::Throttling,
        "the call is throttled, and nothing is done",
    ),
    (
        FaultKind::InternalError,
        "an internal error, and nothing is done",
    ),
    (FaultKind::DisabledApi, "the API is disabled in the Region"),
    (FaultKind::AccessDenied, "access is denied"),
    (
        FaultKind::ExpiredCredentials,
        "the caller's credentials have expired",
    ),
    (FaultKind::ClockSkew, "the caller's clock is wrong"),
    (FaultKind::BadGateway, "a proxy answers with status 502"),
    (FaultKind::UnknownError, "an error that is in no API model"),
    (
        FaultKind::DropBefore,
        "the connection is dropped before the work",
    ),
    (
        FaultKind::DropAfter,
        "the connection is dropped after the work",
    ),
    (FaultKind::Delay, "the answer is delayed"),
    (FaultKind::Unprocessed, "records are returned unprocessed"),
    (FaultKind::Reorder, "the results are in another order"),
    (
        FaultKind::MissingRecord,
        "records are missing from the answer",
    ),
    (FaultKind::MissingStatus, "results have no status"),
    (FaultKind::UnknownStatus, "results have an unknown status"),
];

pub(super) async fn show(State(emulator): State<Emulator>, query: Fields) -> Response {
    view(&emulator, StatusCode::OK, &query, None)
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
    settle(&emulator, cleared.map_err(Refusal::from), form)
}

fn settle(emulator: &Emulator, set: Result<(), Refusal>, form: Fields) -> Response {
    match set {
        Ok(()) => page::redirect("/faults", &[("done", "faults")]),
        Err(error) => {
            let refused = Refused::of(&error, form);
            view(emulator, error.status(), &Fields::default(), Some(&refused))
        }
    }
}

fn with_added(mut faults: Faults, form: &Fields) -> Result<Faults, Refusal> {
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

/// The faults without the one whose button was pressed. If another kind of fault is at that place
/// now, the form is refused.
fn with_removed(mut faults: Faults, form: &Fields) -> Result<Faults, Refusal> {
    let place = form.whole::<usize>("place")?;
    let found = place.filter(|place| {
        let fault = faults.faults.get(*place);
        fault.is_some_and(|fault| fault.kind.name() == form.text("kind"))
    });
    let Some(place) = found else {
        return Err(Refusal::Body {
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
    query: &Fields,
    refused: Option<&Refused>,
) -> Response {
    let faults = emulator.faults();
    let body = html! {
        (refusal(refused))
        (notice(query))
        @if faults.faults.is_empty() {
            p { "No fault is in force." }
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
                caption { "Faults in force, with seed " (faults.seed) }
                thead {
                    tr { @for name in ["Fault", "Operation", "How often", "Details", "Remove"] { th scope="col" { (name) } } }
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
                    When::Next(0) => "no more calls",
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
                    legend { "How often (fill in one of the two)" }
                    (number("next", "In this many of the next calls", "A number such as 1."))
                    (number("rate", "In this share of the calls", "A number from 0 to 1, such as 0.2."))
                }
                (number("records", "Number of records", "Only for faults of single records. Blank means one."))
                (number("delay_ms", "Delay in milliseconds", "Only for the fault delay: 1 to 600000, in real time."))
                label for="containing" { "Only calls with this text in their body" }
                input id="containing" name="containing" value=(typed(refused, "containing")) autocomplete="off" aria-describedby="containing-rule";
                p.hint id="containing-rule" { "A text such as a customer's identifier. Blank means any body." }
                label for="seed" { "Seed" }
                input id="seed" name="seed" value=(faults.seed) inputmode="numeric" autocomplete="off" aria-describedby="seed-rule";
                p.hint id="seed-rule" { "With the same seed, faults occur in the same calls. The random draws start again whenever the faults are set." }
                button { "Switch it on" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_description_and_is_listed_once() {
        for (kind, description) in &KINDS {
            assert_eq!(words(*kind), *description, "{kind:?} is listed twice");
            assert!(!description.is_empty(), "{kind:?}");
        }
    }
}
