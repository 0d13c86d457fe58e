//! The examples of `docs/registration.md` in Python and JavaScript, against `metering local`.

use std::path::Path;
use std::process::Command;

/// `METERING_PYTHON` is a Python that has the packages of `tests/clients/requirements.txt`.
#[test]
#[ignore = "needs Python with PyJWT, and Node.js, which .ci/run installs"]
fn the_documented_examples_verify_tickets_offline() {
    let python = std::env::var("METERING_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/tickets.py");
    let status = Command::new(&python)
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_metering"))
        .status()
        .unwrap_or_else(|error| panic!("{python} does not start: {error}"));
    assert!(status.success());
}
