//! Measures how long each bootstrap takes from exec to its first call of the Runtime API, and its
//! size: `METERING_BOOTSTRAPS=.aws-sam/build cargo run -p end-to-end --example start_times`.
//!
//! The aim is at most 10 ms and 8 MB, because a buyer may wait for a function to start.

use std::time::Duration;

use end_to_end::bootstrap::{binary, environment};
use end_to_end::runtime_api::Bootstrap;
use end_to_end::template::{FUNCTIONS, Template};

const RUNS: usize = 15;

#[tokio::main]
async fn main() {
    let template = Template::read();
    println!(
        "{:<14}{:>12}{:>12}{:>12}",
        "function", "bytes", "median ms", "slowest ms"
    );
    for (function, _) in FUNCTIONS {
        let binary = binary(function);
        let bytes = std::fs::metadata(&binary).expect("a bootstrap").len();
        let nowhere = "http://127.0.0.1:9";
        let settings = environment(&template, function, nowhere, nowhere);
        let mut times = Vec::new();
        for _ in 0..RUNS {
            let timeout = Duration::from_secs(1);
            let bootstrap = Bootstrap::start(&binary, function, &settings, timeout).await;
            times.push(bootstrap.start_time().await.as_micros());
        }
        times.sort_unstable();
        let ms = |micros: u128| format!("{}.{:03}", micros / 1_000, micros % 1_000);
        println!(
            "{function:<14}{bytes:>12}{:>12}{:>12}",
            ms(times[RUNS / 2]),
            ms(times[RUNS - 1])
        );
    }
}
