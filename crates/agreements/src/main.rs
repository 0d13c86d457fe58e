//! The agreements function on Lambda. EventBridge invokes it with events, and SQS with SNS
//! messages.

use startup::run::Error;

fn main() -> std::process::ExitCode {
    startup::block_on(async {
        let app = agreements::App::start(&startup::Env::from_process()).await?;
        startup::run(|event: serde_json::Value, budget| {
            Box::pin(agreements::handle(&app, event, budget))
        })
        .await?;
        Ok::<(), Error>(())
    })
}
