//! The command `metering records`.

use clap::{Args, Subcommand};
use ledger::Ledger;
use ledger::hour::HourCount;
use ledger::set_aside::ItemisedRow;
use marketplace::{Dimension, Month, State, Subscription, UsageHour};
use serde_json::{Value, json};

use crate::connect::Tables;
use crate::failure::Failure;
use crate::{output, view};

/// The subcommands of `metering records`.
#[derive(Debug, Subcommand)]
pub enum Records {
    List(List),
    Show(Show),
    Unattributed(Unattributed),
}

/// Lists the records of a subscription
///
/// Prints its hours and dimensions with their frozen quantities and states.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering records list --local --subscription 'legacy|examplecode2|CUSTEXAMPLE2'
  metering records list --stack metering --subscription arn:aws:license-manager::1:license:l-1 \\
    --month 2026-11 --state refused
  metering records list --local --subscription 'account|examplecode3|111122223333' --json \\
    | jq -r '.[] | [.hour, .dimension, .quantity, .state] | @tsv'

States: sealed, accepted, refused, disputed, conflict, unconfirmed, expired, moved, dry-run.")]
pub struct List {
    /// The subscription: license ARN, legacy|<product code>|<customer identifier> or
    /// account|<product code>|<account id>
    #[arg(long)]
    subscription: Subscription,
    /// Only this hour, in UTC, as in 2026-11-21T02
    #[arg(long, conflicts_with = "month")]
    hour: Option<UsageHour>,
    /// Only this month, in UTC, as in 2026-11
    #[arg(long)]
    month: Option<Month>,
    /// Only records in this state
    #[arg(long)]
    state: Option<State>,
    /// Print a JSON list
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tables: Tables,
}

/// Shows one record, and all known facts about its hour and dimension
///
/// Prints the frozen quantity, the outcome, the movements, the quantity of the rows now, and the
/// rows of the hour that are not metered.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  metering records show --local --subscription 'legacy|examplecode2|CUSTEXAMPLE2' \\
    --hour 2026-11-21T02 --dimension seats

The rows are read and folded now, so usage that arrived after the hour was sealed is shown as not
yet counted. If there is neither a record nor a row, the exit code is 1.")]
pub struct Show {
    /// The subscription: license ARN, legacy|<product code>|<customer identifier> or
    /// account|<product code>|<account id>
    #[arg(long)]
    subscription: Subscription,
    /// The hour, in UTC, as in 2026-11-21T02
    #[arg(long)]
    hour: UsageHour,
    /// API name of the dimension
    #[arg(long)]
    dimension: Dimension,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tables: Tables,
}

/// Lists usage rows that named no known subscription, or an hour whose records are gone
///
/// A subscription may appear after its first row. Then the row counts with its hour, and the list
/// says so. The remaining rows name a subscription that does not exist, or none at all.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering records unattributed --local
  metering records unattributed --stack metering --json | jq -r '.[] | select(.known_since | not)'")]
pub struct Unattributed {
    /// Largest number of rows to list; if there are more, a line on standard error says so
    #[arg(long, value_name = "ROWS", default_value_t = 10_000)]
    limit: usize,
    /// Print a JSON list
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tables: Tables,
}

impl Unattributed {
    async fn run(&self) -> Result<(), Failure> {
        let ledger = self.tables.ledger().await?;
        let mut rows = Vec::new();
        let (found, are_more) = ledger.itemised_unattributed(self.limit).await?;
        for row in found {
            let known_since = known_since(&ledger, &row).await?;
            rows.push((row, known_since));
        }
        if are_more {
            eprintln!(
                "there are more than {} such rows: raise --limit to see them",
                self.limit
            );
        }
        if self.json {
            let listed = rows.iter().map(|(row, known_since)| {
                let mut value = view::itemised(row);
                value["known_since"] = json!(known_since);
                value
            });
            return output::print_json(&listed.collect());
        }
        if rows.is_empty() {
            eprintln!("every row named a known subscription");
            return Ok(());
        }
        let mut table = output::table(&["row", "outcome"]);
        for (row, known_since) in &rows {
            let outcome = match known_since {
                Some(since) => {
                    format!("its subscription is known since {since}: it counts with its hour")
                }
                None => row.reason.clone(),
            };
            table.add_row([
                format!("{} / {}", row.partition, row.dimension_event),
                outcome,
            ]);
        }
        output::print(table.trim_fmt())
    }
}

/// Returns the time at which the subscription of an itemised row became known. `None` if it is
/// still unknown.
async fn known_since(ledger: &Ledger, row: &ItemisedRow) -> Result<Option<String>, Failure> {
    if row.code != "unknown-subscription" {
        return Ok(None);
    }
    let Ok((subscription, _)) = ledger::usage_event::read_partition_key(&row.partition) else {
        return Ok(None);
    };
    let profile = ledger.profile(&subscription).await?;
    Ok(profile.map(|profile| profile.created_at.to_string()))
}

