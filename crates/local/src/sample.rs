//! The example world to which the samples in `events/` refer, at the time that they name.
//!
//! One buyer account holds three subscriptions, one for each kind of identity, all bought the
//! afternoon before. The hours through 2026-11-21T02 are sealed, and their records wait to be sent.
//! One row arrived after its hour was sealed. So each sample has work to do: `late-usage` flags the
//! late row, the sealer carries it and seals hour 03, and the submitter sends hour 02.
//!
//! | subscription | hour 02, sealed | hour 02, late | hour 03 | |---|---|---|---| |
//! `arn:..:l-0123456789abcdef0123456789abcdef` | gb 3.5 (1.5 of team red), requests 1200 | gb 0.75
//! | gb 4.25, requests 800 | | `legacy\|examplecode2\|CUSTEXAMPLE2` | seats 12, gb 0.25 | | seats
//! 12 | | `account\|examplecode3\|111122223333` | gb 7 | | gb 6.5 |

use emulator::{Emulator, Identity, NewAgreement, NewProduct, Refusal};
use jiff::Timestamp;
use ledger::buyer::Registered;
use ledger::lifecycle::Known;
use ledger::lifecycle_key::LifecycleKey;
use ledger::product::Product;
use ledger::{Ledger, LedgerError, SHARDS, Written};
use marketplace::ids::InvalidId;
use marketplace::lifecycle::Sign;
use marketplace::quantity::InvalidQuantity;
use marketplace::record::{SealPolicy, seal};
use marketplace::slot::Slot;
use marketplace::tags::{InvalidTags, Tags};
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, Subscription, TagSet, UsageHour};

/// The time that the clock shows after loading.
pub const NOW: &str = "2026-11-21T04:40:00Z";
/// A registration token for the first subscription, valid for four hours of the clock.
pub const REGISTRATION_TOKEN: &str = "sample-registration-token-1";
/// The buyer's AWS account.
pub const ACCOUNT: &str = "111122223333";

const PURCHASE: &str = "2026-11-20T14:23:22Z";
/// Seconds from the purchase to License Updated, at 2026-11-20T14:24:23Z.
const LICENSE_UPDATED_AFTER_S: u32 = 61;
const ACTIVATION: &str = "2026-11-20T14:24:23Z";
const REGISTRATION: &str = "2026-11-20T14:24:44Z";
/// The last sealed hour, and the time of the round that sealed it.
const SEALED_THROUGH: &str = "2026-11-21T02";
const ROUND: &str = "2026-11-21T03:30:00Z";

/// One product with its only subscription.
struct Sold {
    code: &'static str,
    dimensions: &'static [&'static str],
    at_marketplace: Identity,
    identity: IdentityKind,
    agreement: &'static str,
    license: &'static str,
    customer: Option<&'static str>,
}

const SOLD: [Sold; 3] = [
    Sold {
        code: "examplecode1",
        dimensions: &["gb", "requests"],
        at_marketplace: Identity::License,
        identity: IdentityKind::License,
        agreement: "agmt-EXAMPLE1",
        license: "arn:aws:license-manager::294406891311:license:l-0123456789abcdef0123456789abcdef",
        customer: None,
    },
    Sold {
        code: "examplecode2",
        dimensions: &["seats", "gb"],
        at_marketplace: Identity::Customer,
        identity: IdentityKind::Customer,
        agreement: "agmt-EXAMPLE2",
        license: "arn:aws:license-manager::294406891311:license:l-123456789abcdef0123456789abcdef0",
        customer: Some("CUSTEXAMPLE2"),
    },
    // Our records identify the buyers of this product by account, although AWS Marketplace also has
    // a customer identifier for them.
    Sold {
        code: "examplecode3",
        dimensions: &["gb"],
        at_marketplace: Identity::Customer,
        identity: IdentityKind::Account,
        agreement: "agmt-EXAMPLE3",
        license: "arn:aws:license-manager::294406891311:license:l-23456789abcdef0123456789abcdef01",
        customer: Some("CUSTEXAMPLE3"),
    },
];

/// A usage event: subscription (index in [`SOLD`]), dimension, id, quantity, time, team.
type Row = (
    usize,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
);

const ROWS_SEALED: [Row; 6] = [
    (
        0,
        "gb",
        "sample-1",
        "1.5",
        "2026-11-21T02:05:00Z",
        Some("red"),
    ),
    (0, "gb", "sample-2", "2", "2026-11-21T02:40:10Z", None),
    (
        0,
        "requests",
        "sample-3",
        "1200",
        "2026-11-21T02:59:59Z",
        None,
    ),
    (1, "seats", "sample-4", "12", "2026-11-21T02:00:00Z", None),
    (1, "gb", "sample-5", "0.25", "2026-11-21T02:31:00Z", None),
    (2, "gb", "sample-6", "7", "2026-11-21T02:15:30Z", None),
];

