use super::*;
use crate::fold::Fold;
use crate::hour::UsageHour;
use crate::lifecycle::{Lifecycle, Sign};
use crate::slot::Slot;
use crate::spans::Span;
use crate::usage::{Field, UsageRow};
use proptest::prelude::*;

fn spans(activated: &str, removed: Option<&str>) -> Spans {
    let mut life = Lifecycle::default();
    life.observe(Sign::Activated, activated.parse().unwrap());
    if let Some(removed) = removed {
        life.observe(Sign::Deprovisioned, removed.parse().unwrap());
    }
    life.spans()
}

fn sealed(
    hour: &str,
    activated: &str,
    ended: Option<&str>,
    now: &str,
    dry_run: bool,
) -> Option<Sealing> {
    let spans = spans(activated, ended);
    seal_two_units(hour.parse().unwrap(), spans, dry_run, now.parse().unwrap())
}

fn seal_two_units(hour: UsageHour, spans: Spans, dry_run: bool, now: Timestamp) -> Option<Sealing> {
    let mut fold = Fold::new(hour, None);
    fold.add(&UsageRow {
        dimension_event: "gb#1".into(),
        quantity: Field::Value("2".into()),
        time: Field::Value(hour.start().to_string().into()),
        tags: Field::Absent,
        expires_at: None,
    })
    .unwrap();
    let slot = Slot {
        subscription: "legacy|code|cust".parse().unwrap(),
        hour,
        dimension: "gb".parse().unwrap(),
    };
    let terms = Terms {
        product: "code".parse().unwrap(),
        account: None,
        spans,
    };
    let policy = SealPolicy {
        dry_run,
        ..SealPolicy::default()
    };
    seal(slot, &fold.dimensions()["gb"], &terms, policy, now).unwrap()
}

#[track_caller]
fn check(
    hour: &str,
    activated: &str,
    ended: Option<&str>,
    now: &str,
    state: State,
    stamp: &str,
    recount: bool,
) {
    let sealing = sealed(hour, activated, ended, now, false).unwrap();
    assert_eq!(sealing.record.state, state);
    assert_eq!(sealing.record.stamp, stamp.parse::<Timestamp>().unwrap());
    assert_eq!(sealing.needs_recount, recount);
    assert_eq!(sealing.record.due.is_some(), state == State::Sealed);
}

#[test]
fn a_record_is_stamped_with_its_hour_or_the_activation_within_it() {
    let early = "2026-11-01T00:00:00Z";
    let hour = "2026-11-21T02";
    let now = "2026-11-21T03:30:00Z";
    check(
        hour,
        early,
        None,
        now,
        State::Sealed,
        "2026-11-21T02:00:00Z",
        false,
    );
    check(
        hour,
        "2026-11-21T02:24:10.013Z",
        None,
        now,
        State::Sealed,
        "2026-11-21T02:24:11Z",
        false,
    );
    check(
        hour,
        "2026-11-21T02:24:10Z",
        None,
        now,
        State::Sealed,
        "2026-11-21T02:24:10Z",
        false,
    );
    check(
        hour,
        early,
        Some("2026-11-21T02:10:00Z"),
        now,
        State::Sealed,
        "2026-11-21T02:00:00Z",
        false,
    );
}

proptest! {
    #[test]
    fn a_stamp_lies_in_its_hour_and_in_a_span_in_force(
        signs in proptest::collection::vec((0usize..3, 0i64..20 * 3_600), 0..8),
        hour in 0i64..20,
    ) {
        let start: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        let at = |second| shift(start, SignedDuration::from_secs(second));
        let mut life = Lifecycle::default();
        for (sign, second) in signs {
            let all = [Sign::Activated, Sign::EndAnnounced, Sign::Deprovisioned];
            life.observe(all[sign], at(second));
        }
        let (spans, hour) = (life.spans(), UsageHour::of(at(hour * 3_600)));
        let now = at(20 * 3_600);
        let sealing = seal_two_units(hour, spans.clone(), false, now);
        let Some(record) = sealing.map(|sealing| sealing.record) else {
            return Ok(());
        };
        prop_assert_eq!(UsageHour::of(record.stamp), hour);
        let holds = |span: &Span| {
            span.began_at <= record.stamp
                && span.removed_at.is_none_or(|end| record.stamp <= end)
        };
        let in_force = spans.iter().any(holds) && record.state != State::Moved;
        prop_assert_eq!(in_force, record.state == State::Sealed);
    }
}

#[test]
fn usage_outside_the_agreement_is_moved() {
    let now = "2026-11-21T03:30:00Z";
    let hour = "2026-11-21T02";
    check(
        hour,
        "2026-11-21T03:00:00Z",
        None,
        now,
        State::Moved,
        "2026-11-21T02:59:59Z",
        true,
    );
    let ended = Some("2026-11-21T01:59:59Z");
    check(
        hour,
        "2026-11-01T00:00:00Z",
        ended,
        now,
        State::Moved,
        "2026-11-21T02:00:00Z",
        true,
    );
}

