//! The command `metering adjust`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use ledger::profile::Profile;
use ledger::{Ledger, Written};
use marketplace::decision::{Reason, refund};
use marketplace::{Month, Quantity, RecordKey, Subscription, Total, UsageHour};
use reconciler::books::of_subscription;
use serde_json::{Value, json};

use crate::commands::kept::Kept;
use crate::connect::Tables;
use crate::failure::Failure;
use crate::{output, view};

/// The reason code of BatchCreateBillingAdjustmentRequest for usage that was metered wrongly (AWS
/// Marketplace Agreement API reference).
const REASON_CODE: &str = "INCORRECT_METERING";

/// `metering adjust plan` and `record`.
#[derive(Debug, Subcommand)]
pub enum Adjust {
    Plan(Plan),
    Record(RecordRefund),
}

/// Lists usage that was metered too much, as billing adjustments to claim
///
/// A metering record can never be lowered. What was billed beyond the usage rows is given back in
/// money, per agreement and invoice.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering adjust plan --local
  metering adjust plan --stack metering --month 2026-10 --json | jq '.[].entry'

Each entry is for BatchCreateBillingAdjustmentRequest of the AWS Marketplace Agreement API. The stack
does not know the invoice, the amount and the currency: they are null until you fill them in from the
invoice. After you claimed it, record it with `metering adjust record SLOT QUANTITY`.")]
pub struct Plan {
    /// The month, in UTC, as in 2026-11 [default: the current one]
    #[arg(long)]
    month: Option<Month>,
    /// Only this subscription
    #[arg(long)]
    subscription: Option<Subscription>,
    /// As JSON: a list, one object for each agreement
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    kept: Kept,
    #[command(flatten)]
    tables: Tables,
}

/// Records that a billing adjustment was claimed for a slot
///
/// From then on the slot is over-metered by that much less. Rows that arrive again are late usage.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  metering adjust record 'legacy|examplecode2|CUSTEXAMPLE2@2026-11-21T02#seats' 1.5 --local \\
    --reason 'adjustment request bar-EXAMPLE1'")]
pub struct RecordRefund {
    /// <subscription>@<hour>#<dimension>
    slot: RecordKey,
    /// The quantity that was claimed back, at most what the slot is over-metered by
    quantity: Quantity,
    /// The reason, in 1 to 500 characters, which is stored
    #[arg(long)]
    reason: Reason,
    #[command(flatten)]
    kept: Kept,
    #[command(flatten)]
    tables: Tables,
}

impl Adjust {
    pub async fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Plan(plan) => plan.run().await,
            Self::Record(record) => record.run().await,
        }
    }
}

/// The quantities to be claimed back for one agreement.
#[derive(Default)]
struct Claim {
    subscriptions: Vec<String>,
    product: String,
    slots: Vec<(RecordKey, Total)>,
}

impl Plan {
    async fn run(&self) -> Result<(), Failure> {
        let ledger = self.tables.ledger().await?;
        let now = self.tables.now().await?;
        let month = self.month.unwrap_or_else(|| Month::of(now));
        self.kept
            .check(&format!("the usage of {month}"), month.first_hour(), now)?;
        let last = month.last_hour().min(UsageHour::of(now).next());
        let mut claims: BTreeMap<Option<String>, Claim> = BTreeMap::new();
        for profile in self.profiles(&ledger).await? {
            let books = of_subscription(&ledger, &profile, month.first_hour(), last).await?;
            let over = books
                .lines
                .into_iter()
                .filter(|line| line.slot.uncounted.is_negative());
            let mut slots = Vec::new();
            for line in over {
                let key = RecordKey {
                    subscription: line.subscription,
                    hour: line.hour,
                    dimension: line.dimension,
                };
                slots.push((
                    key,
                    line.slot.uncounted.magnitude().map_err(Failure::failed)?,
                ));
            }
            if slots.is_empty() {
                continue;
            }
            let agreement = profile.agreement.as_ref().map(ToString::to_string);
            // Without an agreement id nothing shows that two subscriptions belong to one agreement.
            let own = || Some(profile.subscription.to_string());
            let claim = claims.entry(agreement.or_else(own)).or_default();
            claim.subscriptions.push(profile.subscription.to_string());
            claim.product = profile.product.to_string();
            claim.slots.extend(slots);
        }
        let mut planned = Vec::new();
        for (agreement, claim) in &claims {
            planned.push(claim.to_json(agreement.as_deref(), month)?);
        }
        if self.json {
            return output::print_json(&Value::Array(planned));
        }
        if claims.is_empty() {
            eprintln!("no usage of {month} was metered too much");
            return Ok(());
        }
        let mut table = output::table(&["agreement", "slot", "metered too much"]);
        for (agreement, claim) in &claims {
            for (key, over) in &claim.slots {
                let agreement = agreement.clone().unwrap_or_default();
                table.add_row([agreement, key.slot(), over.to_string()]);
            }
        }
        output::print(table.trim_fmt())
    }

