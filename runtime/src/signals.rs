//! Asking a run to end, from another thread or by a signal, and to show its maps.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::sys::signal;

/// Asks a run to end. Clones are one flag.
#[derive(Clone, Debug)]
pub struct StopFlag(Arc<OwnedFd>);

impl StopFlag {
    /// A flag that is not set.
    pub fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(Arc::new(eventfd(0, flags)?)))
    }

    /// The flag that the first SIGINT, SIGTERM or SIGHUP sets. The second one kills this process
    /// at once.
    pub fn on_signals() -> io::Result<Self> {
        static FLAG: OnceLock<StopFlag> = OnceLock::new();
        let flag = Self::lasting(&FLAG)?;
        signal::install(flag.0.as_fd())?;
        Ok(flag.clone())
    }

    /// The flag that SIGUSR1 sets: see [`crate::session::Options::user_signal`].
    pub fn on_user_signal() -> io::Result<Self> {
        static FLAG: OnceLock<StopFlag> = OnceLock::new();
        let flag = Self::lasting(&FLAG)?;
        signal::install_user(flag.0.as_fd())?;
        Ok(flag.clone())
    }

    /// A flag for a signal: the handler may run at any time until the process ends, so its flag
    /// lives as long.
    fn lasting(place: &'static OnceLock<StopFlag>) -> io::Result<&'static StopFlag> {
        match place.get() {
            Some(flag) => Ok(flag),
            None => {
                let new = Self::new()?;
                Ok(place.get_or_init(|| new))
            }
        }
    }

    /// Asks for the end.
    pub fn stop(&self) {
        // It fails only where the counter is full, and then it is set.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }

    /// Whether the end was asked for.
    pub fn is_set(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&*self.0, PollFlags::IN)], Some(&now)).is_ok_and(|n| n > 0)
    }

    /// Takes the request back: the REPL stops a run and goes on.
    pub fn reset(&self) {
        let _ = rustix::io::read(&*self.0, &mut [0u8; 8]);
    }

    /// Readable once the flag is set.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Number of the signal that set the flag of [`StopFlag::on_signals`], if one has.
pub fn received() -> Option<i32> {
    signal::received()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_set_until_reset() {
        let flag = StopFlag::new().expect("a descriptor");
        assert!(!flag.is_set());
        flag.clone().stop();
        assert!(flag.is_set() && flag.is_set());
        flag.reset();
        assert!(!flag.is_set());
    }
}
