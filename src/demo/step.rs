//! One step of the demo: a script and a workload run side by side.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

/// Longest time for a script to be compiled and attached, and for it to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the script prints once it is attached.
const ATTACHED: &str = "rbtrace-demo-attached";
/// Time between the end of the workload and that of the script.
const SETTLE: Duration = Duration::from_millis(200);
/// Most lines to show of what else the script sees.
const OTHERS: usize = 4;

/// What is to be seen.
pub struct Step<'a> {
    /// Arguments of the rbtrace that runs the script.
    pub script: &'a [&'a str],
    /// Name of the workload.
    pub workload: &'a str,
    /// Most lines about the workload to show while it runs; all are counted.
    pub lines: usize,
    /// Counts a line of the script's output as something that the workload did.
    pub counts: fn(&str) -> u64,
}

/// What was seen.
pub struct Seen {
    /// What the workload did, by its own account.
    pub done: u64,
    /// What the script saw of it.
    pub seen: u64,
}

/// Kills and reaps a child that is not waited for otherwise.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the script, and while it is attached the workload; shows what the script prints.
pub fn run(step: &Step<'_>) -> Result<Seen> {
    let mut script = start(step.script)?;
    let output = lines_of(script.0.stdout.take().context("the script's output")?);
    let mut view = View { step, shown: [0; 2], hidden: 0, seen: 0 };
    loop {
        match output.recv_timeout(PATIENCE) {
            Ok(line) if line == ATTACHED => break,
            Ok(line) => view.line(&line, true),
            Err(RecvTimeoutError::Timeout) => bail!("the script was not attached in {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => {
                let status = script.0.wait()?;
                bail!("the script ended before it was attached ({status})");
            }
        }
    }
    let mut workload = start(&["--demo-workload", step.workload])?;
    let account = workload.0.stdout.take().context("the workload's output")?;
    let account = thread::spawn(move || read_number(account));
    while !account.is_finished() {
        if let Ok(line) = output.recv_timeout(Duration::from_millis(20)) {
            view.line(&line, false);
        }
    }
    let done = account.join().ok().flatten().context("the workload failed")?;
    let settled = Instant::now() + SETTLE;
    while let Ok(line) = output.recv_timeout(settled.saturating_duration_since(Instant::now())) {
        view.line(&line, false);
    }
    view.end_of_workload();
    interrupt(&script.0)?;
    let deadline = Instant::now() + PATIENCE;
    while let Ok(line) = output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        view.line(&line, true);
    }
    script.0.wait()?;
    Ok(Seen { done, seen: view.seen })
}

fn start(args: &[&str]) -> Result<Guard> {
    let own = std::env::current_exe().context("finding this program")?;
    let mut command = Command::new(own);
    command.arg("--end-with-parent").args(args).stdin(Stdio::null()).stdout(Stdio::piped());
    command.env("RBTRACE_NOTIFY_ATTACHED", ATTACHED);
    Ok(Guard(command.spawn().context("starting this program again")?))
}

/// Ends when the demo does, whatever ends it.
pub fn end_with_parent() {
    // It only fails for a signal that does not exist.
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
}

fn interrupt(child: &Child) -> Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process id")?;
    kill_process(pid, Signal::INT).context("ending the script")
}

fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    receive
}

fn read_number(mut output: impl Read) -> Option<u64> {
    let mut text = String::new();
    output.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// What of the script's output is on the screen.
struct View<'a> {
    step: &'a Step<'a>,
    /// Lines shown, those about the workload and others.
    shown: [usize; 2],
    hidden: usize,
    seen: u64,
}

impl View<'_> {
    fn line(&mut self, line: &str, always: bool) {
        let count = (self.step.counts)(line);
        self.seen += count;
        if line.trim().is_empty() {
            return;
        }
        let [own, others] = &mut self.shown;
        let (shown, most) = if count > 0 { (own, self.step.lines) } else { (others, OTHERS) };
        if always || *shown < most {
            *shown += usize::from(!always);
            println!("  | {line}");
        } else {
            self.hidden += 1;
        }
    }

    fn end_of_workload(&mut self) {
        if self.hidden > 0 {
            println!("  | ... and {} lines more", self.hidden);
        }
    }
}
