//! What a test does with a wire: it lets calls meet their fates, holds and releases them, and reads
//! what was counted.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::{Metered, Plan, Waiting, Wire, Writes};

impl Wire {
    /// Starts to count calls. Each meets the fate that the plan decides.
    pub fn follow(&self, plan: Plan) {
        let mut state = self.state();
        state.plan = plan;
        state.counting = true;
    }

    /// Ends all faults: from now on every call is answered and no call is counted.
    pub fn heal(&self) {
        self.state().counting = false;
    }

    /// Starts to count calls again. Each meets the fate that the earlier plan decides.
    pub fn follow_again(&self) {
        self.state().counting = true;
    }

    /// Holds calls until they are released, or stops holding calls and releases all.
    pub fn hold(&self, held: bool) {
        let released: Vec<Waiting> = {
            let mut state = self.state();
            state.held = held;
            if held {
                Vec::new()
            } else {
                state.waiting.drain(..).collect()
            }
        };
        for waiting in released {
            // A caller that has died does not wait for its call.
            if waiting.release.send(()).is_err() {
                continue;
            }
        }
    }

    /// Number of calls that wait to be released.
    pub fn waiting(&self) -> usize {
        let mut state = self.state();
        state.waiting.retain(|waiting| !waiting.release.is_closed());
        state.waiting.len()
    }

    /// Releases one of the waiting calls.
    pub fn release(&self, which: usize) {
        let waiting = self.state().waiting.remove(which);
        if let Some(waiting) = waiting
            && waiting.release.send(()).is_err()
        {
            self.note("a call whose caller is dead");
        }
    }

    /// Number of calls counted so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Number of calls with another fate than [`Fate::Answered`].
    pub fn faults_met(&self) -> u64 {
        self.state().faults_met
    }

    /// Starts to count the results of calls by name.
    pub fn count_marks(&self) {
        self.state().marks.get_or_insert_default();
    }

    /// The counted results of calls, by name.
    pub fn marks(&self) -> BTreeMap<String, u64> {
        self.state().marks.clone().unwrap_or_default()
    }

    /// Counts one event by its name, if results are counted.
    pub fn mark_one(&self, name: &str) {
        if self.counts_marks() {
            self.mark([name.to_owned()]);
        }
    }

    pub(super) fn mark(&self, names: impl IntoIterator<Item = String>) {
        if let Some(marks) = &mut self.state().marks {
            for name in names {
                *marks.entry(name).or_default() += 1;
            }
        }
    }

    pub(super) fn counts_marks(&self) -> bool {
        self.state().marks.is_some()
    }

    /// Numbers of writes that the tables carried out.
    pub fn writes(&self) -> Writes {
        self.state().writes
    }

    /// Adds a line to the trace.
    pub fn note(&self, line: &str) {
        self.state().trace.add(line);
    }

    /// Turns the trace off, because it takes a good part of a call's time.
    pub fn trace_nothing(&self) {
        self.state().trace.turn_off();
    }

    pub(super) fn is_traced(&self) -> bool {
        self.state().trace.is_on()
    }

    /// Keeps this many of the latest lines of the trace.
    pub fn keep_lines(&self, lines: usize) {
        self.state().trace.keep(lines);
    }

    /// The digest of the whole trace, and the latest lines.
    pub fn trace(&self) -> (String, Vec<String>) {
        let state = self.state();
        (state.trace.digest(), state.trace.lines())
    }

    /// Counts from now on the capacity that the functions' calls of DynamoDB consume. Returns the
    /// counts since the last call of this method.
    pub fn meter(&self) -> Metered {
        self.state()
            .metered
            .replace(Metered::default())
            .unwrap_or_default()
    }

    pub(super) async fn pass(&self) {
        let held = self.state().held;
        if held {
            self.wait().await;
        }
    }

    /// Waits until the call is released.
    pub(super) async fn wait(&self) {
        let (release, released) = oneshot::channel();
        self.state().waiting.push_back(Waiting { release });
        if released.await.is_err() {
            // The wire was dropped together with its world, so the caller never continues.
            std::future::pending::<()>().await;
        }
    }
}
