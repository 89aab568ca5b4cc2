//! What a test is given: the rbtrace to run, a folder of its own and programs to trace.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::features::Feature;
use crate::output::Output;
use crate::session::Session;
use crate::workload::HOLDING;
use crate::{session, sys};

/// The name that workloads give themselves, as `comm` shows it.
pub const COMM: &str = "rbt-workload";

/// The surroundings of one test.
#[derive(Clone)]
pub struct Ctx {
    /// The program under test.
    pub rbtrace: PathBuf,
    /// This program, which holds the workloads and the functions that are probed.
    pub exe: PathBuf,
    /// Where the dynamically linked programs lie.
    pub programs: PathBuf,
    /// Generated scripts that were compiled in advance, if they are to be run.
    pub prepared: Option<PathBuf>,
    /// Where bpftrace's own tools lie, a folder for each version.
    pub tools: PathBuf,
    /// The virtual machine's kernel, as `cargo xtask test` names it; None elsewhere.
    pub kernel: Option<String>,
    /// What the kernel has.
    pub available: BTreeSet<Feature>,
    /// An empty folder, removed after the test.
    pub dir: PathBuf,
    /// How many times slower than a plain machine this one may be; 1 and up.
    pub patience: u32,
}

impl Ctx {
    /// Whether the kernel has a feature.
    pub fn has(&self, feature: Feature) -> bool {
        self.available.contains(&feature)
    }

    /// Notes what the test has found, for the summary.
    pub fn note(&self, text: &str) {
        println!("{text}");
    }

    /// The longest that a single rbtrace may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(30) * self.patience
    }

    /// `count`, less where the machine is slow.
    pub fn scaled(&self, count: u64) -> u64 {
        count / u64::from(self.patience)
    }

    /// rbtrace, its arguments still to be given.
    pub fn rbtrace(&self) -> Run<'_> {
        Run {
            ctx: self,
            args: Vec::new(),
            env: Vec::new(),
            stdin: None,
            uid: None,
            hold: false,
            prompt: false,
            program: self.rbtrace.clone(),
        }
    }

    /// `rbtrace TOOL.bt`, a tool of the newest bpftrace.
    pub fn tool(&self, name: &str) -> Run<'_> {
        self.rbtrace().arg(self.tools.join(format!("sid/{name}.bt")))
    }

    /// `rbtrace -e SCRIPT`; `{exe}` in the script is the path of this program.
    pub fn script(&self, script: &str) -> Run<'_> {
        self.rbtrace().arg("-e").arg(self.fill(script))
    }

    /// The script with the path of this program in place of `{exe}`.
    pub fn fill(&self, script: &str) -> String {
        script.replace("{exe}", &self.exe_name())
    }

    /// The path of this program as text.
    pub fn exe_name(&self) -> String {
        self.exe.to_string_lossy().into_owned()
    }

    /// The command line of a workload, for `-c`.
    pub fn workload(&self, arguments: &str) -> String {
        format!("{} workload {arguments}", self.exe_name())
    }

    /// A file of the test's own folder, with `content`.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.dir.join(name);
        std::fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// A file of numbers, one a line, as the workload `values` reads them.
    pub fn values(&self, values: &[i64]) -> Result<PathBuf> {
        let lines: Vec<String> = values.iter().map(i64::to_string).collect();
        self.file("values", lines.join("\n"))
    }

    /// Starts a workload that waits for [`Workload::go`] before it does anything.
    pub fn start_workload(&self, arguments: &[&str]) -> Result<Workload> {
        let mut command = Command::new(&self.exe);
        command.arg("workload");
        start_waiting(command, arguments)
    }

    /// Starts a workload that waits as [`Ctx::start_workload`] has it; its standard error is collected.
    pub fn start_complaining(&self, arguments: &[&str]) -> Result<(Workload, Errors)> {
        let mut command = Command::new(&self.exe);
        command.arg("workload").stderr(Stdio::piped());
        let mut workload = start_waiting(command, arguments)?;
        let mut errors = workload.child.stderr.take().context("the workload's errors")?;
        let read = move || {
            let mut text = String::new();
            // What cannot be read is not there, which the test sees.
            let _ = errors.read_to_string(&mut text);
            text
        };
        Ok((workload, Errors(std::thread::spawn(read))))
    }

    /// Starts one of the dynamically linked programs, which waits as a workload does.
    pub fn start_program(&self, name: &str, arguments: &[&str]) -> Result<Workload> {
        start_waiting(Command::new(self.programs.join(name)), arguments)
    }

    /// Starts a workload that stays as it is, called `name`, with `threads` more threads and these
    /// files open, until [`Workload::go`].
    pub fn hold(&self, name: &str, threads: usize, files: &[&str]) -> Result<Workload> {
        let threads = threads.to_string();
        let arguments: Vec<&str> =
            ["hold", name, &threads].into_iter().chain(files.iter().copied()).collect();
        let (workload, line) = self.start_talking(&arguments)?;
        ensure!(line == HOLDING, "the workload says {line:?}");
        Ok(workload)
    }

    /// Starts a workload that says a line and then waits for [`Workload::go`].
    pub fn start_talking(&self, arguments: &[&str]) -> Result<(Workload, String)> {
        let mut command = Command::new(&self.exe);
        command.arg("workload").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        sys::die_with_parent(&mut command);
        let mut child = command.spawn().context("starting a workload")?;
        let mut line = String::new();
        let output = child.stdout.take().context("the workload's output")?;
        BufReader::new(output).read_line(&mut line)?;
        Ok((Workload { child }, line.trim().to_owned()))
    }
}

