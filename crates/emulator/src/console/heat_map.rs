//! The heat map of a day: one line for each buyer and dimension, one column for each hour. A cell
//! shows the state of the hour as a color and as a word.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use crate::quantity::Quantity;
use crate::rules::window::Window;
use crate::world::{HOURS, Hour, Line};

/// The number of shades for metered hours. The largest quantity of a line has the strongest shade.
const SHADES: u64 = 4;

/// The state of an hour in a line of the heat map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Metered,
    Zero,
    Disputed,
    Refused,
    Outside,
    Later,
    Open,
    Closed,
}

/// Each state with its CSS class, its word, and the meaning of the word.
const STATES: [(State, &str, &str, &str); 8] = [
    (
        State::Metered,
        "metered",
        "metered",
        "Billed with this quantity. A stronger color means a larger quantity within the line.",
    ),
    (
        State::Zero,
        "zero",
        "zero",
        "A record with quantity zero. It bills nothing, but by the default reading it takes the slot.",
    ),
    (
        State::Disputed,
        "disputed",
        "disputed",
        "Billed with this quantity. A record with another quantity was refused as DuplicateRecord.",
    ),
    (
        State::Refused,
        "refused",
        "refused",
        "Records were sent, but none was accepted. The page of calls says why.",
    ),
    (
        State::Open,
        "open",
        "open",
        "Nothing is metered yet, but the hour can still be metered.",
    ),
    (
        State::Closed,
        "closed",
        "closed",
        "Nothing was metered, and the window has passed. Usage of this hour is lost.",
    ),
    (
        State::Later,
        "later",
        "later",
        "By the emulator's clock the hour has not begun.",
    ),
    (
        State::Outside,
        "outside",
        "none",
        "No agreement covers the hour.",
    ),
];

/// The day, the current time and the window, which determine the states in a heat map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drawing {
    /// The first second of the day.
    pub(super) from: Timestamp,
    pub(super) now: Timestamp,
    pub(super) window: Window,
}

impl Drawing {
    /// The first second of an hour of the day, 0 to 23.
    fn hour_start(self, place: usize) -> Timestamp {
        let hours = i64::try_from(place).unwrap_or(0);
        let moved = self.from.saturating_add(SignedDuration::from_hours(hours));
        moved.unwrap_or(Timestamp::MAX)
    }

    fn state(self, line: &Line, place: usize, hour: Hour) -> State {
        if hour.slots > 0 {
            return match (hour.is_disputed, hour.quantity) {
                (true, _) => State::Disputed,
                (false, Some(quantity)) if quantity.is_zero() => State::Zero,
                (false, _) => State::Metered,
            };
        }
        let start = self.hour_start(place);
        let next = self.hour_start(place.saturating_add(1));
        if hour.is_refused {
            State::Refused
        } else if next <= line.start || line.end.is_some_and(|end| start >= end) {
            State::Outside
        } else if start > self.now {
            State::Later
        } else {
            let last = next.saturating_sub(SignedDuration::from_secs(1));
            let latest = last.unwrap_or(start).min(self.now);
            match self.window.check(latest, self.now) {
                Ok(()) => State::Open,
                Err(_) => State::Closed,
            }
        }
    }
}

/// The heat map as a table, in a region that scrolls.
pub(super) fn table(lines: &[Line], drawing: Drawing, caption: &str) -> Markup {
    html! {
        div.scroll.picture role="region" aria-label="Hours of the day" tabindex="0" {
            table.heat {
                caption { (caption) }
                thead {
                    tr {
                        th scope="col" { "Buyer and dimension" }
                        @for hour in 0..HOURS { th scope="col" { (format!("{hour:02}")) } }
                    }
                }
                tbody {
                    @for line in lines { (row(line, drawing)) }
                }
            }
        }
    }
}

fn row(line: &Line, drawing: Drawing) -> Markup {
    let quantities = line.hours.iter().filter_map(|hour| hour.quantity);
    let largest = quantities.max().unwrap_or_default();
    html! {
        tr {
            th scope="row" {
                (line.account_id) " " code { (line.dimension) }
                br;
                small {
                    (line.product_code) ", "
                    @match &line.license_arn {
                        Some(arn) => { span title=(arn) { "license …" (tail(arn)) } },
                        None => "by product code",
                    }
                }
            }
            @for (place, hour) in line.hours.iter().enumerate() {
                (cell(line, drawing, place, *hour, largest))
            }
        }
    }
}

