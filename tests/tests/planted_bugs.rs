//! Each planted bug must be found by the suite that is assigned to it, and without a bug no suite
//! may find anything.

use std::panic::{AssertUnwindSafe, catch_unwind};

use end_to_end::proof::races::{self, RACES};
use end_to_end::proof::run::on_all_cores;
use end_to_end::proof::scenarios::{Scenario, Told, tell};
use end_to_end::proof::simulation;
use marketplace::planted::{Bug, plant};

/// The suite that has to find a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suite {
    /// The scenarios without a death. They find a bug by a different bill or different books.
    Scenarios,
    /// The races between a function and other changes.
    Races,
    /// The crash matrix. It finds a bug by a different bill or different books after a death.
    CrashMatrix(Scenario),
    /// The simulation. It finds a bug by a violation in one of the first seeds. The number is the
    /// seed to start with.
    Simulation(u64),
}

impl Suite {
    fn name(self) -> &'static str {
        match self {
            Self::Scenarios => "scenarios",
            Self::Races => "races",
            Self::CrashMatrix(_) => "crash matrix",
            Self::Simulation(_) => "simulation",
        }
    }
}

/// The seeds among which the simulation has to find a bug.
const SEEDS: std::ops::Range<u64> = 0..60;

fn suite_of(bug: Bug) -> Suite {
    use Suite::*;
    match bug {
        Bug::WatermarkAfterReading => Races,
        Bug::CatchHourSealedEarly => Scenarios,
        Bug::DimensionCut => Simulation(4),
        Bug::SeventhDecimalDropped => Simulation(10),
        Bug::OtherHourCounted => Simulation(10),
        Bug::ForgedCarryCounted => Simulation(3),
        Bug::StampedNow => Scenarios,
        Bug::ActivationIgnored => Simulation(12),
        Bug::UntaggedShareMissing => Scenarios,
        Bug::ProductsMixed => Simulation(38),
        Bug::ResultsByPosition => Scenarios,
        Bug::UnprocessedIsSuccess => Simulation(33),
        Bug::SilenceIsSuccess => Scenarios,
        Bug::DuplicateIsSuccess => Scenarios,
        Bug::LostAnswerIsSuccess => Simulation(3),
        Bug::AccessDeniedIsFinal => Simulation(3),
        Bug::AttemptsRunOut => Simulation(5),
        Bug::AcceptedBeforeSent => CrashMatrix(Scenario::CalmHour),
        Bug::DecimalsCutOff => Scenarios,
        Bug::EmptyCustomerIdentifier => Simulation(3),
        Bug::CarriedAgain => Races,
        Bug::CarriedWithoutRecord => Simulation(0),
        Bug::CarriedAcrossMonths => Simulation(2),
        Bug::MovementInTwoSteps => CrashMatrix(Scenario::LateUsage),
        Bug::MovementUnconditional => Races,
        Bug::RecordOverwritten => Races,
        Bug::FlagClearedBlindly => Races,
        Bug::LateRowsNotFlagged => Scenarios,
        Bug::FlagFailureForgotten => CrashMatrix(Scenario::LateUsage),
        Bug::NothingRecounted => Simulation(8),
        Bug::ProgressBeforeWork => CrashMatrix(Scenario::MonthEnd),
        Bug::FailedPutAcknowledged => CrashMatrix(Scenario::Registration),
        Bug::ClosedAtFirstSign => Scenarios,
        Bug::LastHourNotHurried => Scenarios,
        Bug::RenewalEnds => Simulation(35),
        Bug::UnconfirmedIsExpired => Scenarios,
        Bug::FailedCallIsProof => Simulation(10),
    }
}

/// The scenarios that are run with a bug and compared with a run without it.
fn scenarios() -> Vec<Scenario> {
    [&Scenario::STANDARD[..], &Scenario::OTHERS].concat()
}

/// What a suite has found, if anything. A panic is a finding as well.
fn finding(work: impl FnOnce() -> Option<String>) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(found) => found,
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied());
            Some(format!("panic: {}", text.unwrap_or("without a text")))
        }
    }
}

fn differs(scenario: Scenario, told: &Told, reference: &Told) -> Option<String> {
    if told.outcome.bill() != scenario.bill() {
        return Some(format!("{scenario:?} bills {:?}", told.outcome.bill()));
    }
    let same = told.outcome == reference.outcome;
    (!same).then(|| format!("{scenario:?} has the books {:?}", told.outcome.books))
}

fn by_scenarios(reference: &[Told]) -> Option<String> {
    scenarios()
        .into_iter()
        .zip(reference)
        .find_map(|(scenario, reference)| {
            finding(|| differs(scenario, &tell(scenario, None), reference))
        })
}

fn by_races() -> Option<String> {
    RACES.into_iter().find_map(|(stopped, meanwhile)| {
        let mut point = 1;
        finding(|| {
            while let Some(raced) = races::race(stopped, meanwhile, point) {
                if let Some(problem) = raced.problems().first() {
                    return Some(format!(
                        "{stopped:?} before call {point}, {meanwhile:?}: {problem}"
                    ));
                }
                point += 1;
            }
            None
        })
    })
}

fn by_crash_matrix(scenario: Scenario, reference: &Told) -> Option<String> {
    let points = tell(scenario, None).crash_points(scenario.fates());
    points.into_iter().find_map(|(number, fate)| {
        finding(|| {
            let told = tell(scenario, Some((number, fate)));
            let found = differs(scenario, &told, reference)?;
            Some(format!("{fate:?} call {number}: {found}"))
        })
    })
}

fn by_simulation(first: u64) -> Option<String> {
    let others = SEEDS.filter(|seed| *seed != first);
    std::iter::once(first).chain(others).find_map(|seed| {
        finding(|| {
            let verdict = simulation::judge(seed).verdict;
            let violation = verdict.violations.first()?;
            Some(format!("seed {seed}: {violation}"))
        })
    })
}

#[test]
fn every_planted_bug_is_found() {
    let reference = on_all_cores(&scenarios(), |scenario| tell(*scenario, None));
    for (scenario, told) in scenarios().into_iter().zip(&reference) {
        assert_eq!(told.outcome.bill(), scenario.bill(), "{scenario:?}");
    }
    let reference_of = |scenario| {
        let place = scenarios().iter().position(|one| *one == scenario);
        &reference[place.expect("one of them")]
    };
    let found = on_all_cores(Bug::ALL, |bug| {
        plant(Some(*bug));
        let found = match suite_of(*bug) {
            Suite::Scenarios => by_scenarios(&reference),
            Suite::Races => by_races(),
            Suite::CrashMatrix(scenario) => by_crash_matrix(scenario, reference_of(scenario)),
            Suite::Simulation(first) => by_simulation(first),
        };
        plant(None);
        // The result is printed at once, because some suites take a while.
        let said = found.as_deref().unwrap_or("NOT FOUND");
        let said: String = said.chars().take(160).collect();
        println!("{} by {}: {said}", bug.as_str(), suite_of(*bug).name());
        found.is_some()
    });
    let count = found.iter().filter(|found| **found).count();
    let line = format!("planted bugs: {count} of {} found", Bug::ALL.len());
    println!("{line}");
    let report = concat!(env!("CARGO_TARGET_TMPDIR"), "/planted-bugs.txt");
    std::fs::write(report, format!("{line}\n")).expect("a report");
    assert_eq!(count, Bug::ALL.len());
}
