//! The standard scenarios: short stories in which a process can die at every call.
//!
//! Each scenario begins without faults. Then comes the part whose calls are numbered. Afterwards
//! schedules fire and streams are delivered again. Each scenario is a file of its own.

mod calm_hour;
mod conflict;
mod crash_points;
mod dispute;
mod final_hour;
mod isolation;
mod late_usage;
mod month_end;
mod registration;
mod silence;
mod steps;
mod unanswered;

use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use emulator::Agreement;
use jiff::SignedDuration;
use marketplace::{IdentityKind, Subscription, UsageHour};

use super::at;
use super::bill::bill_and_books;
use super::run::Executor;
use super::wire::Fate;
use super::world::{Listing, World};

pub use crash_points::{ScenarioRun, Step};
pub(super) use steps::usage;

use crash_points::plan;
use steps::go_on;

/// A scenario, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// A buyer subscribes, registers and uses the product.
    Registration,
    /// An hour is sealed and billed.
    CalmHour,
    /// Usage of a sealed hour arrives and is billed with the running hour.
    LateUsage,
    /// AWS Marketplace refuses two records among good ones.
    Isolation,
    /// A buyer cancels the agreement.
    FinalHour,
    /// Late usage is found shortly before the month closes.
    MonthEnd,
    /// An answer is lost, and the repeated record is called a duplicate.
    Dispute,
    /// Somebody else has metered another quantity, and the results come in another order.
    Conflict,
    /// A record that is not billed is missing from the answer.
    Silence,
    /// Every answer is lost until the deadline has passed, and at that time CloudTrail fails.
    Unanswered,
}

impl Scenario {
    /// Further scenarios, which make only calls of kinds that the standard scenarios make as well.
    pub const OTHERS: [Self; 3] = [Self::Conflict, Self::Silence, Self::Unanswered];

    /// The standard scenarios. Each of their calls is a crash point.
    pub const STANDARD: [Self; 7] = [
        Self::Registration,
        Self::CalmHour,
        Self::LateUsage,
        Self::Isolation,
        Self::FinalHour,
        Self::MonthEnd,
        Self::Dispute,
    ];

    fn story(self) -> &'static Story {
        match self {
            Self::Registration => &registration::STORY,
            Self::CalmHour => &calm_hour::STORY,
            Self::LateUsage => &late_usage::STORY,
            Self::Isolation => &isolation::STORY,
            Self::FinalHour => &final_hour::STORY,
            Self::MonthEnd => &month_end::STORY,
            Self::Dispute => &dispute::STORY,
            Self::Conflict => &conflict::STORY,
            Self::Silence => &silence::STORY,
            Self::Unanswered => &unanswered::STORY,
        }
    }

    /// The fates that may meet each of the scenario's calls without changing the result.
    pub fn fates(self) -> &'static [Fate] {
        self.story().fates
    }

    /// The final bill after any death: dimension, hour and quantity of each slot.
    pub fn bill(self) -> &'static [&'static str] {
        self.story().bill
    }
}

/// A part of a scenario, performed in a world with one buyer.
type Perform = for<'a> fn(&'a World, &'a Buyer) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The parts of a scenario.
struct Story {
    /// The time at which the world begins.
    start: &'static str,
    /// What happens before the numbered calls.
    setup: Setup,
    /// The part whose calls are numbered.
    perform: Perform,
    /// The fates that may meet each numbered call without changing the result.
    fates: &'static [Fate],
    /// The final bill after any death: dimension, hour and quantity of each slot.
    bill: &'static [&'static str],
}

/// What happens before the numbered calls. The product is always listed and bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setup {
    /// The buyer is not registered yet.
    NotRegistered,
    /// The buyer is registered and in the rounds.
    Registered,
    /// The buyer is registered. The seller's list also has these dimensions, which AWS Marketplace
    /// does not know.
    UnknownDimensions(&'static [&'static str]),
}

/// The deaths that a numbered call may meet.
const DEATHS: &[Fate] = &[Fate::DiesBefore, Fate::DiesAfter];
/// The fates of calls that write rows and messages. If these cannot be written, their source must
/// send them again.
const SENT_AGAIN_BY_THE_SOURCE: &[Fate] = &[Fate::DiesBefore, Fate::DiesAfter, Fate::Unsent];

/// The buyer and the product of a story.
pub(super) struct Buyer {
    pub listing: Listing,
    pub agreement: Agreement,
    pub subscription: Subscription,
}

/// Runs a scenario. If `fault` is given, the numbered call with that number meets that fault.
///
/// # Panics
///
/// If the world itself breaks.
pub fn run_scenario(scenario: Scenario, fault: Option<(u64, Fate)>) -> ScenarioRun {
    let story = scenario.story();
    let start = at(story.start);
    let mut executor = Executor::default();
    let world = Rc::new(World::at(start, 7));
    let inside = Rc::clone(&world);
    let steps = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&steps);
    let end = executor.finish(async move {
        let world = &*inside;
        let buyer = begin(world, story.setup).await;
        world.wire.keep_lines(40);
        world.wire.follow(plan(fault, recorded));
        (story.perform)(world, &buyer).await;
        world.wire.heal();
        go_on(world).await;
        let first = UsageHour::of(start).previous();
        let last = UsageHour::of(world.now.get());
        bill_and_books(world, &[buyer.subscription], first, last).await
    });
    ScenarioRun {
        calls: world.wire.calls(),
        steps: steps.lock().expect("no panic").clone(),
        met_fault: world.wire.faults_met() > 0,
        end,
        lines: world.wire.trace().1,
    }
}

/// Sets up a product and a buyer.
pub(super) async fn begin(world: &World, setup: Setup) -> Buyer {
    let listing = Listing {
        code: "storyproduct".to_owned(),
        identity: IdentityKind::License,
        dimensions: ["gb", "requests", "seats"].map(str::to_owned).to_vec(),
    };
    world.list(&listing).await;
    if let Setup::UnknownDimensions(dimensions) = setup {
        for dimension in dimensions {
            world.list_renamed(&listing, dimension).await;
        }
    }
    let (agreement, subscription) = world.subscribe(&listing);
    let buyer = Buyer {
        listing,
        agreement,
        subscription,
    };
    if setup == Setup::NotRegistered {
        return buyer;
    }
    world.register(&buyer.agreement.registration_token).await;
    let start = world.now.get();
    for minutes in [0, 10, 71] {
        world.set_time(
            start
                .checked_add(SignedDuration::from_mins(minutes))
                .expect("a time"),
        );
        world.tick(minutes == 71).await;
    }
    buyer
}