impl Records {
    pub async fn run(&self) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run().await,
            Self::Show(show) => show.run().await,
            Self::Unattributed(unattributed) => unattributed.run().await,
        }
    }
}

impl List {
    async fn run(&self) -> Result<(), Failure> {
        let ledger = self.tables.ledger().await?;
        let prefix = match (self.hour, self.month) {
            (Some(hour), _) => format!("r#{hour}#"),
            (None, Some(month)) => format!("r#{month}-"),
            (None, None) => "r#".to_owned(),
        };
        let mut records = ledger
            .records_with_prefix(&self.subscription, &prefix)
            .await?;
        records.retain(|record| self.state.is_none_or(|state| record.state == state));
        if self.json {
            let records = records.iter().map(view::record).collect();
            return output::print_json(&Value::Array(records));
        }
        if records.is_empty() {
            eprintln!("no such record of {}", self.subscription);
            return Ok(());
        }
        output::print(view::record_table(&records).trim_fmt())
    }
}

/// All known facts about one slot.
struct SlotReport<'c> {
    show: &'c Show,
    count: &'c HourCount<'c>,
    itemised: Vec<ItemisedRow>,
}

impl Show {
    async fn run(&self) -> Result<(), Failure> {
        let ledger = self.tables.ledger().await?;
        let known = self.dimensions(&ledger).await?;
        let count = ledger
            .count_hour(&self.subscription, self.hour, known.as_ref())
            .await?;
        let itemised = ledger.itemised(&self.subscription, self.hour).await?;
        // Rows of other dimensions belong to other slots. A row without a readable dimension may
        // belong to any slot, so it is shown.
        let of_another = |row: &ItemisedRow| {
            marketplace::usage::split_key(&row.dimension_event)
                .is_ok_and(|(dimension, _)| dimension != self.dimension.as_str())
        };
        let slot = SlotReport {
            show: self,
            count: &count,
            itemised: itemised
                .into_iter()
                .filter(|row| !of_another(row))
                .collect(),
        };
        if slot.is_empty() {
            return Err(Failure::failed(format!(
                "there is no record and no usage of {} in {} by {}; `metering records list` shows the records, and `metering subscriptions list` the subscriptions",
                self.dimension, self.hour, self.subscription
            )));
        }
        if self.json {
            return output::print_json(&slot.to_json()?);
        }
        output::print(slot.to_text()?)
    }

    async fn dimensions(
        &self,
        ledger: &Ledger,
    ) -> Result<Option<std::collections::BTreeSet<Dimension>>, Failure> {
        let code = match self.subscription.product() {
            Some(code) => code.clone(),
            None => match ledger.profile(&self.subscription).await? {
                Some(profile) => profile.product,
                None => return Ok(None),
            },
        };
        Ok(ledger.product(&code).await?.map(|p| p.dimensions))
    }
}

impl SlotReport<'_> {
    fn is_empty(&self) -> bool {
        let dimension = &self.show.dimension;
        !self.count.records.contains_key(dimension)
            && self.count.rows(dimension).is_none()
            && self.itemised.is_empty()
    }

    fn line(&self) -> Result<marketplace::books::SlotBooks, Failure> {
        let dimension = &self.show.dimension;
        marketplace::books::SlotBooks::of(
            self.count.rows(dimension),
            self.count.records.get(dimension),
            self.count.movements(dimension),
        )
        .map_err(Failure::failed)
    }

    fn to_json(&self) -> Result<Value, Failure> {
        let dimension = &self.show.dimension;
        Ok(json!({
            "record": self.count.records.get(dimension).map(view::record),
            "movements": self
                .count
                .movements(dimension)
                .iter()
                .map(view::movement)
                .collect::<Vec<_>>(),
            "rows": self.count.rows(dimension).map(view::rows),
            "books": view::slot(&self.line()?),
            "rows_set_aside": self.itemised.iter().map(view::itemised).collect::<Vec<_>>(),
        }))
    }

    fn to_text(&self) -> Result<String, Failure> {
        let dimension = &self.show.dimension;
        let mut parts = Vec::new();
        match self.count.records.get(dimension) {
            Some(record) => parts.push(view::record_facts(record).trim_fmt()),
            None => parts.push("no record yet".to_owned()),
        }
        let movements = self.count.movements(dimension);
        if !movements.is_empty() {
            parts.push(view::movement_table(movements).trim_fmt());
        }
        let line = self.line()?;
        let mut books = output::table(&["quantity", ""]);
        for (place, total) in view::slot_places(&line) {
            books.add_row([place.replace('_', " "), total.to_string()]);
        }
        let rows = self.count.rows(dimension).map_or(0, |rows| rows.rows);
        parts.push(format!("{rows} rows now\n{}", books.trim_fmt()));
        if !self.itemised.is_empty() {
            let mut table = output::table(&["row not metered", "why"]);
            for row in &self.itemised {
                table.add_row([&row.dimension_event, &row.reason]);
            }
            parts.push(table.trim_fmt());
        }
        Ok(parts.join("\n\n"))
    }
}
