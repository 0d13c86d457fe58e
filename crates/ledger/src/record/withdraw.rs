//! Records that are given up before their deadline.

use std::collections::HashMap;

use jiff::Timestamp;
use marketplace::State;
use marketplace::audit::due;
use marketplace::error_table::STAMP_NOT_IN_FORCE;
use marketplace::record::MeteringRecord;

use crate::audit::audit_partition;
use crate::error::{LedgerError, Written};
use crate::item::{number, text};
use crate::{Ledger, shard_of};

impl Ledger {
    /// Ends a record's time at `now`, if nobody has written since it was read: it becomes Unconfirmed,
    /// and nothing sends it any more. A call that is under way may still record it, so the audit
    /// decides whether it was billed, as it does for every record past its deadline.
    pub async fn withdraw(
        &self,
        record: &MeteringRecord,
        now: Timestamp,
    ) -> Result<Written, LedgerError> {
        let look_at = due(State::Unconfirmed, now, now).unwrap_or(now);
        let shard = shard_of(&record.key.subscription);
        let values = HashMap::from([
            (":state".to_owned(), text(State::Unconfirmed)),
            (":deadline".to_owned(), number(now.as_second())),
            (":outcome".to_owned(), text(STAMP_NOT_IN_FORCE)),
            (":outcome_at".to_owned(), text(now)),
            (":due".to_owned(), number(look_at.as_second())),
            (":work".to_owned(), text(audit_partition(shard))),
            (":one".to_owned(), number(1)),
            (":read".to_owned(), number(record.version)),
        ]);
        let names = [
            ("#state", "state"),
            ("#deadline", "deadline"),
            ("#outcome", "outcome"),
            ("#outcome_at", "outcome_at"),
            ("#version", "version"),
            ("#send", "send"),
            ("#due", "due"),
            ("#work", "work"),
        ];
        self.update_record(
            &record.key,
            "SET #state = :state, #deadline = :deadline, #outcome = :outcome, \
             #outcome_at = :outcome_at, #due = :due, #work = :work, #version = #version + :one \
             REMOVE #send"
                .to_owned(),
            "#version = :read",
            names
                .map(|(short, name)| (short.to_owned(), name.to_owned()))
                .into(),
            values,
        )
        .await
    }
}
