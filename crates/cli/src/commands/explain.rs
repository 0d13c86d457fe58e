//! The command `metering explain`.

use clap::Args;
use marketplace::error_table::{
    ANY_OTHER_CODE, ERROR_TABLE, ErrorRow, Origin, RETRIED_UNTIL, Retry, look_up, of_error,
};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output;

/// Explains what an answer or failure of BatchMeterUsage means, and what to do about it
///
/// CODE is a status (CustomerNotSubscribed), an error code (ThrottlingException), or a code of this
/// stack (ConnectionFailed), as it appears in a log or in a record's last answer. Without CODE the
/// command prints all codes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering explain InvalidUsageDimensionException
  metering explain
  metering explain --json | jq -r '.[] | select(.about != \"nothing in a record\") | .code'")]
pub struct Explain {
    /// The code; upper and lower case do not matter
    code: Option<String>,
    /// Print JSON: an object for one code, or a list of all codes
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print all codes as Markdown, as in docs/errors.md
    #[arg(long, conflicts_with = "code")]
    markdown: bool,
}

impl Explain {
    pub fn run(&self) -> Result<(), Failure> {
        match &self.code {
            Some(code) => self.one(code.trim()),
            None if self.json => output::print_json(&ERROR_TABLE.iter().map(json_of).collect()),
            None if self.markdown => output::print(markdown()),
            None => output::print(table()),
        }
    }

    fn one(&self, code: &str) -> Result<(), Failure> {
        let known = look_up(code);
        let row = known.unwrap_or_else(|| of_error(ANY_OTHER_CODE));
        if self.json {
            let mut value = json_of(row);
            if known.is_none() {
                value["asked"] = json!(code);
            }
            return output::print_json(&value);
        }
        if known.is_none() {
            eprintln!("{code} is not in the table, so it is handled as {ANY_OTHER_CODE}:");
        }
        output::print(words(row))
    }
}

fn until(row: &ErrorRow) -> Option<&'static str> {
    (row.retry != Retry::Never).then_some(RETRIED_UNTIL)
}

fn json_of(row: &ErrorRow) -> Value {
    json!({
        "code": row.code,
        "also": row.also,
        "met": row.origin.words(),
        "about": row.about.words(),
        "meaning": row.meaning,
        "action": row.action,
        "retried": row.retry.words(),
        "retried_until": until(row),
        "alarm": row.alarm.name(),
    })
}

fn words(row: &ErrorRow) -> String {
    let mut parts = vec![row.code.to_owned(), format!("  {}", row.meaning)];
    parts.push(format!("  What to do: {}", row.action));
    parts.push(format!("  It comes {}.", row.origin.words()));
    if row.origin != Origin::OwnDecision {
        parts.push(format!("  It is about {}.", row.about.words()));
    }
    match until(row) {
        Some(until) => {
            parts.push(format!("  Tried again: {}.", row.retry.words()));
            parts.push(format!("  Until: {until}."));
        }
        None => parts.push("  It is not tried again.".to_owned()),
    }
    if let Some(alarm) = row.alarm.name() {
        parts.push(format!("  Alarm: {alarm}."));
    }
    if !row.also.is_empty() {
        parts.push(format!("  Also called {}.", row.also.join(", ")));
    }
    parts.join("\n")
}

fn table() -> String {
    let mut table = output::table(&["code", "about", "tried again", "what to do"]);
    for row in ERROR_TABLE {
        table.add_row([row.code, row.about.words(), row.retry.words(), row.action]);
    }
    table.trim_fmt()
}

fn markdown() -> String {
    let mut text = format!(
        "# What AWS Marketplace answers, and what to do\n\n\
         `metering explain --markdown` writes this page from `crates/marketplace/src/error_table/rows.rs`, the table\n\
         that the submitter acts on. `metering explain CODE` prints one row.\n\n\
         A record that is tried again is tried until {RETRIED_UNTIL}. It is sent with\n\
         identical content each time, so usage that was recorded already is billed only once. After that time the record is\n\
         Unconfirmed, and its usage is held.\n",
    );
    for (met, heading, about) in [
        (
            Origin::Status,
            "Statuses of one record",
            "The request succeeded, and the answer contains this status for the record.",
        ),
        (
            Origin::Error,
            "Errors of a whole request",
            "Nothing of the request was done, or it is unknown what was done. If the error is about a record, the submitter finds that record by splitting the request.",
        ),
        (
            Origin::Failure,
            "Calls without an answer",
            "AWS Marketplace did not answer. The codes are this stack's own.",
        ),
        (
            Origin::OwnDecision,
            "Conclusions without a call",
            "The stack concludes this by itself. The codes are its own.",
        ),
    ] {
        text.push_str(&format!(
            "\n## {heading}\n\n{about}\n\n| code | about | meaning | what to do | tried again | alarm |\n|---|---|---|---|---|---|\n"
        ));
        for row in ERROR_TABLE.iter().filter(|row| row.origin == met) {
            text.push_str(&markdown_row(row));
        }
    }
    // `print` adds the end of the last line.
    text.truncate(text.trim_end().len());
    text
}

fn markdown_row(row: &ErrorRow) -> String {
    let mut codes = format!("`{}`", row.code);
    for also in row.also {
        codes.push_str(&format!(", `{also}`"));
    }
    format!(
        "| {codes} | {} | {} | {} | {} | {} |\n",
        row.about.words(),
        row.meaning,
        row.action,
        row.retry.words(),
        row.alarm.name().unwrap_or("none"),
    )
}
