//! Records, movements and books as JSON and as tables.
//!
//! Quantities are decimal numbers in strings, times are in RFC 3339, and hours are written
//! `2026-11-21T02`.

use comfy_table::Table;
use ledger::profile::Profile;
use ledger::set_aside::ItemisedRow;
use marketplace::audit::conflict_text;
use marketplace::books::{Books, SlotBooks};
use marketplace::fold::DimensionFold;
use marketplace::recount::{Movement, MovementKind};
use marketplace::{MeteringRecord, Quantity, State, TagSet, Total};
use serde_json::{Map, Value, json};

use crate::output;

/// A metering record as JSON.
pub fn record(record: &MeteringRecord) -> Value {
    let mut value = json!({
        "subscription": record.slot.subscription.to_string(),
        "hour": record.slot.hour.to_string(),
        "dimension": record.slot.dimension.as_str(),
        "product_code": record.product.as_str(),
        "quantity": record.quantity.to_string(),
        "state": record.state.as_str(),
        "stamp": record.stamp.to_string(),
        "deadline": record.deadline.to_string(),
        "sealed_at": record.sealed_at.to_string(),
        "attempts": record.attempts,
        "movements": record.movements,
        "version": record.version,
        "allocations": record
            .allocations
            .iter()
            .map(|a| share(&a.tags, a.quantity))
            .collect::<Vec<_>>(),
    });
    if let Some(account) = &record.account {
        value["account_id"] = json!(account.as_str());
    }
    if let Some(due) = record.due {
        value["due"] = json!(due.to_string());
    }
    if let Some(outcome) = &record.outcome {
        value["outcome"] = json!({
            "code": outcome.code,
            "at": outcome.at.to_string(),
            "metering_record_id": outcome.metering_record_id,
        });
        if let Some(quantity) = outcome.quantity_at_aws {
            value["outcome"]["quantity_at_aws"] = json!(quantity.to_string());
        }
    }
    value
}

/// A metering record as a table with one fact per line.
pub fn record_facts(record: &MeteringRecord) -> Table {
    let mut table = output::table(&["record", &record.slot.to_string()]);
    let mut add = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    add("quantity", record.quantity.to_string());
    for allocation in &record.allocations {
        let tags = tag_text(&allocation.tags);
        add("", format!("{} {tags}", allocation.quantity));
    }
    add("state", record.state.to_string());
    if let Some(outcome) = &record.outcome {
        add("last answer", format!("{} at {}", outcome.code, outcome.at));
        if let Some(id) = &outcome.metering_record_id {
            add("metering record id", id.clone());
        }
        if let Some(quantity) = outcome.quantity_at_aws {
            add("conflict", conflict_text(record, quantity));
        }
    }
    if let Some(due) = record.due {
        add("looked at again", due.to_string());
    }
    add("attempts", record.attempts.to_string());
    add("stamp", record.stamp.to_string());
    add("sealed at", record.sealed_at.to_string());
    add("sent until", record.deadline.to_string());
    add("product", record.product.to_string());
    if let Some(account) = &record.account {
        add("account", account.to_string());
    }
    table
}

fn share(tags: &TagSet, quantity: Quantity) -> Value {
    json!({"tags": tag_map(tags), "quantity": quantity.to_string()})
}

fn tag_map(tags: &TagSet) -> Map<String, Value> {
    tags.iter()
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .collect()
}

/// Tags in one line, such as `team=red`.
fn tag_text(tags: &TagSet) -> String {
    let tags: Vec<String> = tags.iter().map(|(k, v)| format!("{k}={v}")).collect();
    if tags.is_empty() {
        "untagged".to_owned()
    } else {
        tags.join(" ")
    }
}

/// Metering records as a table with one record per line.
pub fn record_table(records: &[MeteringRecord]) -> Table {
    let mut table = output::table(&[
        "hour",
        "dimension",
        "quantity",
        "state",
        "last answer",
        "metering record id",
    ]);
    for record in records {
        let outcome = record.outcome.as_ref();
        table.add_row([
            record.slot.hour.to_string(),
            record.slot.dimension.to_string(),
            record.quantity.to_string(),
            record.state.to_string(),
            outcome.map_or(String::new(), |o| format!("{} {}", o.code, o.at)),
            outcome
                .and_then(|o| o.metering_record_id.clone())
                .unwrap_or_default(),
        ]);
    }
    table
}

/// A movement as JSON.
pub fn movement(movement: &Movement) -> Value {
    let mut value = json!({
        "number": movement.number,
        "kind": movement.kind.as_str(),
        "at": movement.at.to_string(),
        "entries": movement
            .entries
            .iter()
            .map(|(tags, quantity)| share(tags, *quantity))
            .collect::<Vec<_>>(),
    });
    if let MovementKind::Carried { target, into } = &movement.kind {
        value["target_hour"] = json!(target.to_string());
        if let Some(into) = into {
            value["target_dimension"] = json!(into.as_str());
        }
    }
    if let Some(of) = movement.of {
        value["closes_movement"] = json!(of);
    }
    if let Some(reason) = &movement.reason {
        value["reason"] = json!(reason);
    }
    value
}

