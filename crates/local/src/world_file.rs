//! Saves the emulated AWS Marketplace to a file, next to the tables that refer to it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use emulator::{Emulator, replace_file};

use crate::stack::StackError;

/// The name of the file in the folder of `--data-dir`.
const FILE: &str = "marketplace.json";

/// The file that holds the emulator's world.
pub(crate) struct WorldFile(PathBuf);

impl WorldFile {
    /// Returns the file in `dir`, which must exist.
    pub fn in_dir(dir: &Path) -> Self {
        Self(dir.join(FILE))
    }

    /// Loads the world that was saved, if there is one.
    pub fn load(&self, emulator: &Emulator) -> Result<(), StackError> {
        match std::fs::read_to_string(&self.0) {
            Ok(json) => emulator.load(&json).map_err(|error| {
                self.failed(&format!(
                    "read: {error}; move it away to start with an empty world"
                ))
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.failed(&format!("read: {error}"))),
        }
    }

    /// Saves the world. The file is replaced as a whole. So a crash, even of the machine, leaves
    /// either the old file or the new one.
    pub fn save(&self, emulator: &Emulator) -> Result<(), StackError> {
        let json = emulator
            .save()
            .map_err(|error| self.failed(&format!("written: {error}")))?;
        replace_file(&self.0, &json).map_err(|error| self.failed(&format!("written: {error}")))
    }

    fn failed(&self, problem: &str) -> StackError {
        StackError::Failed(format!("{} cannot be {problem}", self.0.display()))
    }
}
