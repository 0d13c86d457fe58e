//! Lets the process die just before and just after each call of the standard scenarios, if a death
//! there makes a difference. In two scenarios the connection also breaks at each call.

use simulation::run::on_all_cores;
use simulation::scenarios::{Scenario, ScenarioRun, run_scenario};

#[test]
fn a_death_at_any_call_leaves_the_final_books_unchanged() {
    let undisturbed: Vec<ScenarioRun> = on_all_cores(&Scenario::STANDARD, |scenario| {
        run_scenario(*scenario, None)
    });
    let mut points = Vec::new();
    for (scenario, run) in Scenario::STANDARD.iter().zip(&undisturbed) {
        for books in run.end.books.values() {
            assert!(
                books.is_balanced().expect("in range"),
                "{scenario:?}: {books:?}"
            );
            assert!(books.pending.is_zero(), "{scenario:?}: {books:?}");
        }
        assert_eq!(run.end.bill(), scenario.bill(), "{scenario:?}");
        let deaths = run.crash_points(scenario.fates()).into_iter();
        points.extend(deaths.map(|(number, fate)| (*scenario, number, fate)));
    }
    let expected = |scenario| {
        let place = Scenario::STANDARD.iter().position(|one| *one == scenario);
        &undisturbed[place.expect("one of them")].end
    };
    let problems: Vec<String> = on_all_cores(&points, |(scenario, number, fate)| {
        let run = run_scenario(*scenario, Some((*number, *fate)));
        if run.met_fault && run.end == *expected(*scenario) {
            return None;
        }
        Some(format!(
            "{scenario:?}, {fate:?} call {number} (met: {}):\n  {:?}\n  instead of\n  {:?}\n{}",
            run.met_fault,
            run.end,
            expected(*scenario),
            run.lines.join("\n")
        ))
    })
    .into_iter()
    .flatten()
    .collect();
    let calls: u64 = undisturbed.iter().map(|run| run.calls).sum();
    let line = format!(
        "crash matrix: {} crash points tried ({calls} calls of {} scenarios), {} with other books",
        points.len(),
        Scenario::STANDARD.len(),
        problems.len()
    );
    println!("{line}");
    for (scenario, run) in Scenario::STANDARD.iter().zip(&undisturbed) {
        println!("{scenario:?}: {} calls", run.calls);
    }
    let report = concat!(env!("CARGO_TARGET_TMPDIR"), "/crash-matrix.txt");
    std::fs::write(report, format!("{line}\n")).expect("a report");
    assert!(
        problems.is_empty(),
        "{}",
        problems[..problems.len().min(3)].join("\n\n")
    );
}
