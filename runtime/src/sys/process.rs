//! Starting a process that waits before it runs its program.

use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Forks a process that waits for a byte on `go`, then runs `path`. If `go` is closed without a
/// byte the process ends. If `path` cannot be run, its errno is written to `failed` as four
/// bytes; `failed` closes by itself when it can. Returns the process id.
///
/// Both pipes must be close-on-exec.
pub(crate) fn fork_waiting(
    path: &CString,
    args: &[CString],
    env: &[CString],
    go: BorrowedFd<'_>,
    failed: BorrowedFd<'_>,
    ours: &[BorrowedFd<'_>],
) -> io::Result<u32> {
    // All memory is set up before the fork: afterwards only async-signal-safe calls are made.
    let pointers = |strings: &[CString]| -> Vec<*const c_char> {
        strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp) = (pointers(args), pointers(env));
    let (go, failed) = (go.as_raw_fd(), failed.as_raw_fd());
    // SAFETY: the child calls only async-signal-safe functions, on memory prepared above, and
    // never returns from this block.
    unsafe {
        let pid = libc::fork();
        if pid != 0 {
            return super::check(pid.into()).map(|p| p as u32);
        }
        for fd in ours {
            libc::close(fd.as_raw_fd());
        }
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        for signal in [libc::SIGPIPE, libc::SIGINT, libc::SIGTERM, libc::SIGUSR1] {
            libc::signal(signal, libc::SIG_DFL);
        }
        // Under nohup(1) it is ignored, and stays so.
        if libc::signal(libc::SIGHUP, libc::SIG_DFL) == libc::SIG_IGN {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
        }
        let mut byte = 0u8;
        let got = loop {
            let got = libc::read(go, (&raw mut byte).cast(), 1);
            if got >= 0 || *libc::__errno_location() != libc::EINTR {
                break got;
            }
        };
        if got == 1 {
            libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr());
            let errno: i32 = *libc::__errno_location();
            libc::write(failed, (&raw const errno).cast(), 4);
        }
        libc::_exit(127)
    }
}
