//! The emulator's handle. Its world, clock and faults are behind one lock.

mod purchases;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::faults::{FaultState, Faults};
use crate::fulfillment::is_fulfillment_url;
use crate::keys::{PublicKey, SigningKeys};
use crate::limits::KEY_ROTATIONS_MAX;
use crate::month::Month;
use crate::rates::Rates;
use crate::readings::Readings;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::target::{Delivery, Target, TargetError};
use crate::world::{Call, Invoice, LifecycleMessage, Metered, World};

/// The options with which an emulator starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seed of all identifiers.
    pub seed: u64,
    /// The time at which the clock starts. `None` for the system's time.
    pub now: Option<Timestamp>,
    /// How many times faster than real time the clock runs; 0 is frozen.
    pub speed: f64,
    /// The Region of calls whose credential scope has an empty Region.
    pub region: String,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: 0,
            now: None,
            speed: 1.0,
            region: "us-east-1".to_owned(),
        }
    }
}

/// AWS Marketplace on localhost. This is a handle: it is cheap to clone, and every clone is the
/// same emulator.
///
/// ```
/// use emulator::{Emulator, Identity, NewAgreement, NewProduct, Options};
///
/// let emulator = Emulator::new(Options::default());
/// emulator.add_product(NewProduct::new("examplecode1", &["requests"], Identity::License))?;
/// let agreement = emulator.add_agreement(NewAgreement::of("examplecode1"))?;
/// assert!(agreement.license_arn.starts_with("arn:aws:license-manager::"));
/// assert_eq!(emulator.take_lifecycle().len(), 2);
/// # Ok::<(), emulator::Refusal>(())
/// ```
#[derive(Clone, Debug)]
pub struct Emulator {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    state: Mutex<Core>,
}

/// The state of an emulator, behind its lock.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) world: World,
    pub(crate) clock: Clock,
    pub(crate) faults: FaultState,
    pub(crate) rates: Rates,
    pub(crate) keys: SigningKeys,
    pub(crate) target: Option<Target>,
    pub(crate) delivery: Delivery,
    /// The fulfillment URL for products that have none of their own.
    pub(crate) fulfillment_url: Option<String>,
}

impl Core {
    fn new(options: &Options, keys: SigningKeys) -> Core {
        Core {
            world: World::new(options.seed),
            clock: Clock::new(options.now, options.speed),
            faults: FaultState::default(),
            rates: Rates::default(),
            keys,
            target: None,
            delivery: Delivery::default(),
            fulfillment_url: None,
        }
    }
}

impl Emulator {
    /// An emulator with an empty world.
    pub fn new(options: Options) -> Emulator {
        Emulator {
            inner: Arc::new(Inner {
                state: Mutex::new(Core::new(&options, SigningKeys::default())),
                options,
            }),
        }
    }

    /// The Region of calls whose credential scope has an empty Region.
    pub(crate) fn region(&self) -> &str {
        &self.inner.options.region
    }

    /// Locks the state. Callers hold the lock for one step only. A poisoned lock is used like any
    /// other, because a panic in a step leaves the state as it was.
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The current time of the emulator's clock.
    pub fn now(&self) -> Timestamp {
        self.core().clock.now()
    }

    /// How many times faster than real time the clock runs; 0 is frozen.
    pub fn speed(&self) -> f64 {
        self.core().clock.speed()
    }

    /// Moves the clock, changes its speed, or both. `None` leaves the time or the speed as it is.
    /// Messages that are due by the new time can then be taken.
    pub fn set_clock(&self, now: Option<Timestamp>, speed: Option<f64>) {
        self.core().clock.set(now, speed);
    }

    /// All slots that are taken. The buyers are billed for exactly these slots.
    pub fn metered(&self) -> Vec<Metered> {
        self.core().world.metered()
    }

    /// The buyers' invoices by month and agreement, for one month (`2026-11`) or, with `None`, for
    /// all months.
    pub fn invoices(&self, month: Option<&str>) -> Result<Vec<Invoice>, Refusal> {
        let month = month
            .map(|text| {
                Month::parse(text).ok_or_else(|| Refusal::Month {
                    month: text.to_owned(),
                })
            })
            .transpose()?;
        let core = &*self.core();
        Ok(core.world.invoices(month, core.clock.now()))
    }

