//! The registration page as a Lambda function behind an HTTP API.

use std::sync::Arc;

use runtime::run::Error;

fn main() -> std::process::ExitCode {
    runtime::block_on(async {
        let app = registration::App::start(&runtime::Env::from_process()).await?;
        runtime::run::run_http(registration::router(Arc::new(app))).await?;
        Ok::<(), Error>(())
    })
}
