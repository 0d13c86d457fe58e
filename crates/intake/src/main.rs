//! The intake of usage events as a Lambda function. It serves `POST /usage`, whose requests are
//! signed with IAM credentials.

use std::sync::Arc;

use startup::run::Error;

fn main() -> std::process::ExitCode {
    startup::block_on(async {
        let app = intake::App::start(&startup::Env::from_process()).await?;
        startup::run::run_http(intake::function(Arc::new(app))).await?;
        Ok::<(), Error>(())
    })
}
