//! `metering late`.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use ledger::profile::Profile;
use ledger::{Ledger, Written};
use marketplace::carry::{LatePolicy, destination};
use marketplace::decision::{Reason, close_hold, close_record, may_close, open_holds};
use marketplace::recount::{Movement, MovementKind};
use marketplace::schedule::Schedule;
use marketplace::{Dimension, MeteringRecord, Month, RecordKey, State, Subscription};
use serde_json::{Value, json};

use crate::connect::Tables;
use crate::failure::Failure;
use crate::{output, view};

/// `metering late list`, `carry` and `write-off`.
#[derive(Debug, Subcommand)]
pub enum Late {
    List(List),
    Carry(Carry),
    WriteOff(WriteOff),
}

/// Lists usage that waits for a person
///
/// Late usage that is held, and records that were refused, are disputed, conflict with what AWS
/// Marketplace holds, or passed their deadline without an outcome.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering late list --local
  metering late list --stack metering --month 2026-11 --json | jq -r '.[].slot'

Held and refused usage can be carried or written off. What may have been billed waits for the audit.
A month without such usage is an empty list.")]
pub struct List {
    /// The month, in UTC, as in 2026-11 [default: the present one]
    #[arg(long)]
    month: Option<Month>,
    /// Only this subscription
    #[arg(long)]
    subscription: Option<Subscription>,
    /// As JSON: a list
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tables: Tables,
}

/// Bills waiting usage of a slot with an hour that is still open
///
/// The hour is of the same month, and later. A refused record closes as moved, in one transaction
/// with its carry; --into names the dimension that took the place of a renamed one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering late carry 'legacy|examplecode2|CUSTEXAMPLE2@2026-11-21T02#seats' --local \\
    --reason 'agreed with the buyer, ticket 4711'
  metering late carry 'arn:aws:license-manager::1:license:l-1@2026-11-21T02#gb' --into gigabytes \\
    --reason 'gb was renamed on 2026-11-20'

`metering late list` prints the slots.")]
pub struct Carry {
    /// <subscription>@<hour>#<dimension>
    slot: RecordKey,
    /// Why, in 1 to 500 characters; it is kept
    #[arg(long)]
    reason: Reason,
    /// API name of another dimension of the same product
    #[arg(long, value_name = "DIMENSION")]
    into: Option<Dimension>,
    #[command(flatten)]
    tables: Tables,
}

/// Gives up waiting usage of a slot: it is never billed
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  metering late write-off 'legacy|examplecode2|CUSTEXAMPLE2@2026-11-21T02#seats' --local \\
    --reason 'below a cent'

The books show it as lost. `metering late list` prints the slots.")]
pub struct WriteOff {
    /// <subscription>@<hour>#<dimension>
    slot: RecordKey,
    /// Why, in 1 to 500 characters; it is kept
    #[arg(long)]
    reason: Reason,
    #[command(flatten)]
    tables: Tables,
}

impl Late {
    /// Does it.
    pub async fn run(&self) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run().await,
            Self::Carry(carry) => carry.run().await,
            Self::WriteOff(write_off) => write_off.run().await,
        }
    }
}

/// One slot with usage that waits.
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
            let slot = one.record.key.slot();
            let why = one.why.to_owned();
            table.add_row([slot, one.quantity.clone(), why, code, one.next.to_owned()]);
        }
        output::print(table.trim_fmt())
    }
}

impl Waiting {
    fn to_json(&self) -> Value {
        let key = &self.record.key;
        json!({
            "slot": key.slot(),
            "subscription": key.subscription.to_string(),
            "hour": key.hour.to_string(),
            "dimension": key.dimension.as_str(),
            "quantity": self.quantity,
            "why": self.why,
            "last_answer": self.code,
            "next": self.next,
        })
    }
}

/// What of a subscription's month waits, slot by slot.
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
        let code = record.outcome.as_ref().map(|outcome| outcome.code.clone());
        let told = match record.state {
            State::Refused => Some(("refused", "carry or write off")),
            State::Disputed => Some(("disputed", "wait for the audit")),
            State::Unconfirmed => Some(("unconfirmed", "wait for the audit")),
            State::Conflict => Some(("conflict", "claim the difference; see metering adjust plan")),
            _ => None,
        };
        if let Some((why, next)) = told {
            waiting.push(Waiting {
                quantity: record.quantity.to_string(),
                record: record.clone(),
                why,
                code: code.clone(),
                next,
            });
        }
        if record.movements == 0 {
            continue;
        }
        let movements = ledger.movements_of(&record).await?;
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

impl Carry {
    async fn run(&self) -> Result<(), Failure> {
        let ledger = self.tables.ledger().await?;
        let now = self.tables.now().await?;
        let profile = profile_of(&ledger, &self.slot).await?;
        if let Some(into) = &self.into {
            self.check_dimension(&ledger, &profile, into).await?;
        }
        let target = self.target(&ledger, &profile, now).await?;
        let kind = MovementKind::Carried {
            target,
            into: self.into.clone(),
        };
        let decision = Decision {
            slot: &self.slot,
            kind,
            reason: &self.reason,
            now,
        };
        decision.carry_out(&ledger).await
    }

