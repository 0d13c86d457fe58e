//! The functions have as few dependencies as possible, and share them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use end_to_end::template::{FUNCTIONS, workspace};

/// The packages that a function is built from when it is built alone, with their features.
fn packages(function: &str) -> BTreeMap<String, BTreeSet<String>> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--package", function, "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}|{f}"])
        .current_dir(workspace())
        .output()
        .expect("cargo tree");
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    String::from_utf8(tree.stdout)
        .expect("text")
        .lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(package, features)| {
            let features = features.trim_end_matches(" (*)");
            let features = features.split(',').map(str::to_owned).collect();
            // Cargo prints our own packages with their paths.
            let package = package.split(" (").next().unwrap_or(package);
            (package.to_owned(), features)
        })
        .collect()
}

fn is(package: &str, name: &str) -> bool {
    package.split(' ').next() == Some(name)
}

#[test]
fn functions_carry_no_tool_and_no_database() {
    for (_, function) in FUNCTIONS {
        let packages = packages(function);
        for name in [
            "clap",
            "dynoxide-rs",
            "emulator",
            "indicatif",
            "libsqlite3-sys",
            "local",
            "openssl-sys",
            "ring",
        ] {
            assert!(
                !packages.keys().any(|package| is(package, name)),
                "{function} depends on {name}"
            );
        }
        for (_, other) in FUNCTIONS.iter().filter(|(_, other)| *other != function) {
            assert!(
                !packages.keys().any(|package| is(package, other)),
                "{function} depends on {other}"
            );
        }
    }
}

/// Packages that only the functions behind HTTP need, and on which few others depend.
const MAY_DIFFER: [&str; 2] = ["axum", "runtime"];

#[test]
fn functions_share_their_dependencies_compiled_once() {
    let mut seen: BTreeMap<String, (&str, BTreeSet<String>)> = BTreeMap::new();
    for (_, function) in FUNCTIONS {
        for (package, features) in packages(function) {
            if MAY_DIFFER.iter().any(|name| is(&package, name)) {
                continue;
            }
            let (first, there) = seen
                .entry(package.clone())
                .or_insert_with(|| (function, features.clone()));
            assert_eq!(
                *there, features,
                "{package} is built with other features in {function} than in {first}; name them in \
                 crates/runtime/Cargo.toml, or all that depends on it is compiled again"
            );
        }
    }
}
