//! The turn to send: only one submitter invocation at a time makes calls.
//!
//! The quota of BatchMeterUsage belongs to the account and the Region, and only the submitter uses
//! it. So the invocations take turns, and the invocation that has the turn keeps its calls within
//! the quota. A turn ends automatically at its `until`, so an invocation that died does not block
//! the others for longer.

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use jiff::Timestamp;

use crate::Ledger;
use crate::error::{LedgerError, Written};
use crate::item::{Reader, number, text};
use crate::item_update::ItemUpdate;

const SENDER: (&str, &str) = ("stack", "sender");

/// The result of an attempt to take the turn to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The invocation has the turn.
    Taken,
    /// Another invocation has the turn.
    Busy {
        /// The time at which the other invocation's turn ends automatically.
        until: Timestamp,
    },
}

impl Ledger {
    /// Takes the turn to send until `until`, if no other invocation has it at `now`.
    pub async fn take_turn(
        &self,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Turn, LedgerError> {
        let table = &self.tables.metering_records;
        // The turn may be this invocation's own, if the answer was lost and the SDK repeated the
        // write.
        let request = self
            .turn_update(holder, until)
            .condition_expression(
                "attribute_not_exists(#until) OR #until <= :now OR #holder = :holder",
            )
            .expression_attribute_values(":now", number(now.as_second()));
        if self
            .write_if("UpdateItem", table, || request.clone().send())
            .await?
            == Written::Done
        {
            return Ok(Turn::Taken);
        }
        let item = self
            .get(table, SENDER.0, SENDER.1)
            .await?
            .unwrap_or_default();
        match Reader::new(&item).second_opt("until") {
            // Without `until` the other turn has just ended, so the caller may try again at once.
            Ok(until) => Ok(Turn::Busy {
                until: until.unwrap_or(now),
            }),
            Err(damaged) => {
                // The damaged item does not show when the other turn ends. The invocations must not
                // wait for ever, so this invocation takes the turn.
                self.report_damaged(&damaged);
                let request = self.turn_update(holder, until);
                self.write_always("UpdateItem", table, || request.clone().send())
                    .await?;
                Ok(Turn::Taken)
            }
        }
    }

    fn turn_update(&self, holder: &str, until: Timestamp) -> UpdateItemFluentBuilder {
        ItemUpdate::new()
            .set("holder", text(holder))
            .set("until", number(until.as_second()))
            .fixed_version()
            .request(self, &self.tables.metering_records, SENDER)
    }

    /// Ends the turn of `holder`, if it still has it.
    pub async fn end_turn(&self, holder: &str) -> Result<(), LedgerError> {
        let table = &self.tables.metering_records;
        let request = ItemUpdate::new()
            .remove("holder")
            .remove("until")
            .fixed_version()
            .value("holder", text(holder))
            .request(self, table, SENDER)
            .condition_expression("#holder = :holder");
        // A failed condition means that the turn was over and another invocation has taken it.
        self.write_if("UpdateItem", table, || request.clone().send())
            .await
            .map(drop)
    }
}
