//! `metering explain`, and the page docs/errors.md, which it writes.

mod common;

use common::metering;
use serde_json::json;

#[test]
fn a_code_is_explained_in_words_with_what_to_do() {
    let ran = metering(&["explain", "invalidusagedimensionexception"]).ok();
    for words in [
        "InvalidUsageDimensionException",
        "What to do: Correct the dimension",
        "about a record, for good",
        "06:00 UTC on the 1st",
        "Alarm: RecordsRefused",
    ] {
        assert!(ran.contains(words), "{words}: {ran}");
    }
    let success = metering(&["explain", "Success"]).ok();
    assert!(success.contains("not tried again"), "{success}");
    let also = metering(&["explain", "SignatureDoesNotMatch", "--json"]).json();
    assert_eq!(also["code"], "InvalidSignatureException");
    assert_eq!(also["about"], "nothing in a record");
}

#[test]
fn an_unknown_code_is_explained_as_any_other_code() {
    let ran = metering(&["explain", "NeverSeenException"]);
    assert!(ran.err.contains("NeverSeenException is not in the table"));
    assert!(ran.ok().contains("Everything is sent again"));
    let row = metering(&["explain", "NeverSeenException", "--json"]).json();
    assert_eq!(row["asked"], "NeverSeenException");
    assert_eq!(row["alarm"], "AnswersUnknown");
}

#[test]
fn all_codes_are_listed_for_people_and_for_machines() {
    let all = metering(&["explain", "--json"]).json();
    let rows = all.as_array().unwrap();
    assert!(rows.iter().any(|row| row["code"] == "ThrottlingException"));
    assert!(rows.iter().all(|row| row["action"] != json!("")));
    let table = metering(&["explain"]).ok();
    assert!(
        rows.iter()
            .all(|row| { table.contains(row["code"].as_str().unwrap()) })
    );
    assert_eq!(metering(&["explain", "--json", "--markdown"]).code, 2);
}

#[test]
fn the_page_of_errors_is_written_from_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    let written = metering(&["explain", "--markdown"]).ok();
    assert!(
        page == written,
        "docs/errors.md differs from the table: run `cargo run -- explain --markdown > docs/errors.md`"
    );
}
