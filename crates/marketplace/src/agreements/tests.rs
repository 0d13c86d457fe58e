use super::*;
use crate::lifecycle::Sign::*;
use crate::lifecycle::Status;
use crate::spans::Span;
use jiff::Timestamp;
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

/// The signs of a license.
type Signs<'a> = &'a [(Sign, i64)];

fn combined(own: &Lifecycle, agreements: &[&[Signs<'_>]]) -> Lifecycle {
    let licenses = |of: &&[Signs<'_>]| of.iter().map(|signs| life(signs)).collect();
    let agreements: Vec<Vec<Lifecycle>> = agreements.iter().map(licenses).collect();
    lifecycle_of(own.clone(), &agreements, None)
}

/// Checks agreements of one license each, in both orders.
#[track_caller]
fn check(agreements: &[Signs<'_>], status: Status, end: Option<i64>) {
    let mut agreements: Vec<&[Signs<'_>]> = agreements.iter().map(std::slice::from_ref).collect();
    for _ in 0..2 {
        let one = combined(&Lifecycle::default(), &agreements);
        assert_eq!((one.status(), one.first_end()), (status, end.map(at)));
        agreements.reverse();
    }
}

#[test]
fn a_subscription_ends_when_no_later_agreement_is_in_force() {
    let old: Signs<'_> = &[(Activated, 0), (EndAnnounced, 100), (Deprovisioned, 131)];
    check(&[old], Status::Ending, Some(100));
    // The subscription was renewed before the old agreement's end.
    check(&[old, &[(Activated, 90)]], Status::Active, None);
    let ending: Signs<'_> = &[(Activated, 90), (EndAnnounced, 500)];
    check(&[old, ending], Status::Ending, Some(500));
    // An agreement without any sign changes nothing.
    check(&[old, &[]], Status::Ending, Some(100));
}

#[test]
fn an_older_agreement_does_not_overrule_the_end_of_a_newer_one() {
    let new: Signs<'_> = &[(Activated, 90), (EndAnnounced, 200), (Deprovisioned, 231)];
    let older: [Signs<'_>; 4] = [
        // It ends after the newer one.
        &[(Activated, 0), (EndAnnounced, 300)],
        // Its end is never reported.
        &[(Activated, 0)],
        // It was amended. The first activation counts, not the last one.
        &[(Activated, 0), (Activated, 95)],
        // Both were activated at the same time.
        &[(Activated, 90)],
    ];
    for old in older {
        check(&[old, new], Status::Ending, Some(200));
    }
}

#[test]
fn an_end_without_an_activation_is_overruled_by_every_agreement_in_force() {
    for end in [EndAnnounced, Deprovisioned] {
        let unknown: Signs<'_> = &[(end, 100)];
        check(&[unknown], Status::Ending, Some(100));
        check(&[unknown, &[(Activated, 0)]], Status::Active, None);
        check(&[unknown, &[(Activated, 100)]], Status::Active, None);
        // An agreement that is not in force at that time overrules nothing.
        let ended: Signs<'_> = &[(Activated, 0), (Deprovisioned, 60)];
        check(&[unknown, ended], Status::Ending, Some(60));
        // The agreement without an activation overrules nothing.
        let known: Signs<'_> = &[(Activated, 0), (EndAnnounced, 50)];
        check(&[known, &[(end, 40)]], Status::Ending, Some(50));
    }
}

#[test]
fn an_agreement_goes_on_until_the_last_of_its_licenses_is_removed() {
    let removed: Signs<'_> = &[(Activated, 0), (Deprovisioned, 100)];
    let check = |own: &Lifecycle, agreements: &[&[Signs<'_>]], end: Option<i64>| {
        let life = combined(own, agreements);
        assert_eq!(life.first_end(), end.map(at), "{agreements:?}");
        life
    };
    let before = check(&Lifecycle::default(), &[&[removed]], Some(100));
    // The other license becomes known after the removal was counted.
    for later in [0, 10, 100] {
        let other: Signs<'_> = &[(Activated, later)];
        check(&before, &[&[removed, other]], None);
        check(&before, &[&[other, removed]], None);
        let ended: Signs<'_> = &[(Activated, later), (Deprovisioned, 200)];
        check(&before, &[&[removed, ended]], Some(200));
    }
    // A license that an old agreement got late does not make the old agreement newer.
    let old: &[Signs<'_>] = &[&[(Activated, 0)], &[(Activated, 60)]];
    let new: &[Signs<'_>] = &[&[(Activated, 50), (Deprovisioned, 100)]];
    check(&Lifecycle::default(), &[old, new], Some(100));
}

#[test]
fn a_record_belongs_to_the_agreement_that_was_in_force_at_its_timestamp() {
    // Each agreement is its name with its signs.
    #[track_caller]
    fn check(known: &[(&str, &[(Sign, i64)])], span_from: i64, stamp: i64, expect: Option<&str>) {
        let known: Vec<(AgreementId, Lifecycle)> = known
            .iter()
            .map(|(id, signs)| (id.parse().unwrap(), life(signs)))
            .collect();
        let spans = Spans::one(Span::since(at(span_from)));
        let found = agreement_at(&known, &spans, at(stamp));
        assert_eq!(found.map(AgreementId::as_str), expect, "{stamp}");
    }
    let old: (&str, &[_]) = (
        "old",
        &[(Activated, 0), (Activated, 70_000), (EndAnnounced, 90_100)],
    );
    let new: (&str, &[_]) = ("new", &[(Activated, 90_000)]);
    for (stamp, expect) in [
        (0, "old"),
        (80_000, "old"),
        (89_999, "old"),
        (90_000, "new"),
        (90_050, "new"),
        (200_000, "new"),
    ] {
        check(&[old, new], 0, stamp, Some(expect));
        check(&[new, old], 0, stamp, Some(expect));
    }
    // The new agreement began after a gap, and the old one was removed before it.
    let removed: (&str, &[_]) = ("old", &[(Activated, 0), (Deprovisioned, 50_000)]);
    check(&[removed, new], 0, 50_000, Some("old"));
    check(&[removed, new], 0, 50_001, None);
    // Only the renewal is known: the agreement before it has another name.
    check(&[new], 0, 89_999, None);
    check(&[new], 0, 90_000, Some("new"));
    // The customer's sign of the purchase came a little before the agreement's sign.
    check(&[new], 86_401, 89_999, Some("new"));
    check(&[new], 86_400, 89_999, None);
    check(&[new], 90_000, 89_999, None);
    // The activation of an agreement is unknown.
    check(&[("named", &[])], 0, 100, Some("named"));
    check(&[("named", &[]), new], 0, 100_000, None);
    check(&[], 0, 100, None);
    // Two agreements began at the same time.
    check(&[("other", &[(Activated, 90_000)]), new], 0, 90_000, None);
    // A purchase failed, or was ended before it began.
    check(&[("failed", &[(EndAnnounced, 5)])], 0, 100, Some("failed"));
}

#[test]
fn an_end_without_any_agreement_counts() {
    let own = life(&[(Activated, 0), (Deprovisioned, 100)]);
    assert_eq!(lifecycle_of(own.clone(), &[], None), own);
    let customer = life(&[(Activated, 0), (EndAnnounced, 50)]);
    let both = lifecycle_of(own, &[vec![life(&[(Activated, 0)])]], Some(customer));
    assert_eq!(both.first_end(), Some(at(50)));
}

#[test]
fn a_purchase_made_and_ended_again_after_closing_is_open_again() {
    let mut own = life(&[(Activated, 0), (Deprovisioned, 100)]);
    own.closed_at = Some(at(5_000));
    assert_eq!(lifecycle_of(own.clone(), &[], None).status(), Status::Ended);
    let again = vec![life(&[(Activated, 9_000), (Deprovisioned, 9_500)])];
    assert_eq!(lifecycle_of(own, &[again], None).status(), Status::Ending);
}

proptest! {
    #[test]
    fn any_order_of_delivery_has_the_same_result(
        events in proptest::collection::vec((0usize..5, 0usize..4, 0i64..500), 0..10),
        swaps in proptest::collection::vec((0usize..10, 0usize..10), 0..10),
    ) {
        // Lifecycles 0 to 3 belong to licenses. Licenses 0 and 1 are of one agreement. Lifecycle 4
        // is the legacy customer's.
        let deliver = |events: &[(usize, usize, i64)]| {
            let mut lives: [Lifecycle; 5] = Default::default();
            let mut own = Lifecycle::default();
            for (owner, sign, second) in events {
                let sign = [Activated, EndAnnounced, Deprovisioned, Failed][*sign];
                lives[*owner].observe(sign, at(*second));
                let agreements = [&lives[..2], &lives[2..3], &lives[3..4]];
                let agreements = agreements.map(<[Lifecycle]>::to_vec);
                own = lifecycle_of(own, &agreements, Some(lives[4].clone()));
            }
            own
        };
        let mut other = events.clone();
        for (a, b) in swaps {
            if a < other.len() && b < other.len() {
                other.swap(a, b);
            }
        }
        prop_assert_eq!(deliver(&events), deliver(&other));
    }
}
