//! AWS Marketplace on localhost, as a program.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use emulator::{Emulator, Options};
use tokio::net::TcpListener;

/// AWS Marketplace on localhost.
///
/// Point an AWS SDK or the AWS CLI at it with AWS_ENDPOINT_URL_MARKETPLACE_METERING, and set up
/// products and agreements under /_emulator.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 takes any free port.
    #[arg(long, default_value = "127.0.0.1:8081", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("emulator: cannot listen on {}: {error}", arguments.listen);
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(arguments: &Arguments) -> std::io::Result<()> {
    let listener = TcpListener::bind(arguments.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let emulator = Emulator::new(Options::default());
    emulator.serve(listener, interrupted()).await
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("emulator: cannot wait for Ctrl-C ({error}), stopping");
    }
}
