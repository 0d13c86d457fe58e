//! The documents name only tests that exist.

use std::collections::BTreeSet;
use std::path::Path;

use end_to_end::template::workspace;

/// Every function of the project's sources that follows a test attribute.
fn tests_of_the_project() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let mut folders = vec![workspace().join("crates"), workspace().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                tests.extend(tests_of(&path));
            }
        }
    }
    tests
}

fn tests_of(path: &Path) -> Vec<String> {
    let source = std::fs::read_to_string(path).expect("a source");
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let mut tests = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let is_attribute = line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        if !is_attribute {
            continue;
        }
        let name = lines[number + 1..].iter().find_map(|line| {
            line.strip_prefix("async ")
                .unwrap_or(line)
                .strip_prefix("fn ")
        });
        let name = name.and_then(|rest| rest.split(['(', '<']).next());
        tests.extend(name.map(str::to_owned));
    }
    tests
}

/// The names in backticks after `Tests:`, each of which may go on in the next lines.
fn tests_named_in(document: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(document).expect("a document");
    let named = text.split("Tests:").skip(1);
    named
        .flat_map(|part| {
            let list = part.split("\n\n").next().unwrap_or_default();
            list.split('`').skip(1).step_by(2)
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_promise_names_tests_that_exist() {
    let document = workspace().join("docs/semantics.md");
    let tests = tests_of_the_project();
    let text = std::fs::read_to_string(&document).expect("a document");
    let promises = text.lines().filter(|line| line.starts_with("**")).count();
    let lists = text.matches("\nTests:").count();
    assert!(
        promises > 20 && promises == lists,
        "{promises} promises, {lists} lists of tests"
    );
    let named = tests_named_in(&document);
    let unknown: Vec<&String> = named.iter().filter(|name| !tests.contains(*name)).collect();
    assert!(unknown.is_empty(), "no such tests: {unknown:?}");
}
