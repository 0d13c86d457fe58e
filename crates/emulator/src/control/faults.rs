//! Sets faults after checking which operations they name.

use crate::emulator::Emulator;
use crate::faults::{FaultError, Faults};
use crate::limits::FAULTS_MAX;
use crate::wire;

impl Emulator {
    /// Replaces all faults. Refuses them if there are too many, or if one names an operation that
    /// does not exist.
    pub(crate) fn check_and_set_faults(&self, faults: Faults) -> Result<(), FaultError> {
        let names = wire::operation_names();
        if faults.faults.len() > FAULTS_MAX {
            let count = faults.faults.len();
            return Err(FaultError::Count { count });
        }
        for fault in &faults.faults {
            if fault.operation != "*" && !names.contains(&fault.operation.as_str()) {
                return Err(FaultError::Operation {
                    operation: fault.operation.clone(),
                    known: names.join(", "),
                });
            }
        }
        self.set_faults(faults);
        Ok(())
    }
}
