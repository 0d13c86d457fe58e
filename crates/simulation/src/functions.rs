//! The seven functions of a world, and their clocks.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cloudtrail::{EventHistory, History, Trail};
use jiff::{SignedDuration, Timestamp};
use ledger::Ledger;
use marketplace::audit::Source;
use metering_api::MeteringApi;
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
    /// The functions of a world, with its wire, tables and clocks.
    pub(super) fn on(
        wire: &Wire,
        ledger: &Ledger,
        now: &Now,
        off_ms: &[Arc<AtomicI64>; 7],
        source: Source,
    ) -> Self {
        let env = &settings();
        let metering = MeteringApi::new(clients::metering(wire));
        let clock = |function: usize| now.clock(&off_ms[function]);
        let tables = || ledger.clone();
        let history = match source {
            Source::EventHistory => History::Events(EventHistory::new(clients::cloudtrail(wire))),
            Source::Trail => History::Trail(Trail::new(clients::s3(wire), trail_place())),
        };
        let registration = registration::App::new(env, tables(), metering.clone(), clock(0));
        let submitter = submitter::App::new(env, tables(), metering, clock(5));
        let history = history.without_pauses();
        let reconciler = reconciler::App::new(env, tables(), history, clock(6));
        Self {
            registration: registration.expect("settings"),
            agreements: agreements::App::new(env, tables(), clock(1)).expect("settings"),
            intake: intake::App::new(tables(), clock(2)),
            late_usage: late_usage::App::new(tables(), clock(3)),
            sealer: sealer::App::new(env, tables(), clock(4)).expect("settings"),
            submitter: submitter.expect("settings").with_pause(Duration::ZERO),
            reconciler: reconciler.expect("settings"),
        }
    }
}

/// The settings of all functions.
fn settings() -> Env {
    Env::of(
        [
            ("SELLER_NAME", "Example Seller"),
            ("SUPPORT_CONTACT", "support@example.com"),
            ("SESSION_KEY", "a key for tests only, never used on AWS"),
            ("SUBMIT_AT_ONCE", "1"),
            ("SUBMIT_PER_SECOND", "0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    )
}
