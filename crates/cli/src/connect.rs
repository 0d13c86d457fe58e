//! Options that choose the tables and the AWS Marketplace a command works with.

use clap::Args;
use cloudtrail::History;
use jiff::Timestamp;
use ledger::{Ledger, TableNames};
use local::stack::STACK_NAME;
use marketplace::audit::Source;
use marketplace::limits::{RETENTION_MONTHS_DEFAULT, RETENTION_MONTHS_MAX};
use marketplace::schedule::Schedule;
use marketplace::window::Window;
use metering_api::MeteringApi;
use runtime::settings::{self, Products};
use runtime::{Clock, Env, clients};

use crate::failure::Failure;

/// The default address of DynamoDB in `metering local`.
pub const LOCAL_DYNAMODB: &str = "127.0.0.1:8000";
/// The default address of AWS Marketplace in `metering local`.
pub const LOCAL_AWS: &str = "127.0.0.1:8081";
/// The default address of `/register` and `/usage` in `metering local`.
pub const LOCAL_HTTP: &str = "127.0.0.1:8080";

/// The largest number of transmissions of one call. A repeat sends the same content.
const TRANSMISSIONS_MAX: u32 = 3;

/// Chooses the stack whose tables are used.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which stack")]
pub struct Tables {
    /// The stack that `metering local` runs on this machine
    #[arg(long, conflicts_with = "dynamodb_endpoint")]
    local: bool,
    /// Name of the deployed stack, whose tables are NAME-Subscriptions and so on [default: the
    /// environment variable METERING_STACK, or "metering"]
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,
    /// The endpoint of a DynamoDB on this machine, which is used instead of AWS and receives no
    /// real credentials. DynamoDB has no clock, so the command uses this machine's time. The clock
    /// of a `metering local` on other ports may show another time. Then name that clock in
    /// METERING_CLOCK, as in http://127.0.0.1:8081/_emulator/clock [default: the environment
    /// variable DYNAMODB_ENDPOINT]
    #[arg(long, value_name = "URL", value_parser = url)]
    dynamodb_endpoint: Option<String>,
}

impl Tables {
    /// Connects to the tables, in the account and Region that AWS_PROFILE, AWS_REGION and so on
    /// select.
    pub async fn ledger(&self) -> Result<Ledger, Failure> {
        clients::ledger(&self.env()).await.map_err(Failure::usage)
    }

    /// Returns the current time of the stack. The stack of `metering local` has its own clock. An
    /// explicit endpoint can be any DynamoDB, and DynamoDB does not report the stack's time. Then
    /// the time is this machine's, unless METERING_CLOCK names a clock.
    pub async fn now(&self) -> Result<Timestamp, Failure> {
        let clock = Clock::from_env(&self.env()).map_err(Failure::usage)?;
        clock
            .now()
            .await
            .map_err(|error| Failure::failed(format!("{error}; is `metering local` running?")))
    }

    /// Returns a reader of CloudTrail's events in the Region in which usage is metered. It reads
    /// the Event history of the same account, or a trail. The history of `metering local` has no
    /// limit on the rate of calls.
    pub async fn history(&self, trail: &TrailFiles) -> Result<History, Failure> {
        let env = self.env().and(trail.settings());
        let history = History::from_env(&env).await.map_err(Failure::usage)?;
        Ok(match self.local {
            true => history.without_pauses(),
            false => history,
        })
    }

    /// The submission window and the products of the stack. They come from this process's
    /// WINDOW_HOURS and PRODUCT_CODES, as in the functions, or are the defaults.
    pub fn audited(&self) -> Result<(Window, Products), Failure> {
        let process = Env::from_process();
        let policy = settings::seal_policy(&process).map_err(Failure::usage)?;
        let products = Products::from_env(&process).map_err(Failure::usage)?;
        Ok((policy.window, products))
    }

    /// Returns the times at which the stack's hours are sealed. They follow this process's
    /// SETTLE_MINUTES, as in the functions, or the default.
    pub fn schedule(&self) -> Result<Schedule, Failure> {
        settings::schedule(&Env::from_process()).map_err(Failure::usage)
    }

