//! A person's way through the console in Chromium, against `metering local`.

use std::path::Path;
use std::process::Command;

/// `METERING_PYTHON` is a Python that has the packages of `tests/clients/requirements.txt`. With
/// `METERING_SCREENSHOTS=DIR` the pages are saved in this folder.
#[test]
#[ignore = "needs Chromium and Python with selenium, which .ci/run installs"]
fn a_buyer_subscribes_registers_and_is_metered_by_clicking() {
    let python = std::env::var("METERING_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/console.py");
    let status = Command::new(&python)
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_metering"))
        .status()
        .unwrap_or_else(|error| panic!("{python} does not start: {error}"));
    assert!(status.success());
}
