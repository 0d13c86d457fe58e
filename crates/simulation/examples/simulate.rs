//! Runs seeds of the simulation on all cores (`--seeds 0..300`), or prints the story of one seed
//! (`--seed 17`).
//!
//! The exit code is 1 if a seed shows a violation, or if a run of 2,000 or more seeds never reaches
//! a listed state. It is 2 if the arguments cannot be read.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use simulation::run::{on_a_thread, on_all_cores};
use simulation::seeds::totals::Totals;
use simulation::seeds::{self, marks};

/// A faster allocator, because clients and tables allocate many small pieces of memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A run of this many seeds or more must reach every mark.
const SEEDS_FOR_MARKS: u64 = 2_000;
/// The number of seeds after which the sums are stored.
const SEEDS_AT_ONCE: usize = 100;

const HELP: &str = "\
Generates random sellers, buyers, usage, clocks and faults, and checks what was billed.

Usage: simulate [--seeds FROM..TO [--state FILE]]
                                     seeds FROM to TO - 1 on all cores (0..300)
       simulate --seed N [--calls K] the story of one seed, with its latest K calls (200)
       simulate --help

With --state, the sums are stored in FILE after every hundred seeds. If the run is interrupted, the
same command continues it. Another build of the program refuses to continue it, because its seeds
may have other results.
";

enum Wanted {
    Range {
        seeds: Range<u64>,
        state: Option<PathBuf>,
    },
    One {
        seed: u64,
        calls: usize,
    },
    Help,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match wanted(&args) {
        Ok(Wanted::Help) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Wanted::Range { seeds, state }) => {
            many(seeds, state.as_deref()).unwrap_or_else(|problem| {
                eprintln!("{problem}");
                ExitCode::from(2)
            })
        }
        Ok(Wanted::One { seed, calls }) => one(seed, calls),
        Err(problem) => {
            eprintln!("{problem}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn wanted(args: &[String]) -> Result<Wanted, String> {
    let number = |text: &str| {
        text.parse::<u64>()
            .map_err(|_| format!("{text:?} is not a seed: give a whole number"))
    };
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        [] => Ok(Wanted::Range {
            seeds: 0..300,
            state: None,
        }),
        ["--help" | "-h"] => Ok(Wanted::Help),
        ["--seeds", range, rest @ ..] => {
            let state = match rest {
                [] => None,
                ["--state", file] => Some(PathBuf::from(file)),
                _ => return Err(format!("cannot read the arguments {rest:?}")),
            };
            let (from, to) = range
                .split_once("..")
                .ok_or_else(|| format!("{range:?} is not a range of seeds: give FROM..TO"))?;
            let (from, to) = (number(from)?, number(to)?);
            if from >= to {
                return Err(format!("{range:?} has no seeds: FROM must be below TO"));
            }
            Ok(Wanted::Range {
                seeds: from..to,
                state,
            })
        }
        ["--seed", seed] => Ok(Wanted::One {
            seed: number(seed)?,
            calls: 200,
        }),
        ["--seed", seed, "--calls", calls] => Ok(Wanted::One {
            seed: number(seed)?,
            calls: usize::try_from(number(calls)?).map_err(|e| e.to_string())?,
        }),
        _ => Err(format!("cannot read the arguments {args:?}")),
    }
}

fn one(seed: u64, calls: usize) -> ExitCode {
    let report = on_a_thread(|| seeds::run(seed, calls));
    for line in &report.story {
        println!("{line}");
    }
    println!("{:#?}", report.result);
    println!("trace {}", report.trace);
    ExitCode::from(u8::from(!report.result.violations.is_empty()))
}

/// The state of a run that can be continued.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RunState {
    /// The digest of the program, because another build may have other results.
    program: String,
    /// The first seed of the run.
    from: u64,
    /// The seed after the last one of the run.
    to: u64,
    /// The first seed that was not run yet.
    next: u64,
    /// The sums of the seeds before it.
    totals: Totals,
}

impl RunState {
    fn new(seeds: &Range<u64>) -> Result<Self, String> {
        let own = std::env::current_exe().and_then(fs::read);
        let own = own.map_err(|error| format!("this program cannot be read: {error}"))?;
        Ok(Self {
            program: marketplace::text::hex(&Sha256::digest(own)),
            from: seeds.start,
            to: seeds.end,
            next: seeds.start,
            totals: Totals::default(),
        })
    }

