//! A signal handler that asks for an orderly end the first time and lets the second signal kill.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// Signals that end a run.
const SIGNALS: [libc::c_int; 2] = [libc::SIGINT, libc::SIGTERM];
/// The eventfd that the handler writes to.
static WAKE: AtomicI32 = AtomicI32::new(-1);
/// The first signal that came; 0 if none has.
static RECEIVED: AtomicI32 = AtomicI32::new(0);

extern "C" fn on_signal(signal: libc::c_int) {
    RECEIVED.store(signal, Ordering::Relaxed);
    let one = 1u64;
    // SAFETY: write and signal are async-signal-safe; errno is put back.
    unsafe {
        let errno = *libc::__errno_location();
        for s in SIGNALS {
            libc::signal(s, libc::SIG_DFL);
        }
        libc::write(WAKE.load(Ordering::Relaxed), (&raw const one).cast(), 8);
        *libc::__errno_location() = errno;
    }
}

/// Makes the first SIGINT or SIGTERM write to the eventfd `wake`; a second one kills. `wake`
/// must stay open as long as the process lives.
pub(crate) fn install(wake: BorrowedFd<'static>) -> io::Result<()> {
    WAKE.store(wake.as_raw_fd(), Ordering::Relaxed);
    RECEIVED.store(0, Ordering::Relaxed);
    for signal in SIGNALS {
        // SAFETY: an all-zero sigaction is valid; the handler is async-signal-safe.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            super::check(libc::sigaction(signal, &action, std::ptr::null_mut()).into())?;
        }
    }
    Ok(())
}

/// The signal that asked for the end, if one has.
pub(crate) fn received() -> Option<i32> {
    Some(RECEIVED.load(Ordering::Relaxed)).filter(|s| *s != 0)
}
