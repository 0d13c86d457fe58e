//! The command `metering audit`.

use std::io::IsTerminal;

use clap::Args;
use cloudtrail::range::Progress;
use cloudtrail::{AuditError, Range, compare_range};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use marketplace::UsageHour;
use marketplace::audit::{Comparison, Counts, Difference};
use serde_json::{Map, Value, json};

use crate::connect::{Tables, TrailFiles};
use crate::failure::Failure;
use crate::output;

/// The number of events between two lines of progress, if there is no terminal.
const LINE_EVERY_EVENTS: u64 = 5_000;

/// Compares the ledger with CloudTrail, slot by slot
///
/// For the usage hours of a range, the command counts the accepted records whose success is in
/// CloudTrail, the accepted records that are missing there, the successes that the ledger does not
/// know, and the successes with another quantity. It reads CloudTrail's Event history, or the files
/// of a trail. It counts parts of events that CloudTrail cut off or that cannot be read, and never
/// guesses them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering audit --local --from 2026-11-21T00 --to 2026-11-22T00
  metering audit --stack metering --from 2026-10-01T00 --to 2026-11-01T00 --json > 2026-10.json
  metering audit --stack metering --from 2026-11-20T22:30:00Z --to 2026-11-21T04:00:00Z
  metering audit --stack metering --from 2026-03-01T00 --to 2026-04-01T00 \
      --bucket example-trail --account 222222222222

The Event history keeps 90 days, is at most 20 minutes behind, and answers two requests of 50 calls
a second: a month with a million records takes an hour. A trail has the same events for as long as
its files are kept. Either is read in the Region of METERING_REGION, or else of AWS_REGION.
PRODUCT_CODES and WINDOW_HOURS are read as in the functions. A range without
usage is an empty report. Exit code 0 only if nothing differs.")]
pub struct Audit {
    /// The first hour, as in 2026-11-21T02, or a time within it, as in 2026-11-21T02:30:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Timestamp,
    /// The hour after the last one, or a time within the last hour
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Timestamp,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trail: TrailFiles,
    #[command(flatten)]
    tables: Tables,
}

/// Reads an hour in UTC, or a time in RFC 3339.
fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(hour) = text.parse::<UsageHour>() {
        return Ok(hour.start());
    }
    text.parse().map_err(|_| {
        "write an hour in UTC, as in 2026-11-21T02, or a time, as in 2026-11-21T02:30:00Z"
            .to_owned()
    })
}

impl Audit {
    pub async fn run(&self) -> Result<(), Failure> {
        let (window, products) = self.tables.audited()?;
        let now = self.tables.now().await?;
        let source = self.trail.source();
        let range = Range::new(self.from, self.to, source, now).map_err(Failure::usage)?;
        let ledger = self.tables.ledger().await?;
        let history = self.tables.history(&self.trail).await?;
        let mut display = ProgressDisplay::new();
        let compared = compare_range(
            &ledger,
            &history,
            &products,
            window,
            range,
            now,
            |progress| {
                display.show(progress);
            },
        )
        .await;
        display.finish();
        let compared = compared.map_err(|error| match error {
            AuditError::Ledger(error) => error.into(),
            AuditError::History(error) => Failure::failed(error),
        })?;
        if self.json {
            output::print_json(&to_json(range, &compared))?;
        } else {
            output::print(to_text(range, &compared))?;
        }
        let counts = compared.counts();
        if counts.differences() == 0 {
            return Ok(());
        }
        Err(Failure::failed(format!(
            "the ledger and CloudTrail differ in {} slots: {} missing at AWS, {} unknown to the ledger, {} with another quantity, {} billed unexpectedly",
            counts.differences(),
            counts.missing,
            counts.unknown,
            counts.different,
            counts.unexpected
        )))
    }
}

/// Shows progress on standard error.
struct ProgressDisplay {
    bar: Option<ProgressBar>,
}

