//! Each planted bug must be found by the suite that is named for it, and no suite may find
//! anything without a planted bug.
//!
//! These are the mistakes that cannot be made where a function's calls pass; `mistakes.rs` has the
//! others.

use end_to_end::proof::run::on_all_cores;
use end_to_end::proof::scenarios::Scenario;
use end_to_end::proof::suites::{Reference, Suite};
use marketplace::planted::{Bug, plant};

fn suite_of(bug: Bug) -> Suite {
    use Suite::*;
    match bug {
        Bug::WatermarkAfterReading => Races,
        Bug::CatchHourSealedEarly => Scenarios,
        Bug::ForgedCarryCounted => Simulation(3),
        Bug::ProductsMixed => Simulation(38),
        Bug::AccessDeniedIsFinal => Simulation(3),
        Bug::AttemptsRunOut => Simulation(5),
        Bug::AcceptedBeforeSent => CrashMatrix(Scenario::CalmHour),
        Bug::CarriedWithoutRecord => Simulation(0),
        Bug::CarriedAcrossMonths => Simulation(2),
        Bug::ProgressBeforeWork => CrashMatrix(Scenario::MonthEnd),
        Bug::ClosedAtFirstSign => Scenarios,
        Bug::LastHourNotHurried => Scenarios,
        Bug::RenewalEnds => Simulation(35),
    }
}

#[test]
fn every_planted_bug_is_found() {
    let reference = Reference::new();
    let found = on_all_cores(Bug::ALL, |bug| {
        plant(Some(*bug));
        let found = suite_of(*bug).find(Some(&reference));
        plant(None);
        // Printed at once, because some bugs take a while.
        let finding = found.as_deref().unwrap_or("NOT FOUND");
        let finding: String = finding.chars().take(160).collect();
        println!("{} by {}: {finding}", bug.as_str(), suite_of(*bug));
        found.is_some()
    });
    let count = found.iter().filter(|found| **found).count();
    let line = format!("planted bugs: {count} of {} found", Bug::ALL.len());
    println!("{line}");
    let report = concat!(env!("CARGO_TARGET_TMPDIR"), "/planted-bugs.txt");
    std::fs::write(report, format!("{line}\n")).expect("a report");
    assert_eq!(count, Bug::ALL.len());
}
