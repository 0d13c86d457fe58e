//! The page of the readings. A reading is a switch for behavior that AWS does not document.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::fields::{Fields, read};
use super::page::{self, Place, Refused, notice, refusal};
use crate::emulator::Emulator;
use crate::readings::Readings;
use crate::refusal::Refusal;

/// A reading as the page asks for it: its name, the beginning of a sentence, and for each value the
/// end of that sentence.
struct Question {
    name: &'static str,
    question: &'static str,
    values: [(&'static str, &'static str); 2],
}

const QUESTIONS: [Question; 14] = [
    Question {
        name: "identical_resubmission",
        question: "A record that is identical to an accepted one is answered with",
        values: [
            ("success", "Success"),
            ("duplicate-record", "DuplicateRecord"),
        ],
    },
    Question {
        name: "identical_record_id",
        question: "The MeteringRecordId in the Success for an identical record is",
        values: [("same", "the id of the first record"), ("new", "a new id")],
    },
    Question {
        name: "empty_customer_identifier",
        question: "If a record has an account and an empty CustomerIdentifier, as the Rust SDK sends it, the CustomerIdentifier is",
        values: [
            ("tolerated", "ignored"),
            ("refused", "refused, with the whole request"),
        ],
    },
    Question {
        name: "before_exception",
        question: "When one record of a request causes an exception,",
        values: [
            ("nothing-recorded", "nothing was recorded"),
            ("earlier-recorded", "the records before it were recorded"),
        ],
    },
    Question {
        name: "zero_quantity",
        question: "A quantity of zero",
        values: [
            ("spends-slot", "takes the slot of its hour"),
            ("leaves-slot-free", "leaves the slot free"),
        ],
    },
    Question {
        name: "stamp_outside_agreement",
        question: "Records with timestamps before the activation or after the end are",
        values: [("refused", "refused"), ("accepted", "metered")],
    },
    Question {
        name: "slot_scope",
        question: "A slot covers",
        values: [
            ("region", "one Region, so that two Regions bill twice"),
            ("global", "all Regions"),
        ],
    },
    Question {
        name: "invalid_customer",
        question: "A record for an unknown customer is answered with",
        values: [
            (
                "customer-not-subscribed",
                "CustomerNotSubscribed for that record",
            ),
            ("exception", "an exception for the whole request"),
        ],
    },
    Question {
        name: "final_hour_from",
        question: "The final hour of usage begins with the event",
        values: [
            ("deprovisioned", "License Deprovisioned"),
            ("ended", "Purchase Agreement Ended"),
        ],
    },
    Question {
        name: "license_on_renewal",
        question: "When an agreement is renewed, its license",
        values: [
            ("survives", "stays the same"),
            ("replaced", "is replaced by a new one"),
        ],
    },
    Question {
        name: "ended_on_renewal",
        question: "When an agreement is renewed, the event Purchase Agreement Ended of the old one",
        values: [("sent", "is sent"), ("not-sent", "is never sent")],
    },
    Question {
        name: "cloudtrail_timestamps",
        question: "CloudTrail writes the timestamps of usage records",
        values: [
            ("printed", "like Apr 19, 2018 4:32:50 PM"),
            ("iso8601", "like 2018-04-19T16:32:50Z"),
        ],
    },
    Question {
        name: "five_tags",
        question: "The limit of five tags applies",
        values: [
            ("per-allocation", "to each allocation"),
            ("per-record", "to all allocations of a record together"),
        ],
    },
    Question {
        name: "slot_granularity",
        question: "Two records are for different slots if they differ in",
        values: [("hour", "the hour"), ("exact-timestamp", "the second")],
    },
];

pub(super) async fn show(State(emulator): State<Emulator>, query: Fields) -> Response {
    view(&emulator, StatusCode::OK, &query, None)
}

pub(super) async fn set(State(emulator): State<Emulator>, form: Fields) -> Response {
    match readings_of(&form) {
        Ok(readings) => {
            emulator.set_readings(readings);
            page::redirect("/readings", &[("done", "readings")])
        }
        Err(error) => {
            let refused = Refused::of(&error, form);
            view(
                &emulator,
                error.status(),
                &Fields::default(),
                Some(&refused),
            )
        }
    }
}

/// All readings, as `PUT /_emulator/readings` accepts them. A reading that is not in the form gets
/// its default.
fn readings_of(form: &Fields) -> Result<Readings, Refusal> {
    let fields = form.with_prefix("");
    let members: Map<String, Value> = fields
        .map(|(name, text)| (name.to_owned(), Value::from(text)))
        .collect();
    for question in &QUESTIONS {
        let allowed = question.values.map(|(value, _)| value);
        if let Some(given) = form.get(question.name).filter(|v| !allowed.contains(v)) {
            let (name, allowed) = (question.name, allowed.join(" or "));
            return Err(Refusal::Body {
                problem: format!("`{name}` is `{given}`, but must be {allowed}"),
            });
        }
    }
    read(Value::Object(members))
}

fn view(
    emulator: &Emulator,
    status: StatusCode,
    query: &Fields,
    refused: Option<&Refused>,
) -> Response {
    let current = serde_json::to_value(emulator.readings()).unwrap_or_default();
    let body = html! {
        (refusal(refused))
        (notice(query))
        p { "In these questions AWS's documentation contradicts itself or says nothing. Your software should be correct under every answer. The first answer to each question is the likelier one." }
        form method="post" action="/_emulator/console/readings" {
            @for question in &QUESTIONS { (fieldset(question, &current)) }
            button { "Set the readings" }
        }
    };
    page::page(emulator, status, Place::Readings, "Readings", &body)
}

fn fieldset(question: &Question, current: &Value) -> Markup {
    let chosen = current.get(question.name).and_then(Value::as_str);
    html! {
        fieldset {
            legend { (question.question) }
            @for (value, words) in question.values {
                label.choice {
                    input type="radio" name=(question.name) value=(value) checked[chosen == Some(value)];
                    span { (words) " " code { (value) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reading_is_asked_and_its_first_answer_is_the_default() {
        let defaults = serde_json::to_value(Readings::default()).expect("readings");
        let first_values = QUESTIONS.iter().map(|question| {
            let (first, _) = question.values[0];
            (question.name.to_owned(), Value::from(first))
        });
        assert_eq!(Value::Object(first_values.collect()), defaults);
        for question in &QUESTIONS {
            let (second, _) = question.values[1];
            let other = serde_json::json!({question.name: second});
            assert!(serde_json::from_value::<Readings>(other).is_ok());
        }
    }
}
