//! The command of `-c`: started stopped, let go once probes are attached.

use std::env;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, pidfd_send_signal, waitpid,
};

use crate::error::Error;
use crate::sys::process::fork_waiting;
use crate::sys::ptrace::{Stop, Tracee};

/// How long a command may take to end after SIGTERM before it is left alone.
const PATIENCE: Duration = Duration::from_millis(200);

/// A command. It does not run before [`Child::release`]; dropping it asks it to end.
#[derive(Debug)]
pub struct Child {
    command: String,
    program: PathBuf,
    pid: Pid,
    pidfd: OwnedFd,
    /// A byte here lets it go, closing it ends it.
    go: Option<OwnedFd>,
    /// Why it could not be run.
    failed: Option<OwnedFd>,
    ended: Option<ChildStatus>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildStatus {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
    /// Nobody knows.
    Unknown,
}

impl Child {
    /// Starts a command, split into words as a shell does, that waits before it runs.
    pub fn spawn(command: &str) -> Result<Self, Error> {
        let bad = |reason: &str| Error::Command { command: command.into(), reason: reason.into() };
        let words = shlex::split(command).ok_or_else(|| bad("a quote is not closed"))?;
        let first = words.first().ok_or_else(|| bad("it is empty"))?;
        let program = find(first)
            .ok_or_else(|| bad(&format!("there is no program `{first}`, or it cannot be run")))?;
        let c = |s: &OsStr| CString::new(s.as_bytes()).map_err(|_| bad("it contains a NUL"));
        let path = c(program.as_os_str())?;
        let args = words.iter().map(|w| c(OsStr::new(w))).collect::<Result<Vec<_>, _>>()?;
        let env: Vec<CString> = env::vars_os().filter_map(|(k, v)| variable(&k, &v)).collect();
        let failed = |e: io::Error| bad(&e.to_string());
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|e| failed(e.into()));
        let (go_end, go) = pipe()?;
        let (error, error_end) = pipe()?;
        let ours = [go.as_fd(), error.as_fd()];
        let pid = fork_waiting(&path, &args, &env, go_end.as_fd(), error_end.as_fd(), &ours)
            .map_err(failed)?;
        let pid = Pid::from_raw(pid as i32).ok_or_else(|| bad("it has no process id"))?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|e| failed(e.into()))?;
        Ok(Self {
            command: command.into(),
            program,
            pid,
            pidfd,
            go: Some(go),
            failed: Some(error),
            ended: None,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The file that it runs.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// As [`Child::release`]; `ready` is called once or twice while it stands still: when nothing of its
    /// program has run, and where the program begins, once the dynamic linker has mapped the libraries.
    /// Where it cannot be held, `ready` is called while it runs. Later calls do nothing.
    pub(crate) fn release_held(&mut self, mut ready: impl FnMut()) -> Result<(), Error> {
        if self.go.is_none() {
            return Ok(());
        }
        let tracee = Tracee::seize(self.pid()).ok();
        self.release()?;
        if let Some(tracee) = &tracee {
            // Where it cannot be held, it runs on.
            let _ = run_to_entry(tracee, self.pid(), &mut ready);
        }
        ready();
        drop(tracee);
        Ok(())
    }

    /// Lets it run. Later calls do nothing.
    pub fn release(&mut self) -> Result<(), Error> {
        let (Some(go), Some(failed)) = (self.go.take(), self.failed.take()) else { return Ok(()) };
        let bad =
            |e: io::Error| Error::Command { command: self.command.clone(), reason: e.to_string() };
        rustix::io::write(&go, &[1]).map_err(|e| bad(e.into()))?;
        let mut errno = [0u8; 4];
        match rustix::io::retry_on_intr(|| rustix::io::read(&failed, &mut errno)) {
            Ok(4) => Err(bad(io::Error::from_raw_os_error(i32::from_ne_bytes(errno)))),
            _ => Ok(()),
        }
    }

    /// Readable once it has ended.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// How it ended; `None` while it runs.
    pub fn status(&mut self) -> Option<ChildStatus> {
        if self.ended.is_none() {
            self.ended = match waitpid(Some(self.pid), WaitOptions::NOHANG) {
                Ok(None) => None,
                Ok(Some((_, status))) => {
                    Some(match (status.exit_status(), status.terminating_signal()) {
                        (Some(code), _) => ChildStatus::Exited(code),
                        (_, Some(signal)) => ChildStatus::Signaled(signal),
                        _ => ChildStatus::Unknown,
                    })
                }
                Err(_) => Some(ChildStatus::Unknown),
            };
        }
        self.ended
    }

    /// Asks it to end, if it still runs, and waits a moment.
    pub fn terminate(&mut self) {
        if self.status().is_some() {
            return;
        }
        // One that was never let go sees the end of its pipe.
        let waiting = self.go.take().is_some();
        if !waiting && pidfd_send_signal(&self.pidfd, Signal::TERM).is_err() {
            let _ = kill_process(self.pid, Signal::TERM);
        }
        let patience = Timespec { tv_sec: 0, tv_nsec: i64::from(PATIENCE.subsec_nanos()) };
        let _ = poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&patience));
        self.status();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.terminate();
    }
}

