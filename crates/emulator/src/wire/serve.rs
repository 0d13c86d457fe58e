//! The server. It handles connections itself, so that a fault can close a connection without an
//! answer.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::limits::CONNECTIONS_MAX;

/// The time that open connections have after the shutdown to finish their request.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// The pause after a connection could not be accepted, for example because the system has no more
/// sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Marks a response that must never reach the caller. The connection is closed instead.
///
/// [`Emulator::serve`](crate::Emulator::serve) does that. Code that calls
/// [`Emulator::router`](crate::Emulator::router) itself finds this value among the response's
/// extensions. It should then make the call fail like a broken connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionDropped;

impl IntoResponse for ConnectionDropped {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response.extensions_mut().insert(ConnectionDropped);
        response
    }
}

#[derive(Debug, Error)]
#[error("a fault dropped the connection")]
struct Dropped;

/// The service that hyper calls for each request. For a dropped answer it returns an error, so that
/// hyper closes the connection without an answer.
#[derive(Clone)]
struct Connection {
    router: TowerToHyperService<axum::Router>,
}

impl Service<http::Request<Incoming>> for Connection {
    type Response = Response;
    type Error = Dropped;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Response, Dropped>> + Send + 'static>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let answer = self.router.call(request);
        Box::pin(async move {
            let response = answer
                .await
                .unwrap_or_else(|never: Infallible| match never {});
            match response.extensions().get::<ConnectionDropped>() {
                Some(_) => Err(Dropped),
                None => Ok(response),
            }
        })
    }
}

/// Accepts connections until `shutdown` completes, then lets running requests finish.
pub(crate) async fn serve(
    router: axum::Router,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            stream = accept(&listener, &permits) => stream,
        };
        let Some((stream, permit)) = stream else {
            break;
        };
        let service = Connection {
            router: TowerToHyperService::new(router.clone()),
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended with an error");
            }
            drop(permit);
        });
        while connections.try_join_next().is_some() {}
    }
    if tokio::time::timeout(SHUTDOWN_GRACE, graceful.shutdown())
        .await
        .is_err()
    {
        connections.abort_all();
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY could not be set");
                }
                return Some((stream, permit));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
