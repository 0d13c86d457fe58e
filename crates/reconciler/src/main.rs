//! The reconciler as a Lambda function: every hour.

use startup::run::Error;

fn main() -> std::process::ExitCode {
    startup::block_on(async {
        let app = reconciler::App::start(&startup::Env::from_process()).await?;
        startup::run(|event: serde_json::Value, budget| {
            tracing::debug!(%event, "due");
            reconciler::handle(&app, budget)
        })
        .await?;
        Ok::<(), Error>(())
    })
}
