//! Stops a function's run before each of its calls, while something else changes the world.
//!
//! In the crash matrix the process dies at a call. In a race the run continues, in a world that has
//! changed meanwhile. Afterwards only the sealer, the submitter and the streams run, because they
//! must bill all usage without the help of the reconciler.

use std::cell::RefCell;
use std::rc::Rc;

use jiff::SignedDuration;
use marketplace::{Subscription, UsageHour};

use super::at;
use super::bill::{BillAndBooks, bill_and_books};
use super::run::Executor;
use super::scenarios::{Setup, begin, usage};
use super::wire::{Call, Fate};
use super::world::World;

/// The function whose run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The sealer, while it seals an hour.
    Seals,
    /// The sealer, while it recounts a flagged hour.
    Recounts,
    /// The submitter, while it sends a record.
    Sends,
}

/// The change to the world while the run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meanwhile {
    /// A row of the hour is written, and its stream record is delivered.
    Row,
    /// A row is written and delivered, and then the sealer runs as well.
    RowAndRun,
}

/// All races that are run.
pub const RACES: [(Stopped, Meanwhile); 5] = [
    (Stopped::Seals, Meanwhile::Row),
    (Stopped::Seals, Meanwhile::RowAndRun),
    (Stopped::Recounts, Meanwhile::Row),
    (Stopped::Recounts, Meanwhile::RowAndRun),
    (Stopped::Sends, Meanwhile::RowAndRun),
];

const START: &str = "2026-11-01T09:20:00Z";

/// The result of a race.
#[derive(Debug, Clone)]
pub struct Raced {
    /// The bill and the books after two hours.
    pub end: BillAndBooks,
    /// The latest calls, to find the cause of a problem.
    pub lines: Vec<String>,
}

impl Raced {
    /// The problems of the result: each row must be billed once, within two hours.
    ///
    /// # Panics
    ///
    /// If the books cannot be added up.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let billed = self.end.billed.values();
        let billed: u64 = billed.map(|quantity| quantity.micros()).sum();
        if billed != WRITTEN_MICROS {
            problems.push(format!(
                "{billed} billed, {WRITTEN_MICROS} written (micro-units): {:?}",
                self.end.bill()
            ));
        }
        for books in self.end.books.values() {
            let balanced = books.is_balanced().expect("in range");
            if !balanced || books.accepted != books.ingested {
                problems.push(format!("{books:?}"));
            }
        }
        problems
    }
}

/// The usage of a race in micro-units: 1.5 at first, 0.25 late and 4 meanwhile.
const WRITTEN_MICROS: u64 = 5_750_000;

/// Stops a run before its call number `point`. Returns `None` if it makes fewer calls.
///
/// # Panics
///
/// If the world itself breaks.
pub fn race(stopped: Stopped, meanwhile: Meanwhile, point: u64) -> Option<Raced> {
    let mut executor = Executor::default();
    let world = Rc::new(World::at(at(START), 7));
    let inside = Rc::clone(&world);
    let who = executor.finish(async move { before(&inside, stopped).await });

    world.wire.keep_lines(60);
    world
        .wire
        .follow(Box::new(move |call: &Call| match call.number {
            number if number == point => Fate::Waits,
            _ => Fate::Answered,
        }));
    let ended = Rc::new(RefCell::new(None));
    let (inside, slot) = (Rc::clone(&world), Rc::clone(&ended));
    executor.spawn(async move {
        let run = match stopped {
            Stopped::Seals | Stopped::Recounts => inside.seal().await.map(drop),
            Stopped::Sends => inside.sweep().await,
        };
        *slot.borrow_mut() = Some(run);
    });
    executor.run_until_stalled();
    world.wire.heal();
    if ended.borrow().is_some() {
        return None;
    }
    let (inside, subscription) = (Rc::clone(&world), who.clone());
    executor.finish(async move { happen(&inside, &subscription, meanwhile).await });
    world.wire.release(0);
    executor.run_until_stalled();
    let run = ended.borrow_mut().take().expect("the run has ended");
    if let Err(problem) = run {
        world.wire.note(&problem);
    }
    let inside = Rc::clone(&world);
    let end = executor.finish(async move { after(&inside, who).await });
    Some(Raced {
        end,
        lines: world.wire.trace().1,
    })
}

/// Writes two rows of the hour 10. Unless the run that is stopped seals this hour, the hour is
/// sealed between the two rows, and the second row raises a late flag.
async fn before(world: &World, stopped: Stopped) -> Subscription {
    let who = begin(world, Setup::Registered).await.subscription;
    let row = usage("gb", "a", "1.5", "2026-11-01T10:05:00Z", None);
    world.report(&who, &row).await;
    let late = usage("gb", "b", "0.25", "2026-11-01T10:06:00Z", Some("red"));
    if stopped == Stopped::Seals {
        world.report(&who, &late).await;
        // The stream's window must close before the hour is sealed.
        for time in ["2026-11-01T10:40:00Z", "2026-11-01T11:31:00Z"] {
            world.set_time(at(time));
            world.pump_usage(at(time)).await;
        }
        return who;
    }
    world.set_time(at("2026-11-01T11:31:00Z"));
    let sealed = world.seal().await;
    sealed.expect("the sealer completes its run");
    if stopped == Stopped::Recounts {
        world.pump_records(at("2026-11-01T11:31:00Z")).await;
        world.set_time(at("2026-11-01T11:33:00Z"));
        world.pump_records(at("2026-11-01T11:33:00Z")).await;
    }
    world.report(&who, &late).await;
    for time in ["2026-11-01T11:34:00Z", "2026-11-01T11:36:00Z"] {
        world.set_time(at(time));
        world.pump_usage(at(time)).await;
    }
    world.set_time(at("2026-11-01T11:37:00Z"));
    who
}

async fn happen(world: &World, who: &Subscription, meanwhile: Meanwhile) {
    let row = usage("gb", "c", "4", "2026-11-01T10:07:00Z", None);
    world.report(who, &row).await;
    // The poll is dated after the end of the stream's window, since nothing depends on its length.
    let now = world.now.get();
    let later = now.checked_add(SignedDuration::from_mins(2));
    world.pump_usage(now).await;
    world.pump_usage(later.expect("a time")).await;
    if meanwhile == Meanwhile::RowAndRun
        && let Err(problem) = world.seal().await
    {
        world.wire.note(&problem);
    }
}

/// Runs the world for two hours without the reconciler.
async fn after(world: &World, who: Subscription) -> BillAndBooks {
    for time in [
        "2026-11-01T11:41:00Z",
        "2026-11-01T12:31:00Z",
        "2026-11-01T12:37:00Z",
        "2026-11-01T13:31:00Z",
        "2026-11-01T13:37:00Z",
    ] {
        world.set_time(at(time));
        world.tick(false).await;
    }
    let first = UsageHour::of(at(START)).previous();
    let last = UsageHour::of(world.now.get());
    bill_and_books(world, &[who], first, last).await
}
