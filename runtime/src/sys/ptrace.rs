//! ptrace(2): following a process to where its program begins.

use std::io;

use super::check;

/// `PTRACE_EVENT_EXEC` as wait(2) reports it.
const STOPPED_BY_EXEC: i32 = libc::SIGTRAP | libc::PTRACE_EVENT_EXEC << 8;

/// Why a process that is traced does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It has started a program, of which nothing has run.
    Exec,
    /// A signal is about to be delivered to it.
    Signal(i32),
    /// The kernel tells of something else.
    Other,
    /// It has ended, or is nobody's to trace any more.
    Ended,
}

/// A process that is traced by this thread, and let go when this is dropped.
#[derive(Debug)]
pub(crate) struct Tracee(libc::pid_t);

impl Tracee {
    /// Traces a process from now on, without stopping it.
    pub fn seize(pid: u32) -> io::Result<Self> {
        let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
        request(pid, libc::PTRACE_SEIZE.into(), 0, libc::PTRACE_O_TRACEEXEC as usize)?;
        Ok(Self(pid))
    }

    fn request(&self, what: libc::c_long, address: usize, data: usize) -> io::Result<()> {
        request(self.0, what, address, data)
    }

    /// Waits until it stops. That it ended is left for others to find out.
    pub fn wait(&self) -> io::Result<Stop> {
        let peek = libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT | libc::__WALL;
        let seen = self.status(peek)?;
        if !matches!(seen.code, libc::CLD_TRAPPED | libc::CLD_STOPPED) {
            return Ok(Stop::Ended);
        }
        self.status(libc::WSTOPPED | libc::WNOHANG | libc::__WALL)?;
        Ok(match seen.status {
            STOPPED_BY_EXEC => Stop::Exec,
            signal @ 1..=0x7f => Stop::Signal(signal),
            _ => Stop::Other,
        })
    }

    fn status(&self, options: i32) -> io::Result<Status> {
        // SAFETY: a record of integers, for which all zeros is a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let id = self.0 as libc::id_t;
        loop {
            // SAFETY: `info` is valid for the kernel to write.
            let result = check(unsafe { libc::waitid(libc::P_PID, id, &mut info, options) }.into());
            match result {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
                // SAFETY: waitid has filled in what it reports of a child.
                Ok(_) => {
                    return Ok(Status { code: info.si_code, status: unsafe { info.si_status() } });
                }
            }
        }
    }

    /// Lets it run on, with a signal delivered to it; 0: none.
    pub fn resume(&self, signal: i32) -> io::Result<()> {
        self.request(libc::PTRACE_CONT.into(), 0, signal.unsigned_abs() as usize)
    }
}

fn request(pid: libc::pid_t, what: libc::c_long, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: none of the requests made here has this process read or write its own memory.
    check(unsafe { libc::syscall(libc::SYS_ptrace, what, pid, address, data) }).map(drop)
}

/// What waitid(2) says of a process.
struct Status {
    code: i32,
    status: i32,
}

#[cfg(target_arch = "x86_64")]
impl Tracee {
    /// Stops it with SIGTRAP before it executes the instruction at an address, by a debug register of
    /// the processor: its memory stays as it is.
    pub fn break_at(&self, address: u64) -> io::Result<()> {
        /// Enables the first breakpoint, for execution (Intel SDM volume 3, 19.2.4).
        const ENABLE_FIRST: usize = 1;
        self.set_debug_register(0, address as usize)?;
        self.set_debug_register(7, ENABLE_FIRST)
    }

    /// Removes the breakpoint.
    pub fn clear_breakpoint(&self) -> io::Result<()> {
        self.set_debug_register(7, 0)
    }

    fn set_debug_register(&self, number: usize, value: usize) -> io::Result<()> {
        let first = std::mem::offset_of!(libc::user, u_debugreg);
        self.request(libc::PTRACE_POKEUSER.into(), first + number * size_of::<u64>(), value)
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Tracee {
    /// Not on this architecture.
    pub fn break_at(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Not on this architecture.
    pub fn clear_breakpoint(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        // It fails only if the process has ended.
        let _ = self.request(libc::PTRACE_DETACH.into(), 0, 0);
    }
}
