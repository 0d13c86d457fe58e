//! A world in a file, either saved completely or written by hand.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clock::Clock;
use crate::emulator::{Core, Emulator};
use crate::faults::{FaultState, Faults};
use crate::readings::Readings;
use crate::refusal::Refusal;
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
    Setup(#[from] Refusal),
}

/// A saved world with its clock and faults.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorldFile {
    clock: SavedClock,
    faults: Faults,
    world: Snapshot,
}

/// The clock in a file. Missing members are `None`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedClock {
    #[serde(default, deserialize_with = "crate::moment::optional")]
    now: Option<Timestamp>,
    #[serde(default)]
    speed: Option<f64>,
}

/// A setup, which is a world written by hand: requests to the control interface in one document.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Setup {
    settings: Option<Settings>,
    readings: Option<Readings>,
    faults: Option<Faults>,
    clock: Option<SavedClock>,
    products: Vec<NewProduct>,
    agreements: Vec<NewAgreement>,
}

impl Emulator {
    /// Saves the whole world with its clock and faults as JSON.
    pub fn save(&self) -> Result<String, FileError> {
        let core = &*self.core();
        WorldFile::of(core).write()
    }

    /// Loads a saved world or applies a setup. A setup is JSON with any of `settings`, `readings`,
    /// `clock`, `faults`, `products` and `agreements`, in the form that the control interface
    /// accepts. If the JSON cannot be read, nothing changes. A setup stops at the first part that
    /// is refused.
    pub fn load(&self, json: &str) -> Result<(), FileError> {
        match WorldFile::read(json)? {
            (Some(saved), _) => {
                let core = &mut *self.core();
                saved.restore(core);
                Ok(())
            }
            (None, setup) => self.set_up(setup),
        }
    }

    fn set_up(&self, setup: Setup) -> Result<(), FileError> {
        if let Some(settings) = setup.settings {
            self.set_settings(settings);
        }
        if let Some(readings) = setup.readings {
            self.set_readings(readings);
        }
        if let Some(faults) = setup.faults {
            self.check_and_set_faults(faults).map_err(Refusal::from)?;
        }
        if let Some(clock) = setup.clock {
            self.set_clock(clock.now, clock.speed);
        }
        for product in setup.products {
            self.add_product(product)?;
        }
        for agreement in setup.agreements {
            self.add_agreement(agreement)?;
        }
        Ok(())
    }
}

impl WorldFile {
    fn of(core: &Core) -> WorldFile {
        WorldFile {
            clock: SavedClock {
                now: Some(core.clock.now()),
                speed: Some(core.clock.speed()),
            },
            faults: core.faults.faults(),
            world: core.world.save(),
        }
    }

    fn write(&self) -> Result<String, FileError> {
        Ok(serde_json::to_string(self)?)
    }

    /// Reads a saved world or a setup. Only a saved world has the member `world`.
    fn read(json: &str) -> Result<(Option<WorldFile>, Setup), FileError> {
        let value: serde_json::Value = serde_json::from_str(json)?;
        if value.get("world").is_some() {
            return Ok((Some(serde_json::from_value(value)?), Setup::default()));
        }
        Ok((None, serde_json::from_value(value)?))
    }

    fn restore(self, core: &mut Core) {
        core.clock = Clock::new(self.clock.now, self.clock.speed.unwrap_or(1.0));
        core.faults = FaultState::new(self.faults);
        core.world = World::load(self.world);
    }
}