    /// Reads the state of the same run from a file. Without the file the run begins.
    fn continued(self, file: &Path) -> Result<Self, String> {
        let problem = |problem: String| format!("{}: {problem}", file.display());
        if !file.exists() {
            return Ok(self);
        }
        let text = fs::read_to_string(file).map_err(|error| problem(error.to_string()))?;
        let stored: Self = serde_json::from_str(&text)
            .map_err(|error| problem(format!("this is no state of a run: {error}")))?;
        if stored.program != self.program {
            let rule =
                "it was written by another build of this program; begin again with another file";
            return Err(problem(rule.to_owned()));
        }
        if (stored.from, stored.to) != (self.from, self.to) {
            return Err(problem(format!(
                "it is of the seeds {}..{}; give these seeds, or another file",
                stored.from, stored.to
            )));
        }
        Ok(stored)
    }

    /// Stores the state. A process that dies meanwhile leaves the earlier state.
    fn store(&self, file: &Path) -> Result<(), String> {
        let problem = |error: String| format!("{}: {error}", file.display());
        let text = serde_json::to_string(self).map_err(|error| problem(error.to_string()))?;
        let new = file.with_extension("new");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, file))
            .map_err(|error| problem(error.to_string()))
    }
}

fn many(seeds: Range<u64>, file: Option<&Path>) -> Result<ExitCode, String> {
    let mut state = RunState::new(&seeds)?;
    if let Some(file) = file {
        state = state.continued(file)?;
    }
    for violation in &state.totals.violations {
        println!("{violation}");
    }
    let count = seeds.end - seeds.start;
    let rest: Vec<u64> = (state.next..seeds.end).collect();
    for chunk in rest.chunks(SEEDS_AT_ONCE) {
        run_chunk(&mut state, chunk, count);
        if let Some(file) = file {
            state.store(file)?;
        }
    }
    eprintln!();
    Ok(print_result(&state.totals, &seeds))
}

/// Runs some seeds on all cores, and adds their reports to the state.
fn run_chunk(state: &mut RunState, chunk: &[u64], count: u64) {
    let before = state.totals.seeds;
    let done = AtomicU64::new(before);
    let began = std::time::Instant::now();
    let reports = on_all_cores(chunk, |seed| {
        let report = seeds::judge(*seed);
        for violation in &report.result.violations {
            println!("seed {seed}: {violation}");
        }
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(25) {
            eprint!("\r{done} of {count} seeds");
            // The run continues even if its progress cannot be shown.
            if let Err(error) = std::io::stderr().flush() {
                println!("progress cannot be shown: {error}");
            }
        }
        report
    });
    for report in &reports {
        state.totals.add(report);
        state.next = state.next.max(report.seed + 1);
    }
    state.totals.took_ms += began.elapsed().as_millis();
}

/// Prints the result of a run. Returns the exit code.
fn print_result(totals: &Totals, seeds: &Range<u64>) -> ExitCode {
    println!(
        "simulation: {} seeds run ({}..{}), {} calls of which {} met a fault; {} sent, {} owed, {} billed, {} held (micro-units)",
        totals.seeds,
        seeds.start,
        seeds.end,
        totals.calls,
        totals.faults_met,
        totals.sent,
        totals.owed,
        totals.billed,
        totals.held,
    );
    println!(
        "simulation: {} seeds with violations, units lost {}, units double-billed {}",
        totals.failing, totals.lost, totals.billed_twice,
    );
    for (excuse, (units, unbilled)) in &totals.excused {
        println!(
            "simulation: excused: {excuse}: {units}, of which at most {unbilled} were not billed (micro-units)"
        );
    }
    let unreached = print_marks(totals);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let per_seed = totals.took_ms * cores as u128 / u128::from(totals.seeds.max(1));
    println!("simulation: {per_seed} ms a seed and core");
    let is_short_of_marks = totals.seeds >= SEEDS_FOR_MARKS && unreached > 0;
    ExitCode::from(u8::from(totals.failing > 0 || is_short_of_marks))
}

/// Prints the states that were reached, and returns how many were not.
fn print_marks(totals: &Totals) -> usize {
    let all = marks::all();
    let mut reached: BTreeMap<&str, u64> = all.iter().map(|name| (name.as_str(), 0)).collect();
    for (name, times) in &totals.marks {
        *reached.entry(name).or_default() += times;
    }
    for (name, times) in &reached {
        let remark = if all.contains(*name) {
            ""
        } else {
            "  (not in the list)"
        };
        println!("{times:>12}  {name}{remark}");
    }
    let missing: Vec<&&str> = reached
        .iter()
        .filter(|(_, times)| **times == 0)
        .map(|(name, _)| name)
        .collect();
    println!(
        "simulation: {} of {} marks reached; never: {missing:?}",
        all.len() - missing.len(),
        all.len()
    );
    missing.len()
}
