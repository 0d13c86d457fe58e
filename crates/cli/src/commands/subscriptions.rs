//! The command `metering subscriptions`.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::connect::Tables;
use crate::failure::Failure;
use crate::{output, view};

/// The subcommands of `metering subscriptions`.
#[derive(Debug, Subcommand)]
pub enum Subscriptions {
    List(List),
}

/// Lists every subscription with its status, including ended ones
///
/// The data that buyers typed on the registration page is not shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering subscriptions list --local
  metering subscriptions list --stack metering --json | jq -r '.[] | select(.status == \"ending\")'

Status: pending before License Updated, active, ending until the last of its usage is metered, ended.
The first column is the key under which usage is written and records are found.")]
pub struct List {
    /// Print a JSON list
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tables: Tables,
}

impl Subscriptions {
    pub async fn run(&self) -> Result<(), Failure> {
        let Self::List(list) = self;
        list.run().await
    }
}

impl List {
    async fn run(&self) -> Result<(), Failure> {
        let ledger = self.tables.ledger().await?;
        let mut profiles = Vec::new();
        let mut start = None;
        loop {
            let (page, next) = ledger.profiles_page(start).await?;
            profiles.extend(page);
            start = next;
            if start.is_none() {
                break;
            }
        }
        profiles.sort_by(|a, b| a.subscription.cmp(&b.subscription));
        if self.json {
            let profiles = profiles.iter().map(view::profile).collect();
            return output::print_json(&Value::Array(profiles));
        }
        if profiles.is_empty() {
            eprintln!("no subscription yet");
            return Ok(());
        }
        let mut table = output::table(&[
            "subscription",
            "product",
            "status",
            "account",
            "active since",
            "registered",
        ]);
        for profile in &profiles {
            let time = |at: Option<jiff::Timestamp>| at.map_or(String::new(), |at| at.to_string());
            table.add_row([
                profile.subscription.to_string(),
                profile.product.to_string(),
                profile.status().to_string(),
                profile
                    .account
                    .as_ref()
                    .map_or(String::new(), ToString::to_string),
                time(profile.lifecycle.activated_at()),
                time(profile.registered_at),
            ]);
        }
        output::print(table.trim_fmt())
    }
}
