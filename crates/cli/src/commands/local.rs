//! The command `metering local`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use local::server::{Server, ServerOptions};
use local::stack::reachable;
use registration::page_settings::Destination;

use crate::connect::{LOCAL_AWS, LOCAL_DYNAMODB, LOCAL_HTTP};
use crate::failure::Failure;
use crate::output;

/// Runs the whole stack on this machine until Ctrl-C: tables, functions, AWS Marketplace.
///
/// Register buyers at /register, report usage at /usage or with PutItem, and let an AWS SDK or the
/// AWS CLI call the emulated AWS Marketplace. Streams, schedules and lifecycle events follow one
/// clock, which can be moved, stopped and accelerated.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering local
  metering local --speed 60 --data-dir .metering
  metering local --sample
  metering local --sign-up-url http://127.0.0.1:3000/sign-up

To subscribe, register, move the clock and see the metered usage in a browser, open the address of
--aws. Its button \"Set up your account\" leads to this stack's /register.

To set up a world with requests, use the address of --aws:
  curl -X POST http://127.0.0.1:8081/_emulator/products \\
    -d '{\"code\": \"myproduct\", \"dimensions\": [\"gb\"], \"identity\": \"license\"}'
  curl -X POST http://127.0.0.1:8081/_emulator/agreements -d '{\"product_code\": \"myproduct\"}'
  curl -X PUT http://127.0.0.1:8081/_emulator/clock -d '{\"advance\": \"1h\"}'
  curl http://127.0.0.1:8081/_emulator/metered

The stack also configures such a product in its own tables, unless it is already configured
(`metering products put --local`).

The clock shows real time, unless --speed or PUT /_emulator/clock changes it. After it is moved
forward, the work of the last six hours of the move is done in order, each step at the time it was
due. The rest of a longer move is like an outage of the functions: usage that misses AWS
Marketplace's window expires. While the clock stands still, stream batches are delivered after a
second of real time instead of when their window closes.

On the local stack the submitter has no quota of calls per second (SUBMIT_PER_SECOND is 0, on AWS
10). The quota counts seconds of real time, but this clock may run faster or stand still. The
emulated AWS Marketplace throttles BatchMeterUsage only if batch_meter_usage_per_s is set:
  curl http://127.0.0.1:8081/_emulator/settings   # shows the settings; PUT changes them

--data-dir keeps the tables and the emulated AWS Marketplace with its clock. Both are saved every
five seconds and at the end, so a process that is killed loses up to five seconds. At the next start,
a clock that runs in real time jumps to the present. Without --data-dir everything is in memory.

The local stack checks no signature and no password: use --host only where no stranger can
connect.")]
pub struct Local {
    /// The address of /register and /usage
    #[arg(long, value_name = "ADDR:PORT", default_value = LOCAL_HTTP)]
    http: SocketAddr,
    /// The address of the emulated AWS Marketplace
    #[arg(long, value_name = "ADDR:PORT", default_value = LOCAL_AWS)]
    aws: SocketAddr,
    /// The address of the embedded DynamoDB
    #[arg(long, value_name = "ADDR:PORT", default_value = LOCAL_DYNAMODB)]
    dynamodb: SocketAddr,
    /// Listen on this address instead of 127.0.0.1, on all three ports; use 0.0.0.0 in containers
    #[arg(long, value_name = "ADDR")]
    host: Option<IpAddr>,
    /// Keep everything in this folder, which is created if it does not exist
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How many times faster than real time the clock runs, 0 to 100000; 0 stops it [default: 1,
    /// with --sample 0]
    #[arg(long, value_name = "X", value_parser = speed)]
    speed: Option<f64>,
    /// Start with the world that the samples in events/ refer to, at its time,
    /// 2026-11-21T04:40:00Z. Nothing runs on its own before the clock moves
    #[arg(long, conflicts_with = "data_dir")]
    sample: bool,
    /// Send buyers to this sign-up page of your own software, with a ticket, instead of showing
    /// the stack's own one
    #[arg(long, value_name = "URL")]
    sign_up_url: Option<Destination>,
}

/// Reads a speed of the clock.
fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.0..=100_000.0).contains(&speed) => Ok(speed),
        _ => Err("it must be a number from 0 to 100000".to_owned()),
    }
}

