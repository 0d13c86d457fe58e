//! The pages of the log of calls. They explain every refusal in plain words.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::explain::{self, Explanation};
use super::fields::Fields;
use super::page::{self, Place, link, time};
use crate::emulator::Emulator;
use crate::limits::CONSOLE_PAGE_ROWS_MAX;
use crate::refusal::Refusal;
use crate::wire::operation_names;
use crate::world::{Call, CallFilter, CallRecord, CallVerdict};

pub(super) async fn list(State(emulator): State<Emulator>, query: Fields) -> Response {
    match view(&emulator, &query) {
        Ok(body) => page::page(&emulator, StatusCode::OK, Place::Calls, "Calls", &body),
        Err(error) => page::unreadable(&error),
    }
}

pub(super) async fn show(State(emulator): State<Emulator>, Path(number): Path<String>) -> Response {
    let found = number
        .parse()
        .ok()
        .and_then(|number| emulator.core().world.call_numbered(number));
    match found {
        Some((verdict, call)) => {
            let title = format!("Call {}: {}", call.number, call.operation);
            let body = detail(verdict, &call);
            page::page(&emulator, StatusCode::OK, Place::Calls, &title, &body)
        }
        None => {
            let problem = format!(
                "The log has no call {number}. It keeps the latest 100,000 calls, and a reset empties it."
            );
            page::problem(StatusCode::NOT_FOUND, &problem)
        }
    }
}

fn view(emulator: &Emulator, query: &Fields) -> Result<Markup, Refusal> {
    let page = page::number(query, "page")?;
    let operation = query.get("operation");
    let names = operation_names();
    if let Some(name) = operation.filter(|name| !names.contains(name)) {
        let names = names.join(", ");
        return Err(Refusal::Body {
            problem: format!("`operation` is `{name}`, but must be one of {names}, or blank"),
        });
    }
    let verdict = query.get("verdict").map(verdict_named).transpose()?;
    let of = CallFilter {
        operation,
        verdicts: verdict.map_or(&CallVerdict::ALL, |choice| choice.verdicts),
    };
    let size = CONSOLE_PAGE_ROWS_MAX;
    let (count, calls) = {
        let world = &emulator.core().world;
        world.select_calls(of, page::skipped(page), size)
    };
    let parameters = [
        ("operation", operation.unwrap_or_default()),
        ("verdict", verdict.map_or("", |choice| choice.name)),
    ];
    Ok(html! {
        (filters(&names, operation, verdict))
        (page::pages(("call", "calls"), "/calls", &parameters, "page", (page, size, count)))
        @if count > 0 { (table(&calls)) }
    })
}

fn table(calls: &[(CallVerdict, Call)]) -> Markup {
    html! {
        div.scroll role="region" aria-label="Calls" tabindex="0" {
            table {
                caption { "Calls to the emulated AWS, newest first" }
                thead {
                    tr {
                        @for name in ["Call", "When", "Operation", "Records", "Verdict", "In plain words"] {
                            th scope="col" { (name) }
                        }
                    }
                }
                tbody {
                    @for (verdict, call) in calls {
                        tr {
                            th scope="row" { a href={ "/_emulator/console/calls/" (call.number) } { (call.number) span.apart { ", with all details" } } }
                            td { (time(call.at)) }
                            td { (call.operation) br; small { (call.region) } }
                            td.number { (call.records.len()) }
                            td { (tag(*verdict)) }
                            td.words { (plain_words(*verdict, call)) }
                        }
                    }
                }
            }
        }
    }
}

/// The results of a call in plain words. Each outcome of its records is explained once.
fn plain_words(verdict: CallVerdict, call: &Call) -> Markup {
    html! {
        @if let Some(error) = &call.error {
            p { code { (error.code) } ": " (error.message) }
            (explained(explain::error(&call.operation, &error.code, &call.faults)))
        } @else {
            @for (outcome, count) in counts(&call.records) {
                p {
                    (count) " × " code { (outcome) }
                    @if let Some(explanation) = explain::outcome(outcome) { ": " (explanation.rule) " " strong { (explanation.next) } }
                }
            }
            @if call.records.is_empty() && verdict == CallVerdict::Accepted { p { "Answered." } }
        }
        @if !call.faults.is_empty() { p { "Faults: " (fault_names(call)) "." } }
        @if verdict == CallVerdict::Unanswered { (explained(explain::unanswered(&call.faults))) }
    }
}

fn fault_names(call: &Call) -> String {
    let names: Vec<String> = call.faults.iter().map(|kind| kind.name()).collect();
    names.join(", ")
}

fn explained(explanation: Explanation) -> Markup {
    html! { p { (explanation.rule) " " strong { (explanation.next) } } }
}

