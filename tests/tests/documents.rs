//! The documents name only tests that exist, and the code names only facts that a document
//! contains.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use end_to_end::template::{Template, workspace};

/// The project's source files with these file extensions.
fn sources(extensions: &[&str]) -> Vec<PathBuf> {
    let mut sources = Vec::new();
    let mut folders = vec![workspace().join("crates"), workspace().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let extension = path.extension().and_then(|kind| kind.to_str());
            if path.is_dir() {
                folders.push(path);
            } else if extension.is_some_and(|kind| extensions.contains(&kind)) {
                sources.push(path);
            }
        }
    }
    sources
}

/// The name of every function in the project's sources that has a test attribute.
fn tests_of_the_project() -> BTreeSet<String> {
    sources(&["rs"])
        .iter()
        .flat_map(|path| tests_of(path))
        .collect()
}

/// The numbers of the facts in a text. A fact is an `M` and a number of one or two digits.
fn facts_in(text: &str) -> BTreeSet<u32> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter_map(|word| word.strip_prefix('M'))
        .filter(|number| number.len() <= 2 && !number.starts_with('0'))
        .filter_map(|number| number.parse().ok())
        .collect()
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

/// The names in backticks after `Tests:`. Such a list may continue on the next lines.
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

#[test]
fn every_fact_about_aws_is_named_by_code_and_code_names_no_other() {
    let document = workspace().join("docs/marketplace-rules.md");
    let text = std::fs::read_to_string(&document).expect("a document");
    let facts: Vec<u32> = text
        .lines()
        .filter_map(|line| line.strip_prefix("* **M")?.split_once("**"))
        .map(|(number, _)| number.parse().expect("a number"))
        .collect();
    assert!(facts.len() > 60, "{}", facts.len());
    let known: BTreeSet<u32> = facts.iter().copied().collect();
    assert_eq!(known.len(), facts.len(), "two facts have the same number");
    let mut named = BTreeSet::new();
    for source in sources(&["rs", "py"]) {
        if source.ends_with("tests/documents.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&source).expect("a source");
        let unknown: Vec<u32> = facts_in(&text).difference(&known).copied().collect();
        assert!(
            unknown.is_empty(),
            "{}: no facts {unknown:?}",
            source.display()
        );
        named.extend(facts_in(&text));
    }
    let unnamed: Vec<&u32> = known.difference(&named).collect();
    assert!(unnamed.is_empty(), "no code names the facts {unnamed:?}");
}

/// The names of the workspace's integration tests, as `cargo test --test` takes them.
fn integration_tests() -> BTreeSet<String> {
    let crates = std::fs::read_dir(workspace().join("crates")).expect("a folder");
    let mut folders: Vec<PathBuf> = crates
        .map(|entry| entry.expect("an entry").path().join("tests"))
        .filter(|folder| folder.is_dir())
        .collect();
    folders.push(workspace().join("tests/tests"));
    let entries = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).expect("a folder"))
        .map(|entry| entry.expect("an entry").path());
    let tests = entries.filter(|path| match path.extension() {
        Some(extension) => extension == "rs",
        None => path.join("main.rs").is_file(),
    });
    tests
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}

#[test]
fn the_inner_loop_names_every_crate_and_only_tests_that_exist() {
    let document = workspace().join("CONTRIBUTING.md");
    let text = std::fs::read_to_string(&document).expect("a document");
    let tests = integration_tests();
    let named: Vec<&str> = text
        .split("--test ")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| c.is_whitespace() || c == '`').next())
        .collect();
    assert!(named.len() > 20, "{named:?}");
    let unknown: Vec<&&str> = named
        .iter()
        .filter(|name| !tests.contains(**name))
        .collect();
    assert!(unknown.is_empty(), "no such tests: {unknown:?}");
    for entry in std::fs::read_dir(workspace().join("crates")).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_str().expect("a name in UTF-8");
        assert!(
            text.contains(&format!("| `{name}` |")),
            "the table of CONTRIBUTING.md has no row for the crate {name}"
        );
    }
}

#[test]
fn the_steps_of_the_checks_that_documents_name_exist() {
    let script = std::fs::read_to_string(workspace().join(".ci/run")).expect("the script");
    let mut named = 0;
    for document in ["CONTRIBUTING.md", "README.md", "docs/proof.md"] {
        let text = std::fs::read_to_string(workspace().join(document)).expect("a document");
        for command in text.split("bash .ci/run").skip(1) {
            let command = command.split(['`', '\n', '#']).next().unwrap_or_default();
            for step in command.split_whitespace().filter(|word| *word != "--list") {
                named += 1;
                assert!(
                    script.contains(&format!("\nstep_{step}() {{")),
                    "{document}: .ci/run has no step {step}"
                );
            }
        }
    }
    assert!(named > 0, "no document names a step");
}

/// The names in backticks at the beginning of the rows of the table with this heading.
fn rows_of<'t>(text: &'t str, heading: &str) -> BTreeSet<&'t str> {
    let (_, table) = text.split_once(heading).expect("the table");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| row.split('`').nth(1)).collect()
}

#[test]
fn the_claims_of_a_ticket_are_those_that_the_document_explains() {
    let document = workspace().join("docs/registration.md");
    let text = std::fs::read_to_string(&document).expect("a document");
    let explained = rows_of(&text, "| claim | what it is |");
    let claims: BTreeSet<&str> = registration::ticket::CLAIMS.into();
    assert_eq!(explained, claims);
}

#[test]
fn the_example_in_rust_is_the_code_that_the_tests_run() {
    let document = workspace().join("docs/registration.md");
    let text = std::fs::read_to_string(&document).expect("a document");
    let source = workspace().join("tests/tests/registration/offline.rs");
    let source = std::fs::read_to_string(&source).expect("a source");
    let (_, function) = source.split_once("pub fn ").expect("a function");
    assert!(text.contains(&format!("```rust\npub fn {function}```\n")));
}

#[test]
fn the_addresses_of_the_registration_are_those_of_the_template() {
    let document = workspace().join("docs/registration.md");
    let text = std::fs::read_to_string(&document).expect("a document");
    let (_, table) = text.split_once("| method and path |").expect("the table");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let calls = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let documented: BTreeSet<&str> = calls
        .map(|call| call.split(' ').nth(1).expect("a path"))
        .collect();
    let template = Template::read();
    let events = template.function("Registration")["Events"].as_object();
    let routed: BTreeSet<&str> = events
        .expect("events")
        .values()
        .map(|event| event["Properties"]["Path"].as_str().expect("a path"))
        .collect();
    assert_eq!(documented, routed);
}
