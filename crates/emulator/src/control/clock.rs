//! The path `/_emulator/clock` of the control interface. It reads and changes the clock.

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Body;
use crate::emulator::Emulator;
use crate::refusal::Refusal;

#[derive(Serialize)]
pub(super) struct ClockState {
    now: Timestamp,
    speed: f64,
}

/// A change of the clock, as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClockChange {
    #[serde(default, deserialize_with = "crate::moment::optional")]
    now: Option<Timestamp>,
    #[serde(default)]
    speed: Option<f64>,
    /// The duration by which the clock moves forward, such as `1h`, `90m` or `PT1H`.
    #[serde(default)]
    advance: Option<String>,
}

pub(super) async fn read(State(emulator): State<Emulator>) -> Json<ClockState> {
    let core = emulator.core();
    Json(ClockState {
        now: core.clock.now(),
        speed: core.clock.speed(),
    })
}

pub(super) async fn set(
    State(emulator): State<Emulator>,
    Body(change): Body<ClockChange>,
) -> Result<Json<ClockState>, Refusal> {
    change.apply(&emulator)?;
    Ok(read(State(emulator)).await)
}

impl ClockChange {
    /// Changes the clock. If any member is refused, nothing changes.
    pub(crate) fn apply(self, emulator: &Emulator) -> Result<(), Refusal> {
        if let Some(speed) = self.speed
            && !(speed.is_finite() && speed >= 0.0)
        {
            return Err(Refusal::Clock {
                problem: format!("`speed` is {speed}, but must be 0 (frozen) or more"),
            });
        }
        let now = match (self.now, self.advance) {
            (Some(_), Some(_)) => {
                return Err(Refusal::Clock {
                    problem: "give `now` or `advance`, but not both".to_owned(),
                });
            }
            (now, None) => now,
            (None, Some(advance)) => Some(advanced(emulator.now(), &advance)?),
        };
        emulator.set_clock(now, self.speed);
        Ok(())
    }
}

fn advanced(now: Timestamp, advance: &str) -> Result<Timestamp, Refusal> {
    let problem = |reason: String| Refusal::Clock {
        problem: format!("`advance` is `{advance}`: {reason}"),
    };
    let by: SignedDuration = advance.parse().map_err(|e: jiff::Error| {
        problem(format!("not a duration such as `1h` or `PT1H` ({e})"))
    })?;
    now.checked_add(by).map_err(|e| problem(e.to_string()))
}
