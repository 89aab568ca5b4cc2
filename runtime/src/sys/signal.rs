//! Signal handlers: one asks for an orderly end the first time and lets the second signal kill,
//! the other one passes SIGUSR1 on.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// Signals that end a run.
const SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];
/// The eventfd that the handler writes to.
static WAKE: AtomicI32 = AtomicI32::new(-1);
/// The first signal that came; 0 if none has.
static RECEIVED: AtomicI32 = AtomicI32::new(0);
/// The eventfd that SIGUSR1 writes to.
static USER_WAKE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn on_signal(signal: libc::c_int) {
    RECEIVED.store(signal, Ordering::Relaxed);
    // SAFETY: signal is async-signal-safe; errno is put back.
    unsafe {
        let errno = *libc::__errno_location();
        for s in SIGNALS {
            libc::signal(s, libc::SIG_DFL);
        }
        *libc::__errno_location() = errno;
    }
    wake(&WAKE);
}

extern "C" fn on_user_signal(_: libc::c_int) {
    wake(&USER_WAKE);
}

/// Writes to an eventfd, from a signal handler.
fn wake(event: &AtomicI32) {
    let one = 1u64;
    // SAFETY: write is async-signal-safe; errno is put back.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(event.load(Ordering::Relaxed), (&raw const one).cast(), 8);
        *libc::__errno_location() = errno;
    }
}

/// Makes the first SIGINT, SIGTERM or SIGHUP write to the eventfd `wake`; a second one kills.
/// `wake` must stay open as long as the process lives. A SIGHUP that is ignored stays so, since
/// nohup(1) means that.
pub(crate) fn install(wake: BorrowedFd<'static>) -> io::Result<()> {
    WAKE.store(wake.as_raw_fd(), Ordering::Relaxed);
    RECEIVED.store(0, Ordering::Relaxed);
    for signal in SIGNALS {
        if signal != libc::SIGHUP || !is_ignored(signal)? {
            handle(signal, on_signal)?;
        }
    }
    Ok(())
}

/// Makes SIGUSR1 write to the eventfd `wake`, which must stay open as long as the process lives.
pub(crate) fn install_user(wake: BorrowedFd<'static>) -> io::Result<()> {
    USER_WAKE.store(wake.as_raw_fd(), Ordering::Relaxed);
    handle(libc::SIGUSR1, on_user_signal)
}

fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) -> io::Result<()> {
    // SAFETY: an all-zero sigaction is valid; the handlers are async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        super::check(libc::sigaction(signal, &action, std::ptr::null_mut()).into()).map(drop)
    }
}

fn is_ignored(signal: libc::c_int) -> io::Result<bool> {
    // SAFETY: without a new action, sigaction only writes the present one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        super::check(libc::sigaction(signal, std::ptr::null(), &mut action).into())?;
        Ok(action.sa_sigaction == libc::SIG_IGN)
    }
}

/// The signal that asked for the end, if one has.
pub(crate) fn received() -> Option<i32> {
    Some(RECEIVED.load(Ordering::Relaxed)).filter(|s| *s != 0)
}
