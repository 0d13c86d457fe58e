//! Runs the planned day, hour by hour.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use emulator::{Fault, FaultKind, Faults, NewAgreement, NewProduct};
use jiff::Timestamp;
use ledger::books::of_all;
use ledger::product::Product;
use marketplace::books::Books;
use marketplace::limits::BATCH_RECORDS_MAX;
use marketplace::{IdentityKind, ProductCode, Subscription, Total, UsageHour};

use super::plan::{
    Action, DemoOptions, FaultLevel, LICENSE_UPDATED_DELAY_S, PRODUCTS, Plan, Route, after, draw,
};
use super::seller::Seller;
use super::summary::Summary;
use crate::capacity::CapacityCounter;
use crate::stack::{DeliveryTrouble, Stack, StackError, StackOptions, Trouble};

/// The largest number of hours that the stack runs after the last usage until nothing is pending.
const SETTLING_HOURS_MAX: u32 = 14;

/// The reason why a demo could not be completed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The local stack failed.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// Another part of the demo failed.
    #[error("the demo failed: {0}")]
    Failed(String),
}

impl DemoError {
    pub(crate) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The progress of a demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The time in the demo.
    pub now: Timestamp,
    /// The number of planned actions done so far.
    pub done: usize,
    /// The number of planned actions in total.
    pub of: usize,
    /// The number of events sent so far.
    pub events_sent: u64,
    /// `true` if usage has ended and the last usage is being metered.
    pub settling: bool,
}

/// Runs the demo. `progress` is called after each action and after each hour of settling.
pub async fn run(
    options: &DemoOptions,
    mut progress: impl FnMut(Progress),
) -> Result<Summary, DemoError> {
    options.check().map_err(DemoError::failed)?;
    let plan = draw(options);
    let mut day = Day::begin(options).await?;
    let mut sent = 0;
    for (done, (at, action)) in plan.actions.iter().enumerate() {
        day.stack.run_until(*at).await?;
        day.perform(&plan, action).await?;
        if let Action::Send { events, .. } = action {
            sent += events.len() as u64;
        }
        progress(Progress {
            now: *at,
            done,
            of: plan.actions.len(),
            events_sent: sent,
            settling: false,
        });
    }
    day.finish(options, &plan, progress).await
}

struct Day {
    stack: Stack,
    seller: Seller,
    /// Counts the capacity that the producers' own PutItem calls consume.
    producer_capacity: CapacityCounter,
    subscriptions: BTreeMap<usize, (String, String)>,
    accounts: BTreeMap<usize, String>,
    rejected_by_intake: u64,
}

