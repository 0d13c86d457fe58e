//! The tickets that were used: `ticket|<id>`, `used`. A ticket lets the seller's own sign-up take
//! over a registration, and it can be used only once.
//!
//! The item contains the ticket's random id, and neither the ticket nor the buyer.

use jiff::{SignedDuration, Timestamp};
use marketplace::hour::shift;

use crate::Ledger;
use crate::error::{LedgerError, Written};
use crate::item::{Item, Reader, number, text};
use crate::tables::TTL_ATTRIBUTE;

const ITEM: &str = "used";

/// The time after its use for which a ticket is remembered. A ticket is valid for minutes, so it has
/// expired long before.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// The result of an attempt to use a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketUse {
    /// The ticket is used by this request, or was used by the same request before.
    Granted,
    /// Another request has used the ticket.
    AlreadyUsed,
}

impl Ledger {
    /// Uses a ticket, unless another request has used it. `user` names the request. A repetition
    /// with the same name is granted as well, because the first answer may have been lost.
    pub async fn use_ticket(
        &self,
        id: &str,
        user: &str,
        now: Timestamp,
    ) -> Result<TicketUse, LedgerError> {
        let table = &self.tables.subscriptions;
        let partition = format!("ticket|{id}");
        let item = Item::from([
            ("subscription".to_owned(), text(&partition)),
            ("item".to_owned(), text(ITEM)),
            ("version".to_owned(), number(1)),
            ("user".to_owned(), text(user)),
            ("used_at".to_owned(), text(now)),
            (
                TTL_ATTRIBUTE.to_owned(),
                number(shift(now, KEPT).as_second()),
            ),
        ]);
        if self.put_new(table, item).await? == Written::Done {
            return Ok(TicketUse::Granted);
        }
        let stored = self.get(table, &partition, ITEM).await?.unwrap_or_default();
        let is_own = Reader::new(&stored).text_opt("user")? == Some(user);
        Ok(match is_own {
            true => TicketUse::Granted,
            false => TicketUse::AlreadyUsed,
        })
    }
}
