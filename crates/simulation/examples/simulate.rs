//! Runs seeds of the simulation on all cores (`--seeds 0..300`), or prints the story of one seed
//! (`--seed 17`).
//!
//! The exit code is 1 if a seed shows a violation, or if a run of 2,000 or more seeds never reaches
//! a listed state. It is 2 if the arguments cannot be read.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use simulation::run::{on_a_thread, on_all_cores};
use simulation::seeds::marks;
use simulation::seeds::owed::Excuse;
use simulation::seeds::{self, SeedReport};

/// A faster allocator, because clients and tables allocate many small pieces of memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A run of this many seeds or more must reach every mark.
const SEEDS_FOR_MARKS: usize = 2_000;

const HELP: &str = "\
Generates random sellers, buyers, usage, clocks and faults, and checks what was billed.

Usage: simulate [--seeds FROM..TO]   seeds FROM to TO - 1 on all cores (0..300)
       simulate --seed N [--calls K] the story of one seed, with its latest K calls (200)
       simulate --help
";

enum Wanted {
    Range(Range<u64>),
    One { seed: u64, calls: usize },
    Help,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match wanted(&args) {
        Ok(Wanted::Help) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Wanted::Range(seeds)) => many(seeds),
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
        [] => Ok(Wanted::Range(0..300)),
        ["--help" | "-h"] => Ok(Wanted::Help),
        ["--seeds", range] => {
            let (from, to) = range
                .split_once("..")
                .ok_or_else(|| format!("{range:?} is not a range of seeds: give FROM..TO"))?;
            let (from, to) = (number(from)?, number(to)?);
            if from >= to {
                return Err(format!("{range:?} has no seeds: FROM must be below TO"));
            }
            Ok(Wanted::Range(from..to))
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
    println!("{:#?}", report.verdict);
    println!("trace {}", report.trace);
    ExitCode::from(u8::from(!report.verdict.violations.is_empty()))
}

fn many(seeds: Range<u64>) -> ExitCode {
    let all: Vec<u64> = seeds.clone().collect();
    let done = AtomicU64::new(0);
    let began = std::time::Instant::now();
    let reports: Vec<SeedReport> = on_all_cores(&all, |seed| {
        let report = seeds::judge(*seed);
        for violation in &report.verdict.violations {
            println!("seed {seed}: {violation}");
        }
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(25) {
            eprint!("\r{done} of {} seeds", all.len());
            // The run continues even if its progress cannot be shown.
            if let Err(error) = std::io::stderr().flush() {
                println!("progress cannot be shown: {error}");
            }
        }
        report
    });
    eprintln!();
    let took = began.elapsed();
    let sum = |of: fn(&SeedReport) -> u128| reports.iter().map(of).sum::<u128>();
    let failing = reports
        .iter()
        .filter(|report| !report.verdict.violations.is_empty())
        .count();
    println!(
        "simulation: {} seeds run ({}..{}), {} calls of which {} met trouble; {} sent, {} owed, {} billed, {} held (micro-units)",
        reports.len(),
        seeds.start,
        seeds.end,
        sum(|report| u128::from(report.calls)),
        sum(|report| u128::from(report.strikes)),
        sum(|report| report.verdict.sent),
        sum(|report| report.verdict.owed),
        sum(|report| report.verdict.billed),
        sum(|report| report.verdict.held),
    );
    println!(
        "simulation: {failing} seeds with violations, units lost {}, units double-billed {}",
        sum(|report| report.verdict.lost),
        sum(|report| report.verdict.billed_twice),
    );
    print_excuses(&reports);
    let unreached = print_marks(&reports);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let per_seed = took.as_millis() * cores as u128 / reports.len().max(1) as u128;
    println!("simulation: {per_seed} ms a seed and core");
    let is_short_of_marks = reports.len() >= SEEDS_FOR_MARKS && unreached > 0;
    ExitCode::from(u8::from(failing > 0 || is_short_of_marks))
}

/// Prints how much usage need not be billed, and how much of that was not billed.
fn print_excuses(reports: &[SeedReport]) {
    let mut excused: BTreeMap<Excuse, (u128, u128)> = BTreeMap::new();
    for (excuse, (units, unbilled)) in reports.iter().flat_map(|r| &r.verdict.excused) {
        let sum = excused.entry(*excuse).or_default();
        *sum = (sum.0 + units, sum.1 + unbilled);
    }
    for (excuse, (units, unbilled)) in excused {
        println!(
            "simulation: excused: {}: {units}, of which at most {unbilled} were not billed (micro-units)",
            excuse.words()
        );
    }
}

/// Prints the states that were reached, and returns how many were not.
fn print_marks(reports: &[SeedReport]) -> usize {
    let all = marks::all();
    let mut reached: BTreeMap<&str, u64> = all.iter().map(|name| (name.as_str(), 0)).collect();
    for (name, times) in reports.iter().flat_map(|report| &report.marks) {
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
