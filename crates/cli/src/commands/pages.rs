//! The command `metering pages`.

use std::io::{IsTerminal, Write};

use clap::{Args, Subcommand};
use ledger::Written;
use registration::page_settings::{Field, PageSettings};
use serde_json::{Map, Value, json};

use crate::connect::Tables;
use crate::failure::Failure;
use crate::{input, output};

/// The largest size of a settings file, in bytes. The limit is this project's. The settings in it
/// may have 300 KB, and a file also has comments.
const FILE_BYTES_MAX: usize = 512 * 1_024;

/// The subcommands of `metering pages`.
#[derive(Debug, Subcommand)]
pub enum Pages {
    Show(Show),
    Apply(Apply),
    Reset(Reset),
}

/// Shows how the registration pages are set up
///
/// With --json it also lists every text of the pages with its id, in each language.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering pages show --local
  metering pages show --stack metering --json | jq '.texts.en'")]
pub struct Show {
    /// Print JSON: the settings, and every text in each language
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tables: Tables,
}

/// Sets up the registration pages from a TOML file: logo, colors, fields, languages and texts
///
/// The file replaces all earlier settings. Settings that the file does not have get their defaults.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering pages apply docs/pages-example.toml --check
  metering pages apply docs/pages-example.toml --local
  metering pages apply pages.toml --stack metering

docs/pages.md describes the file. The smallest useful one changes a color:
  [colors]
  accent = \"#6a1b9a\"

A text that a language lacks is shown in the default language. The command lists such texts on
standard error.")]
pub struct Apply {
    /// The TOML file, or - for standard input
    file: String,
    /// Only check the file, and store nothing
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    tables: Tables,
}

/// Sets the registration pages back to their defaults
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  metering pages reset --stack metering

The defaults are the texts in English and German, and the fields company, name, email and note.
Contact data that buyers typed is kept.")]
pub struct Reset {
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    tables: Tables,
}

impl Pages {
    pub async fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Show(show) => show.run().await,
            Self::Apply(apply) => apply.run().await,
            Self::Reset(reset) => reset.run().await,
        }
    }
}

impl Show {
    async fn run(&self) -> Result<(), Failure> {
        let stored = self.tables.ledger().await?.page_settings().await?;
        let settings = match &stored {
            Some(stored) => PageSettings::from_json(&stored.settings).map_err(|error| {
                Failure::failed(format!(
                    "{error}; `metering pages apply` or `metering pages reset` replaces them"
                ))
            })?,
            None => PageSettings::default(),
        };
        let version = stored.map(|stored| stored.version);
        if self.json {
            return output::print_json(&to_json(version, &settings)?);
        }
        let mut table = output::table(&["setting", "value"]);
        let version = version.map_or("nothing is stored: the defaults".to_owned(), |version| {
            format!("version {version}")
        });
        for (name, value) in [("stored", version)].into_iter().chain(rows(&settings)) {
            table.add_row([name.to_owned(), value]);
        }
        output::print(table.trim_fmt())
    }
}

/// The settings in words.
fn rows(settings: &PageSettings) -> Vec<(&'static str, String)> {
    let colors = settings.colors();
    let logo = settings.logo().map(ToString::to_string);
    let sign_in = settings.sign_in_url().map(ToString::to_string);
    let fields: Vec<String> = settings.fields().iter().map(field_in_words).collect();
    let mut rows = vec![
        ("languages", languages(settings)),
        ("fields", fields.join(", ")),
        (
            "colors",
            format!(
                "text {}, background {}, accent {}",
                colors.text, colors.background, colors.accent
            ),
        ),
        ("logo", logo.unwrap_or("none: the seller's name".to_owned())),
        (
            "sign-in URL",
            sign_in.unwrap_or("none: no sign-in link".to_owned()),
        ),
    ];
    rows.extend(missing(settings).map(|missing| ("missing texts", missing)));
    rows
}

fn field_in_words(field: &Field) -> String {
    let need = match field.required {
        true => "required",
        false => "optional",
    };
    format!("{} ({}, {need})", field.id, field.kind.as_str())
}

fn languages(settings: &PageSettings) -> String {
    let names: Vec<String> = settings
        .languages()
        .iter()
        .map(|language| match language == settings.default_language() {
            true => format!("{language} (default)"),
            false => language.to_string(),
        })
        .collect();
    names.join(", ")
}

/// The texts that each language lacks, one line for each language.
fn missing(settings: &PageSettings) -> impl Iterator<Item = String> {
    settings
        .missing_texts()
        .into_iter()
        .map(|(language, ids)| format!("{language}: {}", ids.join(", ")))
}

fn to_json(version: Option<u64>, settings: &PageSettings) -> Result<Value, Failure> {
    let written: Value = serde_json::from_str(&settings.to_json()).map_err(Failure::failed)?;
    let texts: Map<String, Value> = settings
        .languages()
        .iter()
        .map(|language| (language.to_string(), json!(settings.texts(language))))
        .collect();
    let missing: Map<String, Value> = settings
        .missing_texts()
        .into_iter()
        .map(|(language, ids)| (language.to_string(), json!(ids)))
        .collect();
    Ok(json!({
        "version": version,
        "settings": written,
        "default_language": settings.default_language().as_str(),
        "fields": settings
            .fields()
            .iter()
            .map(|field| json!({
                "id": field.id,
                "kind": field.kind.as_str(),
                "required": field.required,
                "autocomplete": field.autocomplete,
            }))
            .collect::<Vec<_>>(),
        "missing_texts": missing,
        "texts": texts,
    }))
}

