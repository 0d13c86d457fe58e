//! Lets the process die just before and just after every call of the standard scenarios at which
//! that makes a difference. In two scenarios the connection also breaks at each call.

use end_to_end::proof::run::on_all_cores;
use end_to_end::proof::scenarios::{Scenario, Told, tell};

#[test]
fn a_death_at_any_call_leaves_the_final_books_unchanged() {
    let calm: Vec<Told> = on_all_cores(&Scenario::STANDARD, |scenario| tell(*scenario, None));
    let mut points = Vec::new();
    for (scenario, told) in Scenario::STANDARD.iter().zip(&calm) {
        for books in told.outcome.books.values() {
            assert!(
                books.is_balanced().expect("in range"),
                "{scenario:?}: {books:?}"
            );
            assert!(books.pending.is_zero(), "{scenario:?}: {books:?}");
        }
        assert_eq!(told.outcome.bill(), scenario.bill(), "{scenario:?}");
        let deaths = told.crash_points(scenario.fates()).into_iter();
        points.extend(deaths.map(|(number, fate)| (*scenario, number, fate)));
    }
    let expected = |scenario| {
        let place = Scenario::STANDARD.iter().position(|one| *one == scenario);
        &calm[place.expect("one of them")].outcome
    };
    let problems: Vec<String> = on_all_cores(&points, |(scenario, number, fate)| {
        let told = tell(*scenario, Some((*number, *fate)));
        if told.struck && told.outcome == *expected(*scenario) {
            return None;
        }
        Some(format!(
            "{scenario:?}, {fate:?} call {number} (struck: {}):\n  {:?}\n  instead of\n  {:?}\n{}",
            told.struck,
            told.outcome,
            expected(*scenario),
            told.lines.join("\n")
        ))
    })
    .into_iter()
    .flatten()
    .collect();
    let calls: u64 = calm.iter().map(|told| told.calls).sum();
    let line = format!(
        "crash matrix: {} crash points tried ({calls} calls of {} scenarios), {} with other books",
        points.len(),
        Scenario::STANDARD.len(),
        problems.len()
    );
    println!("{line}");
    for (scenario, told) in Scenario::STANDARD.iter().zip(&calm) {
        println!("{scenario:?}: {} calls", told.calls);
    }
    let report = concat!(env!("CARGO_TARGET_TMPDIR"), "/crash-matrix.txt");
    std::fs::write(report, format!("{line}\n")).expect("a report");
    assert!(
        problems.is_empty(),
        "{}",
        problems[..problems.len().min(3)].join("\n\n")
    );
}
