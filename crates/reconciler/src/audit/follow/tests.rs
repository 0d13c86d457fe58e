use jiff::Timestamp;
use marketplace::UsageHour;
use marketplace::audit::{Event, Period};
use marketplace::window::Window;

use super::calls::{before, cut_short};
use super::hours::{last_of_block, life_minutes};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn page(times: &[&str]) -> Vec<Event> {
    let events = times.iter().map(|time| Event::Unreadable {
        at: Some(Period::at(at(time))),
        problem: String::new(),
    });
    events.collect()
}

#[test]
fn a_step_is_cut_if_its_first_page_shows_that_there_are_very_many_calls() {
    let (from, end) = (at("2026-11-21T02:00:00Z"), at("2026-11-21T03:00:00Z"));
    // Ten seconds on a page are 360 pages in the hour.
    let dense = page(&["2026-11-21T02:59:59Z", "2026-11-21T02:59:49Z"]);
    assert_eq!(
        cut_short(from, end, &dense),
        Some(at("2026-11-21T02:07:30Z"))
    );
    // All events of the page are in one second.
    let denser = page(&["2026-11-21T02:59:59Z"; 50]);
    assert_eq!(
        cut_short(from, end, &denser),
        Some(at("2026-11-21T02:00:45Z"))
    );
    // Two minutes on a page are 30 pages, in any order of the events.
    let sparse = page(&[
        "2026-11-21T02:57:00Z",
        "2026-11-21T02:59:00Z",
        "2026-11-21T02:58:00Z",
    ]);
    assert_eq!(cut_short(from, end, &sparse), None);
    assert_eq!(cut_short(from, end, &page(&[])), None);
    assert_eq!(before(from, end).to, at("2026-11-21T02:59:59Z"));
}

fn hour(text: &str) -> UsageHour {
    text.parse().unwrap()
}

#[test]
fn eight_blocks_are_a_day() {
    for (inside, last) in [
        ("2026-11-21T00", "2026-11-21T02"),
        ("2026-11-21T01", "2026-11-21T02"),
        ("2026-11-21T02", "2026-11-21T02"),
        ("2026-11-21T03", "2026-11-21T05"),
        ("2026-11-21T23", "2026-11-21T23"),
    ] {
        assert_eq!(last_of_block(hour(inside)), hour(last), "{inside}");
    }
}

#[test]
fn a_block_has_the_longest_life_of_its_hours() {
    let window = Window::default();
    let block = (hour("2026-11-21T00"), hour("2026-11-21T02"));
    assert_eq!(life_minutes(window, block), 24 * 60 + 60 + 5);
    // The month closes at 06:00 on the 1st.
    let block = (hour("2026-11-30T06"), hour("2026-11-30T08"));
    assert_eq!(life_minutes(window, block), 24 * 60 + 60 + 5);
    let block = (hour("2026-11-30T09"), hour("2026-11-30T11"));
    assert_eq!(life_minutes(window, block), 21 * 60 + 60 + 5);
}
