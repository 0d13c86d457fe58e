//! The seven functions of a world, and their clocks.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ledger::{Ledger, TableNames};
use marketplace::audit::Source;
use metering_api::MeteringApi;
use reconciler::audit::{EventHistory, History, Trail};
use runtime::trail::TrailPlace;
use runtime::{Clock, Env};

use super::clients;
use super::wire::Wire;

/// The name of the stack, which is in the names of its tables.
pub(super) const STACK: &str = "metering";

/// The true time, which only the driver of the world moves.
#[derive(Clone)]
pub struct Now {
    now: Arc<Mutex<Timestamp>>,
}

impl Now {
    pub(super) fn at(now: Timestamp) -> Self {
        Self {
            now: Arc::new(Mutex::new(now)),
        }
    }

    /// The true time, without any function's clock error.
    pub fn get(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the true time.
    pub fn set(&self, now: Timestamp) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn clock(&self, off_ms: &Arc<AtomicI64>) -> Clock {
        let now = self.clone();
        let off_ms = Arc::clone(off_ms);
        Clock::InProcess(Arc::new(move || {
            let off = SignedDuration::from_millis(off_ms.load(Ordering::Relaxed));
            now.get().checked_add(off).unwrap_or(Timestamp::MAX)
        }))
    }
}

/// The functions of one world.
#[derive(Clone)]
pub struct Functions {
    /// Serves the landing page.
    pub registration: registration::App,
    /// Receives lifecycle messages.
    pub agreements: agreements::App,
    /// Receives usage over HTTP.
    pub intake: intake::App,
    /// Flags hours with late usage.
    pub late_usage: late_usage::App,
    /// Makes records from rows.
    pub sealer: sealer::App,
    /// Sends records to AWS Marketplace.
    pub submitter: submitter::App,
    /// Recounts, audits and closes.
    pub reconciler: reconciler::App,
}

thread_local! {
    /// The functions from which those of every world of this thread are copied. Reading settings
    /// and building clients takes longer than a whole world lives, so each thread does it once.
    static PROTOTYPE: Functions = Functions::prototype();
}

/// The bucket and the account of the emulator's trail.
fn trail_place() -> TrailPlace {
    let settings = emulator::Settings::default();
    let env = Env::of([
        ("AUDIT_BUCKET", settings.trail_bucket),
        ("AUDIT_ACCOUNT", settings.seller_account_id),
        ("METERING_REGION", "us-east-1".to_owned()),
    ]);
    let place = TrailPlace::from_env(&env).expect("a place");
    place.expect("a bucket")
}

impl Functions {
    fn prototype() -> Self {
        let names = TableNames::of_stack(STACK);
        let env = Env::of(
            [
                ("SUBSCRIPTIONS_TABLE", names.subscriptions.as_str()),
                ("USAGE_EVENTS_TABLE", &names.usage_events),
                ("METERING_RECORDS_TABLE", &names.metering_records),
                ("DYNAMODB_ENDPOINT", "http://dynamodb.example"),
                ("MARKETPLACE_ENDPOINT", "http://metering.example"),
                ("CLOUDTRAIL_ENDPOINT", "http://cloudtrail.example"),
                ("AWS_REGION", "us-east-1"),
                ("SELLER_NAME", "Example Seller"),
                ("SUPPORT_CONTACT", "support@example.com"),
                (
                    "SESSION_KEY",
                    "a key for this machine only, never used on AWS",
                ),
                ("SUBMIT_AT_ONCE", "1"),
                ("SUBMIT_PER_SECOND", "0"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            Self {
                registration: registration::App::start(&env).await.expect("settings"),
                agreements: agreements::App::start(&env).await.expect("settings"),
                intake: intake::App::start(&env).await.expect("settings"),
                late_usage: late_usage::App::start(&env).await.expect("settings"),
                sealer: sealer::App::start(&env).await.expect("settings"),
                submitter: submitter::App::start(&env).await.expect("settings"),
                reconciler: reconciler::App::start(&env).await.expect("settings"),
            }
        })
    }

    /// The functions of a world, with its wire, tables and clocks.
    pub(super) fn on(
        wire: &Wire,
        ledger: &Ledger,
        now: &Now,
        off_ms: &[Arc<AtomicI64>; 7],
        source: Source,
    ) -> Self {
        let mut all = PROTOTYPE.with(Clone::clone);
        let metering = MeteringApi::new(clients::metering(wire));
        all.registration.ledger = ledger.clone();
        all.registration.metering = metering.clone();
        all.registration.clock = now.clock(&off_ms[0]);
        all.agreements.ledger = ledger.clone();
        all.agreements.clock = now.clock(&off_ms[1]);
        all.intake.ledger = ledger.clone();
        all.intake.clock = now.clock(&off_ms[2]);
        all.late_usage.ledger = ledger.clone();
        all.late_usage.clock = now.clock(&off_ms[3]);
        all.sealer.ledger = ledger.clone();
        all.sealer.clock = now.clock(&off_ms[4]);
        all.submitter.ledger = ledger.clone();
        all.submitter.metering = metering;
        all.submitter.clock = now.clock(&off_ms[5]);
        all.submitter.pause = Duration::ZERO;
        all.reconciler.ledger = ledger.clone();
        all.reconciler.clock = now.clock(&off_ms[6]);
        let history = match source {
            Source::EventHistory => History::Events(EventHistory::new(clients::cloudtrail(wire))),
            Source::Trail => History::Trail(Trail::new(clients::s3(wire), trail_place())),
        };
        all.reconciler.history = history.without_pauses();
        all
    }
}
