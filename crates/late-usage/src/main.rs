//! The late-usage function on Lambda. The stream of UsageEvents invokes it.

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
