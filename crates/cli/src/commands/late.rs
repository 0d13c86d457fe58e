//! The command `metering late`.

mod decide;
mod show;

use clap::{Args, Subcommand};
use ledger::Ledger;
use marketplace::decision::{open_holds, shortfall};
use marketplace::recount::{Movement, counted};
use marketplace::{MeteringRecord, Month, Quantity, State, Subscription, Total};
use serde_json::{Value, json};

use crate::connect::Tables;
use crate::failure::Failure;
use crate::output;

use decide::{Carry, WriteOff};
use show::Show;

/// The subcommands of `metering late`.
#[derive(Debug, Subcommand)]
pub enum Late {
    List(List),
    Show(Show),
    Carry(Carry),
    WriteOff(WriteOff),
}

/// Lists usage that waits for a person
///
/// This is late usage that is held, and records that were refused, are disputed, conflict with AWS
/// Marketplace's record, or passed their deadline without an outcome.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering late list --local
  metering late list --stack metering --month 2026-11 --json | jq -r '.[].slot'

Held and refused usage can be carried or written off. The audit decides about usage that may have
been billed. If that takes too long, see `metering late show` for its findings so far, check for
yourself, and decide with --i-checked. A month without such usage gives an empty list.")]
pub struct List {
    /// The month, in UTC, as in 2026-11 [default: the current one]
    #[arg(long)]
    month: Option<Month>,
    /// List only this subscription
    #[arg(long)]
    subscription: Option<Subscription>,
    /// Print a JSON list
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tables: Tables,
}

impl Late {
    pub async fn run(&self) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run().await,
            Self::Show(show) => show.run().await,
            Self::Carry(carry) => carry.run().await,
            Self::WriteOff(write_off) => write_off.run().await,
        }
    }
}

/// One slot with usage that waits for a person.
struct Waiting {
    record: MeteringRecord,
    quantity: String,
    why: &'static str,
    code: Option<String>,
    next: &'static str,
}

impl List {
    async fn run(&self) -> Result<(), Failure> {
        let ledger = self.tables.ledger().await?;
        let month = match self.month {
            Some(month) => month,
            None => Month::of(self.tables.now().await?),
        };
        let mut all = Vec::new();
        if let Some(subscription) = &self.subscription {
            all.extend(waiting(&ledger, subscription, month).await?);
        } else {
            let mut start = None;
            loop {
                let (profiles, next) = ledger.profiles_page(start).await?;
                for profile in &profiles {
                    all.extend(waiting(&ledger, &profile.subscription, month).await?);
                }
                start = next;
                if start.is_none() {
                    break;
                }
            }
        }
        if self.json {
            return output::print_json(&all.iter().map(Waiting::to_json).collect());
        }
        if all.is_empty() {
            eprintln!("nothing of {month} waits for a person");
            return Ok(());
        }
        let mut table = output::table(&["slot", "quantity", "why", "last answer", "next"]);
        for one in &all {
            let code = one.code.clone().unwrap_or_default();
            let slot = one.record.slot.to_string();
            let why = one.why.to_owned();
            table.add_row([slot, one.quantity.clone(), why, code, one.next.to_owned()]);
        }
        output::print(table.trim_fmt())
    }
}

impl Waiting {
    fn to_json(&self) -> Value {
        let slot = &self.record.slot;
        json!({
            "slot": slot.to_string(),
            "subscription": slot.subscription.to_string(),
            "hour": slot.hour.to_string(),
            "dimension": slot.dimension.as_str(),
            "quantity": self.quantity,
            "why": self.why,
            "last_answer": self.code,
            "next": self.next,
        })
    }
}

/// The waiting usage of a subscription's month, slot by slot.
async fn waiting(
    ledger: &Ledger,
    subscription: &Subscription,
    month: Month,
) -> Result<Vec<Waiting>, Failure> {
    let prefix = format!("{month}-");
    let records = ledger
        .records_with_prefix(subscription, &format!("r#{prefix}"))
        .await?;
    let mut waiting = Vec::new();
    for record in records {
        let movements = ledger.movements_of(&record).await?;
        let code = record.outcome.as_ref().map(|outcome| outcome.code.clone());
        let short = short_of(ledger, &record, &movements).await?;
        waiting.extend(waiting_record(&record, short));
        for hold in open_holds(&movements) {
            waiting.push(Waiting {
                quantity: hold.total().map_err(Failure::failed)?.to_string(),
                record: record.clone(),
                why: "held",
                code: code.clone(),
                next: "carry or write off",
            });
        }
    }
    Ok(waiting)
}

/// The waiting usage of a record itself, without its movements. `short` is the quantity by which
/// AWS Marketplace holds too little in a conflict.
fn waiting_record(record: &MeteringRecord, short: Quantity) -> Option<Waiting> {
    let all = record.quantity;
    let (quantity, why, next) = match record.state {
        State::Refused => (all, "refused", "carry or write off"),
        State::Disputed => (all, "disputed", WAIT_OR_CHECK),
        State::Unconfirmed => (all, "unconfirmed", WAIT_OR_CHECK),
        State::Conflict if record.quantity_at_aws() > all => (
            all,
            "conflict",
            "claim the difference; see metering adjust plan",
        ),
        State::Conflict if short > Quantity::ZERO => (
            short,
            "conflict",
            "check, then carry or write off the missing quantity",
        ),
        _ => return None,
    };
    Some(Waiting {
        quantity: quantity.to_string(),
        record: record.clone(),
        why,
        code: record.outcome.as_ref().map(|outcome| outcome.code.clone()),
        next,
    })
}

const WAIT_OR_CHECK: &str = "wait for the audit, or check and decide; see metering late show";

/// The quantity by which AWS Marketplace holds too little in a conflict. The rows of the hour are
/// read only if the record may be short.
async fn short_of(
    ledger: &Ledger,
    record: &MeteringRecord,
    movements: &[Movement],
) -> Result<Quantity, Failure> {
    let short = |over| shortfall(record, movements, over).map_err(Failure::failed);
    if short(Total::ZERO)? == Quantity::ZERO {
        return Ok(Quantity::ZERO);
    }
    let slot = &record.slot;
    let product = ledger.product(&record.product).await?;
    let known = product.as_ref().map(|product| &product.dimensions);
    let count = ledger
        .count_hour(&slot.subscription, slot.hour, known)
        .await?;
    let counted = counted(record, movements).map_err(Failure::failed)?;
    let rows = count.rows(&slot.dimension);
    let rows = rows.map_or(Ok(Total::ZERO), |rows| rows.total());
    let over = rows
        .and_then(|rows| counted.minus(rows))
        .map_err(Failure::failed)?;
    short(over.max(Total::ZERO))
}
