//! The commands and their global options.

use clap::{Parser, Subcommand};
use tracing_subscriber::filter::LevelFilter;

use crate::commands::{
    adjust, audit, batch_meter_usage, books, demo, explain, late, local, meter_usage, pages,
    products, records, register_usage, resolve_customer, subscriptions,
};
use crate::failure::Failure;

/// AWS Marketplace metering: a demo, a local stack for development, and tools for the ledger.
#[derive(Debug, Parser)]
#[command(name = "metering", version, max_term_width = 100, after_help = AFTER)]
pub struct Arguments {
    /// Log more to standard error: -v logs each action, -vv every detail
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "\
Start with:
  metering demo                    a day of a seller's life in compressed time, and its books
  metering local                   the whole stack on this machine, until Ctrl-C
  metering books --local           the usage that this stack metered this month
  metering explain CODE            the meaning of an answer of AWS Marketplace, and what to do
  metering COMMAND --help          the arguments of a command, with examples

Results go to standard output, progress and logs to standard error.
Exit codes: 0 done, 1 failed, 2 wrong usage.";

// Each command's help is the documentation of its arguments.
#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Local(local::Local),
    Books(books::BooksOf),
    Audit(audit::Audit),
    Explain(explain::Explain),
    /// Decides about usage that waits for a person: late and held, or refused
    #[command(subcommand)]
    Late(late::Late),
    /// Claims back money for usage that was metered too much
    #[command(subcommand)]
    Adjust(adjust::Adjust),
    /// Shows metering records: what is frozen, sent, billed or waiting
    #[command(subcommand)]
    Records(records::Records),
    /// Shows subscriptions and their statuses
    #[command(subcommand)]
    Subscriptions(subscriptions::Subscriptions),
    /// Configures products: how their buyers are identified, and what they charge for
    ///
    /// A product that is not configured accepts any dimension. Its buyers are identified by the
    /// identifiers that ResolveCustomer returns.
    #[command(subcommand)]
    Products(products::Products),
    /// Sets up the registration pages: logo, colors, fields, languages and texts
    ///
    /// Without any set-up the pages are in English and German, and have no logo.
    #[command(subcommand)]
    Pages(pages::Pages),
    ResolveCustomer(resolve_customer::ResolveCustomer),
    BatchMeterUsage(batch_meter_usage::BatchMeterUsage),
    MeterUsage(meter_usage::MeterUsage),
    RegisterUsage(register_usage::RegisterUsage),
}

impl Command {
    /// The level without -v. The demo injects faults on purpose, so its warnings are not logged.
    fn quietest(&self) -> LevelFilter {
        match self {
            Self::Demo(_) => LevelFilter::ERROR,
            _ => LevelFilter::WARN,
        }
    }
}

impl Arguments {
    /// The level up to which messages are logged.
    pub fn log_level(&self) -> LevelFilter {
        match self.verbose {
            0 => self.command.quietest(),
            1 => LevelFilter::INFO,
            _ => LevelFilter::DEBUG,
        }
    }

    /// Runs the command that was entered.
    pub async fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Demo(demo) => demo.run().await,
            Command::Local(local) => local.run().await,
            Command::Books(books) => books.run().await,
            Command::Audit(audit) => audit.run().await,
            Command::Explain(explain) => explain.run(),
            Command::Late(late) => late.run().await,
            Command::Adjust(adjust) => adjust.run().await,
            Command::Records(records) => records.run().await,
            Command::Subscriptions(subscriptions) => subscriptions.run().await,
            Command::Products(products) => products.run().await,
            Command::Pages(pages) => pages.run().await,
            Command::ResolveCustomer(operation) => operation.run().await,
            Command::BatchMeterUsage(operation) => operation.run().await,
            Command::MeterUsage(operation) => operation.run().await,
            Command::RegisterUsage(operation) => operation.run().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_option_is_declared_once_and_explained() {
        Arguments::command().debug_assert();
    }
}
