//! Movements of a record's quantity: sort key `c#<hour>#<dimension>#<number>`. Their content is
//! never changed; only their `expires_at` follows the record's.

use jiff::Timestamp;
use marketplace::audit::due;
use marketplace::carry_id::{CarryId, origin_hash};
use marketplace::decision::{ClosingRule, closing_rule};
use marketplace::record::MeteringRecord;
use marketplace::recount::{Movement, MovementKind, OF_SHORTFALL};
use marketplace::slot::Slot;
use marketplace::tags::Tags;
use marketplace::usage::UsageEvent;
use marketplace::{Dimension, State, Subscription, TagSet, UsageHour};

use crate::error::{LedgerError, Malformed, Written};
use crate::item::{Item, Reader, number, put_opt, text};
use crate::record::audit_partition;
use crate::record::{Changes, LifeSpan, RecordChange, part_keys};
use crate::tables::TTL_ATTRIBUTE;
use crate::transaction::put_if_absent;
use crate::usage_event::{carried_time, to_item as event_item};
use crate::{Ledger, shard_of};

pub(crate) fn movement_key(hour: UsageHour, dimension: &Dimension, movement: u32) -> String {
    format!("c#{hour}#{dimension}#{movement}")
}

pub(crate) fn to_item(slot: &Slot, movement: &Movement) -> Item {
    let entries: Vec<(String, Tags)> = movement
        .entries
        .iter()
        .map(|(tags, quantity)| (quantity.to_string(), Tags::from(tags)))
        .collect();
    let mut item = Item::from([
        ("subscription".to_owned(), text(&slot.subscription)),
        (
            "item".to_owned(),
            text(movement_key(slot.hour, &slot.dimension, movement.number)),
        ),
        ("version".to_owned(), number(1)),
        ("kind".to_owned(), text(movement.kind.as_str())),
        (
            "entries".to_owned(),
            text(serde_json::to_string(&entries).unwrap_or_default()),
        ),
        ("at".to_owned(), text(movement.at)),
    ]);
    if let MovementKind::Carried { target, into } = &movement.kind {
        item.insert("target".to_owned(), text(target));
        put_opt(&mut item, "into", into.as_ref());
    }
    if let Some(of) = movement.of {
        item.insert("of".to_owned(), number(of));
    }
    put_opt(&mut item, "reason", movement.reason.as_ref());
    item
}

/// Reads a movement, and the hour and dimension it belongs to.
pub(crate) fn from_item(item: &Item) -> Result<(UsageHour, Dimension, Movement), Malformed> {
    let read = Reader::new(item);
    let sort = read.text("item")?;
    let key = || {
        let (rest, movement) = sort.strip_prefix("c#")?.rsplit_once('#')?;
        let (hour, dimension) = rest.split_once('#')?;
        let (hour, dimension) = (hour.parse().ok()?, dimension.parse().ok()?);
        Some((hour, dimension, movement.parse().ok()?))
    };
    let (hour, dimension, movement): (UsageHour, Dimension, u32) =
        key().ok_or_else(|| read.malformed("item", "is not c#<hour>#<dimension>#<number>"))?;
    let kind = match read.text("kind")? {
        "carried" => MovementKind::Carried {
            target: read.parsed("target")?,
            into: read.parsed_opt("into")?,
        },
        "held" => MovementKind::Held,
        "written-off" => MovementKind::WrittenOff,
        "refunded" => MovementKind::Refunded,
        _ => return Err(read.malformed("kind", "is not carried, held, written-off or refunded")),
    };
    let entries: Vec<(String, Tags)> =
        serde_json::from_str(read.text("entries")?).map_err(|e| read.malformed("entries", e))?;
    let entries = entries
        .into_iter()
        .map(|(quantity, tags)| {
            let quantity = quantity.parse().map_err(|e| read.malformed("entries", e))?;
            let tags = TagSet::try_from(tags).map_err(|e| read.malformed("entries", e))?;
            Ok((tags, quantity))
        })
        .collect::<Result<_, Malformed>>()?;
    Ok((
        hour,
        dimension,
        Movement {
            number: movement,
            kind,
            entries,
            of: read.number_opt("of")?,
            at: read.parsed("at")?,
            reason: read.text_opt("reason")?.map(str::to_owned),
        },
    ))
}

