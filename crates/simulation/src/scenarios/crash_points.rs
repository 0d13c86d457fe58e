//! The numbered calls of a run, and those of them at which a death makes a difference.

use std::sync::{Arc, Mutex};

use crate::bill::BillAndBooks;
use crate::wire::{Call, Fate};

/// The result of one run of a scenario.
#[derive(Debug, Clone)]
pub struct ScenarioRun {
    /// The count of the numbered calls.
    pub calls: u64,
    /// The numbered calls, from which [`ScenarioRun::crash_points`] chooses.
    pub steps: Vec<Step>,
    /// Whether the scenario made the chosen call, so that the call met its fault.
    pub met_fault: bool,
    /// The bill and the books at the end.
    pub end: BillAndBooks,
    /// The latest calls, to find the cause of a problem.
    pub lines: Vec<String>,
}

/// A numbered call, with the facts that decide whether a death at it makes a difference.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    is_read: bool,
    is_first: bool,
}

impl ScenarioRun {
    /// The calls at which a death makes a difference, with the fates that are possible there. A
    /// read changes nothing. So a death at a read in the middle of an invocation is the same as the
    /// death after the last write before it. A read counts only if its invocation starts or ends
    /// with it.
    pub fn crash_points(&self, fates: &[Fate]) -> Vec<(u64, Fate)> {
        let ends = self.steps.iter().skip(1).map(|step| step.is_first);
        let ends = ends.chain(std::iter::once(true));
        let numbered = (1_u64..).zip(self.steps.iter().zip(ends));
        numbered
            .flat_map(|(number, (step, is_last))| {
                let makes_a_difference = move |fate: &&Fate| match fate {
                    Fate::DiesBefore => !step.is_read || step.is_first,
                    Fate::DiesAfter => !step.is_read || is_last,
                    _ => true,
                };
                fates
                    .iter()
                    .filter(makes_a_difference)
                    .map(move |fate| (number, *fate))
            })
            .collect()
    }
}

/// The plan of a run: each call is written down, and the call with the number of `fault` meets that
/// fault.
pub(super) fn plan(
    fault: Option<(u64, Fate)>,
    steps: Arc<Mutex<Vec<Step>>>,
) -> Box<dyn FnMut(&Call) -> Fate + Send> {
    Box::new(move |call| {
        steps.lock().expect("no panic").push(Step {
            is_read: call.is_read(),
            is_first: call.in_invocation == 1,
        });
        match fault {
            Some((number, fate)) if call.number == number => fate,
            _ => Fate::Answered,
        }
    })
}
