//! The events of the day. They are drawn from the seed before anything runs, so that every run with
//! the same seed sends the same usage. Faults during the run do not change it.

mod options;

use jiff::{SignedDuration, Timestamp};
use marketplace::{IdentityKind, Quantity};
use serde_json::{Map, Value, json};

pub use options::{DemoOptions, FaultLevel, InvalidDemo};

/// The seconds from a purchase to the License Updated event, as observed on AWS.
pub const LICENSE_UPDATED_DELAY_S: u32 = 62;

/// A product that the demo's seller sells.
pub(crate) struct ProductOnSale {
    pub code: &'static str,
    pub dimensions: &'static [&'static str],
    /// The kind of identity by which the emulator identifies its buyers.
    pub marketplace_identity: emulator::Identity,
    /// The kind of identity by which our records identify its buyers.
    pub identity: IdentityKind,
    /// `true` if some of its usage has tags.
    pub tagged: bool,
}

/// One product for each kind of identity, and a second one of kind license.
pub(crate) const PRODUCTS: [ProductOnSale; 4] = [
    ProductOnSale {
        code: "demoanalytics",
        dimensions: &["gb", "gb#cold", "requests"],
        marketplace_identity: emulator::Identity::License,
        identity: IdentityKind::License,
        tagged: true,
    },
    ProductOnSale {
        code: "demosearch",
        dimensions: &["queries"],
        marketplace_identity: emulator::Identity::License,
        identity: IdentityKind::License,
        tagged: false,
    },
    ProductOnSale {
        code: "demoarchive",
        dimensions: &["gb", "restores"],
        marketplace_identity: emulator::Identity::Customer,
        identity: IdentityKind::Customer,
        tagged: false,
    },
    ProductOnSale {
        code: "demobackup",
        dimensions: &["gb"],
        marketplace_identity: emulator::Identity::Customer,
        identity: IdentityKind::Account,
        tagged: true,
    },
];

/// Something that a buyer or the seller's software does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// A buyer subscribes to a product.
    Purchase { buyer: usize },
    /// The buyer's browser posts the registration form.
    Register { buyer: usize },
    /// The seller's software reports usage.
    Send {
        buyer: usize,
        events: Vec<PlannedEvent>,
        route: Route,
    },
    /// The buyer cancels the agreement.
    Cancel { buyer: usize },
}

/// The way in which the seller's software reports usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// A call of `POST /usage`.
    Intake,
    /// A PutItem into UsageEvents.
    PutItem,
}

/// One event as the seller's software creates it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlannedEvent {
    pub id: String,
    pub dimension: String,
    pub quantity: String,
    pub time: Timestamp,
    pub tags: Map<String, Value>,
    /// `true` if a correct stack meters the event.
    pub is_good: bool,
    /// The hours by which the hour in the row's key differs from the hour of `time`. It is 0 for a
    /// good row.
    pub key_shift_hours: i64,
}

impl PlannedEvent {
    /// The event as a member of the body of `POST /usage`.
    pub fn to_json(&self, subscription: &str) -> Value {
        json!({
            "id": self.id,
            "subscription": subscription,
            "dimension": self.dimension,
            "quantity": self.quantity,
            "time": self.time.to_string(),
            "tags": self.tags,
        })
    }
}

/// A buyer's product and account.
pub(crate) struct Buyer {
    pub product: usize,
    /// Index of an earlier buyer whose AWS account this buyer uses, if any. One account may hold
    /// several licenses.
    pub shares_account_with: Option<usize>,
}

/// All actions of the day in the order of time, with their expected sums.
pub(crate) struct Plan {
    pub buyers: Vec<Buyer>,
    pub actions: Vec<(Timestamp, Action)>,
    /// The exact sum of all good events in micro-units, each counted once.
    pub expected_micros: u128,
    /// The number of distinct good events.
    pub good: u64,
    /// The number of events sent, repeats included.
    pub sent: u64,
    /// The number of events sent that must not be metered.
    pub bad: u64,
}

pub(crate) fn after(time: Timestamp, seconds: i64) -> Timestamp {
    time.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(time)
}

/// Draws the plan from the seed.
pub(crate) fn draw(options: &DemoOptions) -> Plan {
    let mut random = fastrand::Rng::with_seed(options.seed);
    let mut plan = Plan {
        buyers: Vec::new(),
        actions: Vec::new(),
        expected_micros: 0,
        good: 0,
        sent: 0,
        bad: 0,
    };
    let mut lives = Vec::new();
    for buyer in 0..options.subscriptions as usize {
        let product = buyer % PRODUCTS.len();
        // Every ninth buyer uses the account of an earlier buyer and has a license of another
        // product.
        let earlier = (buyer % 9 == 8).then(|| random.usize(0..buyer));
        let shares = earlier.filter(|e| {
            plan.buyers
                .iter()
                .filter(|b: &&Buyer| b.shares_account_with == Some(*e))
                .count()
                == 0
        });
        let shares = shares.filter(|e| plan.buyers[*e].product != product);
        plan.buyers.push(Buyer {
            product,
            shares_account_with: shares,
        });
        lives.push(draw_life(options, &mut random, buyer, &mut plan));
    }
    draw_usage(options, &mut random, &lives, &mut plan);
    plan.actions.sort_by_key(|(at, _)| *at);
    plan
}

