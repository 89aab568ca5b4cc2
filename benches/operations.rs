//! What each operation of the language costs in the kernel: the `bench:` blocks of
//! `benches/operations/*.bt`, under rbtrace and, where it is installed, under bpftrace.
//!
//! `cargo bench --bench operations [FILTER]`, as root. `RBTRACE_BENCH_BPFTRACE` names a bpftrace that
//! is not on the path. Both run each script [`ROUNDS`] times, in turns; the best of each counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// How often each script runs.
const ROUNDS: usize = 9;

/// Nanoseconds of the benchmarks of a script, by name, in the script's order.
type Times = Vec<(String, u64)>;

fn main() -> ExitCode {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let peer = std::env::var("RBTRACE_BENCH_BPFTRACE").unwrap_or_else(|_| "bpftrace".into());
    println!("{:34}{:>9}{:>10}{:>7}", "nanoseconds", "rbtrace", "bpftrace", "ratio");
    let mut sums = [0; 2];
    for script in scripts() {
        let name = script.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !name.contains(&filter) {
            continue;
        }
        let text = std::fs::read_to_string(&script).expect("a readable script");
        let (ours, theirs) = measure(&text, &peer);
        if ours.is_empty() {
            println!("{name}: not measured; only root can");
            return ExitCode::FAILURE;
        }
        for (operation, time) in ours {
            let theirs = theirs.get(&operation).copied();
            report(&format!("{name}/{operation}"), time, theirs);
            if let Some(theirs) = theirs {
                sums = [sums[0] + time, sums[1] + theirs];
            }
        }
    }
    if sums[1] > 0 {
        report("sum of those that both have", sums[0], Some(sums[1]));
    }
    ExitCode::SUCCESS
}

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/operations");
    let entries = std::fs::read_dir(folder).expect("the folder of scripts");
    let mut scripts: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    scripts.sort();
    scripts
}

/// The best times of rbtrace and of its peer.
fn measure(text: &str, peer: &str) -> (Times, BTreeMap<String, u64>) {
    let (mut ours, mut theirs) = (Times::new(), BTreeMap::new());
    for _ in 0..ROUNDS {
        let times = run(env!("CARGO_BIN_EXE_rbtrace"), text);
        match ours.is_empty() {
            true => ours = times,
            false => ours.iter_mut().zip(times).for_each(|(best, new)| best.1 = best.1.min(new.1)),
        }
        for (name, time) in run(peer, text) {
            theirs.entry(name).and_modify(|best: &mut u64| *best = time.min(*best)).or_insert(time);
        }
    }
    (ours, theirs)
}

/// The lines `NAME NANOSECONDS ITERATIONS` that a tracer prints; none if it cannot be run.
fn run(tracer: &str, text: &str) -> Times {
    let output = Command::new(tracer).args(["--bench", "-e", text]).output();
    let stdout = output.map(|output| output.stdout).unwrap_or_default();
    let stdout = String::from_utf8_lossy(&stdout);
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, time) = (words.next()?, words.next()?.parse().ok()?);
        words.next()?.parse::<u64>().ok()?;
        Some((name.to_owned(), time))
    };
    stdout.lines().filter_map(line).collect()
}

fn report(name: &str, ours: u64, theirs: Option<u64>) {
    match theirs {
        Some(theirs) => {
            let ratio = ours as f64 / theirs.max(1) as f64;
            println!("{name:34}{ours:9}{theirs:10}{ratio:7.2}");
        }
        None => println!("{name:34}{ours:9}"),
    }
}
