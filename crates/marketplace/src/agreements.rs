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
use crate::spans::{Span, Spans};
use crate::subscription::IdentityKind;

/// How many agreements of one subscription can be in force at the same time. That decides which
/// agreements overrule the end of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgreementsInForce {
    /// Only one agreement: the one that was activated last. A license belongs to one agreement at a
    /// time, and a renewal that keeps the license gives it to the new agreement. The end of the old
    /// agreement may never be reported. So the old agreement must not overrule the end of the new
    /// one, even if it still looks in force.
    OnlyTheLatest,
    /// Any number of agreements. An account or a legacy customer can have several purchases of one
    /// product, and the subscription goes on until the last of them has ended.
    Several,
}

impl AgreementsInForce {
    /// The rule for the subscriptions that are identified by `kind`.
    pub fn of(kind: IdentityKind) -> Self {
        match kind {
            IdentityKind::License => Self::OnlyTheLatest,
            IdentityKind::Customer | IdentityKind::Account => Self::Several,
        }
    }

    /// Whether the agreement `other`, while it is in force, overrules an end of the agreement
    /// `ended`.
    fn overrules(self, other: &Lifecycle, ended: &Lifecycle) -> bool {
        match self {
            // An unknown activation is `None`, which is less than every time.
            Self::OnlyTheLatest => other.activated_at() > ended.activated_at(),
            Self::Several => true,
        }
    }
}

