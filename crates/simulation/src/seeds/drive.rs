//! Runs the events of a seed one after the other. Calls wait until they are released.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::Ordering;

use emulator::Settings;
use fastrand::Rng;
use jiff::Timestamp;

use super::check::{self, CheckResult};
use super::family::stream;
use super::happen::Happening;
use super::marks::{self, Marks};
use super::readings::readings;
use super::story::{Story, after};
use super::subscribed::Subscribed;
use super::trouble::{Trouble, Whom};
use crate::run::Executor;
use crate::wire::Writes;
use crate::world::World;

/// Minutes that an invocation may take. All its calls are released before that time is over.
const INVOCATION_MINUTES_MAX: i64 = 14;
/// The largest number of events of a story that a report keeps.
const LINES_MAX: usize = 400;

/// The result of a seed.
#[derive(Debug, Clone)]
pub struct SeedReport {
    /// The number of the seed.
    pub seed: u64,
    /// The result of the check.
    pub result: CheckResult,
    /// The states that the seed has reached.
    pub marks: Marks,
    /// A digest of the trace. It is equal whenever the same seed is run with a trace.
    pub trace: String,
    /// The number of calls that met a fault.
    pub faults_met: u64,
    /// The number of calls that the functions made while there were faults.
    pub calls: u64,
    /// The latest events and calls of the seed, for finding the cause of a violation.
    pub story: Vec<String>,
}

/// The state of the world when a schedule last finished: the number of relevant writes so far, and
/// the number of the current half hour (after the faults: of the current ten minutes). `None` if
/// its last run failed or no run has finished.
pub(super) type IdleSince = Rc<Cell<Option<(Writes, i64)>>>;

/// A seed while it runs.
pub(super) struct Drive {
    pub seed: u64,
    pub story: Story,
    pub trouble: Trouble,
    pub world: Rc<World>,
    executor: Executor,
    pub random: Rng,
    queue: BTreeMap<(Timestamp, u64), Happening>,
    /// Number of events that were put into the queue. It keeps events of the same time in order.
    queued: u64,
    pub buyers: BTreeMap<usize, Subscribed>,
    running: Rc<Cell<usize>>,
    /// A time at or before the start of the oldest running invocation.
    oldest: Option<Timestamp>,
    lines: VecDeque<String>,
    /// Whether all faults have ended.
    pub healthy: bool,
    /// The last end of each schedule, by the name of the schedule.
    pub idle_since: BTreeMap<&'static str, IdleSince>,
    /// Imbalances and differences that the reconciler reported. There must be none at any time.
    pub alarms: Rc<RefCell<Vec<String>>>,
}

/// Runs a seed.
///
/// # Panics
///
/// If the world itself breaks.
pub fn run(seed: u64, keep_calls: usize) -> SeedReport {
    drive(seed, Some(keep_calls))
}

/// Runs a seed without a trace of its calls, which is faster.
///
/// # Panics
///
/// If the world itself breaks.
pub fn judge(seed: u64) -> SeedReport {
    drive(seed, None)
}

fn drive(seed: u64, keep_calls: Option<usize>) -> SeedReport {
    let story = Story::of_seed(seed);
    let trouble = Trouble::of(seed, &story);
    let world = Rc::new(World::with_streams(
        story.start,
        seed,
        trouble.streams,
        trouble.source(),
    ));
    match keep_calls {
        Some(calls) => world.wire.keep_lines(calls),
        None => world.wire.trace_nothing(),
    }
    let mut drive = Drive {
        seed,
        world,
        executor: Executor::default(),
        random: stream(seed, "drive"),
        queue: BTreeMap::new(),
        queued: 0,
        buyers: BTreeMap::new(),
        running: Rc::new(Cell::new(0)),
        oldest: None,
        lines: VecDeque::new(),
        healthy: false,
        idle_since: BTreeMap::new(),
        alarms: Rc::default(),
        story,
        trouble,
    };
    drive.begin();
    drive.go();
    drive.end()
}

