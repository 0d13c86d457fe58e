//! Checks deliberate mistakes that are patches. Each patch is applied to a copy of the sources, the
//! copy is built, and the suite that the patch names must find the mistake.
//!
//! Mistakes that can be made at the wire are planted there (`wire::mistakes`). All other
//! mistakes are patches. They never change the sources themselves.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

use simulation::run::on_a_thread;
use simulation::suites::{Reference, Suite};
use simulation::workspace;

/// A faster allocator, because clients and tables allocate many small pieces of memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "\
Applies each patch of tests/planted to a copy of the sources, builds the copy, and checks that the
suite that the patch names finds the mistake.

Usage: planted                  every patch: some two minutes for each on two cores
       planted NAME...          these patches, by their file names without .patch
       planted --sample N       N patches, different ones on each day
       planted --list           each patch: its name, its suite and what it does wrong
       planted --find SUITE [REFERENCE]
                                runs a suite on these sources and prints its finding. SUITE is
                                scenarios, races, 'crash-matrix CalmHour' or 'simulation 12'.
                                REFERENCE is a file with the ends of the scenarios without the
                                mistake.
       planted --help

The exit code is 0 if every mistake was found, 1 if one was not, and 2 if one could not be checked.

Needs git, which applies the patches. The copy of the sources is target/planted/sources. It is built
in the target folder of the workspace.
";

/// The seconds of a day. The sample changes every day.
const DAY_SECONDS: u64 = 86_400;
/// The largest number of characters that are shown of one line of cargo's errors.
const LINE_MAX: usize = 300;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["--help"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        ["--find", suite] => find(suite, None),
        ["--find", suite, reference] => find(suite, Some(Path::new(reference))),
        ["--list"] => patches().map(|patches| {
            for patch in patches {
                println!(
                    "{:26} {:24} {}",
                    patch.name,
                    patch.suite.to_string(),
                    patch.mistake
                );
            }
            true
        }),
        ["--sample", count] => match count.parse() {
            Ok(count) => patches().and_then(|patches| check(&sample(patches, count))),
            Err(_) => Err(Problem::new(format!("{count:?} is no number of patches"))),
        },
        [] => patches().and_then(|patches| check(&patches)),
        names => patches().and_then(|patches| check(&named(patches, names)?)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}\n`planted --help` describes the command.");
            ExitCode::from(2)
        }
    }
}

/// The reason why the patches could not be checked.
#[derive(Debug)]
struct Problem(String);

impl Problem {
    fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }

    fn at<E: fmt::Display>(path: &Path) -> impl FnOnce(E) -> Self {
        move |error| Self(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A mistake as a patch file.
struct Patch {
    name: String,
    path: PathBuf,
    /// The description of the mistake.
    mistake: String,
    suite: Suite,
}

/// Reads the patches in the order of their names. A patch file begins with a description of the
/// mistake and with a line `Found by: ` and the name of the suite.
fn patches() -> Result<Vec<Patch>, Problem> {
    let folder = workspace().join("tests/planted");
    let mut patches = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(Problem::at(&folder))? {
        let path = entry.map_err(Problem::at(&folder))?.path();
        if path.extension().is_none_or(|kind| kind != "patch") {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(Problem::at(&path))?;
        let suite = text
            .lines()
            .find_map(|line| line.strip_prefix("Found by: "));
        let suite = suite.ok_or_else(|| Problem::at(&path)("no line begins with `Found by: `"))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        patches.push(Patch {
            name: name.into_owned(),
            mistake: text.lines().next().unwrap_or_default().to_owned(),
            suite: suite.parse().map_err(Problem::at(&path))?,
            path,
        });
    }
    patches.sort_by(|a, b| a.name.cmp(&b.name));
    match patches.is_empty() {
        true => Err(Problem::at(&folder)("there is no patch")),
        false => Ok(patches),
    }
}

fn named(patches: Vec<Patch>, names: &[&str]) -> Result<Vec<Patch>, Problem> {
    let is_known = |name: &&&str| patches.iter().any(|patch| patch.name == **name);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        return Err(Problem::new(format!(
            "{unknown:?} is no patch of tests/planted"
        )));
    }
    let is_wanted = |patch: &Patch| names.contains(&patch.name.as_str());
    Ok(patches.into_iter().filter(is_wanted).collect())
}

/// Chooses `count` patches. The choice changes every day.
fn sample(mut patches: Vec<Patch>, count: usize) -> Vec<Patch> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let day = since.map_or(0, |since| since.as_secs() / DAY_SECONDS);
    let begin = usize::try_from(day).unwrap_or_default().wrapping_mul(count) % patches.len();
    patches.rotate_left(begin);
    patches.truncate(count);
    patches
}

/// Runs a suite on the stack of this program and prints what it finds. Returns whether it found
/// something.
fn find(suite: &str, reference: Option<&Path>) -> Result<bool, Problem> {
    let suite: Suite = suite.parse().map_err(Problem::new)?;
    let reference = match reference {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(Problem::at(path))?;
            Some(Reference::from_text(&text))
        }
        None => None,
    };
    let found = on_a_thread(|| suite.find(reference.as_ref()));
    let text: String = found
        .as_deref()
        .unwrap_or("nothing")
        .chars()
        .take(160)
        .collect();
    println!("{suite}: {text}");
    Ok(found.is_some())
}

