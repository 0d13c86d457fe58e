//! The story of a seed: its events and their times.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use marketplace::tags::Tags;
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, TagSet};

use super::super::world::Listing;

/// A buyer of one product.
#[derive(Debug, Clone)]
pub struct Buyer {
    /// The product, as an index of [`Story::listings`].
    pub listing: usize,
    /// The time at which the buyer subscribes.
    pub subscribes: Timestamp,
    /// The time at which the buyer comes to the landing page.
    pub registers: Timestamp,
    /// The time of a renewal, if the story has one. It is left out if the license does not survive
    /// a renewal.
    pub renews: Option<Timestamp>,
    /// The time at which the buyer cancels, if it does.
    pub cancels: Option<Timestamp>,
    /// The start and the end of the agreement's suspension, if it is suspended.
    pub suspended: Option<(Timestamp, Timestamp)>,
    /// The time at which the buyer buys again after it has cancelled, if it does.
    pub again: Option<Timestamp>,
}

/// One row of usage.
#[derive(Debug, Clone)]
pub struct Row {
    /// The buyer, as an index of [`Story::buyers`].
    pub buyer: usize,
    /// The usage event that the row contains.
    pub event: UsageEvent,
    /// The time at which the seller's software writes the row.
    pub written: Timestamp,
    /// Whether the row is written over HTTP instead of with PutItem.
    pub over_http: bool,
}

/// A malformed row.
#[derive(Debug, Clone)]
pub struct BadRow {
    /// The buyer, as an index of [`Story::buyers`].
    pub buyer: usize,
    /// The sort key of the row.
    pub sort: String,
    /// The digits of the number attribute `quantity`.
    pub quantity: &'static str,
    /// The hour in its partition key.
    pub hour: Timestamp,
    /// The text of its attribute `time`.
    pub time: String,
    /// The time at which the seller's software writes the row.
    pub written: Timestamp,
    /// The time at which TTL removes the row, if it does.
    pub expires: Option<Timestamp>,
}

/// Everything that the seller and the buyers do in a seed.
#[derive(Debug, Clone)]
pub struct Story {
    /// The time at which the seed begins.
    pub start: Timestamp,
    /// The time at which all faults end.
    pub healed: Timestamp,
    /// The time at which the seed ends.
    pub end: Timestamp,
    /// The start and the end of an outage of AWS Marketplace that lasts longer than a day, if the
    /// seed has one.
    pub long_outage: Option<(Timestamp, Timestamp)>,
    /// The end of a month within the seed, if there is one.
    pub month_end: Option<Timestamp>,
    /// The products of the seller.
    pub listings: Vec<Listing>,
    /// Whether the first product has a dimension that AWS Marketplace does not know.
    pub renamed: bool,
    /// The buyers of the products.
    pub buyers: Vec<Buyer>,
    /// The valid usage of the buyers.
    pub rows: Vec<Row>,
    /// The malformed rows.
    pub bad_rows: Vec<BadRow>,
}

/// The time that is `minutes` after `time`, or before it if `minutes` is negative.
pub fn after(time: Timestamp, minutes: i64) -> Timestamp {
    time.checked_add(SignedDuration::from_mins(minutes))
        .expect("a time")
}

const MONTH_ENDS: [&str; 5] = [
    "2026-12-01T00:00:00Z",
    "2027-01-01T00:00:00Z",
    "2027-03-01T00:00:00Z",
    "2028-03-01T00:00:00Z",
    "2027-05-01T00:00:00Z",
];

impl Story {
    /// The story of a seed.
    ///
    /// # Panics
    ///
    /// Never: all generated values are valid.
    pub fn of(random: &mut Rng) -> Self {
        let near_month_end = random.u32(0..100) < 35;
        let boundary: Timestamp = MONTH_ENDS[random.usize(0..MONTH_ENDS.len())]
            .parse()
            .expect("a time");
        let start = match near_month_end {
            true => after(boundary, -random.i64(4 * 60..16 * 60)),
            // Early in the month, so that its books are short.
            false => after(boundary, random.i64(0..8 * 60)),
        };
        let month_end = near_month_end.then_some(boundary);
        // The outage lasts longer than records can be sent, so their usage must be carried or found
        // billed.
        let long_outage = (!near_month_end && random.u32(0..100) < 8).then(|| {
            let from = after(start, random.i64(2 * 60..6 * 60));
            (from, after(from, random.i64(25 * 60..30 * 60)))
        });
        let mut healed = match long_outage {
            Some((_, until)) => after(until, 30),
            None => after(start, random.i64(4 * 60..11 * 60)),
        };
        if let Some(month_end) = month_end {
            // AWS Marketplace must get the month's records before 06:00, which needs a last hour
            // without faults.
            healed = healed.min(after(month_end, 150));
        }
        let end = after(healed, 27 * 60);
        let listings = listings(random);
        let buyers: Vec<Buyer> = (0..random.usize(1..4))
            .map(|_| buyer(random, start, healed, &listings, month_end))
            .collect();
        let mut story = Self {
            start,
            healed,
            end,
            long_outage,
            month_end,
            renamed: random.u32(0..100) < 15,
            listings,
            buyers,
            rows: Vec::new(),
            bad_rows: Vec::new(),
        };
        for n in 0..random.usize(5..40) {
            let row = story.row(random, n);
            if random.u32(0..100) < 12 {
                // Software reports usage twice if it does not get an answer the first time.
                story.rows.push(Row {
                    written: after(row.written, random.i64(0..120)),
                    ..row.clone()
                });
            }
            story.rows.push(row);
        }
        for n in 0..random.usize(0..4) {
            let bad = story.bad_row(random, n);
            story.bad_rows.push(bad);
        }
        story
    }

