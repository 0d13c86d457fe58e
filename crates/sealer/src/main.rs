//! The sealer as a Lambda function. A schedule invokes it every five minutes.

use runtime::run::Error;

fn main() -> std::process::ExitCode {
    runtime::block_on(async {
        let app = sealer::App::start(&runtime::Env::from_process()).await?;
        runtime::run(|event: serde_json::Value, budget| {
            tracing::debug!(%event, "due");
            sealer::handle(&app, budget)
        })
        .await?;
        Ok::<(), Error>(())
    })
}