/// Checks patches. The program of each patched copy takes the place of this program in the target
/// folder, so this program is put back at the end.
fn check(patches: &[Patch]) -> Result<bool, Problem> {
    let folder = workspace().join("target/planted");
    std::fs::create_dir_all(&folder).map_err(Problem::at(&folder))?;
    let own = std::env::current_exe().map_err(Problem::new)?;
    let kept = folder.join("own-program");
    std::fs::copy(&own, &kept).map_err(Problem::at(&kept))?;
    let checked = check_all(patches, &folder);
    // The old file may still be executed, so it is replaced and not written.
    std::fs::rename(&kept, &own).map_err(Problem::at(&own))?;
    checked
}

/// Checks patches one after the other, so that each build reuses the one before.
fn check_all(patches: &[Patch], folder: &Path) -> Result<bool, Problem> {
    let reference = folder.join("reference.txt");
    let ends = on_a_thread(Reference::new).to_text();
    std::fs::write(&reference, ends).map_err(Problem::at(&reference))?;
    let copy = folder.join("sources");
    let mut found = 0;
    for patch in patches {
        refresh(workspace(), &copy)?;
        apply(&patch.path, &copy)?;
        let is_found = build_and_find(&copy, patch, &reference)?;
        let word = if is_found { "found" } else { "NOT FOUND" };
        println!("{} by {}: {word}", patch.name, patch.suite);
        found += usize::from(is_found);
    }
    println!("patches: {found} of {} found", patches.len());
    Ok(found == patches.len())
}

/// Makes the copy equal to the sources. A file that is equal already keeps its modification time,
/// so that Cargo does not build it again.
fn refresh(from: &Path, to: &Path) -> Result<(), Problem> {
    std::fs::create_dir_all(to).map_err(Problem::at(to))?;
    for name in [
        "Cargo.toml",
        "Cargo.lock",
        "template.yaml",
        "listing.yaml",
        ".cargo",
        "crates",
        "tests",
        "events",
    ] {
        copy(&from.join(name), &to.join(name))?;
    }
    Ok(())
}

/// The version of the workspace's packages in the copy. Cargo builds the copy into the same folder
/// as the sources. If both had the same version, it would confuse the two builds.
const VERSION_OF_COPY: &str = "0.0.0-planted";

/// The manifest of the workspace with the version of the copy; `None` if it has no version.
fn manifest_of_copy(manifest: &str) -> Option<String> {
    let begin = manifest.find("[workspace.package]")?;
    let (head, package) = manifest.split_at_checked(begin)?;
    let line = package
        .lines()
        .find(|line| line.starts_with("version = "))?;
    let version = format!("version = \"{VERSION_OF_COPY}\"");
    Some(head.to_owned() + &package.replacen(line, &version, 1))
}

fn copy(from: &Path, to: &Path) -> Result<(), Problem> {
    if from.is_dir() {
        std::fs::create_dir_all(to).map_err(Problem::at(to))?;
        for entry in std::fs::read_dir(from).map_err(Problem::at(from))? {
            let name = entry.map_err(Problem::at(from))?.file_name();
            copy(&from.join(&name), &to.join(&name))?;
        }
        return Ok(());
    }
    let mut new = std::fs::read(from).map_err(Problem::at(from))?;
    if from == workspace().join("Cargo.toml") {
        let manifest = String::from_utf8(new).map_err(Problem::at(from))?;
        let manifest = manifest_of_copy(&manifest)
            .ok_or_else(|| Problem::at(from)("[workspace.package] has no version"))?;
        new = manifest.into_bytes();
    }
    if std::fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    std::fs::write(to, new).map_err(Problem::at(to))
}

fn apply(patch: &Path, copy: &Path) -> Result<(), Problem> {
    let mut git = Command::new("git");
    // Git runs outside every repository, so that the paths are relative to the copy.
    git.arg("apply")
        .arg(patch)
        .current_dir(copy)
        .env("GIT_DIR", copy.join("none"));
    let status = git
        .status()
        .map_err(|error| Problem::new(format!("git: {error}")))?;
    match status.success() {
        true => Ok(()),
        false => Err(Problem::at(patch)(
            "does not apply, because the sources have changed: make the mistake in them, write the patch with `git diff`, and undo the mistake",
        )),
    }
}

/// Builds this program from the copy, and lets it look for the mistake.
fn build_and_find(copy: &Path, patch: &Patch, reference: &Path) -> Result<bool, Problem> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| workspace().join("target"));
    let target = target.canonicalize().map_err(Problem::at(&target))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .args(["build", "-q", "--workspace", "--example", "planted"])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", &target);
    let built = build
        .output()
        .map_err(|error| Problem::new(format!("cargo: {error}")))?;
    if !built.status.success() {
        let words = shortened(&String::from_utf8_lossy(&built.stderr));
        return Err(Problem::at(&patch.path)(format!(
            "the patched sources cannot be built:\n{words}"
        )));
    }
    let program = target.join("debug/examples/planted");
    let mut find = Command::new(&program);
    find.arg("--find")
        .arg(patch.suite.to_string())
        .arg(reference)
        .current_dir(copy);
    let status = find.status().map_err(Problem::at(&program))?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        code => Err(Problem::at(&patch.path)(format!(
            "the suite could not be run: exit code {code:?}"
        ))),
    }
}

/// A text with each line cut after [`LINE_MAX`] characters. The linker's command takes one line of
/// many thousand characters, and its error comes after it.
fn shortened(text: &str) -> String {
    text.lines()
        .map(|line| match line.char_indices().nth(LINE_MAX) {
            Some((end, _)) => format!("{} …\n", &line[..end]),
            None => format!("{line}\n"),
        })
        .collect()
}
