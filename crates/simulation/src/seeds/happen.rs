//! The events of a seed: what happens to buyers and rows, and what a schedule does.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use emulator::LicenseOnRenewal;
use ledger::SHARDS;
use marketplace::Subscription;
use marketplace::usage::UsageEvent;
use reconciler::Task;

use super::drive::Drive;
use super::family::{Family, stream};
use super::marks;
use super::story::{BadRow, Row};
use super::subscribed::Subscribed;
use crate::wire::Writes;
use crate::world::World;

/// An event of a seed. The numbers are indexes of the story's buyers and rows.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    Subscribes(usize),
    Registers(usize),
    Renews(usize),
    Cancels(usize),
    BuysAgain(usize),
    Suspends(usize),
    Resumes(usize),
    Writes(usize),
    WritesBadly(usize),
    Expires(usize),
    Outage,
    Heals,
    Lifecycle,
    Streams,
    Seals,
    Sweeps,
    Reconciles,
}

impl Drive {
    pub(super) fn happen(&mut self, happening: Happening) {
        let world = Rc::clone(&self.world);
        match happening {
            Happening::Subscribes(n) => self.subscribe(n),
            Happening::Registers(n) => self.register(n),
            Happening::Renews(n) => self.renew(n),
            Happening::Cancels(n) => {
                self.change_agreement(n, "cancels", emulator::Emulator::cancel_agreement)
            }
            Happening::BuysAgain(n) => self.buy_again(n),
            Happening::Suspends(n) => {
                self.change_agreement(n, "is suspended", emulator::Emulator::suspend_agreement);
            }
            Happening::Resumes(n) => {
                self.change_agreement(
                    n,
                    "is no longer suspended",
                    emulator::Emulator::resume_agreement,
                );
            }
            Happening::Writes(n) => self.write_row(n),
            Happening::WritesBadly(n) => self.write_bad_row(n),
            Happening::Expires(n) => self.expire_bad_row(n),
            Happening::Outage => {
                let now = world.now.get();
                self.line(format!("{now} an outage begins or ends"));
                self.set_faults(now);
            }
            Happening::Heals => self.heal(),
            Happening::Lifecycle => self.task(async move { world.deliver_lifecycle().await }),
            Happening::Streams => {
                if !self.trouble.streams_off {
                    self.task(async move {
                        let now = world.now.get();
                        world.pump_usage(now).await;
                        world.pump_records(now).await;
                    });
                }
            }
            Happening::Seals => self.fire_sealer(),
            Happening::Sweeps => {
                self.fire(
                    "submitter",
                    false,
                    |world| async move { world.sweep().await },
                )
            }
            Happening::Reconciles => self.fire_reconciler(),
        }
    }

    fn subscribe(&mut self, n: usize) {
        let now = self.world.now.get();
        let listing = self.story.listings[self.story.buyers[n].listing].clone();
        let (agreement, subscription) = self.world.subscribe(&listing);
        self.line(format!("{now} buyer {n} subscribes: {subscription}"));
        let buyer = Subscribed {
            agreement,
            subscription,
        };
        self.buyers.insert(n, buyer);
    }

    fn buy_again(&mut self, n: usize) {
        let now = self.world.now.get();
        let listing = self.story.listings[self.story.buyers[n].listing].clone();
        let Some(buyer) = self.buyers.get_mut(&n) else {
            return;
        };
        let account = buyer.agreement.account_id.clone();
        let (agreement, subscription) = self.world.subscribe_as(&listing, Some(&account));
        assert_eq!(subscription, buyer.subscription, "the same name");
        buyer.agreement = agreement;
        self.line(format!("{now} buyer {n} buys again"));
    }

    fn register(&mut self, n: usize) {
        let Some(buyer) = self.buyers.get(&n) else {
            return;
        };
        let token = buyer.agreement.registration_token.clone();
        let world = Rc::clone(&self.world);
        let now = world.now.get();
        self.line(format!("{now} buyer {n} registers"));
        self.task(async move {
            let status = world.register(&token).await;
            world.wire.note(&format!("registration answered {status}"));
        });
    }

