//! Additional events of some seeds: buyers who come back, and hundreds of buyers.

use fastrand::Rng;
use jiff::Timestamp;
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, TagSet};

use super::family::{Family, stream};
use super::story::{Buyer, Row, Story, after};

/// The largest number of buyers that a crowd adds.
const CROWD_MAX: usize = 300;
/// The number of products in a seed with a crowd.
const CROWD_PRODUCTS: usize = 4;

impl Story {
    /// The story of a seed, with the events that its families add, and without malformed rows if
    /// their family is off.
    pub fn of_seed(seed: u64) -> Self {
        let mut story = Self::of(&mut Rng::with_seed(seed));
        if !Family::BadInput.is_on(seed) {
            story.bad_rows.clear();
        }
        if let Some(mut draws) = Family::Returns.draws(seed) {
            story.bring_back(&mut draws);
        }
        // A crowded seed takes as long as ten others, so few seeds are crowded.
        let is_crowded = stream(seed, "crowded").u32(0..10) == 0;
        if let Some(mut draws) = Family::Crowds.draws(seed).filter(|_| is_crowded) {
            story.crowd(&mut draws);
        }
        story
    }

    /// Lets buyers who cancelled buy again under the same name, one to sixteen hours later.
    /// Products that identify the buyer by the license are left out, because a new license is
    /// another subscription.
    fn bring_back(&mut self, draws: &mut Rng) {
        for n in 0..self.buyers.len() {
            let is_named_by_license =
                self.listings[self.buyers[n].listing].identity == IdentityKind::License;
            let Some(cancels) = self.buyers[n].cancels.filter(|_| !is_named_by_license) else {
                continue;
            };
            let longest = [3 * 60, 16 * 60][draws.usize(0..2)];
            let again = after(cancels, draws.i64(62..longest));
            self.buyers[n].again = Some(again);
            for row in 0..draws.usize(1..6) {
                let time = after(again, draws.i64(0..4 * 60));
                let delay = [draws.i64(0..5), draws.i64(0..90)][draws.usize(0..2)];
                let quantity = draws.u32(1..500).to_string();
                self.add(
                    n,
                    &format!("again{row}"),
                    &quantity,
                    time,
                    after(time, delay),
                );
            }
        }
    }

    /// Adds up to [`CROWD_MAX`] buyers with one row each, within a few hours.
    fn crowd(&mut self, draws: &mut Rng) {
        while self.listings.len() < CROWD_PRODUCTS {
            let n = self.listings.len();
            let like = self.listings[draws.usize(0..n)].clone();
            self.listings.push(super::super::world::Listing {
                code: format!("product{n}"),
                ..like
            });
        }
        for _ in 0..draws.usize(30..=CROWD_MAX) {
            let n = self.buyers.len();
            let subscribes = after(self.start, draws.i64(0..60));
            let registers = after(subscribes, draws.i64(1..20));
            self.buyers.push(Buyer {
                listing: draws.usize(0..self.listings.len()),
                subscribes,
                registers,
                renews: None,
                cancels: None,
                suspended: None,
                again: None,
            });
            let time = after(registers, draws.i64(0..150));
            let quantity = draws.u32(1..500).to_string();
            self.add(n, "one", &quantity, time, after(time, draws.i64(0..5)));
        }
    }

    fn add(&mut self, buyer: usize, id: &str, quantity: &str, time: Timestamp, written: Timestamp) {
        let dimension = &self.listings[self.buyers[buyer].listing].dimensions[0];
        self.rows.push(Row {
            buyer,
            event: UsageEvent {
                dimension: dimension.parse().expect("a dimension"),
                id: id.parse().expect("an id"),
                quantity: quantity.parse().expect("a quantity"),
                time,
                tags: TagSet::untagged(),
            },
            written,
            over_http: false,
        });
    }
}
