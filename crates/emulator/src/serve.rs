//! The emulator over HTTP: every interface on one port.

use std::future::Future;

use axum::routing::get;
use tokio::net::TcpListener;

use crate::emulator::Emulator;
use crate::{console, control, deliver, wire};

impl Emulator {
    /// Serves the AWS APIs at `POST /`, the control interface under `/_emulator`, and the console.
    /// A browser that asks for `/` is redirected to the console.
    pub fn router(&self) -> axum::Router {
        control::routes()
            .merge(console::routes())
            .route("/", get(console::redirect).fallback(wire::aws_api))
            .fallback(wire::aws_api)
            .with_state(self.clone())
    }

    /// Serves connections until `shutdown` completes. Running requests then have a few seconds to
    /// finish. A fault can make this server close a connection without an answer. It also delivers
    /// lifecycle messages to the [`Target`], if there is one.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let delivering = tokio::spawn(deliver::deliver(self.clone()));
        let served = wire::serve(self.router(), listener, shutdown).await;
        delivering.abort();
        served
    }
}
