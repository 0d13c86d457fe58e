//! Kills a function just before or just after one of its calls.
//!
//! A client whose HTTP goes through [`CrashPoints`] hangs for ever at some calls, either before the
//! request is sent or after its answer has arrived. The driver waits for the invocation and for
//! [`CrashPoints::died`] at the same time, and drops the invocation when `died` completes. From
//! outside this looks like a killed process: everything before that point happened, and nothing
//! after it did.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use tokio::sync::Notify;

/// The moment of a call at which its caller dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashMoment {
    /// The request is not sent.
    Before,
    /// The request took effect, and its answer is never seen.
    After,
}

/// Decides for each call, from a seed, whether the caller dies at it.
#[derive(Debug, Clone)]
pub struct CrashPoints {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    died: Notify,
}

#[derive(Debug)]
struct State {
    random: fastrand::Rng,
    per_mille: u32,
    crashes: u64,
}

impl CrashPoints {
    /// Kills the caller at `per_mille` of a thousand calls, half of them before and half after the
    /// call.
    #[must_use]
    pub fn new(seed: u64, per_mille: u32) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    random: fastrand::Rng::with_seed(seed),
                    per_mille,
                    crashes: 0,
                }),
                died: Notify::new(),
            }),
        }
    }

    /// An HTTP client whose calls pass through these crash points.
    #[must_use]
    pub fn around(&self, inner: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(CrashingClient {
            points: self.clone(),
            inner,
        })
    }

    /// Completes when a caller has died.
    pub async fn died(&self) {
        self.shared.died.notified().await;
    }

    /// The number of callers that have died.
    #[must_use]
    pub fn crashes(&self) -> u64 {
        self.state().crashes
    }

    fn draw(&self) -> Option<CrashMoment> {
        let mut state = self.state();
        if state.random.u32(0..1_000) >= state.per_mille {
            return None;
        }
        state.crashes += 1;
        Some(if state.random.bool() {
            CrashMoment::Before
        } else {
            CrashMoment::After
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct CrashingClient {
    points: CrashPoints,
    inner: SharedHttpClient,
}

impl HttpClient for CrashingClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(CrashingConnector {
            points: self.points.clone(),
            inner: self.inner.http_connector(settings, components),
        })
    }
}

#[derive(Debug)]
struct CrashingConnector {
    points: CrashPoints,
    inner: SharedHttpConnector,
}

impl HttpConnector for CrashingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let points = self.points.clone();
        let inner = self.inner.clone();
        HttpConnectorFuture::new(async move {
            let moment = points.draw();
            if moment == Some(CrashMoment::Before) {
                points.shared.died.notify_one();
                return std::future::pending().await;
            }
            let answer = inner.call(request).await;
            if moment == Some(CrashMoment::After) {
                points.shared.died.notify_one();
                return std::future::pending().await;
            }
            answer
        })
    }
}
