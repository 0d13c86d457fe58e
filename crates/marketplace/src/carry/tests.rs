use super::*;
use crate::lifecycle::{Lifecycle, Sign};
use Destination::{Carried, Held, HeldNotInForce, Undecided};

fn hour(text: &str) -> UsageHour {
    text.parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The spans of a subscription that began with the month and has these ends.
fn spans(announced: Option<&str>, removed: Option<&str>) -> Spans {
    let mut life = Lifecycle::default();
    life.observe(Sign::Activated, at("2026-11-01T00:00:00Z"));
    for (sign, time) in [
        (Sign::EndAnnounced, announced),
        (Sign::Deprovisioned, removed),
    ] {
        if let Some(time) = time {
            life.observe(sign, at(time));
        }
    }
    life.spans()
}

fn to(origin: &str, watermark: UsageHour, spans: &Spans, now: &str) -> Destination {
    let (policy, schedule) = (LatePolicy::Carry, Schedule::default());
    destination(policy, schedule, hour(origin), watermark, spans, at(now))
}

#[track_caller]
fn check(origin: &str, ends: (Option<&str>, Option<&str>), now: &str, expected: Destination) {
    let watermark = Schedule::default().latest_due(at(now));
    let spans = spans(ends.0, ends.1);
    assert_eq!(to(origin, watermark, &spans, now), expected, "{now}");
}

#[test]
fn late_usage_of_a_live_subscription_goes_into_the_running_hour() {
    let running = Carried(hour("2026-11-21T07"));
    check(
        "2026-11-21T02",
        (None, None),
        "2026-11-21T07:10:00Z",
        running,
    );
}

#[test]
fn late_usage_of_an_ending_subscription_goes_into_its_last_hour_while_that_is_open() {
    let last = Carried(hour("2026-11-21T06"));
    let (announced, removed) = (Some("2026-11-21T06:50:00Z"), Some("2026-11-21T06:50:31Z"));
    for ends in [(announced, None), (None, announced), (announced, removed)] {
        check("2026-11-21T02", ends, "2026-11-21T06:55:00Z", last);
        check("2026-11-21T02", ends, "2026-11-21T07:09:59Z", last);
    }
    let removed = (announced, removed);
    check("2026-11-21T02", removed, "2026-11-21T07:10:00Z", Undecided);
    check("2026-11-21T06", removed, "2026-11-21T07:05:00Z", Undecided);
    check(
        "2026-11-21T02",
        removed,
        "2026-11-21T07:50:31Z",
        HeldNotInForce,
    );
}

#[test]
fn an_announcement_alone_closes_only_the_hour_that_is_sealed_early() {
    let announced = (Some("2026-11-21T06:10:00Z"), None);
    check(
        "2026-11-21T02",
        announced,
        "2026-11-21T06:35:00Z",
        Undecided,
    );
    check(
        "2026-11-21T06",
        announced,
        "2026-11-21T06:35:00Z",
        Undecided,
    );
    let running = Carried(hour("2026-11-21T07"));
    check("2026-11-21T02", announced, "2026-11-21T07:00:00Z", running);
    check("2026-11-21T06", announced, "2026-11-21T07:00:00Z", running);
    let given_up = "2026-11-22T08:10:00Z";
    check("2026-11-21T06", announced, given_up, HeldNotInForce);
    check("2026-11-22T03", announced, given_up, HeldNotInForce);
}

#[test]
fn usage_of_hours_after_a_removal_waits_until_it_is_certain() {
    let removed = (None, Some("2026-11-21T06:10:00Z"));
    check("2026-11-21T07", removed, "2026-11-21T07:09:59Z", Undecided);
    check(
        "2026-11-21T07",
        removed,
        "2026-11-21T07:10:00Z",
        HeldNotInForce,
    );
}

#[test]
fn usage_in_a_gap_is_held_and_none_is_carried_into_one() {
    let mut life = Lifecycle::default();
    life.observe(Sign::Activated, at("2026-11-01T00:00:00Z"));
    life.observe(Sign::Deprovisioned, at("2026-11-30T20:10:00Z"));
    life.observe(Sign::Activated, at("2026-12-01T00:30:00Z"));
    let spans = life.spans();
    let watermark = hour("2026-11-30T22");
    for origin in ["2026-11-30T19", "2026-11-30T21"] {
        let now = "2026-12-01T01:00:00Z";
        assert_eq!(to(origin, watermark, &spans, now), HeldNotInForce);
    }
}

#[test]
fn usage_of_one_purchase_is_not_carried_into_the_next() {
    let mut life = Lifecycle::default();
    life.observe(Sign::Activated, at("2026-11-01T00:00:00Z"));
    life.observe(Sign::Deprovisioned, at("2026-11-21T02:10:00Z"));
    life.observe(Sign::Activated, at("2026-11-21T04:10:00Z"));
    let spans = life.spans();
    let watermark = hour("2026-11-21T05");
    let now = "2026-11-21T06:40:00Z";
    let running = hour("2026-11-21T06");
    assert_eq!(to("2026-11-21T02", watermark, &spans, now), HeldNotInForce);
    assert_eq!(
        to("2026-11-21T04", watermark, &spans, now),
        Carried(running)
    );
    // A person may carry it nevertheless.
    let open = open_hour(
        Schedule::default(),
        hour("2026-11-21T02"),
        watermark,
        &spans,
        at(now),
    );
    assert_eq!(open, Ok(running));
}

#[test]
fn the_past_months_last_hour_is_closed_when_the_hour_of_the_first_sign_is_sealed() {
    let ends = (Some("2026-11-30T23:50:00Z"), Some("2026-12-01T00:05:00Z"));
    let last = Carried(hour("2026-11-30T23"));
    check("2026-11-30T21", ends, "2026-12-01T00:09:59Z", last);
    check("2026-11-30T21", ends, "2026-12-01T00:10:00Z", Undecided);
}

#[test]
fn usage_that_the_policy_or_the_month_holds_is_not_released_by_an_agreement() {
    let (none, schedule) = (spans(None, None), Schedule::default());
    let now = at("2026-11-21T07:10:00Z");
    let (origin, watermark) = (hour("2026-11-21T02"), hour("2026-11-21T05"));
    let held = destination(LatePolicy::Hold, schedule, origin, watermark, &none, now);
    assert_eq!(held, Held);
    check("2026-11-21T02", (None, None), "2026-12-21T07:10:00Z", Held);
    assert_eq!(Held.movement(), Some((MovementKind::Held, None)));
    assert_eq!(Undecided.movement(), None);
}

#[test]
fn policies_are_read_by_name() {
    assert_eq!("carry".parse(), Ok(LatePolicy::Carry));
    assert_eq!("hold".parse(), Ok(LatePolicy::Hold));
    assert!("Carry".parse::<LatePolicy>().is_err());
}

#[test]
fn an_ending_subscriptions_last_hour_is_closed_once_the_watermark_has_it() {
    let spans = spans(None, Some("2026-11-21T06:50:00Z"));
    let to = |watermark: &str| {
        let now = "2026-11-21T07:05:00Z";
        to("2026-11-21T02", hour(watermark), &spans, now)
    };
    assert_eq!(to("2026-11-21T05"), Carried(hour("2026-11-21T06")));
    assert_eq!(to("2026-11-21T06"), Undecided);
}
