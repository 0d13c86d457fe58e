//! The command `metering books`.

use clap::Args;
use jiff::Timestamp;
use ledger::Ledger;
use ledger::books::{SubscriptionBooks, of_all, of_subscription};
use marketplace::books::Books;
use marketplace::{Month, Slot, State, Subscription, UsageHour};
use serde_json::{Value, json};

use crate::commands::books_page::Page;
use crate::commands::kept::Kept;
use crate::connect::Tables;
use crate::failure::Failure;
use crate::{output, view};

/// Compares the ingested usage, counted again from the usage rows, with the metered usage.
///
/// For every hour and dimension: own rows + carried in = recorded + carried out + held + written
/// off - refunded + not yet counted. In total: ingested = accepted + pending + held + dry run +
/// lost - over-metered - refunded. "recorded" is the quantity that the slot's own record bills.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering books --local
  metering books --stack metering --month 2026-10 --csv > 2026-10.csv
  metering books --local --subscription 'legacy|examplecode2|CUSTEXAMPLE2' --json
  metering books --stack metering --month 2026-10 --html > 2026-10.html

--csv has one line for every subscription, hour and dimension. --json has the sums by subscription,
and also the lines if --subscription names one. --html is a single page for a browser, with the month
at a glance and every slot that needs attention. A month or subscription without usage gives an empty
report. Exit code 0 only if the books balance.")]
pub struct BooksOf {
    /// The month, in UTC, as in 2026-11 [default: the current one]
    #[arg(long)]
    month: Option<Month>,
    /// Only this subscription: license ARN, legacy|<product code>|<customer identifier> or
    /// account|<product code>|<account id>
    #[arg(long)]
    subscription: Option<Subscription>,
    /// Print JSON instead of text
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values instead of text
    #[arg(long)]
    csv: bool,
    /// Print an HTML page for a browser
    #[arg(long, conflicts_with_all = ["csv", "json"])]
    html: bool,
    #[command(flatten)]
    kept: Kept,
    #[command(flatten)]
    tables: Tables,
}

/// The largest number of slots that an error names.
const SLOTS_NAMED_MAX: usize = 20;

const CSV_COLUMNS: [&str; 12] = [
    "subscription",
    "hour",
    "dimension",
    "state",
    "own",
    "carried_in",
    "recorded",
    "carried_out",
    "held",
    "written_off",
    "refunded",
    "uncounted",
];

impl BooksOf {
    pub async fn run(&self) -> Result<(), Failure> {
        let now = self.tables.now().await?;
        let month = self.month.unwrap_or_else(|| Month::of(now));
        self.kept
            .check(&format!("the books of {month}"), month.first_hour(), now)?;
        let ledger = self.tables.ledger().await?;
        let mut report = Report::new(self);
        report.begin()?;
        let sum = self.count(&ledger, month, now, &mut report).await?;
        std::mem::replace(&mut report.written, Ok(()))?;
        let left_out = ledger.damaged();
        let is_balanced = sum.is_balanced().map_err(Failure::failed)?
            && report.unbalanced.is_empty()
            && left_out.is_empty();
        if self.json {
            output::print_json(&json!({
                "month": month.to_string(),
                "balanced": is_balanced,
                "sum": view::books(&sum),
                "unbalanced": report.unbalanced,
                "subscriptions": report.subscriptions,
            }))?;
        } else if self.html {
            output::print(report.page.render(month, &sum, is_balanced))?;
        } else if !self.csv {
            output::print(text(month, &sum, &report))?;
        }
        if is_balanced {
            return Ok(());
        }
        if !left_out.is_empty() {
            let named: Vec<String> = left_out.into_iter().take(SLOTS_NAMED_MAX).collect();
            return Err(Failure::failed(format!(
                "the books of {month} leave out usage of damaged items: {}; correct these by hand and count again",
                named.join("; ")
            )));
        }
        let slots = report.unbalanced.iter().take(SLOTS_NAMED_MAX).map(|slot| {
            let text = |name: &str| slot[name].as_str().unwrap_or_default().to_owned();
            let (sent, arrived) = (text("sent"), text("arrived"));
            format!(
                "{}: {sent} was carried to this slot, {arrived} arrived",
                text("slot")
            )
        });
        Err(Failure::failed(format!(
            "the books of {month} do not balance: {} carried out and {} carried in, {} ingested; {}",
            sum.carried_out,
            sum.carried_in,
            sum.ingested,
            slots.collect::<Vec<_>>().join("; ")
        )))
    }