/// The rows that carry a movement's quantity into its target hour, as usage of the dimension
/// `into`. Their ids name the origin by its hour, and by a hash of its subscription and dimension.
fn carried_rows(
    slot: &Slot,
    movement: &Movement,
    target: UsageHour,
    into: &Dimension,
) -> Result<Vec<Item>, Malformed> {
    let hash = origin_hash(&slot.subscription, &slot.dimension);
    let mut rows = Vec::new();
    for (entry, (tags, quantity)) in (0u32..).zip(&movement.entries) {
        let carry = CarryId {
            origin: slot.hour,
            hash: hash.clone(),
            movement: movement.number,
            entry,
        };
        let id = carry.to_string().parse().map_err(|e| Malformed {
            item: slot.to_string(),
            attribute: "carry id".to_owned(),
            rule: format!("{e}"),
        })?;
        rows.push(event_item(
            &slot.subscription,
            &UsageEvent {
                dimension: into.clone(),
                id,
                quantity: *quantity,
                time: carried_time(target),
                tags: tags.clone(),
            },
        ));
    }
    Ok(rows)
}

impl Ledger {
    /// The movements of one hour's records with their hour and dimension, strongly consistent.
    pub async fn movements_of_hour(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
    ) -> Result<Vec<(UsageHour, Dimension, Movement)>, LedgerError> {
        self.movements_with_prefix(subscription, &format!("c#{hour}#"))
            .await
    }

    /// The movements of the records of the hours `first` through `last` with their hour and
    /// dimension, strongly consistent.
    pub async fn movements_of_hours(
        &self,
        subscription: &Subscription,
        first: UsageHour,
        last: UsageHour,
    ) -> Result<Vec<(UsageHour, Dimension, Movement)>, LedgerError> {
        let table = &self.tables.metering_records;
        // `$` is the character after `#`, so the second key comes after every movement of the hour.
        let bounds = (&*format!("c#{first}#"), &*format!("c#{last}$"));
        let items = self
            .query_between(table, &subscription.to_string(), bounds)
            .await?;
        Ok(items.iter().map(from_item).collect::<Result<_, _>>()?)
    }

    /// All movements of a subscription whose sort keys begin with `prefix`. The prefix begins with
    /// `c#`.
    pub(crate) async fn movements_with_prefix(
        &self,
        subscription: &Subscription,
        prefix: &str,
    ) -> Result<Vec<(UsageHour, Dimension, Movement)>, LedgerError> {
        let table = &self.tables.metering_records;
        let items = self
            .query_all(table, &subscription.to_string(), prefix)
            .await?;
        Ok(items.iter().map(from_item).collect::<Result<_, _>>()?)
    }

    /// One movement, strongly consistent.
    pub async fn movement(
        &self,
        subscription: &Subscription,
        hour: UsageHour,
        dimension: &Dimension,
        movement: u32,
    ) -> Result<Option<Movement>, LedgerError> {
        let table = &self.tables.metering_records;
        let item = self
            .get(
                table,
                &subscription.to_string(),
                &movement_key(hour, dimension, movement),
            )
            .await?;
        Ok(item
            .as_ref()
            .map(from_item)
            .transpose()?
            .map(|(_, _, movement)| movement))
    }

    /// The movements that a record counts, strongly consistent. Movements made after the record was
    /// read are left out.
    pub async fn movements_of(
        &self,
        record: &MeteringRecord,
    ) -> Result<Vec<Movement>, LedgerError> {
        if record.movements == 0 {
            return Ok(Vec::new());
        }
        let slot = &record.slot;
        let all = self
            .movements_of_hour(&slot.subscription, slot.hour)
            .await?;
        Ok(all
            .into_iter()
            .filter(|(_, dimension, movement)| {
                *dimension == slot.dimension && movement.number <= record.movements
            })
            .map(|(_, _, movement)| movement)
            .collect())
    }

    /// Writes a record's next movement in one transaction: the movement, the record's number of
    /// movements, and for carried usage the rows of the target hour. A conflict means that the
    /// record was changed since it was read. Then count the hour again.
    pub async fn move_quantity(
        &self,
        record: &MeteringRecord,
        movement: &Movement,
    ) -> Result<Written, LedgerError> {
        let state = (record.state, record.due, holds_after(record, movement));
        let change = self.movement_change(record, movement, state);
        self.write_movement(record, movement, change).await
    }