impl Day {
    async fn begin(options: &DemoOptions) -> Result<Self, DemoError> {
        let harsh = options.faults == FaultLevel::Harsh;
        let stack = Stack::start(StackOptions {
            now: Some(after(options.start(), -2 * 3_600)),
            speed: 0.0,
            seed: options.seed,
            trouble: if harsh {
                harsh_trouble()
            } else {
                Trouble::default()
            },
            ..StackOptions::default()
        })
        .await?;
        let emulator = stack.emulator();
        let mut settings = emulator.settings();
        settings.license_updated_delay_s = LICENSE_UPDATED_DELAY_S;
        emulator.set_settings(settings);
        for product in &PRODUCTS {
            emulator
                .add_product(NewProduct::new(
                    product.code,
                    product.dimensions,
                    product.marketplace_identity,
                ))
                .map_err(DemoError::failed)?;
            let configured = Product {
                code: product.code.parse().map_err(DemoError::failed)?,
                identity: product.identity,
                dimensions: product
                    .dimensions
                    .iter()
                    .map(|dimension| dimension.parse().map_err(DemoError::failed))
                    .collect::<Result<_, _>>()?,
                version: 1,
            };
            stack
                .ledger()
                .write_product(None, &configured)
                .await
                .map_err(DemoError::failed)?;
        }
        if harsh {
            emulator.set_faults(harsh_faults());
        }
        let producer_capacity = CapacityCounter::new();
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "local"))
            .endpoint_url(stack.dynamodb().endpoint())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .interceptor(producer_capacity.interceptor())
            .build();
        let table = stack.ledger().tables().usage_events.clone();
        let seller = Seller::new(
            stack.http(),
            aws_sdk_dynamodb::Client::from_conf(config),
            table,
        );
        Ok(Self {
            stack,
            seller,
            producer_capacity,
            subscriptions: BTreeMap::new(),
            accounts: BTreeMap::new(),
            rejected_by_intake: 0,
        })
    }

    async fn perform(&mut self, plan: &Plan, action: &Action) -> Result<(), DemoError> {
        match action {
            Action::Purchase { buyer } => self.purchase(plan, *buyer),
            Action::Register { buyer } => {
                let (_, agreement) = self.known(*buyer)?;
                let token = self
                    .stack
                    .emulator()
                    .registration_token(&agreement)
                    .map_err(DemoError::failed)?;
                self.seller.register(&token).await
            }
            Action::Send {
                buyer,
                events,
                route,
            } => {
                let (subscription, _) = self.known(*buyer)?;
                match route {
                    Route::Intake => {
                        let sent = self.seller.post_usage(&subscription, events).await?;
                        self.rejected_by_intake += sent.rejected;
                    }
                    Route::PutItem => {
                        for event in events {
                            self.seller.put_usage(&subscription, event).await?;
                        }
                    }
                }
                Ok(())
            }
            Action::Cancel { buyer } => {
                let (_, agreement) = self.known(*buyer)?;
                self.stack
                    .emulator()
                    .cancel_agreement(&agreement)
                    .map_err(DemoError::failed)
            }
        }
    }

    fn known(&self, buyer: usize) -> Result<(String, String), DemoError> {
        let known = self.subscriptions.get(&buyer).cloned();
        known.ok_or_else(|| DemoError::failed(format!("buyer {buyer} acts before the purchase")))
    }

    fn purchase(&mut self, plan: &Plan, buyer: usize) -> Result<(), DemoError> {
        let of = &plan.buyers[buyer];
        let product = &PRODUCTS[of.product];
        let mut purchase = NewAgreement::of(product.code);
        purchase.account_id = of
            .shares_account_with
            .and_then(|other| self.accounts.get(&other).cloned());
        let agreement = self
            .stack
            .emulator()
            .add_agreement(purchase)
            .map_err(DemoError::failed)?;
        let code = product.code;
        // The seller's software learns this name from its own registration page.
        let subscription = match product.identity {
            IdentityKind::License => agreement.license_arn.clone(),
            IdentityKind::Customer => format!("legacy|{code}|{}", agreement.customer_identifier),
            IdentityKind::Account => format!("account|{code}|{}", agreement.account_id),
        };
        subscription
            .parse::<Subscription>()
            .map_err(DemoError::failed)?;
        self.accounts.insert(buyer, agreement.account_id.clone());
        self.subscriptions
            .insert(buyer, (subscription, agreement.agreement_id));
        Ok(())
    }

    /// Lets the stack run until nothing is pending, and collects the quantities to compare.
    async fn finish(
        mut self,
        options: &DemoOptions,
        plan: &Plan,
        mut progress: impl FnMut(Progress),
    ) -> Result<Summary, DemoError> {
        let first = UsageHour::of(after(options.start(), -2 * 3_600));
        let mut books = Books::default();
        let mut ended_at = options.end();
        for hour in 2..=SETTLING_HOURS_MAX {
            let until = after(options.end(), i64::from(hour) * 3_600);
            self.stack.run_until(until).await?;
            ended_at = until;
            progress(Progress {
                now: until,
                done: plan.actions.len(),
                of: plan.actions.len(),
                events_sent: plan.sent,
                settling: true,
            });
            books = of_all(self.stack.ledger(), first, UsageHour::of(until), |_| {})
                .await
                .map_err(DemoError::failed)?;
            if books.pending.is_zero() {
                break;
            }
        }
        let calls = self.stack.emulator().calls();
        let calls = calls
            .iter()
            .filter(|call| call.operation == "BatchMeterUsage")
            .count() as u64;
        let billed = billed(&self.stack)?;
        let calls_minimum = calls_minimum(&self.stack).await?;
        let names = self.stack.ledger().tables().clone();
        let functions = self.stack.capacity().snapshot();
        let producers = self.producer_capacity.snapshot();
        let writes = |capacity: &BTreeMap<String, crate::capacity::TableCapacity>, table: &str| {
            capacity.get(table).map_or(0, |c| c.write_milli_units)
        };
        let records = functions.get(&names.metering_records);
        let of_the_stack = records.map_or(0, |c| c.stack_write_milli_units);
        let seconds = ended_at.duration_since(options.start()).as_secs();
        let summary = Summary {
            subscriptions: options.subscriptions,
            events_sent: plan.sent,
            events_ingested: plan.good,
            events_rejected: self.rejected_by_intake + books.rows_set_aside,
            books,
            expected: Total::from_micros(i128::try_from(plan.expected_micros).unwrap_or(i128::MAX)),
            billed_by_marketplace: billed,
            calls,
            calls_minimum,
            usage_write_milli_units: writes(&functions, &names.usage_events)
                + writes(&producers, &names.usage_events),
            record_write_milli_units: writes(&functions, &names.metering_records)
                .saturating_sub(of_the_stack),
            progress_write_milli_units: of_the_stack,
            hours: u64::try_from(seconds).unwrap_or(0).div_ceil(3_600),
            counts: self.stack.counts(),
        };
        self.stack.shutdown()?;
        Ok(summary)
    }
}

