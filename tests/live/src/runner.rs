//! Runs tests, each in a process of its own, and reports.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::ctx::Ctx;
use crate::features::Feature;
use crate::{Options, cases, features, sys};

/// A test and what it needs of the kernel.
pub struct Test {
    /// `group/name`.
    pub name: &'static str,
    /// Without one of these it is reported as missing.
    pub needs: &'static [Feature],
    /// Fails with what was found instead of what was expected.
    pub run: fn(&Ctx) -> Result<()>,
}

impl Test {
    /// A row of a table of tests.
    pub const fn new(
        name: &'static str,
        needs: &'static [Feature],
        run: fn(&Ctx) -> Result<()>,
    ) -> Self {
        Test { name, needs, run }
    }
}

/// How a test ended.
enum Verdict {
    /// With what it has noted.
    Ok(String),
    Failed(String),
    Missing(Feature),
}

/// Prints every test and its needs.
pub fn list() {
    for test in cases::all() {
        let needs: Vec<&str> = test.needs.iter().map(|feature| feature.name()).collect();
        println!("{:<44} {}", test.name, needs.join(" "));
    }
}

/// Mounts what tracing needs and this machine has not mounted, in a namespace of our own.
/// What cannot be mounted shows as a missing feature.
pub fn mount_file_systems() {
    if sys::unshare_mounts().is_err() {
        return;
    }
    for (kind, target, witness) in [
        (c"tracefs", "/sys/kernel/tracing", "events"),
        (c"debugfs", "/sys/kernel/debug", "tracing"),
        (c"bpf", "/sys/fs/bpf", ""),
        (c"securityfs", "/sys/kernel/security", "lsm"),
    ] {
        if witness.is_empty() || !std::path::Path::new(target).join(witness).exists() {
            let _ = sys::mount(kind, target);
        }
    }
}

/// Runs the tests that the options select.
pub fn run_all(options: &Options) -> Result<ExitCode> {
    mount_file_systems();
    let available = features::probe_all(options, false)?;
    let selected: Vec<&Test> = cases::all().filter(|test| is_selected(test, options)).collect();
    let none = selected.is_empty() && !options.kernel_only;
    ensure!(!none, "no test has {:?} in its name", options.filters);
    let (mut passed, mut failed, mut missing) = (0, 0, 0);
    for test in selected {
        let start = Instant::now();
        let verdict = run_isolated(test, &available, options)?;
        match verdict {
            Verdict::Ok(_) => passed += 1,
            Verdict::Failed(_) => failed += 1,
            Verdict::Missing(_) => missing += 1,
        }
        report(test, &verdict, start.elapsed(), options.json)?;
    }
    if !options.json {
        println!("{passed} passed, {failed} failed, {missing} missing a feature");
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_selected(test: &Test, options: &Options) -> bool {
    let filters = &options.filters;
    let named =
        filters.is_empty() || filters.iter().any(|filter| test.name.contains(filter.as_str()));
    named && !(options.kernel_only && test.needs.is_empty())
}

fn report(test: &Test, verdict: &Verdict, took: Duration, as_json: bool) -> Result<()> {
    let millis = took.as_millis() as u64;
    let mut out = std::io::stdout().lock();
    if as_json {
        let (status, detail) = match verdict {
            Verdict::Ok(note) => ("ok", note.clone()),
            Verdict::Failed(message) => ("failed", message.clone()),
            Verdict::Missing(feature) => ("missing", feature.to_string()),
        };
        writeln!(
            out,
            "{}",
            json!({"test": test.name, "status": status, "detail": detail, "millis": millis})
        )?;
    } else {
        match verdict {
            Verdict::Ok(_) => writeln!(out, "{:<44} ok ({millis} ms)", test.name)?,
            Verdict::Missing(feature) => writeln!(out, "{:<44} missing {feature}", test.name)?,
            Verdict::Failed(message) => {
                writeln!(out, "{:<44} FAILED ({millis} ms)", test.name)?;
                message.lines().try_for_each(|line| writeln!(out, "    {line}"))?;
            }
        }
    }
    Ok(out.flush()?)
}

/// Runs one test in a child in a process group of its own, of which nothing is left afterwards.
fn run_isolated(test: &Test, available: &BTreeSet<Feature>, options: &Options) -> Result<Verdict> {
    if let Some(feature) = test.needs.iter().find(|feature| !available.contains(feature)) {
        return Ok(Verdict::Missing(*feature));
    }
    let mut command = Command::new(&options.exe);
    command.args(["run-one", test.name, "--patience", &options.patience.to_string()]);
    let names: Vec<&str> = available.iter().map(|feature| feature.name()).collect();
    command.args(["--available", &names.join(",")]);
    command.arg("--rbtrace").arg(&options.rbtrace);
    command.args(options.folders());
    if let Some(folder) = &options.prepared {
        command.arg("--prepared").arg(folder);
    }
    if let Some(kernel) = &options.kernel {
        command.args(["--kernel", kernel]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    sys::die_with_parent(&mut command);
    let mut child = command.spawn().context("starting a test")?;
    let group = -(child.id() as i32);
    // The child gets its end of the pipe only; what it started may hold it longer, hence the group.
    let note = child.stdout.take().map(read_all);
    let complaints = child.stderr.take().map(read_all);
    let limit = Duration::from_secs(120) * options.patience;
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() > deadline {
            break None;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    // Fails where the group is already empty.
    let _ = sys::kill(group, libc::SIGKILL);
    child.wait()?;
    let [note, message] = [note, complaints]
        .map(|reader| reader.and_then(|reader| reader.join().ok()).unwrap_or_default());
    let note = note.trim().to_owned();
    Ok(match status {
        Some(status) if status.success() => Verdict::Ok(note),
        Some(status) => match status.signal() {
            Some(signal) => Verdict::Failed(format!("the test died of signal {signal}\n{message}")),
            None => Verdict::Failed(message),
        },
        None => Verdict::Failed(format!("not done within {limit:?}\n{message}")),
    })
}

/// Reads a pipe to its end, beside what else happens.
fn read_all(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        // A broken pipe leaves what came before it.
        let _ = pipe.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}

/// Runs the test `name` in this process.
pub fn run_one(name: &str, options: &Options) -> Result<ExitCode> {
    let test =
        cases::all().find(|test| test.name == name).with_context(|| format!("no test {name}"))?;
    let dir = TestDir::new()?;
    // Whoever started the tests may have been told to outlive its terminal.
    sys::heed_hangups(true);
    let rbtrace = options.rbtrace.canonicalize().unwrap_or_else(|_| options.rbtrace.clone());
    let ctx = Ctx {
        rbtrace,
        exe: options.exe.canonicalize()?,
        programs: options.programs.clone(),
        prepared: options.prepared.clone(),
        tools: options.tools.clone(),
        kernel: options.kernel.clone(),
        available: options.available.clone(),
        dir: dir.0.clone(),
        patience: options.patience,
    };
    match (test.run)(&ctx) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("{error:#}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// A folder that goes when the test does.
struct TestDir(PathBuf);

impl TestDir {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("rbtrace-live-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(TestDir(path))
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        // What remains is in the temporary folder, where it may.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
