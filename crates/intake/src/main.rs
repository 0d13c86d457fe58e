//! The intake of usage events as a Lambda function. It serves `POST /usage`, whose requests are
//! signed with IAM credentials.

use std::sync::Arc;

use runtime::run::Error;

fn main() -> std::process::ExitCode {
    runtime::block_on(async {
        let app = intake::App::start(&runtime::Env::from_process()).await?;
        runtime::run::run_http(intake::function(Arc::new(app))).await?;
        Ok::<(), Error>(())
    })
}
