//! AWS Marketplace on localhost, as a program.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use emulator::{Emulator, FileError, Options, Refusal, Target, TargetError, replace_file};
use jiff::Timestamp;
use thiserror::Error;
use tokio::net::TcpListener;

const AFTER_HELP: &str = "\
A first minute, with curl and the AWS CLI:

  emulator --listen 127.0.0.1:8081 &
  curl -d '{\"code\":\"p1\",\"dimensions\":[\"requests\"],\"identity\":\"license\"}' \\
       http://127.0.0.1:8081/_emulator/products
  curl -d '{\"product_code\":\"p1\",\"account_id\":\"111122223333\"}' \\
       http://127.0.0.1:8081/_emulator/agreements
  # the answer has the license ARN and the buyer's registration token

  export AWS_ENDPOINT_URL_MARKETPLACE_METERING=http://127.0.0.1:8081
  export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_DEFAULT_REGION=us-east-1
  aws meteringmarketplace resolve-customer --registration-token TOKEN
  aws meteringmarketplace batch-meter-usage --usage-records \\
      Timestamp=$(date +%s),Dimension=requests,CustomerAWSAccountId=111122223333,LicenseArn=ARN,Quantity=3

  curl http://127.0.0.1:8081/_emulator/metered     # what the buyer will be billed
  curl http://127.0.0.1:8081/_emulator/calls       # every call with its verdict
  curl http://127.0.0.1:8081/_emulator             # all paths of this interface

The console does the same in a browser: open http://127.0.0.1:8081. With --fulfillment-url,
\"Set up your account\" there posts a buyer's registration token to your landing page, as AWS
Marketplace does.

The same URL also works for AWS_ENDPOINT_URL_MARKETPLACE_ENTITLEMENT_SERVICE,
AWS_ENDPOINT_URL_MARKETPLACE_AGREEMENT, AWS_ENDPOINT_URL_CLOUDTRAIL and
AWS_ENDPOINT_URL_S3.

The FILE of --seed is a world saved with --save, or a world written by hand:

  {\"clock\": {\"now\": \"2026-11-21T12:00:00Z\", \"speed\": 60},
   \"products\": [{\"code\": \"p1\", \"dimensions\": [\"requests\"], \"identity\": \"license\"}],
   \"agreements\": [{\"product_code\": \"p1\", \"account_id\": \"111122223333\"}],
   \"faults\": {\"faults\": [{\"operation\": \"BatchMeterUsage\", \"kind\": \"throttling\", \"rate\": 0.1}]}}";

/// AWS Marketplace on localhost.
///
/// Answers BatchMeterUsage, MeterUsage, RegisterUsage and ResolveCustomer, GetEntitlements, the
/// Agreement API and CloudTrail's LookupEvents as AWS does. It applies the rules that cost sellers
/// money: the metering window, one slot per customer, dimension and hour, and whole batches refused
/// for one bad record. Any AWS SDK can call it. Requests must be signed, with any credentials.
#[derive(Parser)]
#[command(version, after_long_help = AFTER_HELP)]
struct Arguments {
    /// The address to listen on; port 0 takes any free port.
    #[arg(long, default_value = "127.0.0.1:8081", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,

    /// The file of the world to start with, saved by --save or written by hand.
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,

    /// The file in which the world is saved when the program stops.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// The time at the start; the system's time by default.
    #[arg(long, value_name = "RFC 3339")]
    now: Option<Timestamp>,

    /// How fast the clock runs: 1 is real time, 3600 is one hour per second, 0 is frozen.
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR", value_parser = speed, allow_negative_numbers = true)]
    speed: f64,

    /// The seed of all identifiers; the same number always gives the same identifiers.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    identifiers: u64,

    /// The URL to which "Set up your account" in the console sends buyers of products that have no
    /// fulfillment URL of their own.
    #[arg(long, value_name = "URL")]
    fulfillment_url: Option<String>,

    /// Post lifecycle messages (EventBridge events, SNS notifications) to this URL.
    #[arg(long, value_name = "http://...", conflicts_with = "lifecycle_file")]
    lifecycle_url: Option<String>,

    /// Append lifecycle messages to this file, one JSON document per line.
    #[arg(long, value_name = "FILE")]
    lifecycle_file: Option<PathBuf>,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed >= 0.0 => Ok(speed),
        _ => Err("a speed is a number, 0 (frozen) or more".to_owned()),
    }
}

/// Why the program could not start, or stopped with an error.
#[derive(Debug, Error)]
enum RunError {
    #[error("cannot listen on {address}: {error}")]
    Listen {
        address: SocketAddr,
        error: std::io::Error,
    },
    #[error("cannot read {path}: {error}")]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("cannot load {path}: {error}")]
    Load { path: PathBuf, error: FileError },
    #[error("cannot write {path}: {error}")]
    Write {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("cannot save the world: {0}")]
    Save(FileError),
    #[error("--lifecycle-url: {0}")]
    Target(#[from] TargetError),
    #[error("--fulfillment-url: {0}")]
    FulfillmentUrl(#[from] Refusal),
    #[error("cannot serve: {0}")]
    Serve(std::io::Error),
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("emulator: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(arguments: &Arguments) -> Result<(), RunError> {
    let emulator = Emulator::new(Options {
        seed: arguments.identifiers,
        now: arguments.now,
        speed: arguments.speed,
        ..Options::default()
    });
    if let Some(path) = &arguments.seed {
        load(&emulator, path)?;
    }
    let url = arguments.lifecycle_url.clone().map(Target::Url);
    emulator.set_target(url.or(arguments.lifecycle_file.clone().map(Target::File)))?;
    emulator.set_fulfillment_url(arguments.fulfillment_url.as_deref())?;
    let address = arguments.listen;
    let bound = TcpListener::bind(address).await;
    let listener = bound.map_err(|error| RunError::Listen { address, error })?;
    let bound = listener.local_addr().unwrap_or(address);
    // Everything is on one line, because a program that starts this one may read only one line.
    println!(
        "AWS Marketplace is at http://{bound}, its world at http://{bound}/_emulator, for a browser at http://{bound}/_emulator/console"
    );
    emulator
        .serve(listener, stopped())
        .await
        .map_err(RunError::Serve)?;
    match &arguments.save {
        Some(path) => save(&emulator, path),
        None => Ok(()),
    }
}

fn load(emulator: &Emulator, path: &PathBuf) -> Result<(), RunError> {
    let json = std::fs::read_to_string(path).map_err(|error| RunError::Read {
        path: path.clone(),
        error,
    })?;
    emulator.load(&json).map_err(|error| RunError::Load {
        path: path.clone(),
        error,
    })
}

/// Saves the world. A failure or a crash leaves the old file or the new one.
fn save(emulator: &Emulator, path: &Path) -> Result<(), RunError> {
    let json = emulator.save().map_err(RunError::Save)?;
    replace_file(path, &json).map_err(|error| RunError::Write {
        path: path.to_path_buf(),
        error,
    })
}

/// Completes at Ctrl-C or SIGTERM.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            eprintln!("emulator: cannot wait for signals ({error}), stopping");
            return;
        }
    };
    let interrupted = tokio::signal::ctrl_c();
    tokio::select! {
        interrupted = interrupted => {
            if let Err(error) = interrupted {
                eprintln!("emulator: cannot wait for Ctrl-C ({error}), stopping");
            }
        }
        _ = terminate.recv() => {}
    }
}