    async fn profiles(&self, ledger: &Ledger) -> Result<Vec<Profile>, Failure> {
        if let Some(subscription) = &self.subscription {
            return Ok(ledger.profile(subscription).await?.into_iter().collect());
        }
        let mut profiles = Vec::new();
        let mut start = None;
        loop {
            let (page, next) = ledger.profiles_page(start).await?;
            profiles.extend(page);
            start = next;
            if start.is_none() {
                return Ok(profiles);
            }
        }
    }
}

impl Claim {
    fn to_json(&self, agreement: Option<&str>, month: Month) -> Result<Value, Failure> {
        let mut by_dimension: BTreeMap<&str, Total> = BTreeMap::new();
        for (key, over) in &self.slots {
            let sum = by_dimension.entry(key.dimension.as_str()).or_default();
            *sum = sum.plus(*over).map_err(Failure::failed)?;
        }
        let quantities: BTreeMap<&str, String> = by_dimension
            .into_iter()
            .map(|(dimension, total)| (dimension, total.to_string()))
            .collect();
        let known = agreement.filter(|id| !self.subscriptions.iter().any(|s| s == id));
        let mut missing = vec!["originalInvoiceId", "adjustmentAmount", "currencyCode"];
        if known.is_none() {
            missing.push("agreementId");
        }
        Ok(json!({
            "agreement_id": known,
            "product_code": self.product,
            "subscriptions": self.subscriptions,
            "month": month.to_string(),
            "quantities": quantities,
            "slots": self
                .slots
                .iter()
                .map(|(key, over)| json!({"slot": key.slot(), "quantity": over.to_string()}))
                .collect::<Vec<_>>(),
            "entry": {
                "agreementId": known,
                "originalInvoiceId": null,
                "adjustmentAmount": null,
                "currencyCode": null,
                "adjustmentReasonCode": REASON_CODE,
                "clientToken": self.client_token(),
            },
            "to_be_filled_in": missing,
        }))
    }

    /// The same claim always has the same token, so that a claim made twice counts once.
    fn client_token(&self) -> String {
        let content: Vec<String> = self
            .slots
            .iter()
            .map(|(key, over)| format!("{} {over}", key.slot()))
            .collect();
        ledger::content_digest(&content.join("\n"))
    }
}

impl RecordRefund {
    async fn run(&self) -> Result<(), Failure> {
        let ledger = self.tables.ledger().await?;
        let now = self.tables.now().await?;
        let slot = self.slot.slot();
        let key = &self.slot;
        self.kept.check(&slot, key.hour, now)?;
        let profile = ledger.profile(&key.subscription).await?;
        let product = match &profile {
            Some(profile) => ledger.product(&profile.product).await?,
            None => None,
        };
        let known = product.as_ref().map(|product| &product.dimensions);
        let count = ledger
            .count_hour(&key.subscription, key.hour, known)
            .await?;
        let line = count
            .lines()?
            .into_iter()
            .find(|(d, _)| *d == key.dimension);
        let (Some(record), Some((_, line))) = (count.records.get(&key.dimension), line) else {
            return Err(Failure::failed(format!(
                "{slot}: there is no such record; `metering adjust plan` shows what was metered too much"
            )));
        };
        let over = match line.uncounted.is_negative() {
            true => line.uncounted.magnitude().map_err(Failure::failed)?,
            false => Total::ZERO,
        };
        let Some(movement) = refund(record, over, self.quantity, now, &self.reason) else {
            return Err(Failure::failed(format!(
                "{slot} was metered {over} too much, so {} cannot be claimed back of it",
                self.quantity
            )));
        };
        if ledger.move_quantity(record, &movement).await? == Written::Conflict {
            return Err(Failure::failed(format!(
                "somebody else changed {slot} meanwhile; look at it and try again"
            )));
        }
        output::print(view::movement_table(std::slice::from_ref(&movement)).trim_fmt())
    }
}