struct Life {
    active_from: Timestamp,
    active_until: Timestamp,
    cancels: bool,
}

fn draw_life(
    options: &DemoOptions,
    random: &mut fastrand::Rng,
    buyer: usize,
    plan: &mut Plan,
) -> Life {
    let day = i64::from(options.hours) * 3_600;
    let bought = if random.u32(0..100) < 70 {
        after(options.start(), -random.i64(600..3_600))
    } else {
        after(options.start(), random.i64(0..day / 3))
    };
    plan.actions.push((bought, Action::Purchase { buyer }));
    // Some buyers submit the form before License Updated is published.
    plan.actions.push((
        after(bought, random.i64(5..240)),
        Action::Register { buyer },
    ));
    let active_from = after(bought, i64::from(LICENSE_UPDATED_DELAY_S) + 1);
    let cancels = buyer > 0 && random.u32(0..100) < 20;
    let active_until = if cancels {
        let cancelled = after(options.start(), random.i64(day / 2..day));
        plan.actions.push((cancelled, Action::Cancel { buyer }));
        cancelled
    } else {
        options.end()
    };
    Life {
        active_from,
        active_until,
        cancels,
    }
}

fn draw_usage(options: &DemoOptions, random: &mut fastrand::Rng, lives: &[Life], plan: &mut Plan) {
    for number in 0..options.events {
        let buyer = random.usize(0..lives.len());
        let life = &lives[buyer];
        let product = &PRODUCTS[plan.buyers[buyer].product];
        let span = life.active_until.as_second() - life.active_from.as_second();
        let time = after(life.active_from, random.i64(0..(span - 60).max(1)));
        let mut event = draw_event(random, number, product, time);
        let route = if random.bool() {
            Route::Intake
        } else {
            Route::PutItem
        };
        if random.u32(0..1_000) < 20 {
            spoil(random, &mut event, route);
        }
        let sent = draw_sending(random, life, time);
        plan.sent += 1;
        if event.is_good {
            plan.good += 1;
            plan.expected_micros += u128::from(micros(&event.quantity));
        } else {
            plan.bad += 1;
        }
        // A producer that does not know whether its write succeeded repeats it.
        if event.is_good && random.u32(0..1_000) < 50 {
            plan.sent += 1;
            let again = after(sent, random.i64(1..120));
            let events = vec![event.clone()];
            plan.actions.push((
                again,
                Action::Send {
                    buyer,
                    events,
                    route,
                },
            ));
        }
        let events = vec![event];
        plan.actions.push((
            sent,
            Action::Send {
                buyer,
                events,
                route,
            },
        ));
    }
}

fn draw_event(
    random: &mut fastrand::Rng,
    number: u32,
    product: &ProductOnSale,
    time: Timestamp,
) -> PlannedEvent {
    let quantity = if random.u32(0..3) == 0 {
        random.u64(1..50) * 1_000_000
    } else {
        random.u64(1..20_000_000)
    };
    let mut tags = Map::new();
    if product.tagged && random.u32(0..100) < 40 {
        let team = ["red", "green", "blue"][random.usize(0..3)];
        tags.insert("team".to_owned(), json!(team));
    }
    PlannedEvent {
        id: format!("event-{number}"),
        dimension: product.dimensions[random.usize(0..product.dimensions.len())].to_owned(),
        quantity: Quantity::from_micros(quantity)
            .unwrap_or(Quantity::ZERO)
            .to_string(),
        time,
        tags,
        is_good: true,
        key_shift_hours: 0,
    }
}

/// Turns an event into one that must not be metered.
fn spoil(random: &mut fastrand::Rng, event: &mut PlannedEvent, route: Route) {
    event.is_good = false;
    match random.u32(0..4) {
        0 => event.quantity = format!("-{}", event.quantity),
        1 => event.quantity = "0.1234567".to_owned(),
        2 => event.dimension = "unheard-of".to_owned(),
        _ if route == Route::PutItem => event.key_shift_hours = -1,
        _ => {
            event.tags.insert("team".to_owned(), json!("<red>"));
        }
    }
}

/// The time at which the producer sends the event: mostly at once, sometimes hours late.
fn draw_sending(random: &mut fastrand::Rng, life: &Life, time: Timestamp) -> Timestamp {
    let soon = after(time, random.i64(0..300));
    if random.u32(0..1_000) >= 40 {
        return soon;
    }
    let late = after(time, random.i64(2 * 3_600..7 * 3_600));
    // Usage that arrives after the end of an agreement cannot be carried, so no producer is late
    // then.
    let last_call = if life.cancels {
        after(life.active_until, -1_800)
    } else {
        life.active_until
    };
    if late < last_call { late } else { soon }
}

fn micros(quantity: &str) -> u64 {
    quantity.parse::<Quantity>().map_or(0, Quantity::micros)
}

#[cfg(test)]
mod tests;
