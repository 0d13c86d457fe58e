//! The bootstrap of a function, and the environment in which it is started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use local::stack::STACK_NAME;
use serde_json::{Map, Value};

use crate::template::{FUNCTIONS, Template, workspace};

/// The addresses at which `events/env.json` expects DynamoDB and AWS Marketplace.
const DYNAMODB: &str = "http://host.docker.internal:8000";
const MARKETPLACE: &str = "http://host.docker.internal:8081";
/// The variable that names a folder of bootstraps from `sam build`. They are tested instead of our
/// own build.
const BOOTSTRAPS_VARIABLE: &str = "METERING_BOOTSTRAPS";

/// A function's environment as `sam local` makes it: the template's variables, with the parameters'
/// defaults. The values of `events/env.json` replace them, with these addresses filled in.
///
/// # Panics
///
/// If a variable has no value in either place.
pub fn environment(
    template: &Template,
    function: &str,
    dynamodb: &str,
    marketplace: &str,
) -> BTreeMap<String, String> {
    let parameters = template.section("Parameters");
    let overrides = overrides();
    template
        .environment(function)
        .into_iter()
        .map(|(name, value)| {
            let value = match overrides.get(&name) {
                Some(value) => value
                    .replace(DYNAMODB, dynamodb)
                    .replace(MARKETPLACE, marketplace),
                None => with_defaults(&value, parameters),
            };
            (name, value)
        })
        .collect()
}

/// The text of a value of the template, with the parameters' defaults.
fn with_defaults(value: &Value, parameters: &Map<String, Value>) -> String {
    if let Some(choice) = value["Fn::If"].as_array() {
        // The defaults make every condition of the template false.
        return with_defaults(&choice[2], parameters);
    }
    match value["Ref"].as_str() {
        Some("AWS::StackName") => STACK_NAME.to_owned(),
        Some("AWS::AccountId") => "222222222222".to_owned(),
        Some(parameter) => plain_text(&parameters[parameter]["Default"]),
        None => plain_text(value),
    }
}

/// The values of `events/env.json` that apply to every function.
fn overrides() -> BTreeMap<String, String> {
    let text =
        std::fs::read_to_string(workspace().join("events/env.json")).expect("events/env.json");
    let read: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_str(&text).expect("variables");
    read.into_values()
        .next()
        .expect("variables for all functions")
}

fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => panic!("events/env.json has no value for {other}"),
    }
}

/// The bootstrap of a function, by the prefix of its resources' names.
///
/// `cargo test` builds no binaries of other packages. So this function builds all of them, once per
/// process, into the folder into which the tests were built. If `METERING_BOOTSTRAPS` names a
/// folder, such as `.aws-sam/build`, the bootstraps in it are used instead.
///
/// # Panics
///
/// If the binaries do not compile or do not exist.
pub fn binary(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os(BOOTSTRAPS_VARIABLE) {
        let binary = workspace()
            .join(folder)
            .join(format!("{name}Function"))
            .join("bootstrap");
        assert!(
            binary.exists(),
            "{BOOTSTRAPS_VARIABLE}: {} is missing",
            binary.display()
        );
        return binary;
    }
    // A build that failed once is not repeated for every test.
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let test = std::env::current_exe().expect("the test's own path");
        let folder = test
            .ancestors()
            .nth(2)
            .expect("<target>/<profile>/deps/<test>");
        is_built(folder).then(|| folder.to_owned())
    });
    let folder = folder
        .as_ref()
        .expect("the functions do not compile; see above");
    let (_, binary) = FUNCTIONS
        .iter()
        .find(|(function, _)| *function == name)
        .unwrap_or_else(|| panic!("there is no function {name}"));
    folder.join(binary)
}

fn is_built(folder: &Path) -> bool {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    // The build covers the whole workspace with its tests, as the build that runs these tests did.
    // So the features are the same and almost nothing has to be compiled.
    Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--workspace", "--bins", "--tests"])
        .args(["--profile", profile, "--target-dir"])
        .arg(folder.parent().expect("a target folder"))
        .current_dir(workspace())
        .status()
        .expect("cargo")
        .success()
}
