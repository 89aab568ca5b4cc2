//! A running rbtrace: its output collected as it comes, its end bounded in time.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::ctx::Run;
use crate::output::Output;
use crate::sys;

/// What rbtrace prints once its probes are attached: the line that bpftrace prints then, so that
/// the tests can be tried on it, too.
pub const ATTACHED: &str = "__BPFTRACE_NOTIFY_PROBES_ATTACHED";

/// What a pipe has delivered so far.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    ended: bool,
    /// Stop reading when [`ATTACHED`] has been seen, until this is cleared.
    held: bool,
    /// Read no more and close the pipe.
    closed: bool,
}

/// A [`Stream`] shared between its reader and the test.
#[derive(Clone, Default)]
struct Collector(Arc<(Mutex<Stream>, Condvar)>);

impl Collector {
    fn lock(&self) -> MutexGuard<'_, Stream> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Stream)) {
        change(&mut self.lock());
        self.0.1.notify_all();
    }

    /// Waits until `reached` holds; whether it came to hold before `deadline`.
    fn wait(&self, deadline: Instant, reached: impl Fn(&Stream) -> bool) -> bool {
        let mut stream = self.lock();
        while !reached(&stream) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            stream = self.0.1.wait_timeout(stream, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    fn read_all(&self, mut pipe: impl Read) {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let far_future = Instant::now() + Duration::from_secs(3600);
            self.wait(far_future, |stream| !(stream.held && has_line(&stream.bytes, ATTACHED)));
            if self.lock().closed {
                break;
            }
            match pipe.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(length) => self.change(|stream| stream.bytes.extend(&buffer[..length])),
            }
        }
        self.change(|stream| stream.ended = true);
    }
}

fn has_line(bytes: &[u8], line: &str) -> bool {
    bytes.split(|byte| *byte == b'\n').any(|one| one == line.as_bytes())
}

/// rbtrace, started. Killed when dropped.
pub struct Session {
    child: Child,
    stdout: Collector,
    stderr: Collector,
    description: String,
    deadline: Instant,
    /// The line that says that probes are attached, where one was asked for.
    attached: Option<&'static str>,
}

/// Starts rbtrace; `attached` is the line that it is to print once its probes are attached.
pub fn spawn(run: Run<'_>, attached: Option<&'static str>, timeout: Duration) -> Result<Session> {
    let mut command = Command::new(&run.program);
    command.args(&run.args).stdout(Stdio::piped()).stderr(Stdio::piped());
    let has_input = run.stdin.is_some() || run.prompt;
    command.stdin(if has_input { Stdio::piped() } else { Stdio::null() });
    command.env_remove("RBTRACE_NOTIFY_ATTACHED").envs(run.env.iter().copied());
    if let Some(line) = attached {
        command.env("RBTRACE_NOTIFY_ATTACHED", line);
    }
    if let Some(uid) = run.uid {
        command.uid(uid).gid(uid);
    }
    sys::die_with_parent(&mut command);
    let description = format!("{command:?}");
    let mut child = command.spawn().with_context(|| format!("starting {description}"))?;
    if let Some(text) = run.stdin
        && let Some(mut pipe) = child.stdin.take()
    {
        // rbtrace may end without having read all of it.
        std::thread::spawn(move || pipe.write_all(&text));
    }
    let (stdout, stderr) = (Collector::default(), Collector::default());
    stdout.lock().held = run.hold;
    if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
        let (to_out, to_err) = (stdout.clone(), stderr.clone());
        std::thread::spawn(move || to_out.read_all(out));
        std::thread::spawn(move || to_err.read_all(err));
    }
    let deadline = Instant::now() + timeout;
    Ok(Session { child, stdout, stderr, description, deadline, attached })
}

impl Session {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the line that says that probes are attached.
    pub(crate) fn wait_until_attached(&mut self) -> Result<()> {
        self.wait_for_line(ATTACHED).context("waiting for the probes to be attached")
    }

    /// Waits until `line` has been printed on standard output.
    pub fn wait_for_line(&mut self, line: &str) -> Result<()> {
        self.stdout.wait(self.deadline, |stream| stream.ended || has_line(&stream.bytes, line));
        if has_line(&self.stdout.lock().bytes, line) {
            return Ok(());
        }
        bail!("the line {line:?} was never printed by {}", self.so_far())
    }

    /// Waits until standard error has this.
    pub fn wait_for_error(&mut self, text: &str) -> Result<()> {
        let has = |stream: &Stream| String::from_utf8_lossy(&stream.bytes).contains(text);
        if self.stderr.wait(self.deadline, |stream| stream.ended || has(stream))
            && has(&self.stderr.lock())
        {
            return Ok(());
        }
        bail!("{text:?} was never complained of by {}", self.so_far())
    }

    fn so_far(&self) -> String {
        format!(
            "{}\n--- stdout\n{}\n--- stderr\n{}",
            self.description,
            self.stdout.text(),
            self.stderr.text()
        )
    }

    /// Sends it a signal (`libc::SIG*`).
    pub fn signal(&self, signal: i32) -> Result<()> {
        Ok(sys::kill(self.pid() as i32, signal)?)
    }

    /// Presses Ctrl-C and waits for the end.
    pub fn interrupt(self) -> Result<Output> {
        self.signal(libc::SIGINT)?;
        self.wait()
    }

    /// Waits for the end without reading what is held.
    pub fn wait_held(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > self.deadline {
                bail!("still running at the deadline: {}", self.so_far());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Types a line at the prompt.
    pub fn type_line(&mut self, line: &str) -> Result<()> {
        let pipe = self.child.stdin.as_mut().context("the prompt takes no lines")?;
        writeln!(pipe, "{line}").with_context(|| format!("typing {line:?}"))
    }

    /// Types a line and waits until standard output or standard error has `answer`, which
    /// nothing before it may hold.
    pub fn ask(&mut self, line: &str, answer: &str) -> Result<()> {
        self.type_line(line)?;
        let has = |stream: &Stream| String::from_utf8_lossy(&stream.bytes).contains(answer);
        loop {
            let soon = Instant::now() + Duration::from_millis(20);
            if self.stdout.wait(soon, has) || has(&self.stderr.lock()) {
                return Ok(());
            }
            if Instant::now() > self.deadline || self.child.try_wait()?.is_some() {
                bail!("no {answer:?} after {line:?}: {}", self.so_far());
            }
        }
    }

    /// Reads on after [`Run::hold_output`].
    pub fn release(&self) {
        self.stdout.change(|stream| stream.held = false);
    }

    /// Closes the reading end of standard output, as a pager that quits does, and waits for the
    /// end that this brings.
    pub fn close_output(mut self) -> Result<ExitStatus> {
        self.stdout.change(|stream| stream.closed = true);
        self.wait_held()
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Result<Output> {
        self.release();
        let status = self.wait_held()?;
        // A child that rbtrace leaves behind may hold the pipes: what is there by then counts.
        let grace = Instant::now() + Duration::from_secs(10);
        self.stdout.wait(grace, |stream| stream.ended);
        self.stderr.wait(grace, |stream| stream.ended);
        let mut stdout = self.stdout.text();
        if let Some(line) = self.attached {
            stdout = stdout.replacen(&format!("{line}\n"), "", 1);
        }
        Ok(Output { command: self.description.clone(), stdout, stderr: self.stderr.text(), status })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Both fail only where it has ended, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
