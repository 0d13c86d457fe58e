//! Marks: counts by name of the states that seeds have reached.
//!
//! A simulation that never reaches a state finds no fault in it. So the states that must be reached
//! are listed, and a run of thousands of seeds fails if one of them was not reached.

use std::collections::{BTreeMap, BTreeSet};

use emulator::Readings;
use marketplace::error_table::{ERROR_TABLE, Origin, look_up};
use serde_json::Value;

use super::family::Family;
use super::readings::readings_by;
use super::subscribed::Subscribed;
use super::trouble::{KINDS, Trouble};
use crate::world::World;

/// The number of times that each state was reached, by name.
pub type Marks = BTreeMap<String, u64>;

/// Codes of the error table for failures before a call leaves the client. The simulation does not
/// cause such failures.
const OUT_OF_REACH: [&str; 3] = ["NoCredentials", "NotConnected", "NotSent"];

/// Kinds of messages about one agreement, and about one customer. In some seed each kind must come
/// before each kind of its list, including itself.
const ORDERS: [&[&str]; 2] = [
    &[
        "Purchase Agreement Created - Proposer",
        "Purchase Agreement Ended - Proposer",
        "License Updated - Manufacturer",
        "License Deprovisioned - Manufacturer",
    ],
    &[
        "subscribe-success",
        "unsubscribe-pending",
        "unsubscribe-success",
    ],
];

/// The names that must be reached, besides those that [`all`] derives from the sources.
const OTHERS: &[&str] = &[
    "a day whose proof holds",
    "a file of the trail",
    "an empty call",
    "audit accepted",
    "audit calls",
    "audit expired",
    "audit inferred",
    "audit matched",
    "audit missing",
    "audit undecided",
    "budget of late-usage",
    "budget of reconciler",
    "budget of sealer",
    "budget of submitter",
    "fate Conflicting",
    "fate CutOff",
    "fate DiesAfter",
    "fate DiesBefore",
    "fate Failed",
    "fate Partly",
    "fate Refused",
    "fate Stale",
    "fate Throttled",
    "fate TimedOut",
    "fate Unanswered",
    "fate Unsent",
    "fault access-denied",
    "fault clock-skew",
    "gap",
    "movement carried",
    "movement carried from hold: an agreement was in force after all",
    "movement held",
    "movement held: no agreement was in force to bill it with",
    "reconciler attention_cleared",
    "reconciler balanced true",
    "reconciler finished false",
    "reconciler hours_flagged",
    "reconciler days_proved",
    "reconciler subscriptions_closed",
    "reconciler task close",
    "reconciler task compare",
    "reconciler task everything",
    "reconciler task expire",
    "reconciler task judge",
    "reconciler task prove",
    "reconciler task recount",
    "reconciler unconfirmed",
    "record accepted by InferredFromDuplicate",
    "record accepted by Success",
    "record disputed by DuplicateRecord",
    "record expired",
    "record expired by NotBilled",
    "record moved",
    "record refused by AccessDeniedException",
    "record refused by CustomerNotSubscribed",
    "record refused by InternalServiceErrorException",
    "record refused by InvalidTagException",
    "record refused by InvalidUsageAllocationsException",
    "record refused by InvalidUsageDimensionException",
    "record refused by ServiceUnavailableException",
    "record sealed",
    "record sealed by AccessDeniedException",
    "record refused by ConnectionFailed",
    "record sealed by ConnectionFailed",
    "record sealed by CustomerNotSubscribed",
    "record sealed by ExpiredTokenException",
    "record sealed by InternalServiceErrorException",
    "record sealed by InvalidCustomerIdentifierException",
    "record sealed by InvalidLicenseException",
    "record sealed by InvalidSignatureException",
    "record sealed by InvalidUsageDimensionException",
    "record sealed by MissingAuthenticationTokenException",
    "record sealed by RequestEntityTooLargeException",
    "record sealed by SerializationException",
    "record sealed by ServerError",
    "record sealed by ServiceUnavailableException",
    "record sealed by ThrottlingException",
    "record sealed by Timeout",
    "record sealed by TimestampOutOfBoundsException",
    "record sealed by UnknownOperationException",
    "record sealed by UnrecognizedClientException",
    "record sealed by ValidationException",
    "record sealed by a code or status nobody has seen",
    "record unconfirmed by DeadlinePassed",
    "record unconfirmed by StampNotInForce",
    "sealer finished false",
    "sealer flags_cleared",
    "sealer left_flagged",
    "sealer movements",
    "sealer records_made_urgent",
    "sealer records_sealed",
    "sealer recounts",
    "sealer rows_set_aside",
    "span goes on",
    "span with both signs of its end",
    "spans 1",
    "spans 2",
    "status active",
    "status ended",
];

