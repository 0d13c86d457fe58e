//! The command `metering demo`.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use local::demo::{DemoOptions, FaultLevel, Progress, Summary, run, thousandths};

use crate::failure::Failure;
use crate::{output, view};

/// The hours of the demo between two lines of progress, if there is no terminal for a bar.
const LINE_EVERY_HOURS: i64 = 4;

/// Runs a day of a seller's life in compressed time and proves that its books are right.
///
/// Buyers of several products, one for each kind of identity, subscribe, register through the real
/// form, use the product and sometimes cancel. Usage is fractional, tagged, repeated, late and
/// malformed. The whole stack runs in this process, with AWS Marketplace and DynamoDB emulated on
/// free ports of localhost. Afterwards three quantities are compared to the last micro-unit: the
/// quantity that the seller's software sent, the quantity in the ledger, and the quantity that AWS
/// Marketplace billed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering demo
  metering demo --faults harsh --seed 7
  metering demo --subscriptions 4 --hours 3 --events 60 --json | jq .balanced

The same seed sends the same usage with any faults, so the accepted quantity is also the same.
Exit code 0 only if the books balance and both sides agree.")]
pub struct Demo {
    /// Number of buyers, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 20)]
    subscriptions: u32,
    /// Number of hours with usage, 2 to 600
    #[arg(long, value_name = "N", default_value_t = 24)]
    hours: u32,
    /// Number of usage events, 0 to 200000
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    events: u32,
    /// Seed of all random draws
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The faults to inject
    #[arg(long, value_enum, default_value_t = Faults::None)]
    faults: Faults,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The faults to inject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Faults {
    /// No faults are injected
    None,
    /// Throttling, internal errors, unprocessed records, lost replies; repeated, reordered, delayed
    /// and dropped stream deliveries; a submitter that is killed before or after some of its calls
    Harsh,
}

impl Demo {
    pub async fn run(&self) -> Result<(), Failure> {
        let options = DemoOptions {
            subscriptions: self.subscriptions,
            hours: self.hours,
            events: self.events,
            seed: self.seed,
            faults: match self.faults {
                Faults::None => FaultLevel::None,
                Faults::Harsh => FaultLevel::Harsh,
            },
        };
        options.check().map_err(Failure::usage)?;
        let mut display = ProgressDisplay::new();
        let summary = run(&options, |progress| display.show(progress))
            .await
            .map_err(Failure::failed)?;
        display.finish();
        if self.json {
            output::print(summary.to_json())?;
        } else {
            output::print(text(&summary))?;
        }
        let problems = summary.problems();
        if problems.is_empty() {
            return Ok(());
        }
        Err(Failure::failed(format!(
            "the result is wrong: {}",
            problems.join("; ")
        )))
    }
}

/// Shows progress on standard error: a bar on a terminal, otherwise a line every few hours.
struct ProgressDisplay {
    bar: Option<ProgressBar>,
    next_hour: Option<i64>,
}

impl ProgressDisplay {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // The template is a constant, so this cannot fail. If it does, the default style is
            // good enough.
            if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent}%") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            next_hour: None,
        }
    }

    fn show(&mut self, progress: Progress) {
        let what = if progress.settling {
            "the last usage is metered"
        } else {
            "usage"
        };
        let line = format!(
            "{:.16} {what}, {} events sent",
            progress.now.to_string(),
            progress.events_sent
        );
        if let Some(bar) = &self.bar {
            bar.set_length(progress.of as u64);
            bar.set_position(progress.done as u64);
            bar.set_message(line);
            return;
        }
        let hour = progress.now.as_second().div_euclid(3_600);
        if self.next_hour.is_none_or(|next| hour >= next) || progress.settling {
            self.next_hour = Some(hour + LINE_EVERY_HOURS);
            eprintln!("{line}");
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn text(summary: &Summary) -> String {
    let mut day = output::table(&["the day", ""]);
    let rows: [(&str, String); 9] = [
        ("subscriptions", summary.subscriptions.to_string()),
        (
            "events sent, repeats included",
            summary.events_sent.to_string(),
        ),
        ("events ingested", summary.events_ingested.to_string()),
        (
            "events rejected or set aside",
            summary.events_rejected.to_string(),
        ),
        ("quantity sent", summary.expected.to_string()),
        (
            "quantity billed by AWS Marketplace",
            summary.billed_by_marketplace.to_string(),
        ),
        (
            "BatchMeterUsage calls, and the fewest possible",
            format!(
                "{}, {} ({})",
                summary.calls,
                summary.calls_minimum,
                ratio(summary.calls, summary.calls_minimum)
            ),
        ),
        (
            "write units per event, per record",
            format!(
                "{}, {}",
                summary.write_units_per_event(),
                summary.write_units_per_record()
            ),
        ),
        (
            "write units of the stack itself, per hour",
            summary.write_units_per_hour(),
        ),
    ];
    for (name, value) in rows {
        day.add_row([name.to_owned(), value]);
    }
    let mut parts = vec![view::book_tables(&summary.books), day.trim_fmt()];
    parts.extend(faults(summary));
    let verdict = if summary.is_balanced() {
        "The books balance, and AWS Marketplace billed the quantity that was sent, to the last micro-unit."
    } else {
        "The result is WRONG:"
    };
    parts.push(verdict.to_owned());
    parts.extend(summary.problems());
    parts.join("\n\n")
}

/// The faults and failures during the demo. `None` if there were none.
fn faults(summary: &Summary) -> Option<String> {
    let happened = &summary.counts;
    let mut table = output::table(&["what went wrong", "times"]);
    let mut counts = vec![
        (
            "stream deliveries disturbed".to_owned(),
            happened.delivery_faults,
        ),
        ("submitter died at a call".to_owned(), happened.crashes),
    ];
    for (function, failures) in &happened.failures {
        counts.push((format!("invocation of {function} failed"), *failures));
    }
    counts.retain(|(_, times)| *times > 0);
    if counts.is_empty() {
        return None;
    }
    for (what, times) in counts {
        table.add_row([what, times.to_string()]);
    }
    Some(table.trim_fmt())
}

/// `part / whole` with three decimals.
fn ratio(part: u64, whole: u64) -> String {
    thousandths(part.saturating_mul(1_000), whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_cut_to_three_decimals_and_never_divide_by_nothing() {
        assert_eq!(ratio(105, 100), "1.050");
        assert_eq!(ratio(2, 3), "0.666");
        assert_eq!(thousandths(4_567, 2), "2.283");
        assert_eq!(ratio(1, 0), "-");
    }
}
