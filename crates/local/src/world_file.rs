//! The emulated AWS Marketplace in a file, beside the tables that know of it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use emulator::Emulator;

use crate::stack::StackError;

/// Its name in the folder of `--data-dir`.
const FILE: &str = "marketplace.json";

/// Where the emulator's world is kept.
pub(crate) struct WorldFile(PathBuf);

impl WorldFile {
    /// In a folder that exists.
    pub fn in_dir(dir: &Path) -> Self {
        Self(dir.join(FILE))
    }

    /// Takes up the world that was kept, if there is one.
    pub fn load(&self, emulator: &Emulator) -> Result<(), StackError> {
        match std::fs::read_to_string(&self.0) {
            Ok(json) => emulator.load(&json).map_err(|error| {
                self.failed(&format!("read: {error}; move it away to begin anew"))
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.failed(&format!("read: {error}"))),
        }
    }

    /// Writes the world. The file is replaced as a whole: a crash leaves the old one or the new one.
    pub fn save(&self, emulator: &Emulator) -> Result<(), StackError> {
        let json = emulator
            .save()
            .map_err(|error| self.failed(&format!("written: {error}")))?;
        let new = self.0.with_extension("json.new");
        std::fs::write(&new, json)
            .and_then(|()| std::fs::rename(&new, &self.0))
            .map_err(|error| self.failed(&format!("written: {error}")))
    }

    fn failed(&self, problem: &str) -> StackError {
        StackError::Failed(format!("{} cannot be {problem}", self.0.display()))
    }
}
