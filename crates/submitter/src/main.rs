//! The submitter as a Lambda function. New metering records invoke it, and a schedule every five
//! minutes.

use startup::run::Error;

fn main() -> std::process::ExitCode {
    startup::block_on(async {
        let app = submitter::App::start(&startup::Env::from_process()).await?;
        startup::run(|event, budget| submitter::handle(&app, event, budget)).await?;
        Ok::<(), Error>(())
    })
}
