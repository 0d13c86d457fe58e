//! The command `metering adjust`.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, Subcommand};
use ledger::books::{Line, of_subscription};
use ledger::profile::Profile;
use ledger::{Ledger, Written};
use marketplace::agreements::agreement_at;
use marketplace::decision::{Reason, refund};
use marketplace::lifecycle::Lifecycle;
use marketplace::{
    AgreementId, Month, ProductCode, Quantity, Slot, Subscription, Total, UsageHour,
};
use serde_json::{Value, json};

use crate::commands::kept::Kept;
use crate::connect::Tables;
use crate::failure::Failure;
use crate::{output, view};

/// The reason code of BatchCreateBillingAdjustmentRequest for usage that was metered wrongly (AWS
/// Marketplace Agreement API reference).
const REASON_CODE: &str = "INCORRECT_METERING";

/// The subcommands of `metering adjust`.
#[derive(Debug, Subcommand)]
pub enum Adjust {
    Plan(Plan),
    Record(RecordRefund),
}

/// Lists usage that was metered too much, as billing adjustments to claim
///
/// A metering record can never be lowered. Usage that was billed beyond the usage rows is paid back
/// in money, per agreement and invoice. Each slot is claimed under the agreement that was in force
/// at its hour.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering adjust plan --local
  metering adjust plan --stack metering --month 2026-10 --json | jq '.[].entry'

Each entry is for BatchCreateBillingAdjustmentRequest of the AWS Marketplace Agreement API. The stack
does not know the invoice, the amount and the currency: they are null until you fill them in from the
invoice. If the stack does not know which agreement was in force at a slot's hour, as after a renewal
of an agreement that it has never heard of, the agreement is null too: the invoice names it. After you
claimed it, record it with `metering adjust record SLOT QUANTITY`.")]
pub struct Plan {
    /// The month, in UTC, as in 2026-11 [default: the current one]
    #[arg(long)]
    month: Option<Month>,
    /// Plan only for this subscription
    #[arg(long)]
    subscription: Option<Subscription>,
    /// Print JSON: a list with one object for each agreement and product
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    kept: Kept,
    #[command(flatten)]
    tables: Tables,
}

/// Records that a billing adjustment was claimed for a slot
///
/// From then on the claimed quantity does not count as over-metered any more. Rows that arrive
/// again are late usage.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  metering adjust record 'legacy|examplecode2|CUSTEXAMPLE2@2026-11-21T02#seats' 1.5 --local \\
    --reason 'adjustment request bar-EXAMPLE1'")]
pub struct RecordRefund {
    /// The slot, written <subscription>@<hour>#<dimension>
    slot: Slot,
    /// The quantity that was claimed back, at most the over-metered quantity of the slot
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

/// The agreement and the product of one entry of the request. One agreement can be for several
/// products, whose dimensions may have the same names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct EntryKey {
    /// `None` if the stack does not know which agreement was in force.
    agreement: Option<AgreementId>,
    product: ProductCode,
    /// `None` if the agreement is known. Without a known agreement, nothing shows that two
    /// subscriptions belong to the same agreement, so each gets its own entry.
    subscription: Option<Subscription>,
}

/// A slot that was metered too much.
struct Excess {
    slot: Slot,
    over: Total,
    /// The quantity of the slot that was claimed back before.
    refunded: Total,
}

/// The quantities that one entry claims back.
#[derive(Default)]
struct Claim {
    subscriptions: BTreeSet<Subscription>,
    /// The agreements that the stack knows for these subscriptions.
    agreements: BTreeSet<AgreementId>,
    slots: Vec<Excess>,
}

