//! The emulator program is tested with clients of AWS: boto3 and the AWS CLI.

use std::path::Path;
use std::process::Command;

/// The environment variable `METERING_PYTHON` names a Python with the packages of
/// `tests/clients/requirements.txt`.
#[test]
#[ignore = "needs Python with boto3 and the AWS CLI: METERING_PYTHON"]
fn the_emulator_conforms_to_the_rules_and_to_botocores_model_of_the_apis() {
    let python = std::env::var("METERING_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/run.py");
    // The output is not captured, because the output of the test run should show the suite's count.
    let status = Command::new(&python)
        .arg(suite)
        .arg(env!("CARGO_BIN_EXE_emulator"))
        .status()
        .unwrap_or_else(|error| panic!("{python} does not start: {error}"));
    assert!(status.success());
}