/// All names that must be reached.
pub fn all() -> BTreeSet<String> {
    let mut all: BTreeSet<String> = OTHERS.iter().map(|name| (*name).to_owned()).collect();
    for family in Family::ALL {
        all.extend(["on", "off"].map(|switch| format!("family {family:?} {switch}")));
    }
    for readings in [readings_by(|| false), readings_by(|| true)] {
        all.extend(of_readings(&readings));
    }
    all.extend(KINDS.map(|kind| format!("fault {}", kind.name())));
    let rows = ERROR_TABLE.iter().map(|row| row.code);
    let rows = rows.filter(|code| !OUT_OF_REACH.contains(code));
    all.extend(rows.map(|code| format!("answer {code}")));
    for kinds in ORDERS {
        for one in kinds {
            for other in kinds {
                all.insert(format!("message {one} before {other}"));
            }
        }
    }
    all
}

fn of_readings(readings: &Readings) -> Vec<String> {
    let Ok(Value::Object(readings)) = serde_json::to_value(readings) else {
        return Vec::new();
    };
    let name = |(name, value): (&String, &Value)| {
        format!("reading {name} {}", value.as_str().unwrap_or_default())
    };
    readings.iter().map(name).collect()
}

/// Marks each member of a report that is not zero or empty, and each truth value with its value.
pub(super) fn of_report(world: &World, name: &str, report: &Value) {
    for (member, value) in report.as_object().into_iter().flatten() {
        let is_met = match value {
            Value::Number(number) => number.as_f64().is_some_and(|number| number > 0.0),
            Value::Bool(is_true) => {
                world.wire.mark_one(&format!("{name} {member} {is_true}"));
                false
            }
            Value::Object(_) => {
                of_report(world, member, value);
                false
            }
            Value::String(_) => member == "failure",
            Value::Array(list) => !list.is_empty(),
            Value::Null => false,
        };
        if is_met {
            world.wire.mark_one(&format!("{name} {member}"));
        }
    }
}

/// The marks of a seed at its end.
pub(super) async fn of_seed(
    world: &World,
    trouble: &Trouble,
    buyers: &BTreeMap<usize, Subscribed>,
) -> Marks {
    let mut marks = world.wire.marks();
    let mut count = |name: String| *marks.entry(name).or_default() += 1;
    for family in Family::ALL {
        let switch = if trouble.families.contains(&family) {
            "on"
        } else {
            "off"
        };
        count(format!("family {family:?} {switch}"));
    }
    of_readings(&world.emulator.readings())
        .into_iter()
        .for_each(&mut count);
    for call in world.emulator.calls() {
        for fault in call.faults {
            count(format!("fault {}", fault.name()));
        }
    }
    for buyer in buyers.values() {
        // The check reports profiles that cannot be read.
        let Ok(Some(profile)) = world.ledger.profile(&buyer.subscription).await else {
            continue;
        };
        count(format!("status {}", profile.status()));
        let spans = profile.lifecycle.spans();
        count(format!("spans {}", spans.iter().count().min(3)));
        for span in spans.iter() {
            count(match (span.announced_at, span.removed_at) {
                (None, None) => "span goes on".to_owned(),
                (Some(_), None) => "span with an announced end".to_owned(),
                (None, Some(_)) => "span with a removal alone".to_owned(),
                (Some(_), Some(_)) => "span with both signs of its end".to_owned(),
            });
        }
        let pairs = spans.iter().zip(spans.iter().skip(1));
        for (one, next) in pairs {
            count(
                match one.certain_at().is_some_and(|over| next.began_at < over) {
                    true => "gap within the final hour".to_owned(),
                    false => "gap".to_owned(),
                },
            );
        }
    }
    named_by_records(&mut marks);
    marks
}

/// Adds the marks of failures without an answer. Only the outcome codes of records show them.
fn named_by_records(marks: &mut Marks) {
    let met: Vec<(String, u64)> = marks
        .iter()
        .filter_map(|(name, times)| {
            let code = name.strip_prefix("record ")?.split_once(" by ")?.1;
            let row = look_up(code)
                .filter(|row| matches!(row.origin, Origin::Failure | Origin::OwnDecision))?;
            Some((format!("answer {}", row.code), *times))
        })
        .collect();
    for (name, times) in met {
        *marks.entry(name).or_default() += times;
    }
}
