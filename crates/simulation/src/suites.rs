//! Runs the suites to find deliberate mistakes. Each suite returns its first finding.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use super::races::{self, RACES};
use super::run::on_all_cores;
use super::scenarios::{Scenario, ScenarioRun, run_scenario};
use super::seeds;

/// A suite that must find a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// The scenarios without a death. They find a wrong bill, or books that differ from the
    /// reference.
    Scenarios,
    /// The races. They find usage that is not billed once.
    Races,
    /// The crash matrix of one scenario. It finds a wrong bill or different books after a death.
    CrashMatrix(Scenario),
    /// The simulation. It finds a violation in one of the first seeds. The number is the seed to
    /// begin with.
    Simulation(u64),
}

/// The seeds in which the simulation must find a mistake.
const SEEDS: std::ops::Range<u64> = 0..60;

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scenarios => f.write_str("scenarios"),
            Self::Races => f.write_str("races"),
            Self::CrashMatrix(scenario) => write!(f, "crash-matrix {scenario:?}"),
            Self::Simulation(seed) => write!(f, "simulation {seed}"),
        }
    }
}

impl FromStr for Suite {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let scenario = |name: &str| {
            let named = |scenario: &Scenario| format!("{scenario:?}") == name;
            Scenario::STANDARD.into_iter().find(named)
        };
        let suite = match text.split_once(' ') {
            None if text == "scenarios" => Some(Self::Scenarios),
            None if text == "races" => Some(Self::Races),
            Some(("crash-matrix", name)) => scenario(name).map(Self::CrashMatrix),
            Some(("simulation", seed)) => seed.parse().ok().map(Self::Simulation),
            _ => None,
        };
        suite.ok_or_else(|| {
            format!(
                "{text:?} is no suite: scenarios, races, crash-matrix <scenario> or simulation <seed>"
            )
        })
    }
}

/// The ends of the scenarios without a mistake: one line for each, in the order of the scenarios.
#[derive(Debug)]
pub struct Reference(Vec<String>);

impl Reference {
    /// Runs every scenario.
    ///
    /// # Panics
    ///
    /// If the bill of a scenario differs from the one that was calculated by hand.
    pub fn new() -> Self {
        let runs = on_all_cores(&scenarios(), |scenario| run_scenario(*scenario, None));
        for (scenario, run) in scenarios().into_iter().zip(&runs) {
            assert_eq!(run.end.bill(), scenario.bill(), "{scenario:?}");
        }
        Self(runs.iter().map(end_of).collect())
    }

    /// The reference as lines of text, one for each scenario.
    pub fn to_text(&self) -> String {
        self.0.join("\n")
    }

    /// Reads what [`Self::to_text`] has written.
    pub fn from_text(text: &str) -> Self {
        Self(text.lines().map(str::to_owned).collect())
    }

    fn of(&self, scenario: Scenario) -> Option<&str> {
        let place = scenarios().iter().position(|one| *one == scenario)?;
        self.0.get(place).map(String::as_str)
    }
}

/// The bill and the books of a scenario, as one line.
fn end_of(run: &ScenarioRun) -> String {
    format!("{:?}", run.end)
}

impl Default for Reference {
    fn default() -> Self {
        Self::new()
    }
}

impl Suite {
    /// Runs the suite and returns its first finding, if it has one. `reference` comes from a stack
    /// without the mistake. If it is missing, the scenarios compare only the bill.
    pub fn find(self, reference: Option<&Reference>) -> Option<String> {
        match self {
            Self::Scenarios => by_scenarios(reference),
            Self::Races => by_races(),
            Self::CrashMatrix(scenario) => by_crash_matrix(scenario, reference),
            Self::Simulation(first) => by_simulation(first),
        }
    }
}

fn scenarios() -> Vec<Scenario> {
    [&Scenario::STANDARD[..], &Scenario::OTHERS].concat()
}

/// Runs `work` and returns its finding. A panic is a finding too.
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

fn differs(scenario: Scenario, run: &ScenarioRun, reference: Option<&str>) -> Option<String> {
    if run.end.bill() != scenario.bill() {
        return Some(format!("{scenario:?} bills {:?}", run.end.bill()));
    }
    let differs = reference.is_some_and(|reference| end_of(run) != reference);
    differs.then(|| format!("{scenario:?} has the books {:?}", run.end.books))
}

fn by_scenarios(reference: Option<&Reference>) -> Option<String> {
    scenarios().into_iter().find_map(|scenario| {
        let reference = reference.and_then(|reference| reference.of(scenario));
        finding(|| differs(scenario, &run_scenario(scenario, None), reference))
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

fn by_crash_matrix(scenario: Scenario, reference: Option<&Reference>) -> Option<String> {
    // If no reference is given, the run without a death is the reference.
    let undisturbed = run_scenario(scenario, None);
    let points = undisturbed.crash_points(scenario.fates());
    let end = end_of(&undisturbed);
    let reference = reference
        .and_then(|reference| reference.of(scenario))
        .unwrap_or(&end);
    points.into_iter().find_map(|(number, fate)| {
        finding(|| {
            let run = run_scenario(scenario, Some((number, fate)));
            let found = differs(scenario, &run, Some(reference))?;
            Some(format!("{fate:?} call {number}: {found}"))
        })
    })
}

fn by_simulation(first: u64) -> Option<String> {
    let others = SEEDS.filter(|seed| *seed != first);
    std::iter::once(first).chain(others).find_map(|seed| {
        finding(|| {
            let result = seeds::judge(seed).result;
            let violation = result.violations.first()?;
            Some(format!("seed {seed}: {violation}"))
        })
    })
}
