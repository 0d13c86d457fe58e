//! Metering records. A record is frozen before it is sent, and stays byte-identical until it has an
//! outcome.
//!
//! Facts: M6, M7, M23, M24, M27 (docs/marketplace-rules.md).

mod sealing;

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

use crate::error_table::{About, look_up};
use crate::hour::shift;
use crate::ids::{AccountId, InvalidId, ProductCode};
use crate::quantity::{Quantity, Total};
use crate::slot::Slot;
use crate::spans::{Spans, Standing};
use crate::tags::TagSet;

pub use sealing::{STREAM_HEAD_START_MINUTES, SealPolicy, Sealing, Terms, heartbeat, seal};

/// A record is sent again at the latest after one sixth of its remaining time. The number is this
/// project's: with an hour left, as in a subscription's final hour, that is 10 minutes.
const RETRY_PART_OF_TIME_LEFT: i64 = 6;
/// The lower bound of that sixth, in seconds. The number is this project's.
const RETRY_SECONDS_MIN: i64 = 60;

/// A share of a record's quantity under one set of tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    /// The tags; empty for the untagged share.
    pub tags: TagSet,
    /// The share of the quantity.
    pub quantity: Quantity,
}

/// The state of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The record is frozen, and is sent until it has an outcome.
    Sealed,
    /// The record is billed: AWS Marketplace answered Success.
    Accepted,
    /// The record was isolated as the cause of a refusal. It is sent again every hour, among other
    /// suspects, until its deadline.
    Refused,
    /// AWS Marketplace answered DuplicateRecord. The slot may hold this record's own earlier
    /// success.
    Disputed,
    /// AWS Marketplace holds another quantity in the slot, and keeps it.
    Conflict,
    /// The record has no outcome and is not sent any more. AWS Marketplace may have billed it.
    Unconfirmed,
    /// The record is certainly not billed, and its deadline has passed.
    Expired,
    /// The record's usage was moved: no agreement was in force in its hour, or a person closed it.
    Moved,
    /// The record was frozen in dry run. It is never sent, even after the switch to live.
    DryRun,
}

impl State {
    /// Every state, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::Sealed,
        Self::Accepted,
        Self::Refused,
        Self::Disputed,
        Self::Conflict,
        Self::Unconfirmed,
        Self::Expired,
        Self::Moved,
        Self::DryRun,
    ];

    /// The state's name in tables and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Disputed => "disputed",
            Self::Conflict => "conflict",
            Self::Unconfirmed => "unconfirmed",
            Self::Expired => "expired",
            Self::Moved => "moved",
            Self::DryRun => "dry-run",
        }
    }

    /// Whether a record in this state may be sent before its deadline.
    pub fn is_sendable(self) -> bool {
        matches!(self, Self::Sealed | Self::Refused)
    }

    /// Whether a record in this state waits because of its own content, which AWS Marketplace has
    /// refused. Such a record has an alarm of its own and can wait until its deadline. The alarms
    /// about used time leave it out. Otherwise it would hide that other records wait. In every
    /// other state a record waits for a request: calls fail, or it has not been sent yet.
    pub fn waits_because_of_content(self) -> bool {
        self == Self::Refused
    }
}

/// Whether nothing will happen to a record any more. That depends on its state, on the time when it
/// is due, and on the number of its open holds.
///
/// Only a closed record may ever be removed. A record that is refused or in doubt waits for AWS
/// Marketplace, the audit or a person, however long that takes. A record that was concluded to be
/// unbilled because the history shows no call is compared again, and stays open until it is not due
/// any more.
pub fn is_closed(state: State, due: Option<Timestamp>, open_holds: u32) -> bool {
    match state {
        State::Sealed | State::Refused | State::Disputed | State::Unconfirmed => false,
        State::Accepted | State::Conflict | State::Expired | State::Moved | State::DryRun => {
            due.is_none() && open_holds == 0
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| {
                InvalidId::new(
                    "state",
                    text,
                    "sealed, accepted, refused, disputed, conflict, unconfirmed, expired, moved or dry-run",
                )
            })
    }
}

