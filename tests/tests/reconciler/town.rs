//! A town: a world with several buyers of one product. Its time stands still between the steps of a
//! test.

use std::cell::RefCell;
use std::rc::Rc;

use emulator::Agreement;
use marketplace::audit::Source;
use marketplace::slot::Slot;
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, MeteringRecord, Subscription, TagSet};
pub use simulation::at;
use simulation::run::Executor;
use simulation::world::{Listing, World};

/// A world with several buyers.
pub struct Town {
    pub world: Rc<World>,
    pub buyers: Vec<(Agreement, Subscription)>,
}

impl Town {
    /// A town of `buyers` buyers. At `2026-11-27T01:31:00Z` the sealer's rounds cover all
    /// subscriptions.
    pub async fn of(buyers: usize) -> Self {
        Self::reading(buyers, Source::EventHistory).await
    }

    /// A town whose audit reads CloudTrail's events from `source`.
    pub async fn reading(buyers: usize, source: Source) -> Self {
        let world = World::with_source(at("2026-11-27T00:20:00Z"), 7, source);
        let world = Rc::new(world);
        let mut town = Self {
            world,
            buyers: Vec::new(),
        };
        town.settle("townproduct", buyers).await;
        town
    }

    /// Adds `buyers` buyers of another product.
    pub async fn settle(&mut self, product: &str, buyers: usize) {
        let listing = Listing {
            code: product.to_owned(),
            identity: IdentityKind::License,
            dimensions: vec!["gb".to_owned()],
        };
        self.world.list(&listing).await;
        for _ in 0..buyers {
            let (agreement, subscription) = self.world.subscribe(&listing);
            self.world.register(&agreement.registration_token).await;
            self.buyers.push((agreement, subscription));
        }
        for time in ["00:20:00", "00:30:00", "01:31:00"] {
            self.world.set_time(at(&format!("2026-11-27T{time}Z")));
            self.world.tick(true).await;
        }
    }

    pub fn buyer(&self, n: usize) -> &Subscription {
        &self.buyers[n].1
    }

    /// Lets a buyer use a unit of `gb` ten minutes after the beginning of an hour.
    pub async fn uses(&self, n: usize, id: &str, hour: &str) {
        let event = UsageEvent {
            dimension: "gb".parse().unwrap(),
            id: id.parse().unwrap(),
            quantity: "1".parse().unwrap(),
            time: at(&format!("{hour}:10:00Z")),
            tags: TagSet::untagged(),
        };
        self.world.report(self.buyer(n), &event).await;
    }

    pub fn slot(&self, n: usize, hour: &str) -> Slot {
        Slot {
            subscription: self.buyer(n).clone(),
            hour: hour.parse().unwrap(),
            dimension: "gb".parse().unwrap(),
        }
    }

    pub async fn record(&self, n: usize, hour: &str) -> MeteringRecord {
        let read = self.world.ledger.records(&[self.slot(n, hour)]).await;
        read.unwrap().pop().expect("a record")
    }

    pub async fn seal_at(&self, time: &str) {
        self.world.set_time(at(time));
        self.world.seal().await.unwrap();
    }

    pub async fn reconcile_at(&self, time: &str) -> reconciler::Report {
        self.world.set_time(at(time));
        self.world.reconcile().await.unwrap()
    }
}

/// The result of a run that was started; `None` until the run has ended.
pub type Ended<T> = Rc<RefCell<Option<Result<T, String>>>>;

/// Starts a run. If one of its calls waits, the run goes on when that call is released.
pub fn start<T: 'static>(
    executor: &Executor,
    run: impl Future<Output = Result<T, String>> + 'static,
) -> Ended<T> {
    let ended: Ended<T> = Rc::default();
    let slot = Rc::clone(&ended);
    executor.spawn(async move {
        let result = run.await;
        *slot.borrow_mut() = Some(result);
    });
    ended
}

/// The result of a run that has ended.
pub fn result<T>(ended: &Ended<T>) -> T {
    let result = ended.borrow_mut().take();
    result.expect("the run has ended").unwrap()
}