/// Rows that arrived after the round: one belongs to the sealed hour, the others to the hour after
/// it.
const ROWS_SINCE: [Row; 6] = [
    (0, "gb", "late-0001", "0.75", "2026-11-21T02:50:00Z", None),
    (
        0,
        "gb",
        "sample-7",
        "4.25",
        "2026-11-21T03:10:00Z",
        Some("red"),
    ),
    (
        0,
        "requests",
        "sample-8",
        "800",
        "2026-11-21T03:20:00Z",
        None,
    ),
    (1, "seats", "sample-9", "12", "2026-11-21T03:00:00Z", None),
    (2, "gb", "sample-10", "6", "2026-11-21T03:15:30Z", None),
    (2, "gb", "sample-11", "0.5", "2026-11-21T03:45:30Z", None),
];

/// The reason why the sample world could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// A table could not be read or written.
    #[error("the sample world does not fit into the tables: {0}")]
    Ledger(#[from] LedgerError),
    /// The emulator refused a part of the sample world.
    #[error("the sample world does not fit into the emulator's: {0}")]
    Emulator(#[from] Refusal),
    /// A part of the sample exists already and differs.
    #[error("{0} exists already; the sample needs an empty stack, without --data-dir")]
    Exists(String),
    /// A value of the sample breaks a rule of the domain.
    #[error("the sample world is wrong: {0}")]
    Wrong(String),
}

macro_rules! wrong {
    ($($error:ty),*) => {$(
        impl From<$error> for SampleError {
            fn from(error: $error) -> Self {
                Self::Wrong(error.to_string())
            }
        }
    )*};
}
wrong!(
    InvalidId,
    InvalidQuantity,
    InvalidTags,
    marketplace::quantity::Overflow,
    jiff::Error
);

/// [`NOW`] as a timestamp.
pub fn now() -> Result<Timestamp, SampleError> {
    Ok(NOW.parse()?)
}

/// Loads the world into empty tables and into an emulator without these products, and sets the
/// emulator's clock to [`NOW`]. Its speed stays unchanged. The lifecycle events of the purchases
/// count as delivered.
pub async fn load(ledger: &Ledger, emulator: &Emulator) -> Result<(), SampleError> {
    purchase_all(emulator)?;
    for sold in &SOLD {
        configure(ledger, sold).await?;
        subscribe(ledger, sold).await?;
    }
    put_rows(ledger, &ROWS_SEALED).await?;
    seal_all(ledger).await?;
    put_rows(ledger, &ROWS_SINCE).await
}

/// Makes the purchases at AWS Marketplace, at the time at which they happened.
fn purchase_all(emulator: &Emulator) -> Result<(), SampleError> {
    let settings = emulator.settings();
    let mut at_the_time = settings.clone();
    at_the_time.license_updated_delay_s = LICENSE_UPDATED_AFTER_S;
    emulator.set_settings(at_the_time);
    emulator.set_clock(Some(PURCHASE.parse()?), None);
    let bought = SOLD.iter().try_for_each(|sold| {
        emulator.add_product(NewProduct::new(
            sold.code,
            sold.dimensions,
            sold.at_marketplace,
        ))?;
        let mut agreement = NewAgreement::of(sold.code).by(ACCOUNT);
        agreement.agreement_id = Some(sold.agreement.to_owned());
        agreement.license_arn = Some(sold.license.to_owned());
        agreement.customer_identifier = sold.customer.map(str::to_owned);
        emulator.add_agreement(agreement).map(drop)
    });
    emulator.set_settings(settings);
    emulator.set_clock(Some(now()?), None);
    bought?;
    emulator.take_lifecycle();
    emulator.choose_registration_token(SOLD[0].agreement, REGISTRATION_TOKEN)?;
    Ok(())
}

async fn configure(ledger: &Ledger, sold: &Sold) -> Result<(), SampleError> {
    let product = Product {
        code: sold.code.parse()?,
        identity: sold.identity,
        dimensions: sold
            .dimensions
            .iter()
            .map(|dimension| dimension.parse())
            .collect::<Result<_, _>>()?,
        version: 1,
    };
    match ledger.write_product(None, &product).await? {
        Written::Done => Ok(()),
        Written::Conflict => Err(SampleError::Exists(format!("product {}", sold.code))),
    }
}

impl Sold {
    fn subscription(&self) -> Result<Subscription, SampleError> {
        Ok(match self.identity {
            IdentityKind::License => Subscription::License(self.license.parse()?),
            IdentityKind::Customer => {
                let customer = self.customer.unwrap_or_default();
                Subscription::Customer(self.code.parse()?, customer.parse()?)
            }
            IdentityKind::Account => Subscription::Account(self.code.parse()?, ACCOUNT.parse()?),
        })
    }

    /// The license of the agreement, under which license events store their signs.
    fn license_key(&self) -> Result<LifecycleKey, SampleError> {
        Ok(LifecycleKey::License {
            agreement: self.agreement.parse()?,
            license: self.license.parse()?,
        })
    }

    /// The identifiers by which lifecycle events name the subscription.
    fn lifecycle_keys(&self) -> Result<Vec<LifecycleKey>, SampleError> {
        let mut lifecycle_keys = vec![
            LifecycleKey::Agreement(self.agreement.parse()?),
            self.license_key()?,
        ];
        if let Some(customer) = self.customer {
            lifecycle_keys.push(LifecycleKey::Customer(
                self.code.parse()?,
                customer.parse()?,
            ));
        }
        if self.identity == IdentityKind::Customer {
            lifecycle_keys.push(LifecycleKey::Buyer(self.code.parse()?, ACCOUNT.parse()?));
        }
        Ok(lifecycle_keys)
    }
}

/// Writes the state of a subscription after its purchase, License Updated, its registration and the
/// end of its attention.
async fn subscribe(ledger: &Ledger, sold: &Sold) -> Result<(), SampleError> {
    let subscription = sold.subscription()?;
    let lifecycle_keys = sold.lifecycle_keys()?;
    let activation: Timestamp = ACTIVATION.parse()?;
    ledger
        .observe_at(&sold.license_key()?, Sign::Activated, activation)
        .await?;
    let known = Known {
        account: Some(ACCOUNT.parse()?),
        customer: sold.customer.map(str::parse).transpose()?,
        agreement: Some(sold.agreement.parse()?),
        registered_at: Some(REGISTRATION.parse()?),
        sign: None,
    };
    ledger
        .join(
            &subscription,
            &sold.code.parse()?,
            &lifecycle_keys,
            &known,
            activation,
        )
        .await?;
    let registered = Registered {
        subscription: subscription.clone(),
        product: sold.code.parse()?,
        registered_at: REGISTRATION.parse()?,
    };
    ledger
        .list_for_account(&ACCOUNT.parse()?, &registered)
        .await?;
    let exists = || SampleError::Exists(format!("subscription {subscription}"));
    let joined = ledger.profile(&subscription).await?.ok_or_else(exists)?;
    let mut sealed = joined.clone();
    sealed.attention_since = None;
    sealed.sealed_through = None;
    match ledger.change_profile(&joined, &sealed).await? {
        Written::Done => Ok(()),
        Written::Conflict => Err(exists()),
    }
}

async fn put_rows(ledger: &Ledger, rows: &[Row]) -> Result<(), SampleError> {
    for (sold, dimension, id, quantity, time, team) in rows {
        let sold = SOLD.get(*sold).unwrap_or(&SOLD[0]);
        let tags: Tags = team
            .map(|team| ("team".to_owned(), team.to_owned()))
            .into_iter()
            .collect();
        let event = UsageEvent {
            dimension: dimension.parse()?,
            id: id.parse()?,
            quantity: quantity.parse()?,
            time: time.parse()?,
            tags: TagSet::try_from(tags)?,
        };
        ledger.put_event(&sold.subscription()?, &event).await?;
    }
    Ok(())
}

/// Runs the round of the last sealed hour. It raises the watermark, reads the rows and writes the
/// records, in this order.
async fn seal_all(ledger: &Ledger) -> Result<(), SampleError> {
    let hour: UsageHour = SEALED_THROUGH.parse()?;
    let now: Timestamp = ROUND.parse()?;
    ledger.raise_watermark(hour).await?;
    for sold in &SOLD {
        let subscription = sold.subscription()?;
        let exists = || SampleError::Exists(format!("subscription {subscription}"));
        let profile = ledger.profile(&subscription).await?.ok_or_else(exists)?;
        let terms = profile.terms().ok_or_else(exists)?;
        let fold = ledger.fold_hour(&subscription, hour, None).await?;
        for (dimension, rows) in fold.dimensions() {
            let slot = Slot {
                subscription: subscription.clone(),
                hour,
                dimension: dimension.clone(),
            };
            let Some(sealing) = seal(slot, rows, &terms, SealPolicy::default(), now)? else {
                continue;
            };
            if ledger.create_record(&sealing.record).await? == Written::Conflict {
                let slot = &sealing.record.slot;
                return Err(SampleError::Exists(format!("record {slot}")));
            }
        }
    }
    for shard in 0..SHARDS {
        if ledger.create_shard_progress(shard, hour).await? == Written::Conflict {
            return Err(SampleError::Exists(format!("progress of shard {shard}")));
        }
    }
    Ok(())
}