impl Drive {
    fn begin(&mut self) {
        let world = Rc::clone(&self.world);
        let listings = self.story.listings.clone();
        let renamed = self.story.renamed;
        self.executor.finish(async move {
            for (n, listing) in listings.iter().enumerate() {
                world.list(listing).await;
                if renamed && n == 0 {
                    world.list_renamed(listing, "renamed").await;
                }
            }
        });
        self.world.wire.count_marks();
        let readings = readings(&mut stream(self.seed, "readings"));
        self.line(format!("readings {readings:?}"));
        self.world.emulator.set_readings(readings);
        self.set_up_messages();
        for (off, chosen) in self.world.off_ms.iter().zip(self.trouble.off_ms) {
            off.store(chosen, Ordering::Relaxed);
        }
        let budgets = (self.trouble.cut_short > 0)
            .then(|| (stream(self.seed, "budgets"), self.trouble.cut_short));
        self.world.cut_short(budgets);
        let plan = self.trouble.calls.plan(self.seed);
        self.world.wire.follow(plan);
        self.world.wire.hold(true);
        self.line(format!("{:?}", self.story.buyers));
        self.line(format!("{:?}", self.trouble));
        self.set_faults(self.story.start);
        let buyers = self.story.buyers.clone();
        for (n, buyer) in buyers.into_iter().enumerate() {
            self.at(buyer.subscribes, Happening::Subscribes(n));
            self.at(buyer.registers, Happening::Registers(n));
            if let Some(time) = buyer.renews {
                self.at(time, Happening::Renews(n));
            }
            if let Some(time) = buyer.cancels {
                self.at(time, Happening::Cancels(n));
            }
            if let Some(time) = buyer.again {
                self.at(time, Happening::BuysAgain(n));
                self.at(after(time, 3), Happening::Registers(n));
            }
            if let Some((from, until)) = buyer.suspended {
                self.at(from, Happening::Suspends(n));
                self.at(until, Happening::Resumes(n));
            }
        }
        for n in 0..self.story.rows.len() {
            self.at(self.story.rows[n].written, Happening::Writes(n));
        }
        for n in 0..self.story.bad_rows.len() {
            self.at(self.story.bad_rows[n].written, Happening::WritesBadly(n));
            if let Some(time) = self.story.bad_rows[n].expires {
                self.at(time, Happening::Expires(n));
            }
        }
        for time in self.trouble.turns() {
            self.at(time, Happening::Outage);
        }
        self.at(self.story.healed, Happening::Heals);
        self.schedules();
    }

    /// Sets the delays and repetitions of lifecycle messages and of the history.
    fn set_up_messages(&mut self) {
        let settings = self.world.emulator.settings();
        let Trouble {
            history,
            lifecycle_late,
            lifecycle_repeated,
            ..
        } = self.trouble;
        let is_slow = history.spread_s > 0;
        self.world.emulator.set_settings(Settings {
            lifecycle_disorder_s: u32::try_from(lifecycle_late * 60).expect("hours"),
            lifecycle_repeat_percent: lifecycle_repeated,
            cloudtrail_delay_s: if is_slow {
                60
            } else {
                settings.cloudtrail_delay_s
            },
            cloudtrail_spread_s: history.spread_s,
            cloudtrail_gaps_percent: history.gaps_percent,
            cloudtrail_repeat_percent: history.repeated_percent,
            cloudtrail_lost_per_mille: history.lost_per_mille,
            ..settings
        });
    }

    /// Plans when the schedules fire. While there are faults they fire as in the template.
    /// Afterwards they fire less often, except shortly before a month's deadline, because nothing
    /// else depends on how often they fire.
    fn schedules(&mut self) {
        let Story {
            start,
            healed,
            end,
            month_end,
            long_outage,
            ..
        } = self.story;
        let mut time =
            Timestamp::from_second(start.as_second().div_euclid(300) * 300 + 300).expect("a time");
        let mut tick = 0_i64;
        while time < end {
            let since_healed = time.duration_since(healed).as_mins();
            let short_of_time = month_end.is_some_and(|month_end| {
                (180..=360).contains(&time.duration_since(month_end).as_mins())
            });
            // In the middle of a long outage every run has the same result.
            let is_waiting = long_outage
                .is_some_and(|(from, until)| after(from, 120) < time && time < after(until, -30));
            let is_troubled = since_healed < 0 && !is_waiting;
            let minute = time.as_second().div_euclid(60);
            let often = short_of_time && (since_healed < 0 || minute % 15 == 5);
            let ticks = often || (since_healed < 130 && minute % 10 == 5) || minute % 60 == 35;
            if is_troubled || ticks {
                // Lambda polls every second. One poll reads the records, and the next one delivers
                // them.
                for seconds in [70, 190] {
                    let soon = time
                        .checked_add(jiff::SignedDuration::from_secs(seconds))
                        .expect("a time");
                    self.at(soon, Happening::Streams);
                }
                self.at(time, Happening::Lifecycle);
                self.at(time, Happening::Seals);
                self.at(after(time, 1), Happening::Streams);
                self.at(after(time, 2), Happening::Sweeps);
                if !is_troubled {
                    // A record that no stream delivers is due five minutes after it was sealed.
                    self.at(after(time, 7), Happening::Sweeps);
                }
            }
            // Each run of the reconciler proves the shards whose turn has come. Each shard has a
            // turn every twelve hours.
            let proves = (0..9 * 60).contains(&since_healed);
            let reconciles = is_troubled || short_of_time || proves || minute % 180 == 0;
            if minute % 60 == 0 && reconciles {
                self.at(time, Happening::Reconciles);
            }
            time = after(time, 5);
            tick += 1;
        }
        self.line(format!(
            "{tick} ticks from {start} to {end}, healed {healed}"
        ));
    }

