//! The reconciler as a Lambda function. Each of its tasks runs every hour.

use startup::run::Error;

fn main() -> std::process::ExitCode {
    startup::block_on(async {
        let app = reconciler::App::start(&startup::Env::from_process()).await?;
        startup::run(|event: serde_json::Value, budget| {
            let app = &app;
            async move { reconciler::handle_event(app, &event, budget).await }
        })
        .await?;
        Ok::<(), Error>(())
    })
}
