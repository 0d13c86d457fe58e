//! The command `metering pages`, which sets up the registration pages.

mod common;

use std::path::{Path, PathBuf};

use common::{Local, Ran, http, metering, metering_with};
use serde_json::{Value, json};

/// A file in the documentation.
fn document(name: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    workspace.join("docs").join(name)
}

fn example() -> String {
    let path = document("pages-example.toml");
    path.to_str().expect("a path in UTF-8").to_owned()
}

struct Stack {
    local: Local,
    dynamodb: String,
}

impl Stack {
    fn start() -> Self {
        let local = Local::start(&["--speed", "0"]);
        Self {
            dynamodb: format!("http://{}", local.dynamodb),
            local,
        }
    }

    /// Runs `metering pages` with `input` on its standard input.
    fn pages(&self, arguments: &[&str], input: &str) -> Ran {
        let mut all = vec!["pages"];
        all.extend(arguments);
        all.extend(["--dynamodb-endpoint", &self.dynamodb]);
        metering_with(&all, input)
    }

    fn shown(&self) -> Value {
        self.pages(&["show", "--json"], "").json()
    }
}

#[test]
fn the_example_of_the_documentation_is_applied_shown_and_reset() {
    let stack = Stack::start();
    let before = stack.shown();
    assert_eq!(before["version"], Value::Null);
    assert_eq!(before["settings"], json!({}));
    assert_eq!(before["texts"]["de"]["field.email"], "E-Mail-Adresse");
    let shown = stack.pages(&["show"], "").ok();
    assert!(shown.contains("nothing is stored: the defaults"), "{shown}");
    assert!(shown.contains("en (default)"), "{shown}");

    let applied = stack.pages(&["apply", &example()], "");
    assert_eq!(applied.err, "");
    let applied = applied.ok();
    assert!(applied.contains("languages en (default), de"), "{applied}");
    assert!(
        applied.contains("company name email vat_id note"),
        "{applied}"
    );
    let again = stack.pages(&["apply", &example()], "").ok();
    assert_eq!(again, "pages: nothing to change\n");

    let shown = stack.shown();
    assert_eq!(shown["settings"]["colors"]["accent"], "#0b57b0");
    assert_eq!(shown["fields"][2]["kind"], "email");
    assert_eq!(shown["missing_texts"], json!({}));
    assert_eq!(
        shown["texts"]["en"]["field.vat_id"],
        "VAT identification number"
    );
    let version = shown["version"].as_u64().expect("a version");
    let shown = stack.pages(&["show"], "").ok();
    for part in [
        format!("version {version}").as_str(),
        "https://www.example.com/logo.svg",
        "https://app.example.com/aws-marketplace",
        "vat_id (line, optional)",
        "background #ffffff",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    let unasked = stack.pages(&["reset"], "y\n");
    assert_eq!(unasked.code, 2);
    assert!(unasked.err.contains("--yes"), "{}", unasked.err);
    stack.pages(&["reset", "--yes"], "").ok();
    let shown = stack.shown();
    assert_eq!(shown["settings"], json!({}));
    assert!(shown["version"].as_u64() > Some(version));
    assert_eq!(stack.local.stop(), 0);
}

#[test]
fn texts_that_a_language_lacks_are_listed() {
    let stack = Stack::start();
    let file = "[languages.fr.texts]\nthanks.title = \"Merci\"\n";
    let applied = stack.pages(&["apply", "-"], file);
    assert!(applied.err.contains("fr: page.help, "), "{}", applied.err);
    assert!(!applied.err.contains("thanks.title"), "{}", applied.err);
    applied.ok();
    let shown = stack.shown();
    let missing = &shown["missing_texts"];
    assert!(missing["fr"].as_array().expect("a list").len() > 50);
    assert_eq!(missing["de"], Value::Null);
    let (status, page) = http(stack.local.http, "GET", "/register", "");
    assert_eq!(status, 200, "{page}");
}

#[test]
fn a_file_with_a_mistake_is_refused_and_nothing_is_stored() {
    let stack = Stack::start();
    for (file, complaint) in [
        ("[colors]\naccent = \"blue\"\n", "-, line 2, column"),
        (
            "[colors]\naccent = \"#ffcc00\"\n",
            "colors.accent is #ffcc00",
        ),
        ("[colors]\naccent = \"#ffcc00\"\n", "1.5"),
        ("logo = \"logo.png\"\n", "logo \"logo.png\" is not valid"),
        (
            "[[fields]]\nid = \"vat_id\"\n",
            "\"field.vat_id\" to languages.en.texts",
        ),
        ("colour = 1\n", "unknown field `colour`"),
        ("not TOML\n", "line 1"),
    ] {
        let refused = stack.pages(&["apply", "-"], file);
        assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{file}");
        assert!(refused.err.contains(complaint), "{file}: {}", refused.err);
    }
    assert_eq!(stack.shown()["version"], Value::Null);
}

#[test]
fn a_file_can_be_checked_without_a_stack() {
    let nowhere = ["--dynamodb-endpoint", "http://127.0.0.1:1"];
    let file = example();
    let check = [&["pages", "apply", &file, "--check"][..], &nowhere].concat();
    assert!(metering(&check).ok().contains("no mistake found"));
    let apply = [&["pages", "apply", &file][..], &nowhere].concat();
    assert_eq!(metering(&apply).code, 1);
}

#[test]
fn the_documentation_lists_every_text() {
    let stack = Stack::start();
    let path = document("pages.md");
    let document = std::fs::read_to_string(path).expect("a document");
    let shown = stack.shown();
    let texts = shown["texts"]["en"].as_object().expect("an object");
    assert!(texts.len() > 50);
    for (id, text) in texts {
        let row = format!("| `{id}` | {} |", text.as_str().expect("a text"));
        assert!(document.contains(&row), "docs/pages.md has no row {row}");
    }
    let rows = document.lines().filter(|line| {
        line.starts_with("| `") && line.contains('.') && line.split('|').count() == 4
    });
    assert_eq!(rows.count(), texts.len());
}