impl Plan {
    async fn run(&self) -> Result<(), Failure> {
        let ledger = self.tables.ledger().await?;
        let now = self.tables.now().await?;
        let month = self.month.unwrap_or_else(|| Month::of(now));
        self.kept
            .check(&format!("the usage of {month}"), month.first_hour(), now)?;
        let last = month.last_hour().min(UsageHour::of(now).next());
        let mut claims: BTreeMap<EntryKey, Claim> = BTreeMap::new();
        for profile in self.profiles(&ledger).await? {
            let books = of_subscription(&ledger, &profile, month.first_hour(), last).await?;
            add_claims(&ledger, &profile, books.lines, &mut claims).await?;
        }
        let mut planned = Vec::new();
        for (entry_key, claim) in &claims {
            planned.push(claim.to_json(entry_key, month)?);
        }
        if self.json {
            return output::print_json(&Value::Array(planned));
        }
        if claims.is_empty() {
            eprintln!("no usage of {month} was metered too much");
            return Ok(());
        }
        let mut table = output::table(&["agreement", "slot", "metered too much"]);
        for (entry_key, claim) in &claims {
            let agreement = match &entry_key.agreement {
                Some(agreement) => agreement.to_string(),
                None => claim.not_known(),
            };
            for excess in &claim.slots {
                table.add_row([
                    agreement.clone(),
                    excess.slot.to_string(),
                    excess.over.to_string(),
                ]);
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

/// Adds the over-metered quantities of one subscription. Each slot goes to the agreement that was
/// in force at its record's timestamp. A renewal within the month can keep the license, so one
/// subscription can have slots of two agreements.
async fn add_claims(
    ledger: &Ledger,
    profile: &Profile,
    lines: Vec<Line>,
    claims: &mut BTreeMap<EntryKey, Claim>,
) -> Result<(), Failure> {
    let mut slots = Vec::new();
    for line in lines {
        if line.slot.uncounted.is_negative() {
            slots.push(Excess {
                over: line.slot.uncounted.magnitude().map_err(Failure::failed)?,
                refunded: line.slot.refunded,
                slot: Slot {
                    subscription: line.subscription,
                    hour: line.hour,
                    dimension: line.dimension,
                },
            });
        }
    }
    if slots.is_empty() {
        return Ok(());
    }
    let wanted: Vec<Slot> = slots.iter().map(|excess| excess.slot.clone()).collect();
    let records = ledger.records(&wanted).await?;
    let stamps: BTreeMap<_, _> = records.iter().map(|r| (&r.slot, r.stamp)).collect();
    let known = agreements_of(ledger, profile).await?;
    let spans = profile.lifecycle.spans();
    for excess in slots {
        let stamp = stamps.get(&excess.slot);
        let agreement = stamp.and_then(|stamp| agreement_at(&known, &spans, *stamp));
        let entry_key = EntryKey {
            agreement: agreement.cloned(),
            product: profile.product.clone(),
            subscription: agreement.is_none().then(|| profile.subscription.clone()),
        };
        let claim = claims.entry(entry_key).or_default();
        claim.subscriptions.insert(profile.subscription.clone());
        claim
            .agreements
            .extend(known.iter().map(|(id, _)| id.clone()));
        claim.slots.push(excess);
    }
    Ok(())
}

/// Returns the agreements of a subscription, each with its own lifecycle. The profile names the
/// latest agreement, which has no lifecycle if only the registration named it.
async fn agreements_of(
    ledger: &Ledger,
    profile: &Profile,
) -> Result<Vec<(AgreementId, Lifecycle)>, Failure> {
    let facts = ledger.subscription_facts(&profile.subscription).await?;
    let mut known = facts.agreements();
    if let Some(current) = &profile.agreement
        && !known.iter().any(|(id, _)| id == current)
    {
        known.push((current.clone(), Lifecycle::default()));
    }
    Ok(known)
}

impl Claim {
    fn to_json(&self, entry_key: &EntryKey, month: Month) -> Result<Value, Failure> {
        let mut by_dimension: BTreeMap<&str, Total> = BTreeMap::new();
        for excess in &self.slots {
            let sum = by_dimension
                .entry(excess.slot.dimension.as_str())
                .or_default();
            *sum = sum.plus(excess.over).map_err(Failure::failed)?;
        }
        let quantities: BTreeMap<&str, String> = by_dimension
            .into_iter()
            .map(|(dimension, total)| (dimension, total.to_string()))
            .collect();
        let known = entry_key.agreement.as_ref().map(AgreementId::as_str);
        let mut missing = vec!["originalInvoiceId", "adjustmentAmount", "currencyCode"];
        if known.is_none() {
            missing.push("agreementId");
        }
        let texts = |ids: Vec<String>| Value::from(ids);
        Ok(json!({
            "agreement_id": known,
            "known_agreements": texts(self.agreements.iter().map(ToString::to_string).collect()),
            "product_code": entry_key.product.as_str(),
            "subscriptions": texts(self.subscriptions.iter().map(ToString::to_string).collect()),
            "month": month.to_string(),
            "quantities": quantities,
            "slots": self
                .slots
                .iter()
                .map(|excess| json!({
                    "slot": excess.slot.to_string(),
                    "quantity": excess.over.to_string(),
                    "refunded": excess.refunded.to_string(),
                }))
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

    /// The text that is shown if the agreement is not known.
    fn not_known(&self) -> String {
        let known: Vec<_> = self.agreements.iter().map(ToString::to_string).collect();
        match known.as_slice() {
            [] => "not known".to_owned(),
            known => format!("not known; the stack knows {}", known.join(", ")),
        }
    }

    /// The same claim always has the same token, so that a claim made twice counts once. The token
    /// also depends on the quantity that was claimed back before. Otherwise AWS Marketplace would
    /// treat a new claim of the same slot and quantity as a repeat of the old claim.
    fn client_token(&self) -> String {
        let content: Vec<String> = self
            .slots
            .iter()
            .map(|excess| {
                let claim = format!("{} {}", excess.slot, excess.over);
                match excess.refunded.is_zero() {
                    true => claim,
                    false => format!("{claim} after {}", excess.refunded),
                }
            })
            .collect();
        ledger::content_digest(&content.join("\n"))
    }
}

impl RecordRefund {
    async fn run(&self) -> Result<(), Failure> {
        let ledger = self.tables.ledger().await?;
        let now = self.tables.now().await?;
        let slot = self.slot.to_string();
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
                "{slot} was metered {over} too much, so {} cannot be claimed back for it",
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