    fn renew(&mut self, n: usize) {
        let world = Rc::clone(&self.world);
        let now = world.now.get();
        // With another license the buyer has another subscription, and the seller's software in the
        // simulation does not learn of it.
        let survives = world.emulator.readings().license_on_renewal == LicenseOnRenewal::Survives;
        let Some(buyer) = self.buyers.get_mut(&n).filter(|_| survives) else {
            return;
        };
        let renewed = world
            .emulator
            .renew_agreement(&buyer.agreement.agreement_id);
        let text = format!("{now} buyer {n} renews: {:?}", renewed.as_ref().map(|_| ()));
        if let Ok(agreement) = renewed {
            buyer.agreement.agreement_id = agreement.agreement_id;
        }
        self.line(text);
    }

    /// Changes the agreement of a buyer who has subscribed. `words` describe the change in the
    /// story.
    fn change_agreement<E: std::fmt::Debug>(
        &mut self,
        n: usize,
        words: &str,
        change: impl Fn(&emulator::Emulator, &str) -> Result<(), E>,
    ) {
        let Some(buyer) = self.buyers.get(&n) else {
            return;
        };
        let result = change(&self.world.emulator, &buyer.agreement.agreement_id);
        let now = self.world.now.get();
        self.line(format!("{now} buyer {n} {words}: {result:?}"));
    }

    fn write_row(&mut self, n: usize) {
        let row = self.story.rows[n].clone();
        let Some(buyer) = self.buyers.get(&row.buyer) else {
            return;
        };
        let subscription = buyer.subscription.clone();
        let UsageEvent {
            dimension,
            id,
            quantity,
            time,
            ..
        } = &row.event;
        let world = Rc::clone(&self.world);
        let now = world.now.get();
        self.line(format!(
            "{now} buyer {} uses {quantity} {dimension} at {time} ({id})",
            row.buyer
        ));
        self.task(async move { write(&world, &subscription, &row).await });
    }

    fn write_bad_row(&mut self, n: usize) {
        let bad = self.story.bad_rows[n].clone();
        let Some(partition) = self.partition(&bad) else {
            return;
        };
        let world = Rc::clone(&self.world);
        let now = world.now.get();
        self.line(format!(
            "{now} a bad row: {partition} {} {} {}",
            bad.sort, bad.quantity, bad.time
        ));
        self.task(async move {
            world
                .put_raw(&partition, &bad.sort, bad.quantity, &bad.time)
                .await
        });
    }

    fn expire_bad_row(&mut self, n: usize) {
        let bad = self.story.bad_rows[n].clone();
        let Some(partition) = self.partition(&bad) else {
            return;
        };
        let world = Rc::clone(&self.world);
        let now = world.now.get();
        self.line(format!("{now} a bad row expires: {partition} {}", bad.sort));
        self.task(async move { world.delete_row(&partition, &bad.sort).await });
    }

    fn heal(&mut self) {
        let world = Rc::clone(&self.world);
        let now = world.now.get();
        self.line(format!("{now} everything is healed"));
        self.healthy = true;
        world.wire.heal();
        world.wire.hold(false);
        world.cut_short(None);
        world.emulator.set_faults(emulator::Faults::default());
        for off in &world.off_ms {
            off.store(0, Ordering::Relaxed);
        }
    }

    fn fire_sealer(&mut self) {
        let now = self.world.now.get();
        // Each run recounts the hours of an ending subscription. Other rows are read only when
        // their hour is due or has a late flag.
        let ends = self.story.buyers.iter().any(|buyer| {
            let suspended = buyer.suspended.map(|(from, _)| from);
            let ends = buyer.cancels.into_iter().chain(suspended).min();
            ends.is_some_and(|at| at <= now)
        });
        self.fire("sealer", ends, |world| async move {
            let report = world.seal().await?;
            mark(&world, "sealer", serde_json::to_value(&report));
            Ok(())
        });
    }

    fn fire_reconciler(&mut self) {
        let now = self.world.now.get();
        let alarms = Rc::clone(&self.alarms);
        let is_slow = self.trouble.history.spread_s > 0;
        let tasks = self.tasks();
        self.fire("reconciler", true, move |world| {
            let alarms = Rc::clone(&alarms);
            let tasks = tasks.clone();
            async move {
                let runs = tasks.into_iter().map(|task| world.reconcile_task(task));
                // The results of one task are checked even if another task dies.
                let mut problem = None;
                for report in futures_util::future::join_all(runs).await {
                    let report = match report {
                        Ok(report) => report,
                        Err(error) => {
                            problem = Some(error);
                            continue;
                        }
                    };
                    world
                        .wire
                        .mark_one(&format!("reconciler task {}", report.task));
                    mark(&world, "reconciler", serde_json::to_value(&report));
                    let audit = &report.audit;
                    let found = [
                        ("slots out of balance", report.slots_unbalanced),
                        ("days altered", report.days_altered),
                        ("sums that overflowed", report.sums_overflowed),
                        ("successes without a record", audit.unknown),
                        ("successes of another quantity", audit.different),
                        ("successes for records not billed", audit.unexpected),
                        // If CloudTrail shows an event late or never, its success is rightly
                        // reported as missing.
                        ("successes missing", if is_slow { 0 } else { audit.missing }),
                    ];
                    for (what, times) in found.iter().filter(|(_, times)| *times > 0) {
                        let alarm = format!("at {now} the reconciler found {times} {what}");
                        alarms.borrow_mut().push(alarm);
                    }
                }
                problem.map_or(Ok(()), Err)
            }
        });
    }