/// Combines everything that is known about one subscription: `own` is the lifecycle in its profile,
/// `agreements` are the lifecycles of its agreements, and `customer` is the lifecycle in the SNS
/// messages about its legacy customer. If an agreement grants several licenses of the subscription,
/// it has one lifecycle for each of them.
///
/// An agreement's end does not count if another agreement is in force at that time and overrules
/// it. `in_force` says which agreements do so:
/// * [`AgreementsInForce::Several`]: every other agreement.
/// * [`AgreementsInForce::OnlyTheLatest`]: every agreement whose first activation is later than the
///   first activation of the agreement that ended. If both have the same time, nothing shows which
///   one has the license, and the end counts. An end that counts wrongly only makes a person decide
///   about usage, while an end that is overruled wrongly loses the usage of the final hour.
///
/// An agreement without any activation is never in force, so it overrules nothing. Its own end is
/// overruled by every other agreement that is in force, under both rules: it may be the old
/// agreement of a renewal, whose activation came before the stack existed or is still on its way.
///
/// The result depends on the known signs, not on the order in which they became known.
pub fn lifecycle_of(
    own: Lifecycle,
    agreements: &[Lifecycle],
    customer: Option<Lifecycle>,
    in_force: AgreementsInForce,
) -> Lifecycle {
    let spans: Vec<Spans> = agreements.iter().map(Lifecycle::spans).collect();
    let mut life = Lifecycle::default();
    for (sign, at) in own.signs() {
        // An end that is also an agreement's end is skipped here. It counts only if no other
        // agreement overrules it, and the next loop decides that.
        let is_accounted_for = agreements.iter().any(|one| one.has(sign, at));
        if sign == Sign::Activated || !is_accounted_for {
            life.observe(sign, at);
        }
    }
    for (number, agreement) in agreements.iter().enumerate() {
        let others = agreements.iter().zip(&spans).enumerate();
        let overruling: Vec<&Spans> = others
            .filter(|(n, (other, _))| *n != number && in_force.overrules(other, agreement))
            .map(|(_, (_, spans))| spans)
            .collect();
        for (sign, at) in agreement.signs() {
            let is_end = sign != Sign::Activated;
            if !is_end || !is_any_in_force(&overruling, at) {
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

/// Whether one of the agreements with these spans is in force at `at`.
fn is_any_in_force(agreements: &[&Spans], at: Timestamp) -> bool {
    let mut spans = agreements.iter().flat_map(|spans| spans.iter());
    spans.any(|span: &Span| span.contains(at))
}

#[cfg(test)]
mod tests {
    use super::AgreementsInForce::*;
    use super::*;
    use crate::lifecycle::Sign::*;
    use crate::lifecycle::Status;
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

    #[track_caller]
    fn check(
        in_force: AgreementsInForce,
        agreements: &[&[(Sign, i64)]],
        status: Status,
        end: Option<i64>,
    ) {
        let agreements: Vec<_> = agreements.iter().map(|signs| life(signs)).collect();
        let one = lifecycle_of(Lifecycle::default(), &agreements, None, in_force);
        let found = (one.status(), one.first_end());
        assert_eq!(found, (status, end.map(at)), "{in_force:?}");
    }

    #[test]
    fn a_subscription_ends_when_no_later_agreement_is_in_force() {
        let old = &[(Activated, 0), (EndAnnounced, 100), (Deprovisioned, 131)];
        for rule in [OnlyTheLatest, Several] {
            check(rule, &[old], Status::Ending, Some(100));
            // The subscription was renewed before the old agreement's end.
            check(rule, &[old, &[(Activated, 90)]], Status::Active, None);
            check(
                rule,
                &[old, &[(Activated, 90), (EndAnnounced, 500)]],
                Status::Ending,
                Some(500),
            );
            // An agreement without any sign changes nothing.
            check(rule, &[old, &[]], Status::Ending, Some(100));
        }
    }

    #[test]
    fn an_older_agreement_overrules_the_end_of_a_newer_one_only_if_both_can_be_in_force() {
        let new: &[(Sign, i64)] = &[(Activated, 90), (EndAnnounced, 200), (Deprovisioned, 231)];
        // The older of two agreements ends after the newer one.
        let late: &[(Sign, i64)] = &[(Activated, 0), (EndAnnounced, 300)];
        // The end of the older agreement is never reported.
        let endless: &[(Sign, i64)] = &[(Activated, 0)];
        for agreements in [[late, new], [new, late]] {
            check(OnlyTheLatest, &agreements, Status::Ending, Some(200));
            check(Several, &agreements, Status::Ending, Some(300));
        }
        for agreements in [[endless, new], [new, endless]] {
            check(OnlyTheLatest, &agreements, Status::Ending, Some(200));
            check(Several, &agreements, Status::Active, None);
        }
        // Both were activated at the same time.
        let same: &[(Sign, i64)] = &[(Activated, 90)];
        for agreements in [[same, new], [new, same]] {
            check(OnlyTheLatest, &agreements, Status::Ending, Some(200));
            check(Several, &agreements, Status::Active, None);
        }
        // The first activation counts, not the last one: the old agreement was amended.
        let amended: &[(Sign, i64)] = &[(Activated, 0), (Activated, 95)];
        check(OnlyTheLatest, &[amended, new], Status::Ending, Some(200));
    }

    #[test]
    fn an_end_without_an_activation_is_overruled_by_every_agreement_in_force() {
        for rule in [OnlyTheLatest, Several] {
            for end in [EndAnnounced, Deprovisioned] {
                let unknown: &[(Sign, i64)] = &[(end, 100)];
                check(rule, &[unknown], Status::Ending, Some(100));
                check(rule, &[unknown, &[(Activated, 0)]], Status::Active, None);
                check(rule, &[unknown, &[(Activated, 100)]], Status::Active, None);
                // An agreement that is not in force at that time overrules nothing.
                let ended: &[(Sign, i64)] = &[(Activated, 0), (Deprovisioned, 60)];
                check(rule, &[unknown, ended], Status::Ending, Some(60));
                // The agreement without an activation overrules nothing.
                let known: &[(Sign, i64)] = &[(Activated, 0), (EndAnnounced, 50)];
                check(rule, &[known, &[(end, 40)]], Status::Ending, Some(50));
            }
        }
    }

    #[test]
    fn only_a_license_belongs_to_one_agreement_at_a_time() {
        assert_eq!(AgreementsInForce::of(IdentityKind::License), OnlyTheLatest);
        assert_eq!(AgreementsInForce::of(IdentityKind::Customer), Several);
        assert_eq!(AgreementsInForce::of(IdentityKind::Account), Several);
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
        for rule in [OnlyTheLatest, Several] {
            let own = life(&[(Activated, 0), (Deprovisioned, 100)]);
            assert_eq!(lifecycle_of(own.clone(), &[], None, rule), own);
            let customer = life(&[(Activated, 0), (EndAnnounced, 50)]);
            let both = lifecycle_of(own, &[life(&[(Activated, 0)])], Some(customer), rule);
            assert_eq!(both.first_end(), Some(at(50)));
        }
    }

    #[test]
    fn a_purchase_made_and_ended_again_after_closing_is_open_again() {
        for rule in [OnlyTheLatest, Several] {
            let mut own = life(&[(Activated, 0), (Deprovisioned, 100)]);
            own.closed_at = Some(at(5_000));
            let closed = lifecycle_of(own.clone(), &[], None, rule);
            assert_eq!(closed.status(), Status::Ended);
            let again = life(&[(Activated, 9_000), (Deprovisioned, 9_500)]);
            let open = lifecycle_of(own, &[again], None, rule);
            assert_eq!(open.status(), Status::Ending);
        }
    }

    proptest! {
        #[test]
        fn any_order_of_delivery_has_the_same_result(
            events in proptest::collection::vec((0usize..4, 0usize..4, 0i64..500), 0..10),
            swaps in proptest::collection::vec((0usize..10, 0usize..10), 0..10),
        ) {
            // Lives 0 to 2 are those of agreements, and life 3 is that of the legacy customer.
            let deliver = |events: &[(usize, usize, i64)], rule: AgreementsInForce| {
                let mut lives: [Lifecycle; 4] = Default::default();
                let mut own = Lifecycle::default();
                for (owner, sign, second) in events {
                    let sign = [Activated, EndAnnounced, Deprovisioned, Failed][*sign];
                    lives[*owner].observe(sign, at(*second));
                    own = lifecycle_of(own, &lives[..3], Some(lives[3].clone()), rule);
                }
                own
            };
            let mut other = events.clone();
            for (a, b) in swaps {
                if a < other.len() && b < other.len() {
                    other.swap(a, b);
                }
            }
            for rule in [OnlyTheLatest, Several] {
                prop_assert_eq!(deliver(&events, rule), deliver(&other, rule));
            }
        }
    }
}
