//! Counts a day's slots and refused records by holder and hour. Only the lines of one page are
//! copied, because a world may have a million slots.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::slots::HOUR_S;
use super::{CallEntry, License, Metered, RecordStatus, Scope, Slot, World};
use crate::model::UsageRecord;
use crate::quantity::Quantity;

/// Hours of a day in UTC.
pub(crate) const HOURS: usize = 24;
const DAY_S: i64 = 24 * HOUR_S;

/// The owner of a line. Usage that instances meter from a buyer's account belongs to the buyer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Holder {
    License(u32),
    Customer(u32),
}

impl Holder {
    fn of(scope: Scope) -> Holder {
        match scope {
            Scope::License(number) => Holder::License(number),
            Scope::Customer(number) | Scope::Instance(number, _) => Holder::Customer(number),
        }
    }
}

/// A holder and a dimension, by their numbers in the world.
pub(crate) type LineKey = (Holder, u32);

/// The content of one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hour {
    /// Number of slots taken. It is more than one if Regions, instances or exact timestamps
    /// separate slots.
    pub(crate) slots: u32,
    /// The sum of the slots. `None` if it does not fit.
    pub(crate) quantity: Option<Quantity>,
    /// Whether a record with another quantity was refused.
    pub(crate) is_disputed: bool,
    /// Whether a record was sent and refused, and no record was accepted.
    pub(crate) is_refused: bool,
}

/// The hours of one holder and dimension, with the names to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) product_code: String,
    pub(crate) account_id: String,
    /// The ARN of the license. `None` for usage by product code.
    pub(crate) license_arn: Option<String>,
    pub(crate) dimension: String,
    /// The start of the software usage.
    pub(crate) start: Timestamp,
    /// The end of the software usage, without the final hour. `None` if it has no end.
    pub(crate) end: Option<Timestamp>,
    pub(crate) hours: [Hour; HOURS],
}

/// The filter for lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineFilter<'a> {
    /// The first second of the day.
    pub(crate) from: Timestamp,
    pub(crate) product_code: Option<&'a str>,
    pub(crate) dimension: Option<&'a str>,
}

impl LineFilter<'_> {
    fn has(&self, stamp_s: i64) -> bool {
        let from = self.from.as_second();
        (from..from.saturating_add(DAY_S)).contains(&stamp_s)
    }

    fn hour(&self, stamp_s: i64) -> Option<usize> {
        let hour = stamp_s
            .checked_sub(self.from.as_second())?
            .div_euclid(HOUR_S);
        usize::try_from(hour).ok().filter(|hour| *hour < HOURS)
    }
}

impl World {
    /// The number of lines, and the lines of one page. Every holder of a license in force on that
    /// day has a line for each dimension, even without usage. Every holder and dimension with a
    /// slot of that day has a line, too.
    pub(crate) fn lines(
        &self,
        filter: LineFilter<'_>,
        skip: usize,
        take: usize,
    ) -> (usize, Vec<Line>) {
        let mut keys = self.lines_in_force(filter);
        for slot in self
            .slots
            .iter()
            .filter(|slot| filter.has(slot.sent_stamp_s))
        {
            keys.insert((Holder::of(slot.key.scope), slot.key.dimension));
        }
        keys.retain(|key| self.is_wanted(*key, filter));
        let count = keys.len();
        let page: Vec<LineKey> = keys.into_iter().skip(skip).take(take).collect();
        let mut hours: BTreeMap<LineKey, [Hour; HOURS]> = page
            .iter()
            .map(|key| (*key, [Hour::default(); HOURS]))
            .collect();
        self.count_slots(filter, &mut hours);
        self.count_refusals(filter, &mut hours);
        let lines = hours.into_iter();
        (
            count,
            lines
                .filter_map(|(key, hours)| self.line(key, hours))
                .collect(),
        )
    }

    fn lines_in_force(&self, filter: LineFilter<'_>) -> BTreeSet<LineKey> {
        let mut keys = BTreeSet::new();
        let day_end_s = filter.from.as_second().saturating_add(DAY_S);
        for (number, license) in self.licenses.iter().enumerate() {
            let began = license.start.as_second() < day_end_s;
            let gone = license.deprovisioned.is_some_and(|end| end <= filter.from);
            let Some(product) = self.customers.get(license.customer).map(|c| c.product) else {
                continue;
            };
            let Some(product) = self.products.get(product).filter(|_| began && !gone) else {
                continue;
            };
            let holder = match product.listing.identity {
                super::Identity::License => u32::try_from(number).map(Holder::License),
                super::Identity::Customer => u32::try_from(license.customer).map(Holder::Customer),
            };
            let dimensions = u32::try_from(product.listing.dimensions.len()).unwrap_or(u32::MAX);
            if let Ok(holder) = holder {
                keys.extend((0..dimensions).map(|dimension| (holder, dimension)));
            }
        }
        keys
    }

    fn is_wanted(&self, key: LineKey, filter: LineFilter<'_>) -> bool {
        self.named(key).is_some_and(|(listing, _, dimension)| {
            filter.product_code.is_none_or(|code| code == listing.code)
                && filter.dimension.is_none_or(|name| name == dimension)
        })
    }

    fn named(&self, (holder, dimension): LineKey) -> Option<(&super::NewProduct, usize, &str)> {
        let customer = match holder {
            Holder::License(number) => self.licenses.get(usize::try_from(number).ok()?)?.customer,
            Holder::Customer(number) => usize::try_from(number).ok()?,
        };
        let product = self.customers.get(customer)?.product;
        let listing = &self.products.get(product)?.listing;
        let dimension = listing.dimensions.get(usize::try_from(dimension).ok()?)?;
        Some((listing, customer, dimension))
    }

