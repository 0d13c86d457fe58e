//! Reads the text of one CloudTrail event.
//!
//! Members are optional, printed times have several forms, names differ in case, and an event of
//! more than 100 KB is cut off. Parts that cannot be read are reported, and they prevent every
//! conclusion that they might change.

mod wire;

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Period;
use crate::error_table::{About, about};
use crate::ids::ProductCode;
use crate::quantity::Quantity;
use crate::slot::Slot;
use wire::WireEvent;

const SOURCE: &str = "metering-marketplace.amazonaws.com";
const NAME: &str = "BatchMeterUsage";

/// Error codes of calls that certainly recorded nothing. AWS refuses such a call before it reads a
/// record, or the API reference says that the entire batch is not processed. CloudTrail prints some
/// codes without `Exception`.
const NOTHING_RECORDED: [&str; 24] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "DisabledApiException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TimestampOutOfBounds",
    "TimestampOutOfBoundsException",
    "TooManyRequestsException",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
];

/// The parts of one event that the audit needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A call of BatchMeterUsage.
    Call(Call),
    /// An event of another operation, with its name and source. It says nothing about metering
    /// records.
    Foreign(String),
    /// An event that cannot be read and that may be a call of BatchMeterUsage.
    Unreadable {
        /// The period in which the call was made, if it is known.
        at: Option<Period>,
        /// Why the event cannot be read.
        problem: String,
    },
}

/// A call of BatchMeterUsage as CloudTrail shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// CloudTrail's id of the event.
    pub event_id: String,
    /// When the call was made, in whole seconds.
    pub at: Timestamp,
    /// The Region that was called.
    pub region: String,
    /// The error code, if the request failed as a whole.
    pub error: Option<String>,
    /// The `productCode` of the request; `None` if its records name licenses.
    pub product: Option<ProductCode>,
    /// The readable records of the request.
    pub sent: Vec<SentRecord>,
    /// Whether `sent` has all records of the request: nothing was cut off, and each record can be
    /// read.
    pub is_sent_complete: bool,
    /// The readable answers for single records.
    pub results: Vec<RecordResult>,
    /// The slots of the records in `unprocessedRecords`.
    pub unprocessed: Vec<Slot>,
    /// Whether CloudTrail cut something off.
    pub is_truncated: bool,
}

/// A record of a request, or its repetition in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentRecord {
    /// The slot of the record.
    pub slot: Slot,
    /// The quantity; `None` if an answer does not repeat it.
    pub quantity: Option<Quantity>,
}

/// One member of `results`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordResult {
    /// The record that the answer is about.
    pub record: SentRecord,
    /// The status: `Success`, `CustomerNotSubscribed`, `DuplicateRecord`, or one that AWS added
    /// later.
    pub status: Option<String>,
    /// The `meteringRecordId`, if the event has it.
    pub metering_record_id: Option<String>,
}

/// The effect of one call on one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The call certainly recorded nothing in the slot.
    Nothing,
    /// The answer was DuplicateRecord: the slot was taken before.
    Duplicate,
    /// The call may have recorded one of these quantities. An empty list means any quantity.
    Doubtful(Vec<Quantity>),
    /// The answer was Success.
    Success {
        /// The quantity that AWS Marketplace holds and bills.
        quantity: Quantity,
        /// The metering record id that AWS gave it, if the event has it.
        metering_record_id: Option<String>,
    },
}

impl Call {
    /// Whether the call certainly recorded nothing in any slot.
    pub fn recorded_nothing(&self) -> bool {
        self.results.is_empty()
            && self.error.as_deref().is_some_and(|code| {
                NOTHING_RECORDED.contains(&code) || self.was_refused_alone(code)
            })
    }

    /// Whether the call had only one record, which was refused because of its content. If a batch
    /// is refused, the records before the bad one may have been recorded. A single record has none
    /// before it.
    fn was_refused_alone(&self, code: &str) -> bool {
        self.is_sent_complete && self.sent.len() == 1 && about(code) != About::Request
    }

    /// Whether the call may have recorded a slot that the event does not show.
    pub fn is_opaque(&self) -> bool {
        !self.is_sent_complete && !self.recorded_nothing()
    }

    /// Whether the event looks like a request with one record that is too large for CloudTrail: the
    /// event is cut off and has no record left. An event of this stack is cut off only if its
    /// request has one large record.
    pub fn is_of_one_large_record(&self) -> bool {
        self.is_truncated && self.sent.is_empty() && self.results.len() <= 1
    }

    /// The slots that the call names in its request or its answer.
    pub fn slots(&self) -> BTreeSet<&Slot> {
        self.sent
            .iter()
            .map(|sent| &sent.slot)
            .chain(self.results.iter().map(|result| &result.record.slot))
            .chain(&self.unprocessed)
            .collect()
    }

    /// The effect of the call on a slot that it names.
    pub fn effect(&self, slot: &Slot) -> Effect {
        let sent: BTreeSet<Quantity> = self
            .sent
            .iter()
            .filter(|sent| sent.slot == *slot)
            .filter_map(|sent| sent.quantity)
            .collect();
        let results = || self.results.iter().filter(|r| r.record.slot == *slot);
        let doubtful = || Effect::Doubtful(sent.iter().copied().collect());
        if let Some(success) = results().find(|r| r.status.as_deref() == Some("Success")) {
            let only = (sent.len() == 1).then(|| sent.first().copied()).flatten();
            // If the answer does not repeat the quantity, the sent quantity counts, provided that
            // the request has only one quantity for the slot.
            return match success.record.quantity.or(only) {
                Some(quantity) => Effect::Success {
                    quantity,
                    metering_record_id: success.metering_record_id.clone(),
                },
                None => doubtful(),
            };
        }
        if self.recorded_nothing() {
            return Effect::Nothing;
        }
        if self.error.is_some() {
            return doubtful();
        }
        let unprocessed = self
            .unprocessed
            .iter()
            .filter(|unprocessed| *unprocessed == slot);
        let named = self.sent.iter().filter(|sent| sent.slot == *slot).count();
        if results().count().saturating_add(unprocessed.count()) < named {
            // A record is in neither list of the answer, or its result was cut off.
            return doubtful();
        }
        let mut taken = false;
        for result in results() {
            match result.status.as_deref() {
                Some("DuplicateRecord") => taken = true,
                Some("CustomerNotSubscribed") => {}
                _ => return doubtful(),
            }
        }
        match taken {
            true => Effect::Duplicate,
            false => Effect::Nothing,
        }
    }
}

impl Event {
    /// Reads the text of one event. With LookupEvents it is the member `CloudTrailEvent`, and
    /// `listed_at` is the `EventTime` of the same list entry.
    pub fn read(text: &str, listed_at: Option<Timestamp>) -> Self {
        let wire: WireEvent = match serde_json::from_str(text) {
            Ok(wire) => wire,
            Err(error) => {
                return Self::Unreadable {
                    at: listed_at.map(Period::at),
                    problem: error.to_string(),
                };
            }
        };
        if wire.event_source != SOURCE || wire.event_name != NAME {
            return Self::Foreign(format!("{} of {}", wire.event_name, wire.event_source));
        }
        let at = wire.time().or(listed_at);
        match at {
            Some(at) => Self::Call(wire.into_call(at)),
            None => Self::Unreadable {
                at: None,
                problem: format!("event {} has no readable time", wire.event_id),
            },
        }
    }
}

#[cfg(test)]
mod tests;
