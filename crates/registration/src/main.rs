//! The registration page as a Lambda function behind an HTTP API.

use std::sync::Arc;

use startup::run::Error;

fn main() -> std::process::ExitCode {
    startup::block_on(async {
        let app = registration::App::start(&startup::Env::from_process()).await?;
        startup::run::run_http(registration::router(Arc::new(app))).await?;
        Ok::<(), Error>(())
    })
}
