//! Computes a subscription's lifecycle from the lifecycles of its agreements and of its legacy
//! customer.
//!
//! A renewal, an amendment or a replacement creates a new agreement, often for the same license.
//! The old agreement's end may be dated after the new one's start. If all signs were folded into
//! one lifecycle, the old end would close a subscription that goes on. So each agreement keeps its
//! own lifecycle, and the end of an agreement counts only if no other agreement overrules it.
//!
//! Facts: M28, M43, M49 (docs/marketplace-rules.md).

use jiff::{SignedDuration, Timestamp};

use crate::hour::shift;
use crate::ids::AgreementId;
use crate::lifecycle::{Lifecycle, Sign};
use crate::spans::Spans;

/// Combines everything that is known about one subscription: `own` is the lifecycle in its profile,
/// `agreements` are its agreements, and `customer` is the lifecycle in the SNS messages about its
/// legacy customer. Each agreement has one lifecycle for each of its licenses that the subscription
/// covers, or a single one if no license is known.
///
/// The end of a license or an agreement does not count if something else is in force at that time
/// and overrules it:
/// * Another license of the same agreement overrules it.
/// * A license of another agreement overrules it if that agreement was activated later. A
///   subscription has one agreement at a time, because a product with concurrent agreements is
///   metered by license, and a license belongs to one agreement at a time. A renewal puts a new
///   agreement in the place of the old one, and the end of the old one may never be reported. So an
///   old agreement must not overrule the end of a new one, even if it still looks in force. If both
///   were activated at the same time, nothing shows which one is newer, and the end counts. An end
///   that counts wrongly only makes a person decide about usage, while an end that is overruled
///   wrongly loses the usage of the final hour.
///
/// An agreement without any activation is never in force, so it overrules nothing. Its own end is
/// overruled by everything that is in force: it may be the old agreement of a renewal, whose
/// activation came before the stack existed or is still on its way.
///
/// The result depends on the known signs, not on the order in which they became known.
pub fn lifecycle_of(
    own: Lifecycle,
    agreements: &[Vec<Lifecycle>],
    customer: Option<Lifecycle>,
) -> Lifecycle {
    let licenses: Vec<License> = agreements
        .iter()
        .enumerate()
        .flat_map(|(agreement, licenses)| {
            let activated_at = licenses.iter().filter_map(Lifecycle::activated_at).min();
            licenses.iter().map(move |lifecycle| License {
                agreement,
                agreement_activated_at: activated_at,
                lifecycle,
                spans: lifecycle.spans(),
            })
        })
        .collect();
    let mut life = Lifecycle::default();
    for (sign, at) in own.signs() {
        // An end that is also an agreement's end is skipped here. It counts only if nothing
        // overrules it, and the next loop decides that.
        let is_accounted_for = licenses.iter().any(|one| one.lifecycle.has(sign, at));
        if sign == Sign::Activated || !is_accounted_for {
            life.observe(sign, at);
        }
    }
    for license in &licenses {
        for (sign, at) in license.lifecycle.signs() {
            let is_overruled = || licenses.iter().any(|other| other.overrules(license, at));
            if sign == Sign::Activated || !is_overruled() {
                life.observe(sign, at);
            }
        }
    }
    for (sign, at) in customer.iter().flat_map(Lifecycle::signs) {
        life.observe(sign, at);
    }
    // A closed subscription stays closed only if the times in which it was in force are unchanged.
    life.closed_at = own.closed_at.filter(|_| life.spans() == own.spans());
    life
}

/// A license of an agreement, or an agreement without known licenses.
struct License<'a> {
    /// The number of its agreement.
    agreement: usize,
    /// The first activation of any license of its agreement.
    agreement_activated_at: Option<Timestamp>,
    lifecycle: &'a Lifecycle,
    spans: Spans,
}

impl License<'_> {
    /// Whether this license is in force at `at` and overrules an end of the license `ended`. A
    /// license is not in force at its own end, so it never overrules itself.
    fn overrules(&self, ended: &Self, at: Timestamp) -> bool {
        // An unknown activation is `None`, which is less than every time.
        let is_newer = self.agreement_activated_at > ended.agreement_activated_at;
        let is_other = !std::ptr::eq(self, ended);
        is_other
            && (self.agreement == ended.agreement || is_newer)
            && self.spans.iter().any(|span| span.contains(at))
    }
}

/// The agreement under which a record with the timestamp `stamp` was metered. `known` are all
/// agreements of the subscription, and `spans` are the times in which it is in force. `None` if the
/// signs do not show it.
///
/// The result is the latest agreement that began at or before `stamp`, because a renewal's old
/// agreement may end after the new one began. An agreement begins with its first activation. An
/// announced end alone does not end it. If the activation of an agreement is unknown, the result is
/// uncertain and therefore `None`, unless there is no other agreement.
pub fn agreement_at<'a>(
    known: &'a [(AgreementId, Lifecycle)],
    spans: &Spans,
    stamp: Timestamp,
) -> Option<&'a AgreementId> {
    let began = |life: &Lifecycle| life.activated_at();
    if let [(only, life)] = known
        && began(life).is_none()
    {
        return Some(only);
    }
    if known.iter().any(|(_, life)| began(life).is_none()) {
        return None;
    }
    let Some(latest) = known
        .iter()
        .filter_map(|(_, life)| began(life).filter(|at| *at <= stamp))
        .max()
    else {
        return first_of_its_span(known, spans, stamp);
    };
    let mut candidates = known.iter().filter(|(_, life)| began(life) == Some(latest));
    match (candidates.next(), candidates.next()) {
        (Some((id, life)), None) if life.spans().accept(stamp) => Some(id),
        _ => None,
    }
}

/// The agreement that began the span in which `stamp` lies, if its activation came within an hour
/// after the start of the span. The span can start with the sign of the legacy customer, which
/// comes before the agreement's sign. An agreement that begins later is a renewal, and the
/// agreement before it is unknown.
fn first_of_its_span<'a>(
    known: &'a [(AgreementId, Lifecycle)],
    spans: &Spans,
    stamp: Timestamp,
) -> Option<&'a AgreementId> {
    let span = spans.iter().rev().find(|span| span.began_at <= stamp)?;
    let soon = shift(span.began_at, SignedDuration::from_hours(1));
    let first = known
        .iter()
        .filter_map(|(_, life)| life.activated_at())
        .min()?;
    let mut candidates = known
        .iter()
        .filter(|(_, life)| first < soon && life.activated_at() == Some(first));
    match (candidates.next(), candidates.next()) {
        (Some((id, _)), None) => Some(id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
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
        let mut agreements: Vec<&[Signs<'_>]> =
            agreements.iter().map(std::slice::from_ref).collect();
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
        fn check(
            known: &[(&str, &[(Sign, i64)])],
            span_from: i64,
            stamp: i64,
            expect: Option<&str>,
        ) {
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
            // Lives 0 to 3 are those of licenses, the first two of one agreement. Life 4 is that of
            // the legacy customer.
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
}
