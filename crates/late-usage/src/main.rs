//! The late-usage function on Lambda. The stream of UsageEvents invokes it.

use runtime::run::Error;
use serde_json::value::RawValue;

fn main() -> std::process::ExitCode {
    runtime::block_on(async {
        let app = late_usage::App::start(&runtime::Env::from_process()).await?;
        runtime::run(|event: Box<RawValue>, budget| late_usage::handle(&app, event, budget))
            .await?;
        Ok::<(), Error>(())
    })
}
