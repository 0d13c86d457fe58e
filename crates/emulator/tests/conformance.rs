//! Clients nobody here wrote, boto3 and the AWS CLI, against the emulator program.

use std::path::Path;
use std::process::Command;

/// `METERING_PYTHON` is a Python that has the packages of `tests/clients/requirements.txt`.
#[test]
#[ignore = "needs Python with boto3 and the AWS CLI: METERING_PYTHON"]
fn the_emulator_conforms_to_the_rules_and_to_botocores_model_of_the_apis() {
    let python = std::env::var("METERING_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/run.py");
    // Not captured: the suite's count belongs into the output of the test run.
    let status = Command::new(&python)
        .arg(suite)
        .arg(env!("CARGO_BIN_EXE_emulator"))
        .status()
        .unwrap_or_else(|error| panic!("{python} does not start: {error}"));
    assert!(status.success());
}
