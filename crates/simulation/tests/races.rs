//! Stops a function's run before each of its calls, while something else changes the world.

use simulation::races::{RACES, race};
use simulation::run::on_all_cores;

#[test]
fn usage_written_in_the_middle_of_a_run_is_billed_once_and_soon() {
    let tried = on_all_cores(&RACES, |(stopped, meanwhile)| {
        let mut points = 0;
        while let Some(raced) = race(*stopped, *meanwhile, points + 1) {
            points += 1;
            let problems = raced.problems();
            assert!(
                problems.is_empty(),
                "{stopped:?} before call {points}, {meanwhile:?}: {problems:#?}\n{}",
                raced.lines.join("\n")
            );
        }
        assert!(points >= 10, "{stopped:?} makes {points} calls only");
        points
    });
    let line = format!("races: {} points tried", tried.iter().sum::<u64>());
    println!("{line}");
    let report = concat!(env!("CARGO_TARGET_TMPDIR"), "/races.txt");
    std::fs::write(report, format!("{line}\n")).expect("a report");
}
