//! Random sellers, buyers, usage and faults. `examples/simulate.rs` runs more seeds.

use simulation::run::{on_a_thread, on_all_cores};
use simulation::seeds;

/// This test runs first because of its name. If seeds did not repeat, no other result could be
/// reproduced.
#[test]
fn a_seed_repeats_call_by_call() {
    for seed in [3, 11] {
        let once = on_a_thread(|| seeds::run(seed, 200_000));
        let again = on_a_thread(|| seeds::run(seed, 200_000));
        for (n, (one, other)) in once.story.iter().zip(&again.story).enumerate() {
            assert_eq!(one, other, "seed {seed}, line {n}");
        }
        assert_eq!(once.trace, again.trace);
        assert_eq!(once.result, again.result);
        assert!(once.calls > 100);
    }
    assert_ne!(
        on_a_thread(|| seeds::run(3, 0)).trace,
        on_a_thread(|| seeds::run(11, 0)).trace
    );
}

#[test]
fn some_seeds_lose_nothing_and_bill_nothing_twice() {
    let seeds: Vec<u64> = (0..12).collect();
    let reports = on_all_cores(&seeds, |seed| seeds::judge(*seed));
    for report in &reports {
        assert!(
            report.result.violations.is_empty(),
            "seed {}: {:#?}\n{}",
            report.seed,
            report.result,
            report.story.join("\n")
        );
    }
    assert!(reports.iter().any(|report| report.faults_met > 0));
    assert!(
        reports
            .iter()
            .map(|report| report.result.billed)
            .sum::<u128>()
            > 0
    );
}
