//! Each mistake that is planted at the wire must be found by the suite that is named for it, and nothing
//! may be found without one.

use end_to_end::proof::run::on_all_cores;
use end_to_end::proof::scenarios::Scenario;
use end_to_end::proof::suites::{Reference, Suite};
use end_to_end::proof::wire::mistakes::{Mistake, plant};

fn suite_of(mistake: Mistake) -> Suite {
    use Suite::*;
    match mistake {
        Mistake::DimensionCut => Simulation(4),
        Mistake::SeventhDecimalDropped => Simulation(10),
        Mistake::OtherHourCounted => Simulation(10),
        Mistake::StampedNow => Scenarios,
        Mistake::ActivationIgnored => Simulation(12),
        Mistake::UntaggedShareMissing => Scenarios,
        Mistake::ResultsByPosition => Scenarios,
        Mistake::UnprocessedIsSuccess => Simulation(33),
        Mistake::SilenceIsSuccess => Scenarios,
        Mistake::DuplicateIsSuccess => Scenarios,
        Mistake::LostAnswerIsSuccess => Simulation(3),
        Mistake::DecimalsCutOff => Scenarios,
        Mistake::EmptyCustomerIdentifier => Simulation(3),
        Mistake::CarriedAgain => Races,
        Mistake::MovementInTwoSteps => CrashMatrix(Scenario::LateUsage),
        Mistake::MovementUnconditional => Races,
        Mistake::RecordOverwritten => Races,
        Mistake::FlagClearedBlindly => Races,
        Mistake::LateRowsNotFlagged => Scenarios,
        Mistake::FlagFailureForgotten => CrashMatrix(Scenario::LateUsage),
        Mistake::NothingRecounted => Simulation(8),
        Mistake::FailedPutAcknowledged => CrashMatrix(Scenario::Registration),
        Mistake::UnconfirmedIsExpired => Scenarios,
        Mistake::FailedCallIsProof => Simulation(10),
    }
}

#[test]
fn every_mistake_at_the_wire_is_found() {
    let reference = Reference::new();
    let found = on_all_cores(Mistake::ALL, |mistake| {
        plant(Some(*mistake));
        let found = suite_of(*mistake).find(Some(&reference));
        plant(None);
        // Printed at once: some take a while.
        let finding = found.as_deref().unwrap_or("NOT FOUND");
        let finding: String = finding.chars().take(160).collect();
        println!("{} by {}: {finding}", mistake.as_str(), suite_of(*mistake));
        found.is_some()
    });
    let count = found.iter().filter(|found| **found).count();
    let line = format!(
        "mistakes at the wire: {count} of {} found",
        Mistake::ALL.len()
    );
    println!("{line}");
    let report = concat!(env!("CARGO_TARGET_TMPDIR"), "/mistakes.txt");
    std::fs::write(report, format!("{line}\n")).expect("a report");
    assert_eq!(count, Mistake::ALL.len());
}
