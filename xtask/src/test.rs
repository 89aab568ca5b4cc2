//! `cargo xtask test`: the one test command.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::Value;

use crate::kinds;
use crate::setup::{self, kernel::Kernel, packages};
use crate::summary::{Outcome, Summary};
use crate::vm::{image, qemu};
use crate::workspace::{self, Programs};

/// User space in a guest is 10 to 20 times slower; tests wait that much longer.
const GUEST_PATIENCE: u32 = 8;
const GUEST_LIMIT: Duration = Duration::from_secs(30 * 60);

/// Everything by default. Needs root, and Debian where something must be installed; the hermetic
/// tests need neither.
#[derive(clap::Args)]
pub struct Args {
    /// Run only these parts (may be repeated)
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
    /// Run only the live tests with this in their names, and no hermetic ones (may be repeated)
    #[arg(long, value_name = "FILTER")]
    live: Vec<String>,
    /// The kernels for virtual machines
    #[arg(long, value_enum, value_delimiter = ',', default_value = "6.1,6.12,7.2")]
    kernels: Vec<Kernel>,
    /// Write docs/kernels.md from what became of the kinds of probes in virtual machines
    #[arg(long)]
    write_kernels: bool,
    #[command(flatten)]
    choice: workspace::Choice,
}

/// A part of a whole run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Unit, golden and diagnostics tests: no kernel, no root
    Hermetic,
    /// Live tests on this machine's kernel
    Host,
    /// Live tests on Linux 6.1 in a virtual machine
    #[value(name = "6.1")]
    V6_1,
    /// Live tests on Linux 6.12 in a virtual machine
    #[value(name = "6.12")]
    V6_12,
    /// Live tests on Linux 7.2 in a virtual machine
    #[value(name = "7.2")]
    V7_2,
}

impl Part {
    fn kernel(self) -> Option<Kernel> {
        match self {
            Part::Hermetic | Part::Host => None,
            Part::V6_1 => Some(Kernel::V6_1),
            Part::V6_12 => Some(Kernel::V6_12),
            Part::V7_2 => Some(Kernel::V7_2),
        }
    }
}

/// What is to be run.
struct Plan {
    hermetic: bool,
    host: bool,
    kernels: Vec<Kernel>,
}

impl Plan {
    fn new(args: &Args) -> Self {
        if args.only.is_empty() {
            return Plan {
                hermetic: args.live.is_empty(),
                host: true,
                kernels: args.kernels.clone(),
            };
        }
        Plan {
            hermetic: args.only.contains(&Part::Hermetic),
            host: args.only.contains(&Part::Host),
            kernels: args.only.iter().filter_map(|part| part.kernel()).collect(),
        }
    }

    fn is_live(&self) -> bool {
        self.host || !self.kernels.is_empty()
    }
}

