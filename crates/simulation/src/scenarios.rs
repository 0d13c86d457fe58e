//! The standard scenarios: short stories in which a process can die at every call.
//!
//! Each scenario begins without faults. Then comes the part whose calls are numbered. Afterwards
//! schedules fire and streams are delivered again.

use std::rc::Rc;
use std::sync::{Arc, Mutex};

use emulator::{Agreement, Fault, FaultKind, Faults, Readings};
use jiff::{SignedDuration, Timestamp};
use marketplace::tags::Tags;
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, Subscription, TagSet, UsageHour};

use super::bill::{Outcome, outcome};
use super::run::Executor;
use super::wire::{Call, Fate};
use super::world::{Listing, World};

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

    /// The fates that may meet each of the scenario's calls without changing the result.
    pub fn fates(self) -> &'static [Fate] {
        match self {
            // Rows and messages that cannot be written must be sent again by their source.
            Self::Registration | Self::LateUsage => {
                &[Fate::DiesBefore, Fate::DiesAfter, Fate::Unsent]
            }
            _ => &[Fate::DiesBefore, Fate::DiesAfter],
        }
    }

    /// The final bill after any death: dimension, hour and quantity of each slot.
    pub fn bill(self) -> &'static [&'static str] {
        match self {
            Self::Registration => &["gb 2026-11-01T09 1.75", "requests 2026-11-01T09 3"],
            Self::CalmHour => &["gb 2026-11-01T10 3.5", "requests 2026-11-01T10 7"],
            Self::LateUsage => &[
                "gb 2026-11-01T10 1",
                "gb 2026-11-01T11 0.25",
                // The slot of `requests` was still free.
                "requests 2026-11-01T10 4",
            ],
            Self::Isolation => &[
                "gb 2026-11-01T10 1",
                "requests 2026-11-01T10 1",
                "seats 2026-11-01T10 1",
            ],
            Self::FinalHour => &["gb 2026-11-01T06 6"],
            Self::MonthEnd => &["gb 2026-11-30T22 1", "gb 2026-11-30T23 2"],
            Self::Dispute => &["gb 2026-11-01T10 5"],
            Self::Conflict => &[
                "gb 2026-11-01T10 3",
                "requests 2026-11-01T10 7",
                "seats 2026-11-01T10 2",
            ],
            Self::Silence | Self::Unanswered => &["gb 2026-11-01T10 5"],
        }
    }

    fn start(self) -> &'static str {
        match self {
            Self::FinalHour => "2026-11-01T05:00:00Z",
            Self::MonthEnd => "2026-11-30T20:20:00Z",
            _ => "2026-11-01T09:20:00Z",
        }
    }
}

/// The result of one run of a scenario.
#[derive(Debug, Clone)]
pub struct ScenarioRun {
    /// The count of the numbered calls.
    pub calls: u64,
    /// The numbered calls, from which [`ScenarioRun::crash_points`] chooses.
    pub steps: Vec<Step>,
    /// Whether the scenario made the chosen call, so that it met its fate.
    pub struck: bool,
    /// The bill and the books at the end.
    pub outcome: Outcome,
    /// The latest calls, to find the cause of a problem.
    pub lines: Vec<String>,
}

/// A numbered call, with the facts that decide whether a death at it makes a difference.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    is_read: bool,
    is_first: bool,
}

impl ScenarioRun {
    /// The calls at which a death makes a difference, with the fates that are possible there. A
    /// read changes nothing. So a death at a read in the middle of an invocation is the same as the
    /// death after the last write before it. A read counts only if its invocation starts or ends
    /// with it.
    pub fn crash_points(&self, fates: &[Fate]) -> Vec<(u64, Fate)> {
        let ends = self.steps.iter().skip(1).map(|step| step.is_first);
        let ends = ends.chain(std::iter::once(true));
        let numbered = (1_u64..).zip(self.steps.iter().zip(ends));
        numbered
            .flat_map(|(number, (step, is_last))| {
                let makes_a_difference = move |fate: &&Fate| match fate {
                    Fate::DiesBefore => !step.is_read || step.is_first,
                    Fate::DiesAfter => !step.is_read || is_last,
                    _ => true,
                };
                fates
                    .iter()
                    .filter(makes_a_difference)
                    .map(move |fate| (number, *fate))
            })
            .collect()
    }
}

