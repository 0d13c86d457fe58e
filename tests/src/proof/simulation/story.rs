//! What a seed makes happen, and when.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use marketplace::tags::Tags;
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, TagSet};

use super::super::world::Listing;

/// A buyer of one product.
#[derive(Debug, Clone)]
pub struct Buyer {
    /// Which product.
    pub listing: usize,
    /// When it subscribes.
    pub subscribes: Timestamp,
    /// When it comes to the landing page.
    pub registers: Timestamp,
    /// When its agreement is renewed, where that leaves the license.
    pub renews: Option<Timestamp>,
    /// When it cancels.
    pub cancels: Option<Timestamp>,
    /// When its account is suspended, and until when.
    pub suspended: Option<(Timestamp, Timestamp)>,
    /// When it buys again, after it has cancelled.
    pub again: Option<Timestamp>,
}

/// One row of usage.
#[derive(Debug, Clone)]
pub struct Row {
    /// Whose.
    pub buyer: usize,
    /// What.
    pub event: UsageEvent,
    /// When the seller's software writes it.
    pub written: Timestamp,
    /// Through HTTP instead of PutItem.
    pub over_http: bool,
}

/// A row that is wrong.
#[derive(Debug, Clone)]
pub struct BadRow {
    /// Whose.
    pub buyer: usize,
    /// The sort key.
    pub sort: String,
    /// A number in DynamoDB's sense.
    pub quantity: &'static str,
    /// Where its key says it belongs.
    pub hour: Timestamp,
    /// Its own time.
    pub time: String,
    /// When it is written.
    pub written: Timestamp,
    /// When its time to live is over, if it has one.
    pub expires: Option<Timestamp>,
}

/// Everything that people do.
#[derive(Debug, Clone)]
pub struct Story {
    /// When the world begins.
    pub start: Timestamp,
    /// When every trouble ends.
    pub healed: Timestamp,
    /// When nothing more is done.
    pub end: Timestamp,
    /// A day and more in which AWS Marketplace cannot be reached, from and until.
    pub long_outage: Option<(Timestamp, Timestamp)>,
    /// The end of the month, where it lies within.
    pub month_end: Option<Timestamp>,
    /// The products.
    pub listings: Vec<Listing>,
    /// A dimension of the first product that AWS Marketplace does not know.
    pub renamed: bool,
    /// The buyers.
    pub buyers: Vec<Buyer>,
    /// Their usage.
    pub rows: Vec<Row>,
    /// What is wrong.
    pub bad_rows: Vec<BadRow>,
}

/// `minutes` after `time`.
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
    /// Never: what it makes up is valid.
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
        // Longer than records can be sent, so that what they hold must be carried or found billed.
        let long_outage = (!near_month_end && random.u32(0..100) < 8).then(|| {
            let from = after(start, random.i64(2 * 60..6 * 60));
            (from, after(from, random.i64(25 * 60..30 * 60)))
        });
        let mut healed = match long_outage {
            Some((_, until)) => after(until, 30),
            None => after(start, random.i64(4 * 60..11 * 60)),
        };
        if let Some(month_end) = month_end {
            // What AWS Marketplace must get before 06:00 needs a last hour without trouble.
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
                // Reported twice, as software does that was not told that it was heard.
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
        // More than a record can hold goes into the next hour, which the last of a month does not have.
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
        // What counts is kept for 400 days; this may go at any time and change nothing.
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
