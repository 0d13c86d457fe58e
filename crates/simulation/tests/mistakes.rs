//! The suite that is named for a mistake at the wire must find it. Each patch of `tests/planted`
//! must fit the sources, and `docs/proof.md` must list all mistakes.

use std::collections::BTreeMap;

use simulation::run::on_all_cores;
use simulation::scenarios::Scenario;
use simulation::suites::{Reference, Suite};
use simulation::wire::mistakes::{Mistake, plant};
use simulation::workspace;

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
        // Printed at once, because some suites take a while.
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

/// The patches of `tests/planted`, by name.
fn patches() -> BTreeMap<String, String> {
    let folder = workspace().join("tests/planted");
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy();
            let text = std::fs::read_to_string(&path).expect("a patch");
            (name.into_owned(), text)
        })
        .collect()
}

/// The old lines of a part of a patch, which the changed file must contain.
fn expected(part: &str) -> String {
    let lines = part.lines().skip(1);
    let lines = lines.filter_map(|line| line.strip_prefix([' ', '-']));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn every_patch_fits_the_sources() {
    for (name, patch) in patches() {
        let suite = patch
            .lines()
            .find_map(|line| line.strip_prefix("Found by: "));
        let suite = suite.expect("a line that begins with `Found by: `");
        suite.parse::<Suite>().expect("a suite");
        let files = patch.split("\n--- a/").skip(1);
        let mut parts = 0;
        for file in files {
            let path = file.lines().next().expect("a path");
            let source = std::fs::read_to_string(workspace().join(path)).expect("a source");
            for part in file.split("\n@@ ").skip(1) {
                let part = part.split("\ndiff --git ").next().expect("a part");
                let times = source.matches(&expected(part)).count();
                assert_eq!(times, 1, "{name}: {path} has changed: {part}");
                parts += 1;
            }
        }
        assert!(parts > 0, "{name} changes nothing");
    }
}

#[test]
fn every_mistake_is_in_the_table_of_the_proof() {
    let document = std::fs::read_to_string(workspace().join("docs/proof.md")).expect("a document");
    let mut listed = BTreeMap::new();
    for row in document.lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [
            _,
            name,
            _,
            planted @ ("at the wire" | "by a patch"),
            suite,
            _,
        ] = cells[..]
        else {
            continue;
        };
        let twice = listed.insert(name.trim_matches('`').to_owned(), (planted, suite));
        assert_eq!(twice, None, "{name} is listed twice");
    }
    let of_suite = |suite: Suite| match suite {
        Suite::Scenarios => "scenarios",
        Suite::Races => "races",
        Suite::CrashMatrix(_) => "crash matrix",
        Suite::Simulation(_) => "simulation",
    };
    let mut made = BTreeMap::new();
    for mistake in Mistake::ALL {
        let suite = of_suite(suite_of(*mistake));
        made.insert(mistake.as_str().to_owned(), ("at the wire", suite));
    }
    for (name, patch) in patches() {
        let suite = patch
            .lines()
            .find_map(|line| line.strip_prefix("Found by: ")?.parse().ok());
        let suite = of_suite(suite.expect("a suite"));
        made.insert(name, ("by a patch", suite));
    }
    assert_eq!(listed, made);
    assert!(made.len() >= 37, "{}", made.len());
}
