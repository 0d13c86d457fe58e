//! The command `metering late show`, and the checks that a person makes before a decision about
//! usage in doubt.

use clap::Args;
use ledger::Ledger;
use marketplace::audit::{CLOCK_MARGIN_MINUTES, Period, period_of};
use marketplace::{MeteringRecord, Slot, State};
use serde_json::{Value, json};

use crate::connect::Tables;
use crate::failure::Failure;
use crate::{output, view};

/// Shows what is known about a waiting slot: the last answer, the calls, and the audit's findings
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  metering late show 'legacy|examplecode2|CUSTEXAMPLE2@2026-11-21T02#seats' --local

`metering late list` prints the slots.")]
pub struct Show {
    /// The slot, written <subscription>@<hour>#<dimension>
    slot: Slot,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tables: Tables,
}

impl Show {
    pub(super) async fn run(&self) -> Result<(), Failure> {
        let ledger = self.tables.ledger().await?;
        let now = self.tables.now().await?;
        let Some(record) = ledger
            .records(std::slice::from_ref(&self.slot))
            .await?
            .pop()
        else {
            return Err(Failure::failed(format!(
                "{}: there is no such record; `metering late list` shows the waiting usage",
                self.slot
            )));
        };
        let movements = ledger.movements_of(&record).await?;
        let doubt = doubt(&ledger, &record).await?;
        let check = is_in_doubt(&record).then(|| what_to_check(period_of(&record, now)));
        if self.json {
            let movements: Vec<Value> = movements.iter().map(view::movement).collect();
            return output::print_json(&json!({
                "record": view::record(&record),
                "doubtful": record.sent.doubtful,
                "answered": record.sent.answered,
                "doubt": doubt,
                "check": check,
                "movements": movements,
            }));
        }
        let mut facts = view::record_facts(&record);
        facts.add_row([
            "calls without a clear answer".to_owned(),
            record.sent.doubtful.to_string(),
        ]);
        if let Some(doubt) = doubt {
            facts.add_row(["the audit".to_owned(), doubt]);
        }
        if let Some(check) = check {
            facts.add_row(["to be checked".to_owned(), check]);
        }
        let mut parts = vec![facts.trim_fmt()];
        if !movements.is_empty() {
            parts.push(view::movement_table(&movements).trim_fmt());
        }
        output::print(parts.join("\n\n"))
    }
}

/// Returns whether AWS Marketplace may have billed the record.
fn is_in_doubt(record: &MeteringRecord) -> bool {
    matches!(record.state, State::Disputed | State::Unconfirmed)
}

/// The reason that the audit last gave for not closing a record. `None` if the record is not in
/// doubt.
async fn doubt(ledger: &Ledger, record: &MeteringRecord) -> Result<Option<String>, Failure> {
    if !is_in_doubt(record) {
        return Ok(None);
    }
    let found = ledger.doubt_about(&record.slot).await?;
    Ok(Some(
        found.unwrap_or_else(|| "has not looked yet".to_owned()),
    ))
}

fn what_to_check(span: Period) -> String {
    format!(
        "CloudTrail's events BatchMeterUsage from {} to {}, in every Region, and the hour in AWS Marketplace's usage reports",
        span.from, span.to
    )
}

/// The error for a decision about usage in doubt without `--i-checked`.
pub(super) async fn unchecked(
    ledger: &Ledger,
    record: &MeteringRecord,
) -> Result<Failure, Failure> {
    let slot = record.slot.to_string();
    if record.state == State::Conflict {
        return Ok(Failure::usage(format!(
            "{slot} is in conflict: AWS Marketplace holds {} of {}. Find out who else metered it; if the missing quantity was certainly not metered anywhere else, confirm that with --i-checked",
            record.quantity_at_aws(),
            record.quantity
        )));
    }
    let code = record.outcome.as_ref().map_or("none", |o| o.code.as_str());
    let doubt = doubt(ledger, record).await?.unwrap_or_default();
    let end = record.outcome.as_ref().map_or(record.deadline, |o| o.at);
    let span = period_of(record, end.max(record.deadline));
    Ok(Failure::usage(format!(
        "{slot} is {}: AWS Marketplace may bill it (last answer {code}; the audit: {doubt}). Check {}; allow {CLOCK_MARGIN_MINUTES} minutes for clocks. If it is certainly not billed, confirm that with --i-checked",
        record.state,
        what_to_check(span)
    )))
}
