//! The submitter as a Lambda function. New metering records invoke it, and a schedule every five
//! minutes.

use runtime::run::Error;

fn main() -> std::process::ExitCode {
    runtime::block_on(async {
        let app = submitter::App::start(&runtime::Env::from_process()).await?;
        runtime::run(|event, budget| submitter::handle(&app, event, budget)).await?;
        Ok::<(), Error>(())
    })
}