#[test]
fn usage_found_after_its_deadline_becomes_an_expired_record() {
    let early = "2026-11-01T00:00:00Z";
    let stamp = "2026-11-21T02:00:00Z";
    check(
        "2026-11-21T02",
        early,
        None,
        "2026-11-22T01:59:59Z",
        State::Sealed,
        stamp,
        false,
    );
    check(
        "2026-11-21T02",
        early,
        None,
        "2026-11-22T02:00:00Z",
        State::Expired,
        stamp,
        true,
    );
}

#[test]
fn a_record_that_waits_gets_more_urgent_whatever_time_it_was_given() {
    let early = "2026-11-01T00:00:00Z";
    let check = |hour: &str, sealed_at: &str, now: &str, left: i64, used: i64| {
        let record = sealed(hour, early, None, sealed_at, false).unwrap().record;
        let urgency = record.urgency(now.parse().unwrap());
        assert_eq!((urgency.seconds_left, urgency.percent_used), (left, used));
    };
    let (hour, sealed) = ("2026-11-21T02", "2026-11-21T04:00:00Z");
    check(hour, sealed, sealed, 22 * 3_600, 0);
    check(hour, sealed, "2026-11-21T15:00:00Z", 11 * 3_600, 50);
    check(hour, sealed, "2026-11-22T03:00:00Z", -3_600, 100);
    let (last, sealed) = ("2026-11-30T23", "2026-12-01T05:00:00Z");
    check(last, sealed, "2026-12-01T05:48:00Z", 720, 80);
    let (sealed, now) = ("2026-11-21T03:30:00Z", "2026-11-21T04:20:00Z");
    let mut hurried = super::tests::sealed(hour, early, None, sealed, false)
        .unwrap()
        .record;
    for (final_at, left, used) in [
        ("2026-11-21T04:30:00Z", 600, 83),
        ("2026-11-21T04:00:00Z", -1_200, 100),
        ("2026-11-21T03:00:00Z", -4_800, 100),
        // The deadline is earlier than the end of the final hour.
        ("2026-11-23T00:00:00Z", 78_000, 3),
    ] {
        hurried.final_at = Some(final_at.parse().unwrap());
        let urgency = hurried.urgency(now.parse().unwrap());
        assert_eq!((urgency.seconds_left, urgency.percent_used), (left, used));
    }
}

#[test]
fn a_heartbeat_is_only_for_a_closed_hour_wholly_inside_the_agreement() {
    let zero_of = |hour: &str, activated: &str, ended: Option<&str>, now: &str, wanted: bool| {
        let key = format!("legacy|code|cust@{hour}#gb").parse().unwrap();
        let terms = Terms {
            product: "code".parse().unwrap(),
            account: None,
            spans: spans(activated, ended),
        };
        let policy = SealPolicy {
            heartbeats: wanted,
            ..SealPolicy::default()
        };
        heartbeat(key, &terms, policy, now.parse().unwrap())
    };
    let (hour, start, end) = (
        "2026-11-21T02",
        "2026-11-21T02:00:00Z",
        "2026-11-21T03:00:00Z",
    );
    let now = "2026-11-21T03:30:00Z";
    let record = zero_of(hour, start, Some(end), now, true).unwrap();
    assert_eq!(
        (record.quantity, record.state),
        (Quantity::ZERO, State::Sealed)
    );
    assert_eq!(record.stamp, start.parse::<Timestamp>().unwrap());
    for (activated, ended, now, wanted) in [
        (start, None, now, false),
        ("2026-11-21T02:00:01Z", None, now, true),
        (start, Some("2026-11-21T02:59:59Z"), now, true),
        (start, None, "2026-11-21T02:59:59Z", true),
        (start, None, "2026-11-22T02:00:00Z", true),
    ] {
        assert_eq!(zero_of(hour, activated, ended, now, wanted), None);
    }
}

#[test]
fn dry_run_records_are_never_due() {
    let sealing = sealed(
        "2026-11-21T02",
        "2026-11-01T00:00:00Z",
        None,
        "2026-11-21T03:30:00Z",
        true,
    )
    .unwrap();
    assert_eq!(
        (sealing.record.state, sealing.record.due),
        (State::DryRun, None)
    );
}

#[test]
fn an_end_at_an_hours_first_instant_leaves_the_hour_inside() {
    check(
        "2026-11-21T02",
        "2026-11-01T00:00:00Z",
        Some("2026-11-21T02:00:00Z"),
        "2026-11-21T03:30:00Z",
        State::Sealed,
        "2026-11-21T02:00:00Z",
        false,
    );
}

