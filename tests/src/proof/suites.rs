//! The suites as finders of mistakes: what each of them finds, if anything.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use super::races::{self, RACES};
use super::run::on_all_cores;
use super::scenarios::{Scenario, Told, tell};
use super::simulation;

/// What has to find a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// The scenarios, without a death: another bill, or other books.
    Scenarios,
    /// The races.
    Races,
    /// The crash matrix: another bill or other books after a death.
    CrashMatrix(Scenario),
    /// The simulation: a violation in one of the first seeds. The number is the seed to begin with.
    Simulation(u64),
}

/// Seeds among which the simulation has to find a mistake.
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

/// The scenarios as they end without a mistake: a text for each, in the order of the scenarios.
#[derive(Debug)]
pub struct Reference(Vec<String>);

impl Reference {
    /// Tells every scenario.
    ///
    /// # Panics
    ///
    /// When one has another bill than the one that was worked out by hand.
    pub fn new() -> Self {
        let told = on_all_cores(&scenarios(), |scenario| tell(*scenario, None));
        for (scenario, told) in scenarios().into_iter().zip(&told) {
            assert_eq!(told.outcome.bill(), scenario.bill(), "{scenario:?}");
        }
        Self(told.iter().map(end_of).collect())
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
fn end_of(told: &Told) -> String {
    format!("{:?}", told.outcome)
}

impl Default for Reference {
    fn default() -> Self {
        Self::new()
    }
}

impl Suite {
    /// What the suite finds in the stack as it is now, if anything. `reference` may be of another
    /// stack, without the mistake; without it only the bill is compared.
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

/// What was found; a panic is a finding too.
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

fn differs(scenario: Scenario, told: &Told, reference: Option<&str>) -> Option<String> {
    if told.outcome.bill() != scenario.bill() {
        return Some(format!("{scenario:?} bills {:?}", told.outcome.bill()));
    }
    let differs = reference.is_some_and(|reference| end_of(told) != reference);
    differs.then(|| format!("{scenario:?} has the books {:?}", told.outcome.books))
}

fn by_scenarios(reference: Option<&Reference>) -> Option<String> {
    scenarios().into_iter().find_map(|scenario| {
        let reference = reference.and_then(|reference| reference.of(scenario));
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

fn by_crash_matrix(scenario: Scenario, reference: Option<&Reference>) -> Option<String> {
    // Without a mistake elsewhere, the story without a death is the reference.
    let undisturbed = tell(scenario, None);
    let points = undisturbed.crash_points(scenario.fates());
    let end = end_of(&undisturbed);
    let reference = reference
        .and_then(|reference| reference.of(scenario))
        .unwrap_or(&end);
    points.into_iter().find_map(|(number, fate)| {
        finding(|| {
            let told = tell(scenario, Some((number, fate)));
            let found = differs(scenario, &told, Some(reference))?;
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
