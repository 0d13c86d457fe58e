//! The reconciler as a Lambda function. Each of its tasks runs every hour.

use runtime::run::Error;

fn main() -> std::process::ExitCode {
    runtime::block_on(async {
        let app = reconciler::App::start(&runtime::Env::from_process()).await?;
        runtime::run(|event: serde_json::Value, budget| {
            let app = &app;
            async move { reconciler::handle_event(app, &event, budget).await }
        })
        .await?;
        Ok::<(), Error>(())
    })
}