    fn at(&mut self, time: Timestamp, happening: Happening) {
        self.queued += 1;
        self.queue.insert((time, self.queued), happening);
    }

    pub(super) fn line(&mut self, line: String) {
        self.world.wire.note(&line);
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub(super) fn set_faults(&mut self, now: Timestamp) {
        let name = |whom| match whom {
            Whom::Product(n) => Some(self.story.listings[n].code.clone()),
            Whom::Buyer(n) => self.buyers.get(&n).map(Subscribed::name),
        };
        let seed = self.seed ^ now.as_second().unsigned_abs();
        let faults = self.trouble.faults(seed, now, name);
        self.world.emulator.set_faults(faults);
    }

    fn go(&mut self) {
        loop {
            self.executor.run_until_stalled();
            let waiting = self.world.wire.waiting();
            if waiting > 0 {
                let must_go_on = self.is_time_up();
                if must_go_on || self.random.u32(0..1_000) >= self.trouble.slow {
                    let which = self.random.usize(0..waiting);
                    self.world.wire.release(which);
                    continue;
                }
            }
            if self.running.get() == 0 {
                self.oldest = None;
            }
            let Some(((time, _), happening)) = self.queue.pop_first() else {
                if waiting > 0 {
                    self.world.wire.hold(false);
                    continue;
                }
                return;
            };
            if time >= self.story.end {
                continue;
            }
            self.move_to(time);
            self.happen(happening);
        }
    }

    /// Whether the time of the oldest invocation would be over at the next event.
    fn is_time_up(&self) -> bool {
        let (Some(oldest), Some(((next, _), _))) = (self.oldest, self.queue.first_key_value())
        else {
            return self.queue.is_empty();
        };
        *next > after(oldest, INVOCATION_MINUTES_MAX)
    }

    fn move_to(&mut self, time: Timestamp) {
        if time > self.world.now.get() {
            self.world.set_time(time);
        }
    }

    pub(super) fn task(&mut self, work: impl Future<Output = ()> + 'static) {
        self.oldest.get_or_insert(self.world.now.get());
        let running = Rc::clone(&self.running);
        running.set(running.get() + 1);
        self.executor.spawn(async move {
            work.await;
            running.set(running.get() - 1);
        });
    }

    fn end(mut self) -> SeedReport {
        let calls = self.world.wire.calls();
        let faults_met = self.world.wire.faults_met();
        let running = self.running.get();
        let (mut result, marks) = {
            let world = Rc::clone(&self.world);
            let story = self.story.clone();
            let trouble = self.trouble.clone();
            let buyers = std::mem::take(&mut self.buyers);
            self.executor.finish(async move {
                let result = check::check(&world, &story, &trouble, &buyers).await;
                (result, marks::of_seed(&world, &trouble, &buyers).await)
            })
        };
        assert_eq!(running, 0, "seed {}: an invocation never ended", self.seed);
        result.violations.append(&mut self.alarms.borrow_mut());
        let (trace, called) = self.world.wire.trace();
        let mut story: Vec<String> = self.lines.into();
        story.extend(called);
        SeedReport {
            seed: self.seed,
            result,
            marks,
            trace,
            faults_met,
            calls,
            story,
        }
    }
}