impl ProgressDisplay {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // The template is a constant, so this cannot fail. If it does, the default style is
            // good enough.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar }
    }

    fn show(&mut self, progress: Progress) {
        let line = match progress {
            Progress::Records(records) => format!("{records} records read"),
            Progress::Events(events) => format!("{events} calls read from CloudTrail"),
        };
        if let Some(bar) = &self.bar {
            bar.set_message(line);
            bar.tick();
            return;
        }
        if let Progress::Events(events) = progress
            && events % LINE_EVERY_EVENTS == 0
        {
            eprintln!("{line}");
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The counts of a comparison: JSON name, value and meaning.
fn counted(counts: &Counts) -> [(&'static str, u64, &'static str); 15] {
    [
        (
            "matched",
            counts.matched,
            "accepted in the ledger and at AWS",
        ),
        (
            "missing_at_aws",
            counts.missing,
            "accepted in the ledger, no success at AWS",
        ),
        (
            "unknown_in_ledger",
            counts.unknown,
            "a success at AWS, no record in the ledger",
        ),
        (
            "different_quantity",
            counts.different,
            "a success with another quantity",
        ),
        (
            "billed_unexpectedly",
            counts.unexpected,
            "a success for a record that is expired, moved or in conflict",
        ),
        (
            "open",
            counts.open,
            "billed at AWS, not yet decided in the ledger",
        ),
        (
            "inferred",
            counts.inferred,
            "accepted because nothing else took the slot",
        ),
        (
            "too_recent",
            counts.too_recent,
            "accepted so recently that CloudTrail may not show it yet",
        ),
        (
            "undecidable",
            counts.undecidable,
            "no success found, but events are cut off",
        ),
        (
            "elsewhere",
            counts.elsewhere,
            "successes of products that PRODUCT_CODES leaves out",
        ),
        ("calls", counts.calls, "calls of BatchMeterUsage read"),
        (
            "failed_calls",
            counts.failed_calls,
            "calls that failed as a whole",
        ),
        (
            "truncated_calls",
            counts.truncated_calls,
            "calls that CloudTrail cut off in part",
        ),
        (
            "unreadable_events",
            counts.unreadable_events,
            "events that cannot be read",
        ),
        (
            "foreign_events",
            counts.foreign_events,
            "events of other operations",
        ),
    ]
}

fn to_json(range: Range, compared: &Comparison) -> Value {
    let counts = compared.counts();
    let mut value: Map<String, Value> = counted(&counts)
        .into_iter()
        .map(|(name, count, _)| (name.to_owned(), json!(count)))
        .collect();
    value.insert("first_hour".to_owned(), json!(range.first().to_string()));
    value.insert("last_hour".to_owned(), json!(range.last().to_string()));
    let differences = compared.differences().iter().map(difference).collect();
    value.insert("differences".to_owned(), Value::Array(differences));
    Value::Object(value)
}

fn difference(difference: &Difference) -> Value {
    let quantity = |quantity: Option<marketplace::Quantity>| quantity.map(|q| q.to_string());
    json!({
        "kind": difference.kind.as_str(),
        "subscription": difference.slot.subscription.to_string(),
        "hour": difference.slot.hour.to_string(),
        "dimension": difference.slot.dimension.as_str(),
        "quantity": quantity(difference.in_ledger),
        "quantity_at_aws": quantity(difference.at_aws),
        "state": difference.state.map(|state| state.as_str()),
        "event_id": difference.event_id,
    })
}

fn to_text(range: Range, compared: &Comparison) -> String {
    let counts = compared.counts();
    let verdict = match counts.differences() {
        0 => "nothing differs".to_owned(),
        count => format!("{count} slots DIFFER"),
    };
    let (first, last) = (range.first(), range.last());
    let mut parts = vec![format!(
        "The hours {first} to {last}, the ledger against CloudTrail: {verdict}"
    )];
    let mut table = output::table(&["", "", "meaning"]);
    for (name, count, meaning) in counted(&counts) {
        table.add_row([
            name.replace('_', " "),
            count.to_string(),
            meaning.to_owned(),
        ]);
    }
    parts.push(table.trim_fmt());
    if !compared.differences().is_empty() {
        let mut table = output::table(&[
            "difference",
            "hour",
            "dimension",
            "in the ledger",
            "at AWS",
            "subscription",
        ]);
        let text = |quantity: Option<marketplace::Quantity>| {
            quantity.map(|q| q.to_string()).unwrap_or_default()
        };
        for one in compared.differences() {
            table.add_row([
                one.kind.as_str().to_owned(),
                one.slot.hour.to_string(),
                one.slot.dimension.to_string(),
                text(one.in_ledger),
                text(one.at_aws),
                one.slot.subscription.to_string(),
            ]);
        }
        parts.push(table.trim_fmt());
    }
    parts.join("\n\n")
}
