//! Scripts compiled in advance, for machines on which compiling takes too long: an object each, and
//! what it must print and leave in its maps.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;

use crate::compare::{Outcome, compiled};
use crate::generate::{Dialect, Script};
use crate::{CASES, agree};

fn object_file(folder: &Path, seed: u64) -> PathBuf {
    folder.join(format!("{seed}.o"))
}

fn outcome_file(folder: &Path, seed: u64) -> PathBuf {
    folder.join(format!("{seed}.json"))
}

/// Compiles the scripts that follow from `seeds` into `folder`, on every CPU.
///
/// # Errors
///
/// A script that does not compile, or a file that cannot be written.
pub fn write(folder: &Path, seeds: Range<u64>) -> Result<(), String> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let work = |first| seeds.clone().skip(first).step_by(workers).try_for_each(|s| one(folder, s));
    thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|first| scope.spawn(move || work(first))).collect();
        running
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| Err("a panic".to_owned())))
    })
}

fn one(folder: &Path, seed: u64) -> Result<(), String> {
    let store = |file: PathBuf, content: &[u8]| {
        fs::write(&file, content).map_err(|error| format!("{}: {error}", file.display()))
    };
    let text = Script::generate(seed, CASES, Dialect::Own).text();
    let (object, outcome) =
        compiled(&text).map_err(|problem| format!("seed {seed}: {problem}\n{text}"))?;
    store(object_file(folder, seed), &object)?;
    let outcome = serde_json::to_vec(&outcome).map_err(|error| error.to_string())?;
    store(outcome_file(folder, seed), &outcome)
}

/// The seeds of the scripts in `folder`, in order.
///
/// # Errors
///
/// A folder that cannot be read.
pub fn seeds(folder: &Path) -> Result<Vec<u64>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut seeds: Vec<u64> =
        names.filter_map(|name| name.strip_suffix(".o")?.parse().ok()).collect();
    seeds.sort_unstable();
    Ok(seeds)
}

/// Runs the object of a seed.
///
/// # Errors
///
/// How the tracer and the interpreter disagree, or what the tracer complained about.
pub fn check(rbtrace: &Path, folder: &Path, seed: u64) -> Result<(), String> {
    let file = outcome_file(folder, seed);
    let text = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let wanted: Outcome =
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    agree("rbtrace", &wanted, rbtrace, &[object_file(folder, seed).as_ref()])
        .map_err(|problem| format!("seed {seed}: {problem}"))
}
