//! Decides where late usage goes: into an hour that is still open, or on hold.

use std::str::FromStr;

use jiff::Timestamp;

use crate::decision::open_holds;
use crate::hour::UsageHour;
use crate::ids::InvalidId;
use crate::record::MeteringRecord;
use crate::recount::{Movement, MovementKind};
use crate::schedule::Schedule;
pub use crate::spans::final_due;
use crate::spans::{Span, Spans, Standing};

/// The setting that decides what happens to late usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LatePolicy {
    /// Late usage is billed with an hour that is still open, in the same month.
    #[default]
    Carry,
    /// Late usage is held for a person to decide.
    Hold,
}

impl FromStr for LatePolicy {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text {
            "carry" => Ok(Self::Carry),
            "hold" => Ok(Self::Hold),
            _ => Err(InvalidId::new("late policy", text, "carry or hold")),
        }
    }
}

/// The reason of a movement that holds usage because no agreement was in force. A hold with this
/// reason is released if an agreement turns out to have been in force. A person writes other
/// reasons.
const NOT_IN_FORCE: &str = "no agreement was in force to bill it with";

/// The reason of a movement that releases a hold with the reason [`NOT_IN_FORCE`].
const IN_FORCE_AFTER_ALL: &str = "an agreement was in force after all";

/// The destination of late usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// The usage is carried into this later hour, which is still open.
    Carried(UsageHour),
    /// The usage is held, because no later hour of the month is open, or because the policy says
    /// so.
    Held,
    /// The usage is held, because its hour lies in a gap or after the end, or because the end
    /// leaves no open hour.
    HeldNotInForce,
    /// The usage waits, because a renewal may still overrule an end, or because its hour is not
    /// over yet.
    Undecided,
}

impl Destination {
    /// The kind and reason of the movement to this destination; `None` while it is undecided.
    pub fn movement(self) -> Option<(MovementKind, Option<String>)> {
        match self {
            Self::Carried(target) => Some((MovementKind::Carried { target, into: None }, None)),
            Self::Held => Some((MovementKind::Held, None)),
            Self::HeldNotInForce => Some((MovementKind::Held, Some(NOT_IN_FORCE.to_owned()))),
            Self::Undecided => None,
        }
    }
}

/// Decides where late usage of the hour `origin` goes.
///
/// `watermark` is the latest hour that may have been read for sealing. Usage of one span is not
/// carried over a gap into another span, because a new purchase is another agreement and may have
/// other prices.
pub fn destination(
    policy: LatePolicy,
    schedule: Schedule,
    origin: UsageHour,
    watermark: UsageHour,
    spans: &Spans,
    now: Timestamp,
) -> Destination {
    if policy == LatePolicy::Hold {
        return Destination::Held;
    }
    let own = match spans.standing(origin, now) {
        Standing::Gap | Standing::Over => return Destination::HeldNotInForce,
        Standing::Undecided => return Destination::Undecided,
        Standing::InForce(span) => Some(span),
        Standing::Before => None,
    };
    let target = match open_hour(schedule, origin, watermark, spans, now) {
        Ok(target) => target,
        Err(elsewhere) => return elsewhere,
    };
    match (own, spans.standing(target, now)) {
        (Some(own), Standing::InForce(span)) if !spans.goes_on(&own, &span) => {
            Destination::HeldNotInForce
        }
        _ => Destination::Carried(target),
    }
}

/// The hour that late usage of `origin` can still be billed with, whether or not `origin` itself is
/// in force. The error is the destination if there is no such hour.
///
/// After the first sign of an end, the last hours are sealed early, and they take late usage until
/// then. After that the running hour takes it, as long as no removal is known.
pub fn open_hour(
    schedule: Schedule,
    origin: UsageHour,
    watermark: UsageHour,
    spans: &Spans,
    now: Timestamp,
) -> Result<UsageHour, Destination> {
    let Some(target) = schedule.carry_target(origin, watermark, now) else {
        // The origin was sealed before its own end. The next hour will be open when it begins.
        let is_running = origin >= UsageHour::of(now) && origin < origin.month().last_hour();
        return Err(match is_running {
            true => Destination::Undecided,
            false => Destination::Held,
        });
    };
    let target = match spans.last() {
        Some(span) => at_the_end(span, origin, watermark, target, now)?,
        None => target,
    };
    match spans.standing(target, now) {
        Standing::Gap | Standing::Over => Err(Destination::HeldNotInForce),
        _ => Ok(target),
    }
}

/// The hour that takes late usage if the span may end. `target` is the hour that would take it
/// otherwise.
fn at_the_end(
    span: &Span,
    origin: UsageHour,
    watermark: UsageHour,
    target: UsageHour,
    now: Timestamp,
) -> Result<UsageHour, Destination> {
    let Some(last) = span.last_hour() else {
        return Ok(target);
    };
    let early = target.min(last);
    let is_open = span.due(early).is_none_or(|due| now < due);
    if is_open && early > origin && early > watermark && early.month() == origin.month() {
        return Ok(early);
    }
    if span.certain_at().is_some_and(|certain| certain <= now) {
        return Err(Destination::HeldNotInForce);
    }
    match span.removed_at.is_none() && target > last {
        true => Ok(target),
        false => Err(Destination::Undecided),
    }
}

/// The movement that releases the first open hold of usage for which no agreement was in force.
/// `None` if there is no such hold, or if `destination` is not an open hour.
pub fn release(
    record: &MeteringRecord,
    movements: &[Movement],
    destination: Destination,
    now: Timestamp,
) -> Option<Movement> {
    let Destination::Carried(target) = destination else {
        return None;
    };
    let hold = open_holds(movements).find(|hold| hold.reason.as_deref() == Some(NOT_IN_FORCE))?;
    Some(Movement {
        number: record.movements.saturating_add(1),
        kind: MovementKind::Carried { target, into: None },
        entries: hold.entries.clone(),
        of: Some(hold.number),
        at: now,
        reason: Some(IN_FORCE_AFTER_ALL.to_owned()),
    })
}

#[cfg(test)]
mod tests;
