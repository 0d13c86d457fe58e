use super::*;
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn life(signs: &[(Sign, i64)]) -> Lifecycle {
    let mut life = Lifecycle::default();
    for (sign, second) in signs {
        life.observe(*sign, at(*second));
    }
    life
}

#[test]
fn the_status_follows_the_signs_of_an_ordinary_life() {
    use Sign::*;
    assert_eq!(life(&[]).status(), Status::Pending);
    assert_eq!(life(&[(Activated, 0)]).status(), Status::Active);
    let ending = life(&[(Activated, 0), (EndAnnounced, 100)]);
    assert_eq!(
        (ending.status(), ending.first_end()),
        (Status::Ending, Some(at(100)))
    );
    let removed = life(&[(Activated, 0), (EndAnnounced, 100), (Deprovisioned, 131)]);
    assert_eq!(removed.first_end(), Some(at(100)));
    assert_eq!(life(&[(EndAnnounced, 100)]).status(), Status::Ending);
}

#[test]
fn a_renewal_or_a_new_purchase_revives() {
    use Sign::*;
    let mut life = life(&[(Activated, 0), (EndAnnounced, 100)]);
    life.closed_at = Some(at(9_000));
    assert_eq!(life.status(), Status::Ended);
    assert!(life.observe(Activated, at(10_000)));
    assert_eq!(
        (life.status(), life.activated_at()),
        (Status::Active, Some(at(0)))
    );
    life.observe(Deprovisioned, at(20_000));
    assert_eq!(life.first_end(), Some(at(20_000)));
}

#[test]
fn a_late_sign_of_an_old_end_changes_nothing() {
    use Sign::*;
    let mut life = life(&[(Activated, 0), (Activated, 500)]);
    life.observe(EndAnnounced, at(100));
    assert_eq!(life.status(), Status::Active);
}

#[test]
fn usage_may_belong_to_the_day_before_the_activation_even_if_that_became_known_later() {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let known_since = time("2026-11-21T14:10:00Z");
    let mut life = Lifecycle::default();
    let first = |life: &Lifecycle| life.first_possible_hour(known_since).to_string();
    assert_eq!(first(&life), "2026-11-20T14");
    for (activated, expected) in [
        ("2026-11-21T15:00:00Z", "2026-11-20T14"),
        ("2026-11-21T08:30:00Z", "2026-11-20T08"),
    ] {
        life.observe(Sign::Activated, time(activated));
        assert_eq!(first(&life), expected, "{activated}");
    }
}

#[test]
fn a_purchase_after_a_removal_is_a_span_of_its_own() {
    use Sign::*;
    let life = life(&[
        (Activated, 0),
        (EndAnnounced, 100),
        (Deprovisioned, 131),
        (Deprovisioned, 3_700),
        (Activated, 500_000),
        (EndAnnounced, 600_000),
    ]);
    let spans: Vec<Span> = life.spans().iter().copied().collect();
    let first = Span {
        began_at: at(0),
        announced_at: Some(at(100)),
        removed_at: Some(at(131)),
        last_removed_at: Some(at(3_700)),
    };
    let second = Span {
        announced_at: Some(at(600_000)),
        ..Span::since(at(500_000))
    };
    assert_eq!(spans, [first, second]);
    assert_eq!(life.first_end(), Some(at(600_000)));
}

#[test]
fn an_activation_overrules_an_announcement_and_keeps_the_start() {
    use Sign::*;
    let signs = [(Activated, 0), (EndAnnounced, 100), (Activated, 150)];
    let renewed = life(&signs);
    let spans: Vec<Span> = renewed.spans().iter().copied().collect();
    assert_eq!(spans, [Span::since(at(0))]);
    assert_eq!(renewed.status(), Status::Active);
}

#[test]
fn new_signs_of_the_past_open_a_closed_subscription() {
    use Sign::*;
    let mut life = life(&[(Activated, 0), (Deprovisioned, 131)]);
    life.closed_at = Some(at(9_000));
    life.observe(Activated, at(140));
    life.observe(Deprovisioned, at(8_000));
    assert_eq!((life.status(), life.closed_at), (Status::Ending, None));
    life.closed_at = Some(at(20_000));
    // These signs are known already, or inside a span, so the subscription stays closed.
    life.observe(Activated, at(140));
    life.observe(Activated, at(200));
    assert_eq!(life.status(), Status::Ended);
}

fn signs_of(drawn: &[(usize, i64)]) -> Vec<(Sign, i64)> {
    use Sign::*;
    let all = [Activated, EndAnnounced, Deprovisioned, Failed];
    drawn
        .iter()
        .map(|(sign, time)| (all[*sign], *time))
        .collect()
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_have_the_same_result(
        drawn in proptest::collection::vec((0usize..4, 0i64..1_000), 0..300),
        seed in 0u64..1_000,
    ) {
        let signs = signs_of(&drawn);
        let mut other = [signs.clone(), signs.clone()].concat();
        // A simple shuffle that depends only on its input, so that a failure can be repeated.
        other.sort_by_key(|(sign, time)| {
            let mixed = (*time as u64).wrapping_mul(seed.wrapping_mul(2).wrapping_add(1));
            (mixed % 997, *sign)
        });
        let (one, other) = (life(&signs), life(&other));
        prop_assert_eq!(&one, &other);
        prop_assert!(one.signs().count() <= 3 * SIGNS_MAX);
        let first = signs.iter().filter(|(sign, _)| *sign == Sign::Activated);
        prop_assert_eq!(one.activated_at(), first.map(|(_, time)| at(*time)).min());
    }

    #[test]
    fn spans_never_overlap_and_no_instant_is_in_two(
        drawn in proptest::collection::vec((0usize..4, 0i64..60), 0..40),
    ) {
        let spans = life(&signs_of(&drawn)).spans();
        let spans: Vec<&Span> = spans.iter().collect();
        for pair in spans.windows(2) {
            let ended = pair[0].last_removed_at.expect("only the last goes on");
            prop_assert!(pair[0].removed_at <= Some(ended));
            prop_assert!(pair[0].began_at <= ended && ended < pair[1].began_at);
        }
        for second in -1..61 {
            let holding = spans.iter().filter(|span| span.contains(at(second))).count();
            prop_assert!(holding <= 1);
        }
    }
}

#[test]
fn names_in_tables_are_read_back() {
    let all = [
        (Status::Pending, "pending"),
        (Status::Active, "active"),
        (Status::Ending, "ending"),
        (Status::Ended, "ended"),
    ];
    for (status, name) in all {
        assert_eq!((status.as_str(), status.to_string().as_str()), (name, name));
        assert_eq!(name.parse(), Ok(status));
    }
    assert!("over".parse::<Status>().is_err());
    let signs = [
        Sign::Activated,
        Sign::EndAnnounced,
        Sign::Deprovisioned,
        Sign::Failed,
    ];
    assert_eq!(
        signs.map(Sign::as_str),
        ["activated", "end-announced", "deprovisioned", "failed"]
    );
    for sign in signs {
        assert_eq!(sign.as_str().parse(), Ok(sign));
    }
    assert!("over".parse::<Sign>().is_err());
}