    /// The public key that verifies the signatures of `RegisterUsage`, by its version from 1.
    pub fn public_key(&self, version: usize) -> Result<PublicKey, Refusal> {
        let (keys, newest) = {
            let core = &*self.core();
            (core.keys.clone(), core.world.newest_key_version())
        };
        if version == 0 || version > newest {
            return Err(Refusal::KeyVersion { version, newest });
        }
        Ok(keys.public(version)?)
    }

    /// Lets the current key expire now and adds a new version of the key. Returns the new version.
    pub fn rotate_public_key(&self) -> Result<usize, Refusal> {
        let core = &mut *self.core();
        if core.world.key_rotations.len() >= KEY_ROTATIONS_MAX {
            return Err(Refusal::KeyRotations);
        }
        core.world.key_rotations.push(core.clock.now());
        Ok(core.world.newest_key_version())
    }

    /// The log of calls, oldest first. The latest 100,000 calls are kept.
    pub fn calls(&self) -> Vec<Call> {
        self.core().world.calls()
    }

    /// Replaces all faults. The names of operations are not checked. A fault of an operation that
    /// does not exist has no effect.
    pub fn set_faults(&self, faults: Faults) {
        self.core().faults = FaultState::new(faults);
    }

    /// The faults in force. [`When::Next`](crate::When::Next) has the number of calls that remain.
    pub fn faults(&self) -> Faults {
        self.core().faults.faults()
    }

    /// Chooses how the emulator behaves where AWS's behavior is not documented.
    pub fn set_readings(&self, readings: Readings) {
        self.core().world.readings = readings;
    }

    /// The readings that are in force.
    pub fn readings(&self) -> Readings {
        self.core().world.readings.clone()
    }

    /// Sets windows, delays, lifetimes and the other settings. They apply to everything that
    /// happens from now on.
    pub fn set_settings(&self, settings: Settings) {
        self.core().world.settings = settings;
    }

    /// The settings that are in force.
    pub fn settings(&self) -> Settings {
        self.core().world.settings.clone()
    }

    /// Removes and returns all lifecycle messages that are due by now, in the order of their due
    /// times.
    pub fn take_lifecycle(&self) -> Vec<LifecycleMessage> {
        let core = &mut *self.core();
        let now = core.clock.now();
        core.world.messages.take(now)
    }

    /// Puts back a message that [`Emulator::take_lifecycle`] returned and that was not delivered.
    /// The message is due again after `delay`. Until then it is saved with the world.
    pub fn put_back_lifecycle(&self, message: LifecycleMessage, delay: SignedDuration) {
        let core = &mut *self.core();
        let now = core.clock.now();
        let due = now.checked_add(delay).unwrap_or(Timestamp::MAX);
        core.world.messages.put_back(due, message);
    }

    /// Sets the target to which [`Emulator::serve`] delivers lifecycle messages. With `None` they
    /// are kept for [`Emulator::take_lifecycle`].
    pub fn set_target(&self, target: Option<Target>) -> Result<(), TargetError> {
        if let Some(target) = &target {
            target.check()?;
        }
        let core = &mut *self.core();
        core.target = target;
        core.delivery = Delivery::default();
        Ok(())
    }

    /// Sets the URL to which "Set up your account" sends buyers of products that have no
    /// fulfillment URL of their own. `None` removes the URL.
    pub fn set_fulfillment_url(&self, url: Option<&str>) -> Result<(), Refusal> {
        if let Some(url) = url
            && !is_fulfillment_url(url)
        {
            return Err(Refusal::FulfillmentUrl {
                url: url.to_owned(),
            });
        }
        self.core().fulfillment_url = url.map(str::to_owned);
        Ok(())
    }

    /// The fulfillment URL for products that have none of their own.
    pub fn fulfillment_url(&self) -> Option<String> {
        self.core().fulfillment_url.clone()
    }

    /// The target of lifecycle messages, and the counts of the delivery to it.
    pub fn delivery(&self) -> (Option<Target>, Delivery) {
        let core = &*self.core();
        (core.target.clone(), core.delivery.clone())
    }

    /// Empties the world and returns the clock and everything else to the state at the start. Only
    /// the keys, the target and the fulfillment URL stay.
    pub fn reset(&self) {
        let core = &mut *self.core();
        let (keys, target) = (core.keys.clone(), core.target.take());
        let fulfillment_url = core.fulfillment_url.take();
        *core = Core::new(&self.inner.options, keys);
        core.target = target;
        core.fulfillment_url = fulfillment_url;
    }
}
