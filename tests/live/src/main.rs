//! Live tests: rbtrace against the running kernel.
//!
//! `rbtrace-live-tests --rbtrace PATH [FILTER...]` runs each test in a process of its own. A test
//! that needs what this kernel has not got is reported as `missing FEATURE`, never left out. The
//! same program holds the workloads that are traced (`rbtrace-live-tests workload NAME ...`).

mod cases;
mod cgroup;
mod ctx;
mod features;
mod frames;
mod kernel;
mod net;
mod output;
mod runner;
mod session;
mod sys;
mod targets;
mod workload;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use features::Feature;

const USAGE: &str = "usage: rbtrace-live-tests [OPTIONS] [FILTER...]

Runs the tests whose names hold one of the filters; all of them without one.

  --rbtrace PATH    the program under test [default: rbtrace]
  --programs DIR    where the dynamically linked test programs lie [default: beside this one]
  --prepared DIR    run the generated scripts that were compiled into this folder, no others
  --tools DIR       where bpftrace's own tools lie, a folder for each version [default: tools,
                    beside this program]
  --kernel NAME     this is the virtual machine of that kernel: what tools lack there is known
  --patience N      this machine is N times slower than a plain one: longer timeouts, fewer events
  --kernel-only     leave out the tests that need nothing of the kernel
  --list            name the tests and what they need
  --features        name what this kernel can and cannot do
  --json            report in JSON, one line a test

`rbtrace-live-tests prepare DIR` compiles the generated scripts into a folder, for --prepared.";

/// What the command line asks for.
pub struct Options {
    /// This program: found before its mount namespace changes, after which a chroot hides it.
    exe: PathBuf,
    rbtrace: PathBuf,
    programs: PathBuf,
    prepared: Option<PathBuf>,
    tools: PathBuf,
    kernel: Option<String>,
    patience: u32,
    json: bool,
    kernel_only: bool,
    /// What the kernel has, for a test that runs by itself.
    available: BTreeSet<Feature>,
    filters: Vec<String>,
}

impl Options {
    /// The arguments that tell a child of this program where things lie.
    fn folders(&self) -> [&OsStr; 4] {
        [
            OsStr::new("--programs"),
            self.programs.as_os_str(),
            OsStr::new("--tools"),
            self.tools.as_os_str(),
        ]
    }
}

enum Action {
    Run,
    List,
    Features,
    ProbeFeatures,
    RunOne(String),
}

fn main() -> ExitCode {
    match act() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("rbtrace-live-tests: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn act() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first()
        && first == "workload"
    {
        workload::run(rest)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let [first, folder] = arguments.as_slice()
        && first == "prepare"
    {
        cases::differential::prepare(folder.as_ref())?;
        return Ok(ExitCode::SUCCESS);
    }
    let (action, options) = parse(arguments)?;
    match action {
        Action::Run => return runner::run_all(&options),
        Action::RunOne(name) => return runner::run_one(&name, &options),
        Action::List => runner::list(),
        Action::ProbeFeatures => features::probe_and_print(&options),
        Action::Features => {
            runner::mount_file_systems();
            for feature in features::probe_all(&options, true)? {
                println!("{feature}");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(arguments: Vec<String>) -> Result<(Action, Options)> {
    let exe = std::env::current_exe()?;
    let beside = exe.parent().map(PathBuf::from).unwrap_or_default();
    let mut options = Options {
        exe,
        rbtrace: "rbtrace".into(),
        tools: beside.join("tools"),
        programs: beside,
        prepared: None,
        kernel: None,
        patience: 1,
        json: false,
        kernel_only: false,
        available: BTreeSet::new(),
        filters: Vec::new(),
    };
    let mut action = Action::Run;
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--rbtrace" => options.rbtrace = value()?.into(),
            "--programs" => options.programs = value()?.into(),
            "--prepared" => options.prepared = Some(value()?.into()),
            "--tools" => options.tools = value()?.into(),
            "--kernel" => options.kernel = Some(value()?),
            "--patience" => {
                options.patience = value()?.parse::<u32>().context("--patience")?.max(1)
            }
            "--json" => options.json = true,
            "--kernel-only" => options.kernel_only = true,
            "--list" => action = Action::List,
            "--features" => action = Action::Features,
            "probe-features" => action = Action::ProbeFeatures,
            "--available" => {
                options.available = value()?.split(',').filter_map(Feature::from_name).collect();
            }
            "run-one" => action = Action::RunOne(value()?),
            "-h" | "--help" => bail!("{USAGE}"),
            option if option.starts_with('-') => bail!("no option {option}\n{USAGE}"),
            _ => options.filters.push(argument),
        }
    }
    Ok((action, options))
}
