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
mod tests;