#[test]
fn only_sealed_and_refused_records_are_sent_and_only_before_their_deadline() {
    let early = "2026-11-01T00:00:00Z";
    let sealing = sealed("2026-11-21T02", early, None, "2026-11-21T03:30:00Z", false);
    let mut record = sealing.unwrap().record;
    let just_before = shift(record.deadline, SignedDuration::from_secs(-1));
    for state in State::ALL {
        record.state = state;
        let sendable = matches!(state, State::Sealed | State::Refused);
        assert_eq!(record.is_sendable(just_before), sendable, "{state}");
        assert!(!record.is_sendable(record.deadline), "{state}");
    }
}

#[test]
fn a_record_is_given_up_only_after_a_refusal_of_the_record_itself() {
    let now: Timestamp = "2026-11-21T04:00:00Z".parse().unwrap();
    let removed = spans("2026-11-01T00:00:00Z", Some("2026-11-21T01:30:00Z"));
    let slot: Slot = "legacy|code|cust@2026-11-21T02#gb".parse().unwrap();
    let deadline = slot.hour.plus(24).start();
    let record = |state: State, answered: u32, code: Option<&str>| MeteringRecord {
        state,
        sent: Transmissions {
            doubtful: 1,
            answered,
        },
        outcome: code.map(|code| Outcome {
            at: now,
            code: code.to_owned(),
            metering_record_id: None,
            quantity_at_aws: None,
        }),
        ..MeteringRecord::new(
            slot.clone(),
            "code".parse().unwrap(),
            "2".parse().unwrap(),
            deadline,
            now,
        )
    };
    let is_given_up = |state: State, answered: u32, code: Option<&str>| {
        record(state, answered, code).is_out_of_force(&removed, now)
    };
    assert!(!is_given_up(State::Sealed, 0, None));
    for code in [
        // These say nothing about the record. It may also have been in a batch that was refused
        // because of another record.
        "ThrottlingException",
        "AccessDeniedException",
        "InvalidProductCodeException",
        "InternalServiceErrorException",
        "Unprocessed",
        "Postponed",
        // Similar records were refused, and this one was not sent alone.
        "InvalidUsageDimensionException",
    ] {
        assert!(!is_given_up(State::Sealed, 4, Some(code)), "{code}");
    }
    for code in [
        "TimestampOutOfBoundsException",
        "InvalidLicenseException",
        "CustomerNotSubscribed",
    ] {
        assert!(is_given_up(State::Sealed, 1, Some(code)), "{code}");
        // Similar records were refused, and this one was never answered.
        assert!(!is_given_up(State::Sealed, 0, Some(code)), "{code}");
        assert!(!is_given_up(State::Unconfirmed, 1, Some(code)), "{code}");
    }
    // The refusal counts even if a later call was throttled.
    for code in ["InvalidUsageDimensionException", "ThrottlingException"] {
        assert!(is_given_up(State::Refused, 2, Some(code)), "{code}");
    }
    let refused = record(State::Sealed, 1, Some("InvalidLicenseException"));
    let in_force = spans("2026-11-01T00:00:00Z", None);
    assert!(!refused.is_out_of_force(&in_force, now));
    assert!(!refused.is_out_of_force(&removed, deadline));
    // A renewal may still become known.
    let soon = "2026-11-21T02:15:00Z".parse().unwrap();
    assert!(!refused.is_out_of_force(&removed, soon));
}

#[test]
fn of_all_records_that_are_sent_only_a_refused_one_waits_because_of_its_content() {
    let sendable = State::ALL.into_iter().filter(|state| state.is_sendable());
    let (content, request): (Vec<_>, Vec<_>) =
        sendable.partition(|state| state.waits_because_of_content());
    assert_eq!(
        (content, request),
        (vec![State::Refused], vec![State::Sealed])
    );
}

#[test]
fn only_a_record_with_an_outcome_and_nothing_to_come_is_closed() {
    let at = Timestamp::UNIX_EPOCH;
    for state in State::ALL {
        let may_close = matches!(
            state,
            State::Accepted | State::Conflict | State::Expired | State::Moved | State::DryRun
        );
        assert_eq!(is_closed(state, None, 0), may_close, "{state}");
        assert!(!is_closed(state, Some(at), 0), "{state}");
        assert!(!is_closed(state, None, 1), "{state}");
    }
}

#[test]
fn keys_and_states_have_the_names_that_are_in_tables_and_logs() {
    let names = State::ALL.map(State::as_str);
    assert_eq!(
        names.join(" "),
        "sealed accepted refused disputed conflict unconfirmed expired moved dry-run"
    );
    for state in State::ALL {
        assert_eq!(state.to_string().parse(), Ok(state));
    }
    assert!("lost".parse::<State>().is_err());
    let slot: Slot = "legacy|code|cust@2026-11-21T02#gb".parse().unwrap();
    assert_eq!(slot.to_string(), "legacy|code|cust@2026-11-21T02#gb");
}
