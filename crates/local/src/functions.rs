//! The seven functions as the local stack runs them. They start from settings as on Lambda, but
//! with clients that retry quickly and a clock within the process.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_marketplacemetering::config::retry::RetryConfig;
use aws_sdk_marketplacemetering::config::{BehaviorVersion, Region};
use aws_smithy_http_client::Builder;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use cloudtrail::{EventHistory, History};
use ledger::{Ledger, TableNames};
use metering_api::MeteringApi;
use runtime::{BatchResponse, Budget, Clock, Env, INVOCATION_TIME};
use serde_json::Value;

use crate::capacity::CapacityCounter;
use crate::crash::CrashPoints;
use crate::stack::StackError;

/// The pause before the first retry of the SDK or of the submitter, doubled each time. The pause is
/// short, because no real service needs to be protected.
const RETRY_PAUSE: Duration = Duration::from_millis(2);

/// The addresses, clocks and settings with which the functions are started.
pub(crate) struct Wiring {
    pub names: TableNames,
    pub dynamodb_endpoint: String,
    pub aws_endpoint: String,
    /// The emulator's clock, for functions that answer requests and events.
    pub clock: Clock,
    /// The clock of the current step, for functions that schedules and streams invoke.
    pub step_clock: Clock,
    pub crashes: CrashPoints,
    pub capacity: CapacityCounter,
    pub env: Vec<(String, String)>,
}

/// The functions, ready to be invoked.
pub(crate) struct Functions {
    registration: Arc<registration::App>,
    agreements: agreements::App,
    intake: Arc<intake::App>,
    late_usage: late_usage::App,
    pub sealer: sealer::App,
    submitter: submitter::App,
    pub reconciler: reconciler::App,
    ledger: Ledger,
}

