//! The sealer as a Lambda function. A schedule invokes it every five minutes.

use startup::run::Error;

fn main() -> std::process::ExitCode {
    startup::block_on(async {
        let app = sealer::App::start(&startup::Env::from_process()).await?;
        startup::run(|event: serde_json::Value, budget| {
            tracing::debug!(%event, "due");
            sealer::handle(&app, budget)
        })
        .await?;
        Ok::<(), Error>(())
    })
}
