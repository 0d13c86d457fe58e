//! `metering`: the metering stack from the command line.
//!
//! * [`command`]: the commands and their global options
//! * [`commands`]: one file for each command
//! * [`connect`]: the tables and the AWS Marketplace that a command works with
//! * [`failure`]: failures and their exit codes
//! * [`input`], [`output`]: files and standard input, standard output
//! * [`view`]: records, movements and books as JSON and as tables
//!
//! Results go to standard output, everything else to standard error.

mod command;
mod commands;
mod connect;
mod failure;
mod input;
mod output;
mod view;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::command::Arguments;
use crate::failure::Failure;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log_to_stderr(arguments.log_level());
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn start(arguments: Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the program could not start: {error}")))?;
    runtime.block_on(arguments.run())
}

fn log_to_stderr(level: LevelFilter) {
    // The embedded DynamoDB warns about every conditional write that fails, which is a normal
    // event.
    let targets = Targets::new()
        .with_default(level)
        .with_target("dynoxide", level.min(LevelFilter::ERROR))
        // The SDK's configuration logs long warnings about problems that the later error reports in
        // one line.
        .with_target("aws_config", level.min(LevelFilter::ERROR));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false);
    tracing_subscriber::registry()
        .with(targets)
        .with(lines)
        .init();
}
