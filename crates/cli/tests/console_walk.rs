//! A person's way through the console and the registration in Chromium, against `metering local`.

use std::path::Path;
use std::process::Command;

/// Runs a script of `tests/clients`. `METERING_PYTHON` is a Python that has the packages of
/// `tests/clients/requirements.txt`. With `METERING_SCREENSHOTS=DIR` the pages are saved in this
/// folder.
#[track_caller]
fn walk(script: &str) {
    let python = std::env::var("METERING_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients");
    let status = Command::new(&python)
        .arg(clients.join(script))
        .arg(env!("CARGO_BIN_EXE_metering"))
        .status()
        .unwrap_or_else(|error| panic!("{python} does not start: {error}"));
    assert!(status.success());
}

#[test]
#[ignore = "needs Chromium and Python with selenium, which .ci/run installs"]
fn a_buyer_subscribes_registers_and_is_metered_by_clicking() {
    walk("console.py");
}

#[test]
#[ignore = "needs Chromium and Python with selenium, which .ci/run installs"]
fn buyers_register_in_two_languages_and_every_page_is_accessible() {
    walk("registration.py");
}