/// Lets a process that is about to start a program run until the program begins.
fn run_to_entry(tracee: &Tracee, pid: u32, ready: &mut impl FnMut()) -> io::Result<()> {
    loop {
        match tracee.wait()? {
            Stop::Exec => break,
            Stop::Signal(signal) => tracee.resume(signal)?,
            Stop::Other => tracee.resume(0)?,
            Stop::Ended => return Ok(()),
        }
    }
    ready();
    let entry = entry(pid).ok_or(io::ErrorKind::NotFound)?;
    tracee.break_at(entry)?;
    tracee.resume(0)?;
    loop {
        match tracee.wait()? {
            Stop::Signal(libc::SIGTRAP) => return tracee.clear_breakpoint(),
            Stop::Signal(signal) => tracee.resume(signal)?,
            Stop::Exec | Stop::Other => tracee.resume(0)?,
            Stop::Ended => return Ok(()),
        }
    }
}

/// Where the program of a process begins, behind the dynamic linker.
fn entry(pid: u32) -> Option<u64> {
    /// `AT_ENTRY` of linux/auxvec.h.
    const ENTRY: u64 = 9;
    let words = std::fs::read(format!("/proc/{pid}/auxv")).ok()?;
    let (words, _) = words.as_chunks();
    let mut pairs = words.as_chunks().0.iter();
    let number = |word: &[u8; 8]| u64::from_ne_bytes(*word);
    pairs.find_map(|[key, value]| (number(key) == ENTRY).then(|| number(value)))
}

/// A program by path, or by name in `PATH`.
fn find(program: &str) -> Option<PathBuf> {
    let runnable = |path: &Path| {
        path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
    };
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|p| runnable(p));
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|p| runnable(p))
}

fn variable(key: &OsStr, value: &OsStr) -> Option<CString> {
    CString::new([key.as_bytes(), b"=", value.as_bytes()].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(child: &mut Child) -> ChildStatus {
        loop {
            if let Some(status) = child.status() {
                return status;
            }
            let _ = poll(&mut [PollFd::new(&child.pidfd, PollFlags::IN)], None);
        }
    }

    #[test]
    fn runs_when_released() {
        let mut child = Child::spawn("sh -c 'exit \"7\"'").expect("a command of every system");
        assert!(child.status().is_none());
        child.release().expect("a command of every system");
        assert_eq!(wait(&mut child), ChildStatus::Exited(7));
    }

    #[test]
    fn is_held_where_its_program_begins() {
        let mut child = Child::spawn("sh -c 'exit 7'").expect("a command of every system");
        let exe = format!("/proc/{}/exe", child.pid());
        let program = std::fs::canonicalize(child.program()).expect("it was found");
        let mut runs = Vec::new();
        let release = child.release_held(|| runs.push(std::fs::read_link(&exe).ok()));
        release.expect("a command of every system");
        assert_eq!(runs, [Some(program.clone()), Some(program)]);
        child.release_held(|| panic!("it runs already")).expect("nothing happens");
        assert_eq!(wait(&mut child), ChildStatus::Exited(7));
    }

    #[test]
    fn is_asked_to_end() {
        let mut child = Child::spawn("sleep 100").expect("a command of every system");
        child.release().expect("a command of every system");
        child.terminate();
        assert_eq!(child.status(), Some(ChildStatus::Signaled(15)));
    }

    #[test]
    fn never_runs_unless_released() {
        let mut child = Child::spawn("sleep 100").expect("a command of every system");
        child.terminate();
        assert_eq!(child.status(), Some(ChildStatus::Exited(127)));
    }

    #[test]
    fn bad_commands_are_errors() {
        for command in ["", "/nonexistent", "'unclosed", "no-such-program x"] {
            assert!(matches!(Child::spawn(command), Err(Error::Command { .. })), "{command}");
        }
    }
}
