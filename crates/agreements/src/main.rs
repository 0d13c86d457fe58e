//! The agreements function on Lambda. EventBridge invokes it with events, and SQS with SNS
//! messages.

use runtime::run::Error;

fn main() -> std::process::ExitCode {
    runtime::block_on(async {
        let app = agreements::App::start(&runtime::Env::from_process()).await?;
        runtime::run(|event: serde_json::Value, budget| {
            Box::pin(agreements::handle(&app, event, budget))
        })
        .await?;
        Ok::<(), Error>(())
    })
}