impl Local {
    pub async fn run(&self) -> Result<(), Failure> {
        let on = |mut address: SocketAddr| {
            if let Some(host) = self.host {
                address.set_ip(host);
            }
            address
        };
        let stop = stopped()?;
        let mut server = Server::start(ServerOptions {
            http: on(self.http),
            aws: on(self.aws),
            dynamodb: on(self.dynamodb),
            data_dir: self.data_dir.clone(),
            speed: self.speed,
            sample: self.sample,
            env: self.settings(),
        })
        .await
        .map_err(Failure::failed)?;
        output::print(self.first_steps(&server))?;
        server.run(stop).await;
        eprintln!("stopping");
        server.shutdown().map_err(Failure::failed)
    }

    /// The settings of the functions that the command line sets.
    fn settings(&self) -> Vec<(String, String)> {
        let sign_up_url = self.sign_up_url.iter();
        sign_up_url
            .map(|url| ("SIGN_UP_URL".to_owned(), url.to_string()))
            .collect()
    }

    fn first_steps(&self, server: &Server) -> String {
        let stack = server.stack();
        let (http, aws) = (reachable(stack.http()), reachable(stack.aws()));
        let dynamodb = stack.dynamodb().endpoint();
        let now = stack.emulator().now();
        let speed = stack.emulator().speed();
        let tables = stack.ledger().tables();
        let usage = &tables.usage_events;
        let clock = if speed == 0.0 {
            "frozen; move it with PUT /_emulator/clock {\"advance\": \"1h\"}".to_owned()
        } else {
            format!("running at {speed} times real time")
        };
        let kept = match &self.data_dir {
            Some(dir) => format!("kept in {}", dir.display()),
            None => "in memory".to_owned(),
        };
        format!(
            "\
The stack is up.
  register, usage   http://{http}/register  http://{http}/usage
  AWS Marketplace   http://{aws}  (its world: http://{aws}/_emulator)
  console           http://{aws}/_emulator/console  (for a browser)
  DynamoDB          {dynamodb}  ({subscriptions}, {usage}, {records}; {kept})
  clock             {now:.0}, {clock}

First steps by clicking: open the console, subscribe to a product, set up your account.
Or with any credentials, such as AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local:
  curl http://{aws}/_emulator
  AWS_ENDPOINT_URL_MARKETPLACE_METERING=http://{aws} aws meteringmarketplace resolve-customer \\
    --region us-east-1 --registration-token TOKEN
  aws dynamodb put-item --endpoint-url {dynamodb} --region us-east-1 --table-name {usage} \\
    --condition-expression 'attribute_not_exists(subscription_hour)' --item '{item}'
  metering books --dynamodb-endpoint {dynamodb}

Ctrl-C stops it.",
            subscriptions = tables.subscriptions,
            records = tables.metering_records,
            item = put_item_sample(now),
        )
    }
}

/// A usage row in the form that PutItem takes.
fn put_item_sample(now: jiff::Timestamp) -> String {
    let time = format!("{now:.0}");
    let hour = marketplace::UsageHour::of(now);
    serde_json::json!({
        "subscription_hour": {"S": format!("SUBSCRIPTION@{hour}")},
        "dimension_event": {"S": "gb#event-1"},
        "quantity": {"N": "1.5"},
        "time": {"S": time},
    })
    .to_string()
}

/// Completes at Ctrl-C, and at SIGTERM, which `kill` and containers send.
fn stopped() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| {
        signal(kind).map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_number_from_nothing_to_a_hundred_thousand() {
        assert_eq!(speed("0"), Ok(0.0));
        assert_eq!(speed("2.5"), Ok(2.5));
        for text in ["-1", "fast", "NaN", "inf", "100001"] {
            assert!(speed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_sample_row_lies_in_its_own_hour() {
        let row = put_item_sample("2026-11-21T04:40:00.123Z".parse().unwrap());
        assert!(row.contains("SUBSCRIPTION@2026-11-21T04"), "{row}");
        assert!(row.contains("2026-11-21T04:40:00Z"), "{row}");
    }
}
