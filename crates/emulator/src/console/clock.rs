//! The page on which the clock is shown and set.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use serde_json::json;

use super::fields::{Fields, object, read};
use super::page::{self, Place, Refused, notice, pace, refusal, time, typed};
use crate::control::ClockChange;
use crate::emulator::Emulator;
use crate::refusal::Refusal;

pub(super) async fn show(State(emulator): State<Emulator>, query: Fields) -> Response {
    view(&emulator, StatusCode::OK, &query, None)
}

pub(super) async fn set(State(emulator): State<Emulator>, form: Fields) -> Response {
    match change(&emulator, &form) {
        Ok(()) => page::redirect("/clock", &[("done", "clock")]),
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

fn change(emulator: &Emulator, form: &Fields) -> Result<(), Refusal> {
    let change: ClockChange = read(object([
        ("now", form.get("now").map(|text| json!(text))),
        ("speed", form.number("speed")?.map(|speed| json!(speed))),
        ("advance", form.get("advance").map(|text| json!(text))),
    ]))?;
    change.apply(emulator)
}

fn view(
    emulator: &Emulator,
    status: StatusCode,
    query: &Fields,
    refused: Option<&Refused>,
) -> Response {
    let (now, speed) = (emulator.now(), emulator.speed());
    let body = html! {
        (refusal(refused))
        (notice(query))
        p.large { (time(now)) ", " strong { (pace(speed)) } }
        div.actions {
            (button("advance", "1h", "Advance one hour"))
            @if speed == 0.0 { (button("speed", "1", "Run in real time")) }
            @else { (button("speed", "0", "Freeze")) }
        }
        p.hint {
            "Lifecycle messages are sent when the clock reaches the time at which they fall due. Software with a schedule of its own sees the new time at its next run."
        }
        (advance(refused))
        (set_form(refused))
    };
    page::page(emulator, status, Place::Clock, "Clock", &body)
}

fn button(name: &str, value: &str, words: &str) -> Markup {
    html! {
        form.inline method="post" action="/_emulator/console/clock" {
            input type="hidden" name=(name) value=(value);
            button { (words) }
        }
    }
}

fn advance(refused: Option<&Refused>) -> Markup {
    html! {
        section aria-labelledby="advance-by" {
            h2 id="advance-by" { "Advance by" }
            form method="post" action="/_emulator/console/clock" {
                label for="advance" { "How far" }
                input id="advance" name="advance" value=(typed(refused, "advance")) required autocomplete="off" aria-describedby="advance-rule";
                p.hint id="advance-rule" { "A duration such as 90m, 6h, 24h or PT1H30M. A negative one, such as -1h, moves the clock back." }
                button { "Advance" }
            }
        }
    }
}

fn set_form(refused: Option<&Refused>) -> Markup {
    html! {
        section aria-labelledby="set" {
            h2 id="set" { "Set the clock" }
            form method="post" action="/_emulator/console/clock" {
                label for="now" { "Time" }
                input id="now" name="now" value=(typed(refused, "now")) autocomplete="off" placeholder="2026-11-21T12:00:00Z" aria-describedby="now-rule";
                p.hint id="now-rule" { "A time such as 2026-11-21T12:00:00Z. Blank leaves the time as it is." }
                label for="speed" { "Speed" }
                input id="speed" name="speed" value=(typed(refused, "speed")) inputmode="decimal" autocomplete="off" aria-describedby="speed-rule";
                p.hint id="speed-rule" { "1 is real time, 3600 is one hour in each second, and 0 is frozen. Blank leaves the speed as it is." }
                button { "Set the clock" }
            }
        }
    }
}