/// What a workload says on standard error, once it has ended.
pub struct Errors(std::thread::JoinHandle<String>);

impl Errors {
    /// All of it.
    pub fn text(self) -> String {
        self.0.join().unwrap_or_default()
    }
}

fn start_waiting(mut command: Command, arguments: &[&str]) -> Result<Workload> {
    command.arg("wait").args(arguments).stdin(Stdio::piped());
    sys::die_with_parent(&mut command);
    let child = command.spawn().context("starting a workload")?;
    Ok(Workload { child })
}

/// A workload that was started to be probed by process id.
pub struct Workload {
    child: Child,
}

impl Workload {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it begin.
    pub fn release(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Lets it begin, and waits until it has ended.
    pub fn go(mut self) -> Result<()> {
        self.release();
        let status = self.child.wait()?;
        ensure!(status.success(), "the workload failed: {status}");
        Ok(())
    }
}

/// Lets several begin at once, and waits until all have ended.
pub fn go_together(workloads: Vec<Workload>) -> Result<()> {
    let start = |workload: Workload| std::thread::spawn(move || workload.go());
    let running: Vec<_> = workloads.into_iter().map(start).collect();
    running.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a panic"))?)
}

/// One run of rbtrace that is about to be made.
pub struct Run<'a> {
    ctx: &'a Ctx,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(&'static str, &'static str)>,
    pub(crate) stdin: Option<Vec<u8>>,
    pub(crate) uid: Option<u32>,
    pub(crate) hold: bool,
    pub(crate) prompt: bool,
    pub(crate) program: PathBuf,
}

impl Run<'_> {
    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(OsString::from));
        self
    }

    /// Sets a variable of rbtrace's environment.
    pub fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }

    /// Asks for JSON.
    pub fn json(self) -> Self {
        self.args(&["-f", "json"])
    }

    /// Has rbtrace start and trace `command`.
    pub fn command(self, command: &str) -> Self {
        self.args(&["-c", command])
    }

    /// Has rbtrace start and trace a workload of this program.
    pub fn workload(self, arguments: &str) -> Self {
        let command = self.ctx.workload(arguments);
        self.command(&command)
    }

    /// What rbtrace reads on its standard input; else nothing.
    pub fn stdin(mut self, text: impl AsRef<[u8]>) -> Self {
        self.stdin = Some(text.as_ref().to_vec());
        self
    }

    /// Runs `program` as user `uid`.
    pub fn by_user(mut self, uid: u32, program: &Path) -> Self {
        self.uid = Some(uid);
        program.clone_into(&mut self.program);
        self
    }

    /// Leaves rbtrace's standard output unread once probes are attached, as a stopped pager
    /// does, until the session is waited for.
    pub fn hold_output(mut self) -> Self {
        self.hold = true;
        self
    }

    /// Starts `rbtrace --repl`, to which lines are typed.
    pub fn prompt(mut self) -> Result<Session> {
        self.prompt = true;
        let timeout = self.ctx.timeout();
        session::spawn(self.arg("--repl"), None, timeout)
    }

    /// Runs rbtrace until it ends by itself.
    pub fn finish(self) -> Result<Output> {
        let timeout = self.ctx.timeout();
        session::spawn(self, None, timeout)?.wait()
    }

    /// Starts rbtrace and waits for nothing.
    pub fn begin(self) -> Result<Session> {
        let timeout = self.ctx.timeout();
        session::spawn(self, Some(session::ATTACHED), timeout)
    }

    /// Starts rbtrace and waits until its probes are attached.
    pub fn start(self) -> Result<Session> {
        let mut session = self.begin()?;
        session.wait_until_attached()?;
        Ok(session)
    }
}