impl Functions {
    /// Starts the functions with the template's default settings, overridden by `wiring.env`.
    pub async fn start(wiring: Wiring) -> Result<Self, StackError> {
        let defaults = [
            ("SUBSCRIPTIONS_TABLE", wiring.names.subscriptions.as_str()),
            ("USAGE_EVENTS_TABLE", &wiring.names.usage_events),
            ("METERING_RECORDS_TABLE", &wiring.names.metering_records),
            ("DYNAMODB_ENDPOINT", &wiring.dynamodb_endpoint),
            ("MARKETPLACE_ENDPOINT", &wiring.aws_endpoint),
            ("CLOUDTRAIL_ENDPOINT", &wiring.aws_endpoint),
            ("S3_ENDPOINT", &wiring.aws_endpoint),
            ("AWS_REGION", "us-east-1"),
            ("SELLER_NAME", "Example Seller"),
            ("SUPPORT_CONTACT", "support@example.com"),
            (
                "SESSION_KEY",
                "a key for this machine only, never used on AWS",
            ),
            // One call is sent at a time, so that a run can be repeated exactly.
            ("SUBMIT_AT_ONCE", "1"),
            // There is no quota. A quota of ten calls a second counts seconds of real time, but the
            // stack's clock can run many times faster than real time, or stand still while an
            // hour's work is done. At 3600 times real time each wait for a tenth of a second would
            // cost six minutes of the stack's clock, and usage would miss its window. A quota also
            // needs the turn to send. After a crash this turn is free again at a time of the
            // stack's clock, which never comes while the clock stands still. The emulator limits
            // the rate only if `batch_meter_usage_per_s` is set. Then the submitter sends throttled
            // calls again, as on AWS.
            ("SUBMIT_PER_SECOND", "0"),
        ];
        let pairs = defaults.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let env = Env::of(pairs.into_iter().chain(wiring.env.iter().cloned()));
        let ledger = Ledger::new(dynamodb_client(&wiring), wiring.names.clone());
        // Only the submitter can die at its calls.
        let plain = Builder::new().build_http();
        let metering = MeteringApi::new(metering_client(&wiring, plain.clone()));
        let mortal = wiring.crashes.around(plain);

        let clock = || wiring.clock.clone();
        let step_clock = || wiring.step_clock.clone();
        let failed = StackError::failed;
        let registration = registration::App::new(&env, ledger.clone(), metering, clock());
        let metering = MeteringApi::new(metering_client(&wiring, mortal));
        let submitter = submitter::App::new(&env, ledger.clone(), metering, step_clock());
        let history = match History::from_env(&env).await.map_err(failed)? {
            History::Events(_) => History::Events(EventHistory::new(cloudtrail_client(&wiring))),
            trail @ History::Trail(_) => trail,
        };
        // The emulator answers at any rate.
        let history = history.without_pauses();
        let agreements = agreements::App::new(&env, ledger.clone(), clock());
        let sealer = sealer::App::new(&env, ledger.clone(), step_clock());
        let reconciler = reconciler::App::new(&env, ledger.clone(), history, step_clock());
        Ok(Self {
            registration: Arc::new(registration.map_err(failed)?),
            agreements: agreements.map_err(failed)?,
            intake: Arc::new(intake::App::new(ledger.clone(), clock())),
            late_usage: late_usage::App::new(ledger.clone(), step_clock()),
            sealer: sealer.map_err(failed)?,
            submitter: submitter.map_err(failed)?.with_pause(RETRY_PAUSE),
            reconciler: reconciler.map_err(failed)?,
            ledger,
        })
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The routes that API Gateway serves: `/usage`, and the registration for every other path.
    pub fn router(&self) -> axum::Router {
        registration::router(Arc::clone(&self.registration))
            .merge(intake::router(Arc::clone(&self.intake)))
    }

    pub async fn invoke_agreements(
        &self,
        event: Value,
    ) -> Result<BatchResponse, runtime::InvocationError> {
        agreements::handle(&self.agreements, event, Budget::of(INVOCATION_TIME)).await
    }

    pub async fn invoke_late_usage(&self, event: Value) -> Result<Value, String> {
        let event = serde_json::from_value(event).map_err(|e| e.to_string())?;
        let answer = late_usage::handle(&self.late_usage, event, Budget::of(INVOCATION_TIME)).await;
        serde_json::to_value(answer.map_err(|e| e.to_string())?).map_err(|e| e.to_string())
    }

    /// Invokes the submitter, which may die at one of its calls.
    pub async fn submit(&self, event: Value, crashes: &CrashPoints) -> Result<Value, String> {
        // The event is converted through text, because the submitter's event keeps each record as
        // the raw text in which it arrived.
        let event = serde_json::from_str(&event.to_string()).map_err(|e| e.to_string())?;
        tokio::select! {
            biased;
            () = crashes.died() => Err("the function's process died".to_owned()),
            answer = submitter::handle(&self.submitter, event, Budget::of(INVOCATION_TIME)) => {
                serde_json::to_value(answer.map_err(|e| e.to_string())?).map_err(|e| e.to_string())
            }
        }
    }
}

fn credentials() -> Credentials {
    Credentials::new("local", "local", None, None, "local")
}

fn dynamodb_client(wiring: &Wiring) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials())
        .endpoint_url(&wiring.dynamodb_endpoint)
        .http_client(Builder::new().build_http())
        .interceptor(wiring.capacity.interceptor())
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

fn metering_client(wiring: &Wiring, http: SharedHttpClient) -> aws_sdk_marketplacemetering::Client {
    let config = aws_sdk_marketplacemetering::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials())
        .endpoint_url(&wiring.aws_endpoint)
        .http_client(http)
        .retry_config(RetryConfig::standard().with_initial_backoff(RETRY_PAUSE))
        .build();
    aws_sdk_marketplacemetering::Client::from_conf(config)
}

fn cloudtrail_client(wiring: &Wiring) -> aws_sdk_cloudtrail::Client {
    let retries = aws_sdk_cloudtrail::config::retry::RetryConfig::standard();
    let config = aws_sdk_cloudtrail::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials())
        .endpoint_url(&wiring.aws_endpoint)
        .http_client(Builder::new().build_http())
        .retry_config(retries.with_initial_backoff(RETRY_PAUSE))
        .build();
    aws_sdk_cloudtrail::Client::from_conf(config)
}
