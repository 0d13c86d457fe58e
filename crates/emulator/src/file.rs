//! A world in a file, either saved completely or written by hand.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clock::Clock;
use crate::control::ControlError;
use crate::emulator::Core;
use crate::faults::{FaultState, Faults};
use crate::readings::Readings;
use crate::settings::Settings;
use crate::world::{NewAgreement, NewProduct, Snapshot, World};

/// Why a world cannot be loaded or saved.
#[derive(Debug, Error)]
pub enum FileError {
    /// The text is neither the JSON of a world nor that of a setup.
    #[error("this is neither a saved world nor a setup: {0}")]
    Json(#[from] serde_json::Error),
    /// The emulator refused a part of a setup.
    #[error("the setup is refused: {0}")]
    Setup(#[from] ControlError),
}

/// A saved world with its clock and faults.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorldFile {
    clock: SavedClock,
    faults: Faults,
    world: Snapshot,
}

/// The clock in a file. Missing members are `None`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedClock {
    #[serde(default, deserialize_with = "crate::moment::optional")]
    pub(crate) now: Option<Timestamp>,
    #[serde(default)]
    pub(crate) speed: Option<f64>,
}

/// A setup, which is a world written by hand: requests to the control interface in one document.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Setup {
    pub(crate) settings: Option<Settings>,
    pub(crate) readings: Option<Readings>,
    pub(crate) faults: Option<Faults>,
    pub(crate) clock: Option<SavedClock>,
    pub(crate) products: Vec<NewProduct>,
    pub(crate) agreements: Vec<NewAgreement>,
}

impl WorldFile {
    pub(crate) fn of(core: &Core) -> WorldFile {
        WorldFile {
            clock: SavedClock {
                now: Some(core.clock.now()),
                speed: Some(core.clock.speed()),
            },
            faults: core.faults.faults(),
            world: core.world.save(),
        }
    }

    pub(crate) fn write(&self) -> Result<String, FileError> {
        Ok(serde_json::to_string(self)?)
    }

    /// Reads a saved world or a setup. Only a saved world has the member `world`.
    pub(crate) fn read(json: &str) -> Result<(Option<WorldFile>, Setup), FileError> {
        let value: serde_json::Value = serde_json::from_str(json)?;
        if value.get("world").is_some() {
            return Ok((Some(serde_json::from_value(value)?), Setup::default()));
        }
        Ok((None, serde_json::from_value(value)?))
    }

    pub(crate) fn restore(self, core: &mut Core) {
        core.clock = Clock::new(self.clock.now, self.clock.speed.unwrap_or(1.0));
        core.faults = FaultState::new(self.faults);
        core.world = World::load(self.world);
    }
}