/// The buyer and the product of a story.
pub(super) struct Buyer {
    pub listing: Listing,
    pub agreement: Agreement,
    pub subscription: Subscription,
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

pub(super) fn usage(
    dimension: &str,
    id: &str,
    quantity: &str,
    time: &str,
    team: Option<&str>,
) -> UsageEvent {
    let tags: Tags = team
        .map(|team| ("team".to_owned(), team.to_owned()))
        .into_iter()
        .collect();
    UsageEvent {
        dimension: dimension.parse().expect("a dimension"),
        id: id.parse().expect("an id"),
        quantity: quantity.parse().expect("a quantity"),
        time: at(time),
        tags: TagSet::try_from(tags).expect("tags"),
    }
}

/// Runs a scenario, with a death at one of its numbered calls if `strike` is given.
///
/// # Panics
///
/// If the world itself breaks.
pub fn run_scenario(scenario: Scenario, strike: Option<(u64, Fate)>) -> ScenarioRun {
    let mut executor = Executor::default();
    let world = Rc::new(World::at(at(scenario.start()), 7));
    let inside = Rc::clone(&world);
    let steps = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&steps);
    let outcome = executor.finish(async move {
        let world = &*inside;
        let buyer = begin(world, Some(scenario)).await;
        world.wire.keep_lines(40);
        world.wire.follow(plan(strike, recorded));
        perform(world, scenario, &buyer).await;
        world.wire.heal();
        go_on(world).await;
        let first = UsageHour::of(at(scenario.start())).previous();
        let last = UsageHour::of(world.now.get());
        outcome(world, &[buyer.subscription], first, last).await
    });
    ScenarioRun {
        calls: world.wire.calls(),
        steps: steps.lock().expect("no panic").clone(),
        struck: world.wire.strikes() > 0,
        outcome,
        lines: world.wire.trace().1,
    }
}

fn plan(
    strike: Option<(u64, Fate)>,
    steps: Arc<Mutex<Vec<Step>>>,
) -> Box<dyn FnMut(&Call) -> Fate + Send> {
    Box::new(move |call| {
        steps.lock().expect("no panic").push(Step {
            is_read: call.is_read(),
            is_first: call.in_invocation == 1,
        });
        match strike {
            Some((number, fate)) if call.number == number => fate,
            _ => Fate::Answered,
        }
    })
}