    fn count_slots(&self, filter: LineFilter<'_>, hours: &mut BTreeMap<LineKey, [Hour; HOURS]>) {
        for slot in self.slots.iter() {
            let key = (Holder::of(slot.key.scope), slot.key.dimension);
            let place = filter.hour(slot.sent_stamp_s);
            if let (Some(place), Some(line)) = (place, hours.get_mut(&key))
                && let Some(hour) = line.get_mut(place)
            {
                hour.quantity = match hour.slots {
                    0 => Some(slot.quantity),
                    _ => hour.quantity.and_then(|q| q.checked_add(slot.quantity)),
                };
                hour.slots = hour.slots.saturating_add(1);
            }
        }
    }

    fn count_refusals(&self, filter: LineFilter<'_>, hours: &mut BTreeMap<LineKey, [Hour; HOURS]>) {
        for entry in self.calls.iter() {
            for (record, outcome) in entry.records.iter().zip(&entry.outcomes) {
                let is_duplicate = match outcome.outcome {
                    RecordStatus::Success | RecordStatus::SuccessAgain => continue,
                    RecordStatus::DuplicateRecord => true,
                    _ => false,
                };
                let place = filter.hour(record.timestamp.at.as_second());
                let key = place.and_then(|_| self.line_of(entry, record));
                if let (Some(place), Some(key)) = (place, key)
                    && let Some(hour) = hours.get_mut(&key).and_then(|line| line.get_mut(place))
                {
                    hour.is_disputed |= is_duplicate && hour.slots > 0;
                    hour.is_refused |= hour.slots == 0;
                }
            }
        }
    }

    /// The line of a record that was refused. `None` if the record names no known holder or
    /// dimension.
    fn line_of(&self, entry: &CallEntry, record: &UsageRecord) -> Option<LineKey> {
        let (holder, customer) = match (&record.license_arn, &entry.product_code) {
            (Some(arn), _) => {
                let number = *self.license_by_arn.get(arn)?;
                let holder = Holder::License(u32::try_from(number).ok()?);
                (holder, self.licenses.get(number)?.customer)
            }
            (None, Some(code)) => {
                let product = *self.product_by_code.get(code)?;
                let account = record.customer_aws_account_id.clone();
                let customer = match account.filter(|account| !account.is_empty()) {
                    Some(account) => self.customer_by_account.get(&(product, account)),
                    None => {
                        let identifier = record.customer_identifier.clone()?;
                        self.customer_by_identifier.get(&(product, identifier))
                    }
                };
                let customer = *customer?;
                (Holder::Customer(u32::try_from(customer).ok()?), customer)
            }
            (None, None) => return None,
        };
        let product = self.customers.get(customer)?.product;
        let dimension = self.products.get(product)?.dimension(&record.dimension)?;
        Some((holder, u32::try_from(dimension).ok()?))
    }

    fn line(&self, key: LineKey, hours: [Hour; HOURS]) -> Option<Line> {
        let (listing, customer, dimension) = self.named(key)?;
        let customer = self.customers.get(customer)?;
        let licenses: Vec<&License> = match key.0 {
            Holder::License(number) => {
                vec![self.licenses.get(usize::try_from(number).ok()?)?]
            }
            Holder::Customer(_) => customer
                .licenses
                .iter()
                .filter_map(|number| self.licenses.get(*number))
                .collect(),
        };
        let ends: Option<Vec<Timestamp>> = licenses.iter().map(|l| l.deprovisioned).collect();
        Some(Line {
            product_code: listing.code.clone(),
            account_id: customer.account_id.clone(),
            license_arn: match key.0 {
                Holder::License(_) => licenses.first().map(|license| license.arn.clone()),
                Holder::Customer(_) => None,
            },
            dimension: dimension.to_owned(),
            start: licenses.iter().map(|l| l.start).min()?,
            end: ends.and_then(|ends| ends.into_iter().max()),
            hours,
        })
    }

    /// The number of slots of a day that pass the filter, and the slots of one page, in the
    /// order of their timestamps.
    pub(crate) fn metered_page(
        &self,
        filter: LineFilter<'_>,
        skip: usize,
        take: usize,
    ) -> (usize, Vec<Metered>) {
        let of_day = self
            .slots
            .iter()
            .filter(|slot| filter.has(slot.sent_stamp_s));
        let mut slots: Vec<&Slot> = of_day
            .filter(|slot| self.is_wanted((Holder::of(slot.key.scope), slot.key.dimension), filter))
            .collect();
        slots.sort_by_key(|slot| slot.sent_stamp_s);
        let page = slots.iter().skip(skip).take(take);
        (
            slots.len(),
            page.filter_map(|slot| self.bill(slot)).collect(),
        )
    }

    /// The number of slots of each day, by the day's first second. Only slots with a timestamp from
    /// `from` until `until` are counted.
    pub(crate) fn slots_by_day(&self, from: Timestamp, until: Timestamp) -> BTreeMap<i64, usize> {
        let mut days = BTreeMap::new();
        for slot in self.slots.iter() {
            let stamp_s = slot.sent_stamp_s;
            if (from.as_second()..until.as_second()).contains(&stamp_s) {
                let day_s = stamp_s - stamp_s.rem_euclid(DAY_S);
                *days.entry(day_s).or_default() += 1;
            }
        }
        days
    }
}
