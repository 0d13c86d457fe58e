//! Writes to standard output, which carries results and nothing else.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use comfy_table::{LineStyle, Table, presets};
use serde_json::Value;

use crate::failure::Failure;

/// Prints a text and the end of the line.
pub fn print(text: impl Display) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::failed(format!("standard output cannot be written: {error}")),
        })
}

/// Prints indented JSON, so that people can read it as well.
pub fn print_json(value: &Value) -> Result<(), Failure> {
    print(format!("{value:#}"))
}

/// A table with these columns, plain enough for text tools.
pub fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING.header_separator(LineStyle::new('─', '─', '─', '─')));
    table.set_header(columns);
    table
}

/// A line of comma-separated values, quoted where a value needs it (RFC 4180).
pub fn csv_line(fields: &[String]) -> String {
    let quoted: Vec<String> = fields
        .iter()
        .map(|field| {
            if field.contains([',', '"', '\n', '\r']) {
                format!("\"{}\"", field.replace('"', "\"\""))
            } else {
                field.clone()
            }
        })
        .collect();
    quoted.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_a_comma_or_a_quote_stays_one_value() {
        let line = csv_line(&[
            "gb".into(),
            "a,b".into(),
            "say \"hi\"".into(),
            String::new(),
        ]);
        assert_eq!(line, "gb,\"a,b\",\"say \"\"hi\"\"\",");
    }
}