/// The last outcome of a record, from AWS Marketplace or from this stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The time of the outcome.
    pub at: Timestamp,
    /// A status (`Success`), an error code (`ThrottlingException`), or a code of this stack.
    pub code: String,
    /// AWS's id of the metering record, for a success or a conflict.
    pub metering_record_id: Option<String>,
    /// The quantity that AWS Marketplace holds in the slot, for a conflict.
    pub quantity_at_aws: Option<Quantity>,
}

/// The record of one slot: what is sent, and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeteringRecord {
    /// The slot of the record.
    pub slot: Slot,
    /// The product. All records of a request have the same product.
    pub product: ProductCode,
    /// The buyer's account, which is sent with a license; `None` if it is not known.
    pub account: Option<AccountId>,
    /// The frozen quantity.
    pub quantity: Quantity,
    /// The frozen split by tags; empty if no usage is tagged.
    pub allocations: Vec<Allocation>,
    /// The frozen timestamp: the hour's start, or the start of the span in force within that hour.
    pub stamp: Timestamp,
    /// The instant from which it is not sent any more.
    pub deadline: Timestamp,
    /// The end of its subscription's final hour; `None` if no removal is known. AWS Marketplace may
    /// refuse the record from then on, so it is sent before all others. It is still sent until its
    /// deadline.
    pub final_at: Option<Timestamp>,
    /// When it was frozen. The records of one run have the same time.
    pub sealed_at: Timestamp,
    /// The state of the record.
    pub state: State,
    /// The version of the item. Each write raises it, and is conditional on the version that was
    /// read.
    pub version: u64,
    /// The number of movements of its quantity.
    pub movements: u32,
    /// The number of these movements that are open holds.
    pub open_holds: u32,
    /// The number of outcomes that did not end it. An outcome can also be that the record was not
    /// sent.
    pub attempts: u32,
    /// The transmissions that were not answered with a success.
    pub sent: Transmissions,
    /// When it is due next; `None` if nothing is left to do.
    pub due: Option<Timestamp>,
    /// The last outcome; `None` before the first one.
    pub outcome: Option<Outcome>,
}

impl MeteringRecord {
    /// A record that was just frozen and will be sent: stamped with its hour's start, in version 1,
    /// without allocations, movements, transmissions or an outcome, and not due in the work index.
    pub fn new(
        slot: Slot,
        product: ProductCode,
        quantity: Quantity,
        deadline: Timestamp,
        sealed_at: Timestamp,
    ) -> Self {
        Self {
            product,
            account: None,
            quantity,
            allocations: Vec::new(),
            stamp: slot.hour.start(),
            deadline,
            sealed_at,
            state: State::Sealed,
            version: 1,
            movements: 0,
            open_holds: 0,
            final_at: None,
            attempts: 0,
            sent: Transmissions::default(),
            due: None,
            outcome: None,
            slot,
        }
    }

    /// The quantity that this record itself counts. It is zero once the record is Moved or Expired.
    /// In a conflict it is the larger of the frozen quantity and the one that AWS Marketplace
    /// holds. So a surplus shows as over-metered, and a shortfall is not metered again.
    pub fn recorded(&self) -> Total {
        match self.state {
            State::Moved | State::Expired => Total::ZERO,
            State::Conflict => self.quantity.max(self.quantity_at_aws()).into(),
            _ => self.quantity.into(),
        }
    }

    /// The quantity that AWS Marketplace holds in the slot of a record in conflict; zero if it is
    /// unknown.
    pub fn quantity_at_aws(&self) -> Quantity {
        self.outcome
            .as_ref()
            .and_then(|outcome| outcome.quantity_at_aws)
            .unwrap_or_default()
    }