/// The number of records for each outcome, in the order in which outcomes first occur.
fn counts(records: &[CallRecord]) -> Vec<(&str, usize)> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for record in records {
        match counts.iter_mut().find(|(name, _)| *name == record.outcome) {
            Some((_, count)) => *count += 1,
            None => counts.push((&record.outcome, 1)),
        }
    }
    counts
}

fn detail(verdict: CallVerdict, call: &Call) -> Markup {
    html! {
        p { a href="/_emulator/console/calls" { "All calls" } }
        dl {
            dt { "When" } dd { (time(call.at)) }
            dt { "Region" } dd { (call.region) }
            dt { "Request id" } dd { code { (call.request_id) } }
            @if let Some(code) = &call.product_code { dt { "ProductCode" } dd { code { (code) } } }
            dt { "Verdict" } dd { (tag(verdict)) }
            @if let Some(error) = &call.error { dt { "HTTP status" } dd { (error.status) } }
        }
        h2 { "In plain words" }
        (plain_words(verdict, call))
        @if !call.records.is_empty() { (records(call)) }
    }
}

fn records(call: &Call) -> Markup {
    html! {
        div.scroll role="region" aria-label="Usage records" tabindex="0" {
            table {
                caption { "The usage records of the call" }
                thead {
                    tr {
                        @for name in ["Record", "Buyer", "Dimension", "Timestamp", "Quantity", "Outcome", "Billed by this call"] {
                            th scope="col" { (name) }
                        }
                    }
                }
                tbody {
                    @for (index, record) in call.records.iter().enumerate() {
                        tr {
                            th scope="row" { (index + 1) }
                            td.arn {
                                @for name in [&record.account_id, &record.customer_identifier, &record.license_arn].into_iter().flatten() {
                                    code { (name) } " "
                                }
                            }
                            td { code { (record.dimension) } }
                            td { (time(record.timestamp)) }
                            td.number { (record.quantity) }
                            td { (record.outcome) }
                            td {
                                @match (&record.metering_record_id, record.billed) {
                                    (Some(id), true) => { "yes, as " code { (id) } },
                                    (Some(id), false) => { "no: it repeats " code { (id) } },
                                    (None, _) => "no",
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A choice of the filter by verdict: its name in the query, its text, and the verdicts that it
/// selects.
#[derive(Clone, Copy)]
struct Choice {
    name: &'static str,
    words: &'static str,
    verdicts: &'static [CallVerdict],
}

const CHOICES: [Choice; 5] = [
    Choice {
        name: "refusal",
        words: "anything refused",
        verdicts: &[CallVerdict::Refused, CallVerdict::Partly],
    },
    Choice {
        name: "accepted",
        words: "accepted",
        verdicts: &[CallVerdict::Accepted],
    },
    Choice {
        name: "partly",
        words: "records refused",
        verdicts: &[CallVerdict::Partly],
    },
    Choice {
        name: "refused",
        words: "request refused",
        verdicts: &[CallVerdict::Refused],
    },
    Choice {
        name: "unanswered",
        words: "not answered",
        verdicts: &[CallVerdict::Unanswered],
    },
];

fn verdict_named(text: &str) -> Result<Choice, Refusal> {
    let found = CHOICES.iter().find(|choice| choice.name == text).copied();
    found.ok_or_else(|| {
        let names = CHOICES.map(|choice| choice.name).join(", ");
        Refusal::Body {
            problem: format!("`verdict` is `{text}`, but must be one of {names}, or blank"),
        }
    })
}

fn tag(verdict: CallVerdict) -> Markup {
    let (class, word) = match verdict {
        CallVerdict::Accepted => ("good", "accepted"),
        CallVerdict::Partly => ("warn", "records refused"),
        CallVerdict::Refused => ("bad", "request refused"),
        CallVerdict::Unanswered => ("bad", "not answered"),
    };
    html! { span class={ "tag " (class) } { (word) } }
}

fn filters(names: &[&str], operation: Option<&str>, verdict: Option<Choice>) -> Markup {
    html! {
        form.filters method="get" action=(link("/calls", &[])) {
            div {
                label for="operation" { "Operation" }
                select id="operation" name="operation" {
                    option value="" { "any" }
                    @for name in names { option value=(name) selected[operation == Some(name)] { (name) } }
                }
            }
            div {
                label for="verdict" { "Verdict" }
                select id="verdict" name="verdict" {
                    option value="" { "any" }
                    @for choice in CHOICES {
                        option value=(choice.name) selected[verdict.is_some_and(|v| v.name == choice.name)] { (choice.words) }
                    }
                }
            }
            button { "Show" }
        }
    }
}