/// Runs what the arguments ask for and prints the summary.
pub fn run(args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    let plan = Plan::new(args);
    let mut summary = Summary::default();
    // Packages and kernels arrive while the hermetic tests are built.
    let (live, kernels) = (plan.is_live(), plan.kernels.clone());
    let preparation =
        std::thread::spawn(move || if live { setup::prepare(&kernels) } else { Ok(()) });
    if plan.hermetic
        && let Err(error) = run_hermetic(&mut summary)
    {
        summary.add_broken("hermetic tests", format!("{error:#}"));
    }
    let prepared = preparation.join().unwrap_or_else(|_| bail!("the preparation panicked"));
    if plan.is_live()
        && let Err(error) = prepared.and_then(|()| run_live(args, &plan, &mut summary))
    {
        summary.add_broken("live tests", format!("{error:#}"));
    }
    let complete = args.only.is_empty() && args.live.is_empty();
    let kinds = kinds::table(&summary, summary.places());
    if !kinds.is_empty() {
        println!("\n{kinds}");
    }
    if args.write_kernels {
        kinds::write(&summary)?;
    } else if complete && let Err(error) = kinds::check(&summary) {
        summary.add_broken("docs/kernels.md", format!("{error:#}"));
    }
    let well = summary.print(complete);
    eprintln!("took {} s", start.elapsed().as_secs());
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs `cargo test` on everything that needs no kernel.
fn run_hermetic(summary: &mut Summary) -> Result<()> {
    let mut child = workspace::cargo()
        .args(["test", "--workspace", "--exclude", "rbtrace-live-tests", "--no-fail-fast"])
        .stdout(Stdio::piped())
        .spawn()
        .context("running cargo test")?;
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(child.stdout.take().context("cargo's output")?).lines() {
        let line = line?;
        println!("{line}");
        if let Some((good, bad)) = test_result(&line) {
            passed += good;
            failed += bad;
        }
    }
    summary.add_hermetic(passed, failed);
    let status = child.wait()?;
    if !status.success() && failed == 0 {
        bail!("cargo test failed: {status}");
    }
    Ok(())
}

/// The numbers of `test result: ok. 12 passed; 0 failed; ...`.
fn test_result(line: &str) -> Option<(u64, u64)> {
    let rest = line.strip_prefix("test result: ")?;
    let number = |what: &str| -> Option<u64> {
        let before = rest.split(what).next()?;
        before.split_whitespace().last()?.parse().ok()
    };
    Some((number(" passed")?, number(" failed")?))
}

fn run_live(args: &Args, plan: &Plan, summary: &mut Summary) -> Result<()> {
    let programs = workspace::build_programs(&args.choice)?;
    if !plan.kernels.is_empty() && wants_generated(&args.live) {
        workspace::prepare_generated(&programs)?;
    }
    if plan.host {
        summary.add_place("host");
        if let Err(error) = run_on_host(args, &programs, summary) {
            summary.add_broken("live tests on this machine", format!("{error:#}"));
        }
    }
    let mut guests = Vec::new();
    for kernel in &plan.kernels {
        summary.add_place(kernel.version());
        match GuestRun::start(*kernel, args, plan.host, &programs) {
            Ok(run) => guests.push(run),
            Err(error) => {
                summary.add_broken(&format!("live tests on {kernel}"), format!("{error:#}"))
            }
        }
        if cores() < 2 {
            follow(&mut guests, summary);
        }
    }
    follow(&mut guests, summary);
    Ok(())
}

/// Whether live tests that are filtered in this way run generated scripts.
fn wants_generated(filters: &[String]) -> bool {
    const TESTS: &str = "differential/";
    filters.is_empty() || filters.iter().any(|f| f.starts_with(TESTS) || TESTS.contains(f.as_str()))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The arguments of the live tests after the paths. A filter that matches nothing is found by
/// the host's tests, where these run.
fn test_arguments(args: &Args, patience: u32, kernel_only: bool) -> Vec<String> {
    let mut arguments = vec!["--json".to_owned(), "--patience".to_owned(), patience.to_string()];
    if kernel_only {
        arguments.push("--kernel-only".to_owned());
    }
    arguments.extend(args.live.iter().cloned());
    arguments
}

fn run_on_host(args: &Args, programs: &Programs, summary: &mut Summary) -> Result<()> {
    if !setup::is_root()? {
        bail!("only root may trace; run this as root, or only a part of it: --only hermetic");
    }
    let mut command = Command::new(&programs.tests);
    command.arg("--rbtrace").arg(&programs.rbtrace).arg("--programs").arg(&programs.small);
    command.arg("--tools").arg(packages::tools());
    command.args(test_arguments(args, 1, false));
    let mut child = command.stdout(Stdio::piped()).spawn().context("running the live tests")?;
    for line in BufReader::new(child.stdout.take().context("the output of the live tests")?).lines()
    {
        note(summary, "host", &line?);
    }
    match child.wait()?.code() {
        Some(0 | 1) => Ok(()),
        _ => bail!("they did not run to their end"),
    }
}

/// Notes a line of the live tests' report, and shows it. Whether it was one.
fn note(summary: &mut Summary, place: &str, line: &str) -> bool {
    let Ok(record) = serde_json::from_str::<Value>(line) else {
        println!("{place:<5} {line}");
        return false;
    };
    let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
    let (test, detail) = (text("test"), text("detail"));
    let outcome = match record["status"].as_str() {
        Some("ok") => Outcome::Ok(detail),
        Some("missing") => Outcome::Missing(detail),
        _ => Outcome::Failed(detail),
    };
    let shown = match &outcome {
        Outcome::Ok(_) => format!("ok ({} ms)", record["millis"]),
        Outcome::Missing(feature) => format!("missing {feature}"),
        Outcome::Failed(_) => "FAILED".to_owned(),
    };
    println!("{place:<5} {test:<44} {shown}");
    summary.add(place, &test, outcome);
    true
}

/// The live tests, running in a guest.
struct GuestRun {
    kernel: Kernel,
    guest: qemu::Guest,
    report: qemu::Follower,
}

impl GuestRun {
    fn start(kernel: Kernel, args: &Args, kernel_only: bool, programs: &Programs) -> Result<Self> {
        let arguments: Vec<String> = test_arguments(args, GUEST_PATIENCE, kernel_only)
            .iter()
            .map(|argument| format!("'{argument}'"))
            .collect();
        let command = format!(
            "rbtrace-live-tests --rbtrace /bin/rbtrace --programs {} --tools {} --prepared {} \
             --kernel {kernel} {}",
            image::GUEST_PROGRAMS,
            image::GUEST_TOOLS,
            image::GUEST_PREPARED,
            arguments.join(" ")
        );
        let initramfs = image::write(kernel, programs, &command, &[])?;
        let report = workspace::vm_folder("logs")?.join(format!("{kernel}-tests.log"));
        let guest = qemu::boot(
            kernel,
            &initramfs,
            &qemu::Streams::File(report.clone()),
            Some(GUEST_LIMIT),
        )?;
        Ok(GuestRun { kernel, guest, report: qemu::Follower::new(&report)? })
    }

    /// Notes what is new; whether the guest has ended.
    fn step(&mut self, summary: &mut Summary) -> Result<bool> {
        let ended = self.guest.poll();
        for line in self.report.lines()? {
            note(summary, self.kernel.version(), &line);
        }
        match ended? {
            None => Ok(false),
            Some(0 | 1) => Ok(true),
            Some(code) => bail!("they did not run to their end: exit status {code}"),
        }
    }
}

/// Waits for all guests, which run at the same time.
fn follow(guests: &mut Vec<GuestRun>, summary: &mut Summary) {
    while !guests.is_empty() {
        guests.retain_mut(|run| match run.step(summary) {
            Ok(ended) => !ended,
            Err(error) => {
                summary.add_broken(&format!("live tests on {}", run.kernel), format!("{error:#}"));
                false
            }
        });
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::test_result;

    #[test]
    fn results_are_read_from_cargo() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(test_result(line), Some((12, 3)));
        assert_eq!(test_result("test a::b ... ok"), None);
    }
}