impl Apply {
    async fn run(&self) -> Result<(), Failure> {
        let text = input::read(&self.file, FILE_BYTES_MAX)?;
        let settings = from_toml(&text)
            .map_err(|problem| Failure::failed(format!("{}{problem}", self.file)))?;
        for missing in missing(&settings) {
            eprintln!("missing texts, which are shown in another language: {missing}");
        }
        if self.check {
            return output::print(format!(
                "{}: no mistake found; nothing was stored",
                self.file
            ));
        }
        store(&self.tables, &settings).await
    }
}

impl Reset {
    async fn run(&self) -> Result<(), Failure> {
        if !self.yes && !confirmed()? {
            return output::print("pages: nothing was changed");
        }
        store(&self.tables, &PageSettings::default()).await
    }
}

/// Asks whether the settings are to be removed.
fn confirmed() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "the settings of the pages would be replaced by the defaults; confirm that with --yes",
        ));
    }
    let unreadable =
        |error: std::io::Error| Failure::failed(format!("the answer cannot be read: {error}"));
    let mut answer = String::new();
    eprint!("Replace the settings of the pages by the defaults? [y/N] ");
    std::io::stderr().flush().map_err(unreadable)?;
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(unreadable)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn store(tables: &Tables, settings: &PageSettings) -> Result<(), Failure> {
    let ledger = tables.ledger().await?;
    let old = ledger.page_settings().await?;
    let new = settings.to_json();
    let is_same = match &old {
        Some(old) => old.settings == new,
        None => *settings == PageSettings::default(),
    };
    if is_same {
        return output::print("pages: nothing to change");
    }
    match ledger.write_page_settings(old.as_ref(), &new).await? {
        Written::Done => {
            let ids: Vec<&str> = settings.fields().iter().map(|f| f.id.as_str()).collect();
            output::print(format!(
                "pages: stored, languages {}, fields {}",
                languages(settings),
                ids.join(" ")
            ))
        }
        Written::Conflict => Err(Failure::failed(
            "the settings of the pages were changed by somebody else just now; nothing was written, run this again",
        )),
    }
}

/// Reads settings in TOML. An error begins with the line and the column of the mistake, if it is in
/// one place.
fn from_toml(text: &str) -> Result<PageSettings, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let message = error.message().trim().replace('\n', ", ");
        match error.span() {
            Some(span) => {
                let (line, column) = position(text, span.start);
                format!(", line {line}, column {column}: {message}")
            }
            None => format!(": {message}"),
        }
    })
}

/// The line and the column of a byte of the text. Both begin at one.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let last_line = before.rsplit('\n').next().unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    (line, last_line.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../../docs/pages-example.toml");

    #[test]
    fn the_example_of_the_documentation_is_complete() {
        let settings = from_toml(EXAMPLE).unwrap();
        assert_eq!(languages(&settings), "en (default), de");
        assert_eq!(missing(&settings).next(), None);
        assert!(settings.logo().is_some() && settings.sign_in_url().is_some());
        let again = PageSettings::from_json(&settings.to_json()).unwrap();
        assert_eq!(again, settings);
    }

    #[track_caller]
    fn refused(text: &str, place: &str, part: &str) {
        let problem = from_toml(text).unwrap_err();
        assert!(problem.starts_with(place), "{problem}");
        assert!(problem.contains(part), "{problem}");
        assert!(!problem.contains('\n'), "{problem}");
    }

    #[test]
    fn a_mistake_in_the_file_is_named_with_its_line() {
        refused(
            "[colors]\naccent = \"blue\"",
            ", line 2, column",
            "\"blue\"",
        );
        refused("\ncolour = 1", ", line 2, column", "`colour`");
        refused("[colors\n", ", line ", "");
        refused("[[fields]]\nid = \"VAT\"", ", line 2, column", "\"VAT\"");
        refused(
            "[languages.en.texts]\n\"thanks.titel\" = \"Hi\"",
            ", line 2, column",
            "\"thanks.titel\"",
        );
        refused(
            "[languages.en.texts]\nthanks.title = \"Hi {name}\"",
            ", line 2, column",
            "{name}",
        );
        // A rule about several values has no line, so the error names their keys.
        let text = "[colors]\ntext = \"#777777\"";
        assert!(from_toml(text).unwrap_err().contains("colors.text"));
    }

    #[test]
    fn a_position_counts_lines_and_characters_from_one() {
        assert_eq!(position("äb\ncd", 0), (1, 1));
        assert_eq!(position("äb\ncd", 2), (1, 2));
        assert_eq!(position("äb\ncd", 4), (2, 1));
        assert_eq!(position("äb\ncd", 99), (2, 3));
    }
}