/// Sets up a product and a buyer. The subscription is registered and in the rounds, except in the
/// scenario of a registration.
pub(super) async fn begin(world: &World, scenario: Option<Scenario>) -> Buyer {
    let listing = Listing {
        code: "storyproduct".to_owned(),
        identity: IdentityKind::License,
        dimensions: ["gb", "requests", "seats"].map(str::to_owned).to_vec(),
    };
    world.list(&listing).await;
    if scenario == Some(Scenario::Isolation) {
        // The seller's list contains a dimension that AWS Marketplace does not know.
        world.list_renamed(&listing, "renamed").await;
        world.list_renamed(&listing, "dropped").await;
    }
    let (agreement, subscription) = world.subscribe(&listing);
    let buyer = Buyer {
        listing,
        agreement,
        subscription,
    };
    if scenario == Some(Scenario::Registration) {
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

/// The part of the story whose calls are numbered.
async fn perform(world: &World, scenario: Scenario, buyer: &Buyer) {
    let who = &buyer.subscription;
    match scenario {
        Scenario::Registration => {
            world.register(&buyer.agreement.registration_token).await;
            world.deliver_lifecycle().await;
            world.set_time(at("2026-11-01T09:40:00Z"));
            world
                .report(who, &usage("gb", "a", "1.5", "2026-11-01T09:35:00Z", None))
                .await;
            let body = serde_json::json!({"events": [
                {"id": "b", "subscription": who.to_string(), "dimension": "gb", "quantity": "0.25", "time": "2026-11-01T09:36:00Z"},
                {"id": "c", "subscription": who.to_string(), "dimension": buyer.listing.dimensions[1], "quantity": "3", "time": "2026-11-01T09:37:00Z"},
            ]});
            world.post_usage(&body).await;
        }
        Scenario::CalmHour => {
            world.set_time(at("2026-11-01T10:40:00Z"));
            for (dimension, id, quantity, team) in [
                ("gb", "a", "1.5", None),
                ("gb", "b", "2", Some("red")),
                ("requests", "a", "7", None),
            ] {
                world
                    .report(
                        who,
                        &usage(dimension, id, quantity, "2026-11-01T10:35:00Z", team),
                    )
                    .await;
            }
            world.set_time(at("2026-11-01T11:31:00Z"));
            seal_and_send(world).await;
        }
        Scenario::LateUsage => {
            world
                .report(who, &usage("gb", "a", "1", "2026-11-01T10:05:00Z", None))
                .await;
            world.wire.heal();
            world.set_time(at("2026-11-01T11:31:00Z"));
            world.tick(false).await;
            world.wire.follow_again();
            world.set_time(at("2026-11-01T11:40:00Z"));
            world
                .report(
                    who,
                    &usage("gb", "late", "0.25", "2026-11-01T10:06:00Z", Some("red")),
                )
                .await;
            world
                .report(
                    who,
                    &usage("requests", "late", "4", "2026-11-01T10:07:00Z", None),
                )
                .await;
            let later = at("2026-11-01T11:41:00Z");
            world.set_time(later);
            world.pump_usage(later).await;
            note(world, world.seal().await.map(drop));
        }
        Scenario::Isolation => {
            for dimension in ["gb", "renamed", "requests", "dropped", "seats"] {
                world
                    .report(
                        who,
                        &usage(dimension, "a", "1", "2026-11-01T10:05:00Z", None),
                    )
                    .await;
            }
            world.wire.heal();
            world.set_time(at("2026-11-01T11:31:00Z"));
            note(world, world.seal().await.map(drop));
            world.wire.follow_again();
            let later = at("2026-11-01T11:33:00Z");
            world.set_time(later);
            world.pump_records(at("2026-11-01T11:31:00Z")).await;
            world.pump_records(later).await;
        }
        Scenario::FinalHour => {
            world.set_time(at("2026-11-01T06:20:00Z"));
            world
                .report(who, &usage("gb", "a", "2", "2026-11-01T06:15:00Z", None))
                .await;
            let cancelled = world
                .emulator
                .cancel_agreement(&buyer.agreement.agreement_id);
            cancelled.expect("cancelled");
            world.set_time(at("2026-11-01T06:22:00Z"));
            world.deliver_lifecycle().await;
            world
                .report(
                    who,
                    &usage("gb", "flush", "4", "2026-11-01T06:19:00Z", None),
                )
                .await;
            world.set_time(at("2026-11-01T06:42:00Z"));
            seal_and_send(world).await;
        }
        Scenario::MonthEnd => {
            world
                .report(who, &usage("gb", "a", "1", "2026-11-30T22:05:00Z", None))
                .await;
            world.wire.heal();
            for time in ["2026-11-30T23:31:00Z", "2026-11-30T23:37:00Z"] {
                world.set_time(at(time));
                world.tick(false).await;
            }
            world.wire.follow_again();
            let late = at("2026-12-01T02:00:00Z");
            world.set_time(late);
            world
                .report(who, &usage("gb", "late", "2", "2026-11-30T22:06:00Z", None))
                .await;
            world.pump_usage(late).await;
            let window_over = at("2026-12-01T02:01:00Z");
            world.set_time(window_over);
            world.pump_usage(window_over).await;
            world.wire.heal();
            // This run makes the same calls as in the scenario of late usage.
            note(world, world.seal().await.map(drop));
            // The sealer's schedule fires many times until the month closes.
            for time in ["2026-12-01T02:06:00Z", "2026-12-01T04:06:00Z"] {
                world.set_time(at(time));
                world.tick(false).await;
            }
            world.wire.follow_again();
            world.set_time(at("2026-12-01T05:01:00Z"));
            seal_and_send(world).await;
        }
        Scenario::Conflict => {
            for (dimension, quantity) in [("gb", "5"), ("requests", "7"), ("seats", "2")] {
                let row = usage(dimension, "a", quantity, "2026-11-01T10:05:00Z", None);
                world.report(who, &row).await;
            }
            let theirs = serde_json::json!({"UsageRecords": [{
                "LicenseArn": buyer.agreement.license_arn,
                "CustomerAWSAccountId": buyer.agreement.account_id,
                "Dimension": "gb",
                "Quantity": 3,
                "Timestamp": at("2026-11-01T10:00:00Z").as_second(),
            }]});
            let metering = &world.functions.submitter.metering;
            let metered = metering.batch_meter_usage_raw(theirs).await;
            metered.expect("metered");
            fault(world, FaultKind::Reorder);
            world.set_time(at("2026-11-01T11:31:00Z"));
            seal_and_send(world).await;
        }
        Scenario::Unanswered => {
            let row = usage("gb", "a", "5", "2026-11-01T10:05:00Z", None);
            world.report(who, &row).await;
            world.emulator.set_faults(Faults {
                seed: 0,
                faults: vec![Fault::rate("BatchMeterUsage", FaultKind::DropAfter, 1.0)],
            });
            world.set_time(at("2026-11-01T11:31:00Z"));
            seal_and_send(world).await;
            world.set_time(at("2026-11-02T10:01:00Z"));
            let failing = Fault::rate("LookupEvents", FaultKind::InternalError, 1.0);
            world.emulator.set_faults(Faults {
                seed: 0,
                faults: vec![failing],
            });
            note(world, world.reconcile().await.map(drop));
            world.set_time(at("2026-11-02T10:07:00Z"));
            note(world, world.seal().await.map(drop));
            world.emulator.set_faults(Faults::default());
        }
        Scenario::Silence => {
            let row = usage("gb", "a", "5", "2026-11-01T10:05:00Z", None);
            world.report(who, &row).await;
            let agreement = &buyer.agreement.agreement_id;
            let suspended = world.emulator.suspend_agreement(agreement);
            suspended.expect("suspended");
            fault(world, FaultKind::MissingRecord);
            world.set_time(at("2026-11-01T11:31:00Z"));
            seal_and_send(world).await;
            let resumed = world.emulator.resume_agreement(agreement);
            resumed.expect("resumed");
        }
        Scenario::Dispute => {
            world
                .report(who, &usage("gb", "a", "5", "2026-11-01T10:05:00Z", None))
                .await;
            world.wire.heal();
            world.emulator.set_readings(Readings {
                identical_resubmission: emulator::IdenticalResubmission::DuplicateRecord,
                ..world.emulator.readings()
            });
            world.set_time(at("2026-11-01T11:31:00Z"));
            note(world, world.seal().await.map(drop));
            fault(world, FaultKind::DropAfter);
            world.wire.follow_again();
            world.set_time(at("2026-11-01T11:37:00Z"));
            note(world, world.sweep().await);
            world.wire.heal();
            // By this time no hour is left that is due for a recount anyway.
            world.set_time(at("2026-11-01T11:50:00Z"));
            note(world, world.reconcile().await.map(drop));
            world.wire.follow_again();
            world.set_time(at("2026-11-01T11:58:00Z"));
            note(world, world.reconcile().await.map(drop));
        }
    }
}

/// Lets the next BatchMeterUsage meet a fault.
fn fault(world: &World, kind: FaultKind) {
    world.emulator.set_faults(Faults {
        seed: 0,
        faults: vec![Fault::next("BatchMeterUsage", kind, 1)],
    });
}

/// Runs the sealer and delivers the records that it froze.
async fn seal_and_send(world: &World) {
    let now = world.now.get();
    note(world, world.seal().await.map(drop));
    world.pump_records(now).await;
    let window_over = now
        .checked_add(SignedDuration::from_mins(2))
        .expect("a time");
    world.set_time(window_over);
    world.pump_records(window_over).await;
}

fn note(world: &World, result: Result<(), String>) {
    if let Err(problem) = result {
        world.wire.note(&problem);
    }
}

/// Lets the world run long enough for every retry, recount and closing.
async fn go_on(world: &World) {
    let mut now = world.now.get();
    // Minutes to the next tick, and whether the reconciler's schedule fires as well.
    let steps = [
        (6, false),
        (5, false),
        (30, true),
        (95, true),
        (7 * 60, true),
        (5, false),
    ];
    for (minutes, reconcile) in steps {
        now = now
            .checked_add(SignedDuration::from_mins(minutes))
            .expect("a time");
        world.set_time(now);
        world.tick(reconcile).await;
    }
}