    async fn count(
        &self,
        ledger: &Ledger,
        month: Month,
        now: Timestamp,
        report: &mut Report<'_>,
    ) -> Result<Books, Failure> {
        // Rows may be stamped slightly in the future, so the next hour counts as well.
        let first = month.first_hour();
        let last = month.last_hour().min(UsageHour::of(now).next());
        let Some(subscription) = &self.subscription else {
            return Ok(of_all(ledger, first, last, |books| report.add(&books)).await?);
        };
        let Some(profile) = ledger.profile(subscription).await? else {
            return Ok(Books::default());
        };
        let books = of_subscription(ledger, &profile, first, last).await?;
        report.add(&books);
        Ok(books.sum)
    }
}

/// Collects the printed lines, one subscription after the other.
struct Report<'a> {
    of: &'a BooksOf,
    subscriptions: Vec<Value>,
    lines: Vec<[String; 4]>,
    unbalanced: Vec<Value>,
    page: Page,
    written: Result<(), Failure>,
}

impl<'a> Report<'a> {
    fn new(of: &'a BooksOf) -> Self {
        Self {
            of,
            subscriptions: Vec::new(),
            lines: Vec::new(),
            unbalanced: Vec::new(),
            page: Page::default(),
            written: Ok(()),
        }
    }

    fn begin(&self) -> Result<(), Failure> {
        match self.of.csv {
            true => output::print(output::csv_line(&CSV_COLUMNS.map(str::to_owned))),
            false => Ok(()),
        }
    }

    fn add(&mut self, books: &SubscriptionBooks) {
        for slot in &books.unbalanced {
            let key = Slot {
                subscription: books.subscription.clone(),
                hour: slot.hour,
                dimension: slot.dimension.clone(),
            };
            let (sent, arrived) = (slot.sent.to_string(), slot.arrived.to_string());
            let value = json!({"slot": key.to_string(), "sent": sent, "arrived": arrived});
            self.unbalanced.push(value);
        }
        if self.of.csv {
            if self.written.is_ok() {
                self.written = print_lines(books);
            }
        } else if self.of.html {
            self.page.add(books);
        } else if self.of.json {
            let mut value = view::books(&books.sum);
            value["subscription"] = json!(books.subscription.to_string());
            if self.of.subscription.is_some() {
                value["lines"] = books.lines.iter().map(line).collect();
            }
            self.subscriptions.push(value);
        } else {
            self.lines.push([
                books.subscription.to_string(),
                books.sum.ingested.to_string(),
                books.sum.accepted.to_string(),
                books.sum.pending.to_string(),
            ]);
        }
    }
}

fn line(line: &ledger::books::Line) -> Value {
    let mut value = view::slot(&line.slot);
    value["hour"] = json!(line.hour.to_string());
    value["dimension"] = json!(line.dimension.as_str());
    value
}

fn print_lines(books: &SubscriptionBooks) -> Result<(), Failure> {
    for line in &books.lines {
        let mut fields = vec![
            line.subscription.to_string(),
            line.hour.to_string(),
            line.dimension.to_string(),
            line.slot.state.map_or("", State::as_str).to_owned(),
        ];
        fields.extend(view::slot_places(&line.slot).map(|(_, total)| total.to_string()));
        output::print(output::csv_line(&fields))?;
    }
    Ok(())
}

fn text(month: Month, sum: &Books, report: &Report<'_>) -> String {
    let mut table = output::table(&["subscription", "ingested", "accepted", "pending"]);
    for line in &report.lines {
        table.add_row(line);
    }
    let balanced = match sum.is_balanced() {
        Ok(true) => "they balance",
        _ => "they DO NOT balance",
    };
    let mut parts = vec![format!(
        "The books of {month}, counted again from {} rows, {} more set aside: {balanced}",
        sum.rows, sum.rows_set_aside
    )];
    if !report.lines.is_empty() {
        parts.push(table.trim_fmt());
    }
    parts.push(view::book_tables(sum));
    parts.join("\n\n")
}
