//! The command `metering products`.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use ledger::Written;
use ledger::product::Product;
use marketplace::{Dimension, IdentityKind, ProductCode};
use serde_json::{Value, json};

use crate::connect::Tables;
use crate::failure::Failure;
use crate::output;

/// The subcommands of `metering products`.
#[derive(Debug, Subcommand)]
pub enum Products {
    List(List),
    Put(Put),
}

/// Lists the configured products
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  metering products list --local")]
pub struct List {
    /// Print a JSON list
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tables: Tables,
}

/// Configures a product or changes its configuration, and prints what changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering products put --local --code examplecode1 --identity license \\
    --dimension gb --dimension requests
  metering products put --stack metering --code examplecode2 --identity customer --dimension seats
  metering products put --local --code examplecode1 --identity license \\
    --dimension gb --remove requests

The identity decides how a usage record identifies the buyer:
  license   LicenseArn and CustomerAWSAccountId: products of June 2026 and later
  customer  ProductCode and CustomerIdentifier: legacy listings
  account   ProductCode and CustomerAWSAccountId: listings of March 2025 to May 2026
Change it only at the boundary of an hour: an hour metered by two identities is billed twice.")]
pub struct Put {
    /// Code of the product, not its id
    #[arg(long)]
    code: ProductCode,
    /// license, customer or account
    #[arg(long)]
    identity: IdentityKind,
    /// API name of a dimension; repeat it for each. Usage of other dimensions is set aside
    #[arg(long = "dimension", value_name = "NAME", required = true)]
    dimensions: Vec<Dimension>,
    /// API name of a dimension to remove; repeat it for each. New usage of it is set aside
    #[arg(long = "remove", value_name = "NAME")]
    removed: Vec<Dimension>,
    #[command(flatten)]
    tables: Tables,
}

impl Products {
    pub async fn run(&self) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run().await,
            Self::Put(put) => put.run().await,
        }
    }
}

impl List {
    async fn run(&self) -> Result<(), Failure> {
        let products = self.tables.ledger().await?.products().await?;
        if self.json {
            return output::print_json(&products.iter().map(to_json).collect());
        }
        if products.is_empty() {
            eprintln!("no product is configured");
            return Ok(());
        }
        let mut table = output::table(&["code", "identity", "dimensions"]);
        for product in &products {
            table.add_row([
                product.code.to_string(),
                product.identity.to_string(),
                names(&product.dimensions).join(" "),
            ]);
        }
        output::print(table.trim_fmt())
    }
}

fn to_json(product: &Product) -> Value {
    json!({
        "code": product.code.as_str(),
        "identity": product.identity.as_str(),
        "dimensions": names(&product.dimensions),
        "version": product.version,
    })
}

fn names(dimensions: &BTreeSet<Dimension>) -> Vec<&str> {
    dimensions.iter().map(Dimension::as_str).collect()
}

impl Put {
    async fn run(&self) -> Result<(), Failure> {
        let ledger = self.tables.ledger().await?;
        let old = ledger.product(&self.code).await?;
        let new = Product {
            code: self.code.clone(),
            identity: self.identity,
            dimensions: self.dimensions.iter().cloned().collect(),
            version: old.as_ref().map_or(1, |old| old.version),
        };
        self.check_removed(old.as_ref(), &new)?;
        let changes = changes(old.as_ref(), &new);
        if changes.is_empty() {
            return output::print(format!("product {}: nothing to change", self.code));
        }
        match ledger.write_product(old.as_ref(), &new).await? {
            Written::Done => {
                output::print(format!("product {}: {}", self.code, changes.join(", ")))
            }
            Written::Conflict => Err(Failure::failed(format!(
                "product {} was changed by somebody else just now; nothing was written, run this again",
                self.code
            ))),
        }
    }
}

impl Put {
    /// Checks that the dimensions that would be removed are exactly those of --remove. Usage of a
    /// dimension that was forgotten on the command line would be set aside and not billed.
    fn check_removed(&self, old: Option<&Product>, new: &Product) -> Result<(), Failure> {
        let before = old.map(|old| &old.dimensions);
        let removed: BTreeSet<&Dimension> = before
            .into_iter()
            .flat_map(|before| before.difference(&new.dimensions))
            .collect();
        let named: BTreeSet<&Dimension> = self.removed.iter().collect();
        if let Some(forgotten) = removed.difference(&named).next() {
            return Err(Failure::usage(format!(
                "product {}: dimension {forgotten} is configured and would be removed, and new usage of it would be set aside; keep it with --dimension {forgotten}, or remove it with --remove {forgotten}",
                self.code
            )));
        }
        if let Some(kept) = named.difference(&removed).next() {
            return Err(Failure::usage(format!(
                "product {}: --remove {kept} removes nothing, because the dimension is not configured or --dimension names it too",
                self.code
            )));
        }
        Ok(())
    }
}

/// The changes of a write, in words. Empty if nothing changes.
fn changes(old: Option<&Product>, new: &Product) -> Vec<String> {
    let Some(old) = old else {
        return vec![format!(
            "configured, identity {}, dimensions {}",
            new.identity,
            names(&new.dimensions).join(" ")
        )];
    };
    let mut changes = Vec::new();
    if old.identity != new.identity {
        changes.push(format!("identity {} -> {}", old.identity, new.identity));
    }
    let added = new.dimensions.difference(&old.dimensions);
    changes.extend(added.map(|dimension| format!("+ dimension {dimension}")));
    let removed = old.dimensions.difference(&new.dimensions);
    changes.extend(removed.map(|dimension| format!("- dimension {dimension}")));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(identity: IdentityKind, dimensions: &[&str]) -> Product {
        Product {
            code: "code1".parse().unwrap(),
            identity,
            dimensions: dimensions.iter().map(|d| d.parse().unwrap()).collect(),
            version: 1,
        }
    }

    #[test]
    fn a_change_is_described_in_words() {
        use IdentityKind::*;
        let old = product(Customer, &["gb", "seats"]);
        assert_eq!(
            changes(None, &old),
            ["configured, identity customer, dimensions gb seats"]
        );
        assert!(changes(Some(&old), &old).is_empty());
        assert_eq!(
            changes(Some(&old), &product(License, &["gb", "requests"])),
            [
                "identity customer -> license",
                "+ dimension requests",
                "- dimension seats"
            ]
        );
    }
}