    fn row(&self, random: &mut Rng, n: usize) -> Row {
        let who = random.usize(0..self.buyers.len());
        let buyer = &self.buyers[who];
        let listing = &self.listings[buyer.listing];
        let mut dimension = listing.dimensions[random.usize(0..listing.dimensions.len())].clone();
        if self.renamed && buyer.listing == 0 && random.u32(0..100) < 20 {
            "renamed".clone_into(&mut dimension);
        }
        let minutes = self
            .healed
            .duration_since(buyer.subscribes)
            .as_mins()
            .max(1);
        let mut time = after(buyer.subscribes, random.i64(0..minutes));
        if random.u32(0..100) < 4 {
            time = after(buyer.subscribes, -random.i64(0..120));
        }
        let delay = match random.u32(0..100) {
            0..65 => random.i64(0..4),
            65..80 => random.i64(0..60),
            80..95 => random.i64(0..5 * 60),
            _ => random.i64(0..26 * 60),
        };
        let written = after(time.max(after(buyer.registers, 1)), delay);
        let quantity = match random.u32(0..10) {
            0 => "0".to_owned(),
            1 => "0.000001".to_owned(),
            2 => "9999999999.999999".to_owned(),
            3..6 => random.u32(1..1_000).to_string(),
            _ => format!("{}.{:06}", random.u32(0..50), random.u32(1..1_000_000)),
        };
        // Usage beyond the largest quantity of a record goes into the next hour, and there is none
        // after a month's last hour.
        let is_rare = quantity.starts_with("9999999999") && random.u32(0..100) < 80;
        let quantity = if is_rare || self.month_end.is_some() && quantity.starts_with("9999999999")
        {
            "17".to_owned()
        } else {
            quantity
        };
        let mut tags = Tags::new();
        if random.u32(0..100) < 30 {
            let teams = ["red", "green", "blue"];
            tags.insert("team".to_owned(), teams[random.usize(0..3)].to_owned());
        }
        Row {
            buyer: who,
            event: UsageEvent {
                dimension: dimension.parse().expect("a dimension"),
                id: format!("e{n}").parse().expect("an id"),
                quantity: quantity.parse().expect("a quantity"),
                time,
                tags: TagSet::try_from(tags).expect("tags"),
            },
            written,
            over_http: delay < 4 && random.u32(0..100) < 15,
        }
    }

    fn bad_row(&self, random: &mut Rng, n: usize) -> BadRow {
        let who = random.usize(0..self.buyers.len());
        let buyer = &self.buyers[who];
        let listing = &self.listings[buyer.listing];
        let known = &listing.dimensions[0];
        let minutes = self
            .healed
            .duration_since(buyer.subscribes)
            .as_mins()
            .max(1);
        let hour = after(buyer.subscribes, random.i64(0..minutes));
        let good_time = hour.to_string();
        let (sort, quantity, time) = match random.u32(0..6) {
            0 => (format!("{known}#bad{n}"), "-1", good_time),
            1 => (format!("{known}#bad{n}"), "1.1234567", good_time),
            2 => (format!("{known}#bad{n}"), "1", "yesterday".to_owned()),
            3 => (format!("{known}#bad{n}"), "1", after(hour, 90).to_string()),
            4 => (format!("{known}#y#bad{n}"), "1", good_time),
            _ => (
                format!("{known}#carry:2026-11-21T09:0123456789abcdef:1.{n}"),
                "5",
                good_time,
            ),
        };
        let written = after(hour.max(buyer.registers), random.i64(0..90));
        // Valid rows are kept for 400 days. The removal of a malformed row must not have an effect
        // at any time.
        let mut life = Rng::with_seed(written.as_second().unsigned_abs());
        BadRow {
            buyer: who,
            sort,
            quantity,
            hour,
            time,
            written,
            expires: life.bool().then(|| after(written, life.i64(5..20 * 60))),
        }
    }
}

fn listings(random: &mut Rng) -> Vec<Listing> {
    let kinds = [
        IdentityKind::License,
        IdentityKind::License,
        IdentityKind::Customer,
        IdentityKind::Account,
    ];
    (0..random.usize(1..3))
        .map(|n| Listing {
            code: format!("product{n}"),
            identity: kinds[random.usize(0..kinds.len())],
            dimensions: ["gb", "requests", "gb#x"][..random.usize(1..4)]
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
        })
        .collect()
}

fn buyer(
    random: &mut Rng,
    start: Timestamp,
    healed: Timestamp,
    listings: &[Listing],
    month_end: Option<Timestamp>,
) -> Buyer {
    let busy = healed.duration_since(start).as_mins().max(60);
    let subscribes = after(start, random.i64(0..busy / 2));
    let registers = after(subscribes, random.i64(1..20));
    let left = healed.duration_since(registers).as_mins().max(2);
    let cancels = (random.u32(0..100) < 25).then(|| after(registers, random.i64(1..left)));
    let suspended =
        (cancels.is_none() && month_end.is_none() && random.u32(0..100) < 15).then(|| {
            let from = after(registers, random.i64(1..left));
            (from, after(from, random.i64(10..300)))
        });
    let until_end = cancels.map_or(left, |cancels| cancels.duration_since(registers).as_mins());
    let renews = (random.u32(0..100) < 15 && until_end > 2)
        .then(|| after(registers, random.i64(1..until_end)));
    Buyer {
        listing: random.usize(0..listings.len()),
        subscribes,
        registers,
        renews,
        cancels,
        suspended,
        again: None,
    }
}