    /// Writes a record's next movement as [`Ledger::move_quantity`] does, and closes the record as
    /// Moved in the same transaction. The movement takes the record's whole quantity, and the
    /// record is not sent any more. If AWS Marketplace may have billed the record, the audit
    /// examines it again.
    pub async fn close_record(
        &self,
        record: &MeteringRecord,
        movement: &Movement,
    ) -> Result<Written, LedgerError> {
        let again = due(State::Moved, record.deadline, movement.at)
            .filter(|_| closing_rule(record) == ClosingRule::Checked);
        let state = (State::Moved, again, holds_after(record, movement));
        let partition = audit_partition(shard_of(&record.slot.subscription));
        let change = self
            .movement_change(record, movement, state)
            .set("state", text(State::Moved))
            .set_opt("due", again.map(|again| number(again.as_second())))
            .set_opt("work", again.map(|_| text(partition)));
        self.write_movement(record, movement, change).await
    }

    /// The change of a record that a movement makes. `state` is the record's state, due time and
    /// number of open holds afterwards.
    fn movement_change(
        &self,
        record: &MeteringRecord,
        movement: &Movement,
        state: (State, Option<Timestamp>, u32),
    ) -> RecordChange {
        let holds = Some(state.2).filter(|holds| *holds > 0);
        let life = LifeSpan::after(&record.slot, state, self.retention);
        RecordChange::new(life, Changes::Books(movement.at))
            .set("movements", number(movement.number))
            .set_opt("open_holds", holds.map(number))
            .remove("send")
    }

    async fn write_movement(
        &self,
        record: &MeteringRecord,
        movement: &Movement,
        change: RecordChange,
    ) -> Result<Written, LedgerError> {
        let slot = &record.slot;
        let table = &self.tables.metering_records;
        self.note_books(slot, &change).await?;
        let life = change.life();
        let change = change.value("read", number(record.version));
        let update = self.transact_update(slot, change, "#version = :read")?;
        let mut item = to_item(slot, movement);
        item.extend(life.attribute().map(|at| (TTL_ATTRIBUTE.to_owned(), at)));
        let mut writes = vec![update, put_if_absent(table, item)];
        if record.is_closed() && life == LifeSpan::Open {
            writes.extend(self.reopening(record).await?);
        }
        if let MovementKind::Carried { target, into } = &movement.kind {
            let into = into.as_ref().unwrap_or(&slot.dimension);
            for row in carried_rows(slot, movement, *target, into)? {
                writes.push(put_if_absent(&self.tables.usage_events, row));
            }
        }
        let written = self.transact(table, writes).await?;
        let has_closed = !record.is_closed() && life.attribute().is_some();
        if written == Written::Done && has_closed {
            self.let_expire(record).await;
        }
        Ok(written)
    }

    /// Gives the movements and allocations of a record the same end as the record, after a movement
    /// has closed it. If this fails, the movement is valid nevertheless, and those items only stay
    /// until [`Ledger::settle_life_span`] is called again.
    async fn let_expire(&self, record: &MeteringRecord) {
        if record.movements == 0 && part_keys(record).is_empty() {
            return;
        }
        if let Err(error) = self.settle_life_span(&record.slot).await {
            tracing::warn!(slot = %record.slot, %error, "movements of a closed record have no expiry yet; the reconciler sets it");
        }
    }
}

/// The number of open holds that a record has after this movement.
fn holds_after(record: &MeteringRecord, movement: &Movement) -> u32 {
    let holds = match movement.kind {
        MovementKind::Held => record.open_holds.saturating_add(1),
        _ => record.open_holds,
    };
    match movement.of {
        None | Some(OF_SHORTFALL) => holds,
        Some(_) => holds.saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_movement_survives_its_item() {
        let slot = Slot {
            subscription: "legacy|code|cust".parse().unwrap(),
            hour: "2026-11-21T02".parse().unwrap(),
            dimension: "gb#x".parse().unwrap(),
        };
        for kind in [
            MovementKind::Carried {
                target: "2026-11-21T05".parse().unwrap(),
                into: None,
            },
            MovementKind::Carried {
                target: "2026-11-21T05".parse().unwrap(),
                into: Some("gb#y".parse().unwrap()),
            },
            MovementKind::Held,
            MovementKind::WrittenOff,
            MovementKind::Refunded,
        ] {
            let movement = Movement {
                number: 12,
                kind,
                entries: vec![
                    (TagSet::untagged(), "1.5".parse().unwrap()),
                    (
                        TagSet::try_from(Tags::from([("team".to_owned(), "a".to_owned())]))
                            .unwrap(),
                        "2".parse().unwrap(),
                    ),
                ],
                of: Some(11),
                at: "2026-11-21T05:10:00Z".parse().unwrap(),
                reason: Some("by hand".to_owned()),
            };
            let read = from_item(&to_item(&slot, &movement)).unwrap();
            assert_eq!(read, (slot.hour, slot.dimension.clone(), movement));
        }
    }
}