    fn env(&self) -> Env {
        let process = Env::from_process();
        let set = |name| process.text_opt(name).map(str::to_owned);
        let stack = match &self.stack {
            Some(stack) => stack.clone(),
            None if self.local => STACK_NAME.to_owned(),
            None => set("METERING_STACK").unwrap_or_else(|| STACK_NAME.to_owned()),
        };
        let names = TableNames::of_stack(&stack);
        let mut pairs = vec![
            ("SUBSCRIPTIONS_TABLE", names.subscriptions),
            ("USAGE_EVENTS_TABLE", names.usage_events),
            ("METERING_RECORDS_TABLE", names.metering_records),
        ];
        // If no setting says how long the stack keeps closed records, a decision keeps them for the
        // longest time that a stack can have. So no record is removed earlier than the stack would
        // remove it.
        pairs.push((
            "RETENTION_MONTHS",
            set("RETENTION_MONTHS").unwrap_or_else(|| match self.local {
                true => RETENTION_MONTHS_DEFAULT.to_string(),
                false => RETENTION_MONTHS_MAX.to_string(),
            }),
        ));
        if self.local {
            pairs.push(("DYNAMODB_ENDPOINT", format!("http://{LOCAL_DYNAMODB}")));
            let clock = format!("http://{LOCAL_AWS}/_emulator/clock");
            pairs.push(("METERING_CLOCK", clock));
            for name in ["CLOUDTRAIL_ENDPOINT", "S3_ENDPOINT"] {
                pairs.push((name, format!("http://{LOCAL_AWS}")));
            }
        } else {
            let endpoint = self.dynamodb_endpoint.clone();
            let endpoint = endpoint.or_else(|| set("DYNAMODB_ENDPOINT"));
            pairs.extend(endpoint.map(|url| ("DYNAMODB_ENDPOINT", url)));
            for name in [
                "METERING_CLOCK",
                "CLOUDTRAIL_ENDPOINT",
                "S3_ENDPOINT",
                "METERING_REGION",
                "AWS_REGION",
            ] {
                pairs.extend(set(name).map(|value| (name, value)));
            }
        }
        Env::of(pairs)
    }
}

/// The files of a trail, which are read instead of the Event history.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "A trail in S3 instead of the Event history")]
pub struct TrailFiles {
    /// The bucket that a trail writes to. A trail reaches back for as long as its files are kept
    #[arg(long, value_name = "NAME", requires = "account")]
    bucket: Option<String>,
    /// The trail's S3 key prefix. A prefix with AWSLogs in it, as in AWSLogs/o-exampleorgid, is the
    /// folder that contains the accounts' folders
    #[arg(long, value_name = "PREFIX", requires = "bucket")]
    prefix: Option<String>,
    /// The account whose usage is metered, of 12 digits
    #[arg(long, value_name = "ID", requires = "bucket")]
    account: Option<String>,
}

impl TrailFiles {
    fn settings(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("AUDIT_BUCKET", &self.bucket),
            ("AUDIT_PREFIX", &self.prefix),
            ("AUDIT_ACCOUNT", &self.account),
        ];
        given
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)))
            .collect()
    }

    /// The source from which the events are read.
    pub fn source(&self) -> Source {
        match self.bucket {
            Some(_) => Source::Trail,
            None => Source::EventHistory,
        }
    }
}

/// Chooses the AWS Marketplace that is called.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which AWS Marketplace")]
pub struct Service {
    /// The AWS Marketplace that `metering local` runs on this machine
    #[arg(long, conflicts_with = "endpoint")]
    local: bool,
    /// The endpoint of an emulator, which receives no real credentials. For an interface endpoint
    /// of AWS, set the environment variable AWS_ENDPOINT_URL_MARKETPLACE_METERING instead, as for
    /// any AWS SDK
    #[arg(long, value_name = "URL", value_parser = url)]
    endpoint: Option<String>,
}

impl Service {
    /// Connects to the metering service, with the credentials and the Region that AWS_PROFILE,
    /// AWS_REGION and so on select.
    pub async fn connect(&self) -> Result<MeteringApi, Failure> {
        let endpoint = match self.local {
            true => Some(format!("http://{LOCAL_AWS}")),
            false => self.endpoint.clone(),
        };
        let region = Env::from_process()
            .text_opt("AWS_REGION")
            .map(str::to_owned);
        let pairs = endpoint
            .map(|url| ("MARKETPLACE_ENDPOINT", url))
            .into_iter()
            .chain(region.map(|region| ("AWS_REGION", region)));
        clients::metering_api(&Env::of(pairs), TRANSMISSIONS_MAX)
            .await
            .map_err(Failure::usage)
    }
}

/// Checks that the text is a URL of an endpoint.
fn url(text: &str) -> Result<String, String> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(text.to_owned()),
        _ => Err("it must be a URL, as in http://127.0.0.1:8000".to_owned()),
    }
}