    /// How near the deadline is at `now`, or the end of the final hour if that is earlier.
    pub fn urgency(&self, now: Timestamp) -> Urgency {
        let until = self.last_chance();
        let left = until.duration_since(now).as_secs();
        let whole = until.duration_since(self.sealed_at).as_secs();
        let used = whole.saturating_sub(left).saturating_mul(100);
        // A record that was sealed after its last chance has used all of its time.
        let percent = match whole > 0 {
            true => used.checked_div(whole).unwrap_or(100),
            false => 100,
        };
        Urgency {
            seconds_left: left,
            percent_used: percent.clamp(0, 100),
        }
    }

    /// Whether nothing will happen to the record any more, by [`is_closed`].
    pub fn is_closed(&self) -> bool {
        is_closed(self.state, self.due, self.open_holds)
    }

    /// Whether the record may be sent at `now`.
    pub fn is_sendable(&self, now: Timestamp) -> bool {
        self.state.is_sendable() && now < self.deadline
    }

    /// Whether the record must not be sent any more although its deadline has not passed: AWS
    /// Marketplace has refused it, its timestamp lies in no known span, and no renewal can change
    /// that. A record that was not refused yet is sent, because AWS Marketplace may know of a
    /// purchase that is unknown to this stack.
    pub fn is_out_of_force(&self, spans: &Spans, now: Timestamp) -> bool {
        self.is_sendable(now)
            && self.was_refused()
            && !spans.accept(self.stamp)
            && spans.standing(self.slot.hour, now) != Standing::Undecided
    }

    /// Whether AWS Marketplace refused this record itself. A call that was throttled or failed says
    /// nothing about the record.
    ///
    /// A record that was refused alone because of its content has the state Refused, whatever a
    /// later call was answered. A refusal for now leaves the state as it is, so only the last
    /// outcome shows it. That outcome is also written for a record that was not sent because
    /// similar ones were refused, so the record must have been answered as well.
    fn was_refused(&self) -> bool {
        let code = self.outcome.as_ref().map(|outcome| outcome.code.as_str());
        let row = code.and_then(look_up);
        let is_for_now = row.is_some_and(|row| row.about == About::RecordForNow);
        self.state == State::Refused || (is_for_now && self.sent.answered > 0)
    }

    /// The time until which AWS Marketplace accepts the record: its deadline, or the end of its
    /// subscription's final hour if that is earlier.
    pub fn last_chance(&self) -> Timestamp {
        self.final_at
            .map_or(self.deadline, |at| at.min(self.deadline))
    }

    /// When the record is sent again: `after` the answer at `now`, or sooner if little time is
    /// left.
    pub fn retry_at(&self, now: Timestamp, after: SignedDuration) -> Timestamp {
        let left = self
            .last_chance()
            .as_second()
            .saturating_sub(now.as_second());
        let part = (left / RETRY_PART_OF_TIME_LEFT).max(RETRY_SECONDS_MIN);
        shift(now, after.min(SignedDuration::from_secs(part)))
    }
}

/// The known transmissions of a record that were not answered with a success.
///
/// AWS Marketplace may have recorded a transmission without a definite answer. CloudTrail shows the
/// result of each transmission, and the audit checks that none is missing there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transmissions {
    /// Transmissions without a definite answer: a time-out, a broken connection, an internal error.
    pub doubtful: u32,
    /// Transmissions with an answer that says that nothing was recorded, such as a refusal.
    pub answered: u32,
}

impl Transmissions {
    /// The sums of these and other transmissions.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            doubtful: self.doubtful.saturating_add(more.doubtful),
            answered: self.answered.saturating_add(more.answered),
        }
    }

    /// Whether both numbers are zero.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// How near a record's last chance is: its deadline, or the end of its subscription's final hour if
/// that is earlier.
///
/// The percentage refers to the time between the sealing and the last chance. So it is right for
/// every window, and also at a month's end, where a record has only an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Urgency {
    /// Seconds until the last chance; negative after it.
    pub seconds_left: i64,
    /// How much of its time is used, in percent, 0 to 100.
    pub percent_used: i64,
}

#[cfg(test)]
mod tests;
