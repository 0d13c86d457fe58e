//! The AWS CLI and boto3, unmodified, against `metering local`.

use std::path::Path;
use std::process::Command;

/// `METERING_PYTHON` is a Python that has the packages of `tests/clients/requirements.txt`.
#[test]
#[ignore = "needs Python with boto3 and awscli, which .ci/run installs"]
fn the_aws_cli_and_boto3_get_from_a_token_to_the_exact_bill() {
    let python = std::env::var("METERING_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/local_stack.py");
    let status = Command::new(&python)
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_metering"))
        .status()
        .unwrap_or_else(|error| panic!("{python} does not start: {error}"));
    assert!(status.success());
}