/// Movements as a table with one movement per line.
pub fn movement_table(movements: &[Movement]) -> Table {
    let mut table = output::table(&[
        "movement",
        "kind",
        "into",
        "quantity by tags",
        "at",
        "reason",
    ]);
    for movement in movements {
        let target = match &movement.kind {
            MovementKind::Carried { target, into } => match into {
                Some(into) => format!("{target} {into}"),
                None => target.to_string(),
            },
            _ => String::new(),
        };
        let kind = match movement.of {
            Some(of) => format!("{} of {of}", movement.kind.as_str()),
            None => movement.kind.as_str().to_owned(),
        };
        let entries: Vec<String> = movement
            .entries
            .iter()
            .map(|(tags, quantity)| format!("{quantity} {}", tag_text(tags)))
            .collect();
        table.add_row([
            movement.number.to_string(),
            kind,
            target,
            entries.join("\n"),
            movement.at.to_string(),
            movement.reason.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// The current fold of an hour's rows of one dimension, as JSON.
pub fn rows(rows: &DimensionFold) -> Value {
    json!({
        "count": rows.rows,
        "own": rows.own.to_string(),
        "carried_in": rows.carried_in.to_string(),
        "by_tags": rows
            .buckets
            .iter()
            .map(|(tags, total)| json!({"tags": tag_map(tags), "quantity": total.to_string()}))
            .collect::<Vec<_>>(),
    })
}

/// A row that is not metered, as JSON.
pub fn itemised(row: &ItemisedRow) -> Value {
    json!({
        "partition": row.partition,
        "dimension_event": row.dimension_event,
        "code": row.code,
        "reason": row.reason,
        "at": row.at,
    })
}

/// The parts of a slot's quantity, in the order of the equation of the books.
pub fn slot_places(slot: &SlotBooks) -> [(&'static str, Total); 8] {
    [
        ("own", slot.own),
        ("carried_in", slot.carried_in),
        ("recorded", slot.recorded),
        ("carried_out", slot.carried_out),
        ("held", slot.held),
        ("written_off", slot.written_off),
        ("refunded", slot.refunded),
        ("uncounted", slot.uncounted),
    ]
}

/// The books of a slot, as JSON.
pub fn slot(slot: &SlotBooks) -> Value {
    let mut value: Map<String, Value> = slot_places(slot)
        .into_iter()
        .map(|(place, total)| (place.to_owned(), json!(total.to_string())))
        .collect();
    value.insert("state".to_owned(), json!(slot.state.map(State::as_str)));
    Value::Object(value)
}

/// The places of the books' total quantity: name, quantity and meaning.
pub fn book_places(books: &Books) -> [(&'static str, Total, &'static str); 10] {
    [
        ("ingested", books.ingested, "the sum of the usage rows"),
        (
            "accepted",
            books.accepted,
            "AWS Marketplace answered Success, or holds it in a conflict",
        ),
        ("pending", books.pending, "to be sealed or sent"),
        (
            "held",
            books.held,
            "waits for a person: held, refused, disputed or unconfirmed",
        ),
        ("dry_run", books.dry_run, "frozen in dry run, never sent"),
        (
            "lost",
            books.lost,
            "written off, or missing at AWS Marketplace in a conflict",
        ),
        (
            "over_metered",
            books.over_metered,
            "metered beyond the rows",
        ),
        ("refunded", books.refunded, "claimed back for buyers"),
        (
            "carried_in",
            books.carried_in,
            "late usage that was carried into later hours",
        ),
        (
            "carried_out",
            books.carried_out,
            "late usage that was carried out of its own hours",
        ),
    ]
}

/// The sum of books, as JSON.
pub fn books(books: &Books) -> Value {
    let mut value: Map<String, Value> = book_places(books)
        .into_iter()
        .map(|(place, total, _)| (place.to_owned(), json!(total.to_string())))
        .collect();
    let records: Map<String, Value> = books
        .records
        .iter()
        .map(|(state, count)| (state.to_string(), json!(count)))
        .collect();
    value.insert("records".to_owned(), Value::Object(records));
    value.insert("rows".to_owned(), json!(books.rows));
    value.insert("rows_set_aside".to_owned(), json!(books.rows_set_aside));
    Value::Object(value)
}

/// The sum of books as two tables: quantities by place, and records by state.
pub fn book_tables(books: &Books) -> String {
    let mut places = output::table(&["quantity", "", "meaning"]);
    for (place, total, meaning) in book_places(books) {
        places.add_row([
            place.replace('_', " "),
            total.to_string(),
            meaning.to_owned(),
        ]);
    }
    if books.records.is_empty() {
        return places.trim_fmt();
    }
    let mut records = output::table(&["records", ""]);
    for (state, count) in &books.records {
        records.add_row([state.to_string(), count.to_string()]);
    }
    format!("{}\n\n{}", places.trim_fmt(), records.trim_fmt())
}

/// A subscription as JSON, without contact data.
pub fn profile(profile: &Profile) -> Value {
    let life = &profile.lifecycle;
    let time = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string());
    json!({
        "subscription": profile.subscription.to_string(),
        "product_code": profile.product.as_str(),
        "identity": profile.subscription.kind().as_str(),
        "status": profile.status().as_str(),
        "account_id": profile.account.as_ref().map(|id| id.as_str()),
        "customer_identifier": profile.customer.as_ref().map(|id| id.as_str()),
        "agreement_id": profile.agreement.as_ref().map(|id| id.as_str()),
        "reference": profile.reference,
        "created_at": profile.created_at.to_string(),
        "registered_at": time(profile.registered_at),
        "activated_at": time(life.activated_at()),
        "ended_at": time(life.first_end()),
    })
}
