//! The commands `metering late carry` and `metering late write-off`.

use clap::Args;
use jiff::Timestamp;
use ledger::profile::Profile;
use ledger::{Ledger, Written};
use marketplace::carry::open_hour;
use marketplace::decision::{
    ClosingRule, Reason, close_hold, close_record, closing_rule, move_shortfall, open_holds,
};
use marketplace::recount::{Movement, MovementKind};
use marketplace::{Dimension, MeteringRecord, Quantity, Slot};

use super::show;
use crate::connect::Tables;
use crate::failure::Failure;
use crate::{output, view};

/// Bills a slot's waiting usage with an hour that is still open
///
/// The open hour is a later hour of the same month. A refused record gets the state moved, in one
/// transaction with its carry. --into names the dimension that replaced a renamed one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering late carry 'legacy|examplecode2|CUSTEXAMPLE2@2026-11-21T02#seats' --local \\
    --reason 'agreed with the buyer, ticket 4711'
  metering late carry 'arn:aws:license-manager::1:license:l-1@2026-11-21T02#gb' --into gigabytes \\
    --reason 'gb was renamed on 2026-11-20'

Which hour is still open depends on how long hours settle. SETTLE_MINUTES is read as in the
functions: set it to the stack's SettleMinutes, if that is not 30. An hour that the stack has sealed
already is never chosen.

`metering late list` prints the slots.")]
pub struct Carry {
    /// The slot, written <subscription>@<hour>#<dimension>
    slot: Slot,
    /// The reason, in 1 to 500 characters, which is stored
    #[arg(long)]
    reason: Reason,
    /// API name of another dimension of the same product
    #[arg(long, value_name = "DIMENSION")]
    into: Option<Dimension>,
    /// Confirms that you checked that AWS Marketplace does not bill the usage. It is required if
    /// the record is disputed, unconfirmed or short
    #[arg(long)]
    i_checked: bool,
    #[command(flatten)]
    tables: Tables,
}

/// Gives up a slot's waiting usage, which is then never billed
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  metering late write-off 'legacy|examplecode2|CUSTEXAMPLE2@2026-11-21T02#seats' --local \\
    --reason 'below a cent'

The books show it as lost. `metering late list` prints the slots.")]
pub struct WriteOff {
    /// The slot, written <subscription>@<hour>#<dimension>
    slot: Slot,
    /// The reason, in 1 to 500 characters, which is stored
    #[arg(long)]
    reason: Reason,
    /// Confirms that you checked that AWS Marketplace does not bill the usage. It is required if
    /// the record is disputed, unconfirmed or short
    #[arg(long)]
    i_checked: bool,
    #[command(flatten)]
    tables: Tables,
}

impl Carry {
    pub(super) async fn run(&self) -> Result<(), Failure> {
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
            is_checked: self.i_checked,
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
        let spans = profile.lifecycle.spans();
        let hour = self.slot.hour;
        let schedule = self.tables.schedule()?;
        open_hour(schedule, hour, watermark, &spans, now).map_err(|_| none())
    }
}

impl WriteOff {
    pub(super) async fn run(&self) -> Result<(), Failure> {
        let ledger = self.tables.ledger().await?;
        let decision = Decision {
            slot: &self.slot,
            kind: MovementKind::WrittenOff,
            reason: &self.reason,
            is_checked: self.i_checked,
            now: self.tables.now().await?,
        };
        decision.carry_out(&ledger).await
    }
}

async fn profile_of(ledger: &Ledger, slot: &Slot) -> Result<Profile, Failure> {
    let profile = ledger.profile(&slot.subscription).await?;
    profile.ok_or_else(|| {
        Failure::failed(format!(
            "there is no subscription {}; see `metering subscriptions list`",
            slot.subscription
        ))
    })
}

/// A decision about all waiting usage of a slot.
struct Decision<'a> {
    slot: &'a Slot,
    kind: MovementKind,
    reason: &'a Reason,
    is_checked: bool,
    now: Timestamp,
}

/// One write of a decision.
enum Step {
    /// A movement of a record that keeps its state.
    Move(Movement),
    /// A movement that also closes the record.
    Close(Movement),
}

/// The largest number of held movements of one slot that one command closes. If there are more, the
/// command must be run again.
const HOLDS_MAX: usize = 100;

impl Decision<'_> {
    async fn carry_out(&self, ledger: &Ledger) -> Result<(), Failure> {
        let mut steps = 0;
        while steps < HOLDS_MAX {
            let Some(record) = ledger.records(std::slice::from_ref(self.slot)).await?.pop() else {
                return Err(self.nothing("there is no such record"));
            };
            let movements = ledger.movements_of(&record).await?;
            let short = super::short_of(ledger, &record, &movements).await?;
            let step = match self.next(&record, &movements, short)? {
                Some(step) => step,
                None if steps == 0 && self.needs_check(&record, short) => {
                    return Err(show::unchecked(ledger, &record).await?);
                }
                None => break,
            };
            let (written, movement) = match &step {
                Step::Close(movement) => (ledger.close_record(&record, movement).await?, movement),
                Step::Move(movement) => (ledger.move_quantity(&record, movement).await?, movement),
            };
            if written == Written::Conflict {
                return Err(Failure::failed(format!(
                    "somebody else changed {} meanwhile; look at it and try again",
                    self.slot
                )));
            }
            let table = view::movement_table(std::slice::from_ref(movement));
            output::print(table.trim_fmt())?;
            steps += 1;
        }
        match steps {
            0 => Err(self.nothing("nothing of it is held, refused, in doubt or short")),
            _ => Ok(()),
        }
    }

    fn nothing(&self, why: &str) -> Failure {
        let slot = self.slot.to_string();
        Failure::failed(format!(
            "{slot}: {why}; `metering late list` shows the waiting usage"
        ))
    }

    /// Returns whether some usage of the record can be decided only by a person who has checked it,
    /// and --i-checked is missing.
    fn needs_check(&self, record: &MeteringRecord, short: Quantity) -> bool {
        let is_in_doubt = closing_rule(record) == ClosingRule::Checked || short > Quantity::ZERO;
        is_in_doubt && !self.is_checked
    }

    fn next(
        &self,
        record: &MeteringRecord,
        movements: &[Movement],
        short: Quantity,
    ) -> Result<Option<Step>, Failure> {
        if let Some(hold) = open_holds(movements).next() {
            let movement = close_hold(record, hold, self.kind.clone(), self.now, self.reason);
            return Ok(Some(Step::Move(movement)));
        }
        if self.is_checked && short > Quantity::ZERO {
            let movement = move_shortfall(record, short, self.kind.clone(), self.now, self.reason);
            return Ok(Some(Step::Move(movement)));
        }
        match closing_rule(record) {
            ClosingRule::Free => {}
            ClosingRule::Checked if self.is_checked => {}
            ClosingRule::Checked | ClosingRule::Never => return Ok(None),
        }
        let code = record.outcome.as_ref().map(|o| o.code.as_str());
        let refused_dimension = code == Some("InvalidUsageDimensionException");
        if refused_dimension && matches!(self.kind, MovementKind::Carried { into: None, .. }) {
            return Err(Failure::usage(format!(
                "AWS Marketplace refuses the dimension {}: name the dimension that replaced it with --into; if the dimension is corrected at AWS Marketplace, the record is accepted within the hour on its own",
                record.slot.dimension
            )));
        }
        let movement = close_record(
            record,
            self.kind.clone(),
            !refused_dimension,
            self.now,
            self.reason,
        );
        Ok(Some(Step::Close(movement.map_err(Failure::failed)?)))
    }
}
