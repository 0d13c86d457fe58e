//! Days and months in UTC, and the calendar that links to them.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};
use maud::{Markup, html};

use super::fields::Fields;
use super::page::link;
use crate::refusal::Refusal;

/// The day in the query, such as `2026-11-21`. If the query names none, the day of the emulator's
/// clock.
pub(super) fn requested(query: &Fields, now: Timestamp) -> Result<Date, Refusal> {
    let Some(text) = query.get("day") else {
        return Ok(Offset::UTC.to_datetime(now).date());
    };
    let day = text.parse::<Date>().ok();
    let day = day.filter(|day| start(*day).is_some() && end(*day).is_some());
    day.ok_or_else(|| Refusal::Body {
        problem: format!("`day` is `{text}`, but a day is written like 2026-11-21"),
    })
}

/// The first second of the day. `None` if it is beyond the times that can be represented.
pub(super) fn start(day: Date) -> Option<Timestamp> {
    Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok()
}

/// The first second after the day. `None` if it is beyond the times that can be represented.
pub(super) fn end(day: Date) -> Option<Timestamp> {
    day.tomorrow().ok().and_then(start)
}

/// The first second of the day's month, and the first second of the next month.
pub(super) fn month(day: Date) -> Option<(Timestamp, Timestamp)> {
    let next = day.first_of_month().checked_add(1.month()).ok()?;
    Some((start(day.first_of_month())?, start(next)?))
}

/// The days of a month, each with its number of slots, and links to the previous and the next
/// month.
pub(super) fn calendar(day: Date, slots: &BTreeMap<i64, usize>, query: &[(&str, &str)]) -> Markup {
    let to = |day: Date| {
        let day = day.to_string();
        let mut query = query.to_vec();
        query.push(("day", &day));
        link("/metered", &query)
    };
    let months_later = |months: i32| day.first_of_month().checked_add(months.months()).ok();
    html! {
        nav aria-labelledby="month" {
            h2 id="month" { (day.strftime("%B %Y")) }
            p.pages {
                @if let Some(before) = months_later(-1) { a href=(to(before)) rel="prev" { "Month before" } }
                @if let Some(after) = months_later(1) { a href=(to(after)) rel="next" { "Month after" } }
            }
            ol.days {
                @for number in 1..=day.days_in_month() {
                    @if let Ok(other) = day.with().day(number).build() {
                        @let count = start(other).and_then(|start| slots.get(&start.as_second())).copied().unwrap_or(0);
                        li {
                            a href=(to(other)) aria-current=[(other == day).then_some("date")] {
                                strong { (number) }
                                span { @if count == 0 { "none" } @else { (count) @if count == 1 { " slot" } @else { " slots" } } }
                            }
                        }
                    }
                }
            }
        }
    }
}