/// The quantity in AWS Marketplace's own slots, independent of our ledger.
fn billed(stack: &Stack) -> Result<Total, DemoError> {
    let slots = stack.emulator().metered();
    let quantities = slots
        .iter()
        .map(|slot| Total::from_number(&slot.quantity.to_string()).map_err(DemoError::failed))
        .collect::<Result<Vec<_>, _>>()?;
    Total::sum(quantities).map_err(DemoError::failed)
}

/// Returns the smallest possible number of calls: the sum of ceil(records / 25) over all sealing
/// rounds, products and identity kinds.
async fn calls_minimum(stack: &Stack) -> Result<u64, DemoError> {
    let mut rounds: BTreeMap<(Timestamp, ProductCode, IdentityKind), u64> = BTreeMap::new();
    let mut start = None;
    loop {
        let (profiles, next) = stack
            .ledger()
            .profiles_page(start)
            .await
            .map_err(DemoError::failed)?;
        for profile in profiles {
            let records = stack
                .ledger()
                .records_with_prefix(&profile.subscription, "r#")
                .await
                .map_err(DemoError::failed)?;
            for record in records {
                let kind = record.slot.subscription.kind();
                *rounds
                    .entry((record.sealed_at, record.product, kind))
                    .or_default() += 1;
            }
        }
        start = next;
        if start.is_none() {
            let per_call = BATCH_RECORDS_MAX as u64;
            return Ok(rounds
                .values()
                .map(|records| records.div_ceil(per_call))
                .sum());
        }
    }
}

fn harsh_trouble() -> Trouble {
    Trouble {
        deliveries: Some(DeliveryTrouble {
            dropped: 30,
            repeated: 50,
            reordered: 50,
            delayed: 30,
        }),
        crashes_per_mille: 60,
        lifecycle: true,
    }
}

fn harsh_faults() -> Faults {
    let metering = |kind, rate| Fault::rate("BatchMeterUsage", kind, rate);
    let resolving = |kind, rate| Fault::rate("ResolveCustomer", kind, rate);
    Faults {
        faults: vec![
            metering(FaultKind::Throttling, 0.08),
            metering(FaultKind::InternalError, 0.05),
            metering(FaultKind::Unprocessed, 0.08),
            metering(FaultKind::DropAfter, 0.05),
            metering(FaultKind::DropBefore, 0.03),
            metering(FaultKind::Reorder, 0.2),
            metering(FaultKind::MissingRecord, 0.03),
            resolving(FaultKind::Throttling, 0.2),
            resolving(FaultKind::DropAfter, 0.1),
        ],
        ..Faults::default()
    }
}