    async fn check_dimension(
        &self,
        ledger: &Ledger,
        profile: &Profile,
        into: &Dimension,
    ) -> Result<(), Failure> {
        if *into == self.slot.dimension {
            return Err(Failure::usage(format!(
                "--into {into} is the slot's own dimension: leave it out"
            )));
        }
        match ledger.product(&profile.product).await? {
            Some(product) if !product.dimensions.contains(into) => Err(Failure::usage(format!(
                "product {} has no dimension {into}: name one of `metering products list`, or add it with `metering products put`",
                profile.product
            ))),
            _ => Ok(()),
        }
    }

    async fn target(
        &self,
        ledger: &Ledger,
        profile: &Profile,
        now: Timestamp,
    ) -> Result<marketplace::UsageHour, Failure> {
        let none = || {
            Failure::failed(format!(
                "no later hour of {} is open for {}: write the usage off, or bill it outside AWS Marketplace",
                self.slot.hour.month(),
                self.slot.subscription
            ))
        };
        let watermark = ledger.watermark().await?.ok_or_else(none)?;
        let ended_at = profile.terms().and_then(|terms| terms.ended_at);
        let hour = self.slot.hour;
        let schedule = Schedule::default();
        match destination(LatePolicy::Carry, schedule, hour, watermark, ended_at, now) {
            MovementKind::Carried { target, .. } => Ok(target),
            _ => Err(none()),
        }
    }
}

impl WriteOff {
    async fn run(&self) -> Result<(), Failure> {
        let ledger = self.tables.ledger().await?;
        let decision = Decision {
            slot: &self.slot,
            kind: MovementKind::WrittenOff,
            reason: &self.reason,
            now: self.tables.now().await?,
        };
        decision.carry_out(&ledger).await
    }
}

async fn profile_of(ledger: &Ledger, slot: &RecordKey) -> Result<Profile, Failure> {
    let profile = ledger.profile(&slot.subscription).await?;
    profile.ok_or_else(|| {
        Failure::failed(format!(
            "there is no subscription {}; see `metering subscriptions list`",
            slot.subscription
        ))
    })
}

/// What is to become of all usage of a slot that waits.
struct Decision<'a> {
    slot: &'a RecordKey,
    kind: MovementKind,
    reason: &'a Reason,
    now: Timestamp,
}

/// Held movements of one slot that one command closes; more of them take another.
const HOLDS_MAX: usize = 100;

impl Decision<'_> {
    async fn carry_out(&self, ledger: &Ledger) -> Result<(), Failure> {
        let mut done = 0;
        while done < HOLDS_MAX {
            let Some(record) = ledger.records(std::slice::from_ref(self.slot)).await?.pop() else {
                return Err(self.nothing("there is no such record"));
            };
            let movements = ledger.movements_of(&record).await?;
            let Some((movement, closes)) = self.next(&record, &movements)? else {
                break;
            };
            let written = match closes {
                true => ledger.close_record(&record, &movement).await?,
                false => ledger.move_quantity(&record, &movement).await?,
            };
            if written == Written::Conflict {
                return Err(Failure::failed(format!(
                    "somebody else changed {} meanwhile; look at it and try again",
                    self.slot.slot()
                )));
            }
            let table = view::movement_table(std::slice::from_ref(&movement));
            output::print(table.trim_fmt())?;
            done += 1;
        }
        match done {
            0 => Err(self.nothing("nothing of it is held or refused")),
            _ => Ok(()),
        }
    }

    fn nothing(&self, why: &str) -> Failure {
        let slot = self.slot.slot();
        Failure::failed(format!(
            "{slot}: {why}; `metering late list` shows what waits"
        ))
    }

    /// The next movement, and whether the record closes with it.
    fn next(
        &self,
        record: &MeteringRecord,
        movements: &[Movement],
    ) -> Result<Option<(Movement, bool)>, Failure> {
        if let Some(hold) = open_holds(movements).next() {
            let movement = close_hold(record, hold, self.kind.clone(), self.now, self.reason);
            return Ok(Some((movement, false)));
        }
        if !may_close(record) {
            return Ok(None);
        }
        let code = record.outcome.as_ref().map(|o| o.code.as_str());
        let refused_dimension = code == Some("InvalidUsageDimensionException");
        if refused_dimension && matches!(self.kind, MovementKind::Carried { into: None, .. }) {
            return Err(Failure::usage(format!(
                "AWS Marketplace refuses the dimension {}: name the one that took its place with --into; if it is put right there, the record is accepted within the hour without you",
                record.key.dimension
            )));
        }
        let movement = close_record(
            record,
            self.kind.clone(),
            !refused_dimension,
            self.now,
            self.reason,
        );
        Ok(Some((movement.map_err(Failure::failed)?, true)))
    }
}
