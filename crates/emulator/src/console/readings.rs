//! The page of the readings: switches for what AWS does not document, each with its question.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::fields::{Fields, read};
use super::page::{self, Place, Refused, done, refusal};
use crate::control::ControlError;
use crate::emulator::Emulator;
use crate::readings::Readings;

/// A switch: its name, its question, and the meaning of each value.
struct Question {
    name: &'static str,
    question: &'static str,
    values: [(&'static str, &'static str); 2],
}

const QUESTIONS: [Question; 13] = [
    Question {
        name: "identical_resubmission",
        question: "A record that repeats an accepted one, quantity and all, is answered with",
        values: [
            ("success", "Success"),
            ("duplicate-record", "DuplicateRecord"),
        ],
    },
    Question {
        name: "identical_record_id",
        question: "The MeteringRecordId of such a Success is",
        values: [("same", "the first one's"), ("new", "a new one")],
    },
    Question {
        name: "empty_customer_identifier",
        question: "An empty CustomerIdentifier beside an account, as the Rust SDK sends it, is",
        values: [
            ("tolerated", "taken as absent"),
            ("refused", "refused, with the whole request"),
        ],
    },
    Question {
        name: "before_exception",
        question: "Before an exception for one record of a request",
        values: [
            ("nothing-recorded", "nothing was recorded"),
            ("earlier-recorded", "the records before it were recorded"),
        ],
    },
    Question {
        name: "zero_quantity",
        question: "A quantity of zero",
        values: [
            ("spends-slot", "spends its hour's slot"),
            ("leaves-slot-free", "leaves the slot free"),
        ],
    },
    Question {
        name: "stamp_outside_agreement",
        question: "Timestamps before the activation or after the end are",
        values: [("refused", "refused"), ("accepted", "metered")],
    },
    Question {
        name: "slot_scope",
        question: "A slot reaches over",
        values: [
            ("region", "one Region: two Regions bill twice"),
            ("global", "all Regions"),
        ],
    },
    Question {
        name: "invalid_customer",
        question: "A customer nobody knows is",
        values: [
            (
                "customer-not-subscribed",
                "CustomerNotSubscribed, for that record",
            ),
            ("exception", "an exception, for the whole request"),
        ],
    },
    Question {
        name: "final_hour_from",
        question: "The final hour of usage begins with",
        values: [
            ("deprovisioned", "License Deprovisioned"),
            ("ended", "Purchase Agreement Ended"),
        ],
    },
    Question {
        name: "license_on_renewal",
        question: "On renewal the license",
        values: [
            ("survives", "stays the same"),
            ("replaced", "is replaced by a new one"),
        ],
    },
    Question {
        name: "cloudtrail_timestamps",
        question: "CloudTrail prints the times of usage records",
        values: [
            ("printed", "as Apr 19, 2018 4:32:50 PM"),
            ("iso8601", "as 2018-04-19T16:32:50Z"),
        ],
    },
    Question {
        name: "five_tags",
        question: "At most five tags are allowed",
        values: [
            ("per-allocation", "in each allocation"),
            ("per-record", "in all allocations of a record together"),
        ],
    },
    Question {
        name: "slot_granularity",
        question: "Slots are told apart by",
        values: [
            ("hour", "the hour"),
            ("exact-timestamp", "the exact second"),
        ],
    },
];

pub(super) async fn show(State(emulator): State<Emulator>, asked: Fields) -> Response {
    view(&emulator, StatusCode::OK, &asked, None)
}

pub(super) async fn set(State(emulator): State<Emulator>, form: Fields) -> Response {
    match readings_of(&form) {
        Ok(readings) => {
            emulator.set_readings(readings);
            page::see("/readings", &[("done", "readings")])
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

/// All readings, as `PUT /_emulator/readings` takes them. A reading that the form leaves out gets
/// its default.
fn readings_of(form: &Fields) -> Result<Readings, ControlError> {
    let fields = form.beginning("");
    let members: Map<String, Value> = fields
        .map(|(name, text)| (name.to_owned(), Value::from(text)))
        .collect();
    for question in &QUESTIONS {
        let allowed = question.values.map(|(value, _)| value);
        if let Some(given) = form.get(question.name).filter(|v| !allowed.contains(v)) {
            let (name, allowed) = (question.name, allowed.join(" or "));
            return Err(ControlError::Body {
                problem: format!("`{name}` is `{given}`, but must be {allowed}"),
            });
        }
    }
    read(Value::Object(members))
}

fn view(
    emulator: &Emulator,
    status: StatusCode,
    asked: &Fields,
    refused: Option<&Refused>,
) -> Response {
    let current = serde_json::to_value(emulator.readings()).unwrap_or_default();
    let body = html! {
        (refusal(refused))
        (done(asked))
        p { "AWS's texts contradict each other here, or say nothing. Be right under all of them: the first answer of each is the likelier one." }
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
        let asked = QUESTIONS.iter().map(|question| {
            let (first, _) = question.values[0];
            (question.name.to_owned(), Value::from(first))
        });
        assert_eq!(Value::Object(asked.collect()), defaults);
        for question in &QUESTIONS {
            let (second, _) = question.values[1];
            let other = serde_json::json!({question.name: second});
            assert!(serde_json::from_value::<Readings>(other).is_ok());
        }
    }
}