fn cell(line: &Line, drawing: Drawing, place: usize, hour: Hour, largest: Quantity) -> Markup {
    let state = drawing.state(line, place, hour);
    let found = STATES.iter().find(|(known, ..)| *known == state);
    let (_, class, word, _) = found.copied().unwrap_or((state, "", "", ""));
    let shade = match (state, hour.quantity) {
        (State::Metered, Some(quantity)) => format!(" shade-{}", shade(quantity, largest)),
        _ => String::new(),
    };
    let shown = match hour.quantity {
        _ if hour.slots == 0 => None,
        Some(quantity) => Some(quantity.to_string()),
        None => Some("too large to show".to_owned()),
    };
    let title = format!(
        "{place:02}:00 to {:02}:00 UTC: {}{word}{}",
        place + 1,
        shown.as_ref().map_or(String::new(), |q| format!("{q} ")),
        match hour.slots {
            0 | 1 => String::new(),
            slots => format!(", in {slots} slots"),
        }
    );
    html! {
        td class={ "hour " (class) (shade) } title=(title) {
            @if let Some(shown) = shown { b { (shown) } " " }
            span { (word) }
        }
    }
}

/// A shade from 1 to [`SHADES`], in proportion to the largest quantity of the line.
fn shade(quantity: Quantity, largest: Quantity) -> u64 {
    let (part, whole) = (u128::from(quantity.micros()), u128::from(largest.micros()));
    let shade = (part * u128::from(SHADES)).div_ceil(whole.max(1));
    u64::try_from(shade).unwrap_or(SHADES).clamp(1, SHADES)
}

/// The last 8 characters of an ARN. They are enough to tell licenses apart.
pub(super) fn tail(arn: &str) -> &str {
    let start = arn.char_indices().rev().nth(7).map_or(0, |(at, _)| at);
    arn.get(start..).unwrap_or(arn)
}

/// The legend: every color and word with its meaning.
pub(super) fn legend() -> Markup {
    html! {
        section aria-labelledby="legend" {
            h2 id="legend" { "What the words mean" }
            dl.legend {
                @for (_, class, word, meaning) in STATES {
                    div { dt { span class={ "hour " (class) } { (word) } } dd { (meaning) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    fn line() -> Line {
        Line {
            product_code: "p".to_owned(),
            account_id: "111122223333".to_owned(),
            license_arn: None,
            dimension: "d".to_owned(),
            start: at("2026-11-20T03:30:00Z"),
            end: Some(at("2026-11-20T20:10:00Z")),
            hours: [Hour::default(); HOURS],
        }
    }

    #[track_caller]
    fn check(place: usize, hour: Hour, expect: State) {
        let drawing = Drawing {
            from: at("2026-11-20T00:00:00Z"),
            now: at("2026-11-21T12:00:00Z"),
            window: Window {
                hours: 24,
                month_end_rule: true,
            },
        };
        assert_eq!(drawing.state(&line(), place, hour), expect, "hour {place}");
    }

    #[test]
    fn an_empty_hour_says_whether_it_can_still_be_metered() {
        let empty = Hour::default();
        check(2, empty, State::Outside);
        check(3, empty, State::Closed);
        check(10, empty, State::Closed);
        check(12, empty, State::Open);
        check(20, empty, State::Open);
        check(21, empty, State::Outside);
    }

    #[test]
    fn a_taken_hour_says_what_it_holds() {
        let taken = |quantity: u32| Hour {
            slots: 1,
            quantity: Some(Quantity::from_units(quantity)),
            ..Hour::default()
        };
        check(10, taken(3), State::Metered);
        check(10, taken(0), State::Zero);
        let disputed = Hour {
            is_disputed: true,
            ..taken(3)
        };
        check(10, disputed, State::Disputed);
        let refused = Hour {
            is_refused: true,
            ..Hour::default()
        };
        check(10, refused, State::Refused);
    }

    #[test]
    fn the_largest_hour_has_the_strongest_shade() {
        let units = Quantity::from_units;
        assert_eq!(shade(units(100), units(100)), 4);
        assert_eq!(shade(units(26), units(100)), 2);
        assert_eq!(shade(units(1), units(100)), 1);
        assert_eq!(shade(units(0), units(0)), 1);
    }
}