    /// The tasks of the reconciler when its schedule fires: all tasks in one invocation, or each
    /// task separately, in any order, and with or without shards.
    fn tasks(&self) -> Vec<Task> {
        if !self.trouble.families.contains(&Family::Tasks) {
            return vec![Task::Everything];
        }
        let now = self.world.now.get().as_second().unsigned_abs();
        let mut draws = stream(self.seed ^ now, "tasks");
        let mut tasks = vec![Task::Expire, Task::Close, Task::Judge, Task::Compare];
        for task in [Task::Recount, Task::Prove] {
            match draws.bool() {
                true => tasks.push(task(None)),
                false => tasks.extend((0..SHARDS).map(|shard| task(Some(shard)))),
            }
        }
        draws.shuffle(&mut tasks);
        tasks
    }

    fn partition(&self, bad: &BadRow) -> Option<String> {
        let buyer = self.buyers.get(&bad.buyer)?;
        let hour = bad.hour.to_string();
        Some(format!("{}@{}", buyer.subscription, &hour[..13]))
    }

    /// Lets a schedule fire once. While there are faults, it may also not fire, or fire twice at
    /// the same time.
    ///
    /// A schedule has nothing to do if nothing was written since it last finished and no new half
    /// hour (after the faults: no new ten minutes) has begun. Then it does not fire, which leaves
    /// time for more seeds. Written rows count only if `usage_matters` is true.
    fn fire<F>(&mut self, name: &'static str, usage_matters: bool, work: impl Fn(Rc<World>) -> F)
    where
        F: Future<Output = Result<(), String>> + 'static,
    {
        let idle_since = Rc::clone(self.idle_since.entry(name).or_default());
        let part_s = if self.healthy { 600 } else { 1_800 };
        let part = self.world.now.get().as_second().div_euclid(part_s);
        let matters = move |world: &World| {
            let writes = world.wire.writes();
            match usage_matters {
                true => writes,
                false => Writes { usage: 0, ..writes },
            }
        };
        if idle_since.get() == Some((matters(&self.world), part)) {
            return;
        }
        let mut times = 1;
        if !self.healthy {
            times -= u32::from(self.random.u32(0..100) < self.trouble.missed);
            times += u32::from(self.random.u32(0..100) < self.trouble.doubled);
        }
        for _ in 0..times {
            let world = Rc::clone(&self.world);
            let run = work(Rc::clone(&world));
            let idle_since = Rc::clone(&idle_since);
            self.task(async move {
                let result = run.await;
                idle_since.set(result.is_ok().then(|| (matters(&world), part)));
                if let Err(problem) = result {
                    world.wire.note(&problem);
                }
            });
        }
    }
}

/// Counts the marks of a report. A report that cannot be serialized has none.
fn mark(world: &World, name: &str, report: Result<serde_json::Value, serde_json::Error>) {
    marks::of_report(world, name, &report.unwrap_or_default());
}

async fn write(world: &World, subscription: &Subscription, row: &Row) {
    let event = &row.event;
    if row.over_http {
        let tags: marketplace::tags::Tags = (&event.tags).into();
        let body = serde_json::json!({"events": [{
            "id": event.id.to_string(),
            "subscription": subscription.to_string(),
            "dimension": event.dimension.to_string(),
            "quantity": event.quantity.to_string(),
            "time": event.time.to_string(),
            "tags": tags,
        }]});
        let (status, answer) = world.post_usage(&body).await;
        let is_accepted = status == 200 && answer["rejected"].as_u64() == Some(0);
        if is_accepted {
            return;
        }
        // If intake did not accept the usage, the seller's software writes the row itself.
    }
    world.report(subscription, event).await;
}
