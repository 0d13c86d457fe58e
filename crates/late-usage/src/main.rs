//! Late usage as a Lambda function: fed by the stream of UsageEvents.

use serde_json::value::RawValue;
use startup::run::Error;

fn main() -> std::process::ExitCode {
    startup::block_on(async {
        let app = late_usage::App::start(&startup::Env::from_process()).await?;
        startup::run(|event: Box<RawValue>, budget| late_usage::handle(&app, event, budget))
            .await?;
        Ok::<(), Error>(())
    })
}
